//! JSON Schemas in the subset that Claude's structured outputs take, and answers put back into their schema's letter case.
//!
//! Source for the subset: Claude docs, "Structured outputs". Source for the way into it: `transform_schema` of the
//! official Python SDK. A schema comes from a type by `schemars`; whether an answer fits its type is not decided here.

#[cfg(test)]
pub(crate) mod subset;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

/// String formats that the API enforces.
const FORMATS: &[&str] = &["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Keywords that hold schemas. Where the subset has no place for one, it stays where it is, so that the API refuses the
/// schema instead of asking for something else than the type says.
const STRUCTURE: &[&str] = &[
    "properties",
    "patternProperties",
    "additionalProperties",
    "items",
    "prefixItems",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "anyOf",
    "oneOf",
    "allOf",
];

/// Rewrites a schema as the API takes it.
///
/// Every object is closed and requires all its properties, `oneOf` becomes `anyOf`, a choice between documented
/// literals becomes one `enum`, and a keyword that the API does not enforce (`maximum`, `maxLength`, `default`, …) is
/// told to the model in the `description`. Beyond what the SDK does, a list of types becomes an `anyOf`, and the
/// `format` of a number is dropped, since it only names the width of a Rust integer.
#[must_use]
pub fn for_api(schema: impl Into<Value>) -> Value {
    let mut schema = schema.into();
    if let Value::Object(keywords) = &mut schema {
        keywords.shift_remove("$schema");
    }
    fit(schema)
}

fn fit(schema: Value) -> Value {
    let Value::Object(mut rest) = schema else { return schema };
    let mut fitted = Map::new();
    if let Some(definitions) = rest.remove("$defs") {
        fitted.insert("$defs".to_owned(), fit_values(definitions));
    }
    if let Some(reference) = rest.remove("$ref") {
        fitted.insert("$ref".to_owned(), reference);
        return Value::Object(fitted);
    }
    split_types(&mut rest);
    join_literals(&mut rest);

    let kind = rest.remove("type");
    if let Some((keyword, literals)) = take_literals(&mut rest) {
        fitted.insert(keyword, literals);
    } else if let Some((keyword, Value::Array(variants))) = take_choice(&mut rest) {
        fitted.insert(keyword, variants.into_iter().map(fit).collect());
    } else if let Some(kind) = kind {
        fit_type(&kind, &mut rest, &mut fitted);
    }
    for keyword in ["description", "title"] {
        if let Some(text) = rest.remove(keyword) {
            fitted.insert(keyword.to_owned(), text);
        }
    }
    describe(rest, &mut fitted);
    Value::Object(fitted)
}

fn fit_values(schemas: Value) -> Value {
    match schemas {
        Value::Object(schemas) => schemas.into_iter().map(|(name, schema)| (name, fit(schema))).collect(),
        other => other,
    }
}

/// Moves what the API knows of one type from `rest` to `fitted`.
fn fit_type(kind: &Value, rest: &mut Map<String, Value>, fitted: &mut Map<String, Value>) {
    fitted.insert("type".to_owned(), kind.clone());
    match kind.as_str() {
        Some("object") => {
            let properties = fit_values(rest.remove("properties").unwrap_or_else(|| Map::new().into()));
            let names = properties.as_object().into_iter().flat_map(Map::keys).cloned().map(Value::String).collect();
            fitted.insert("properties".to_owned(), properties);
            fitted.insert("required".to_owned(), names);
            rest.remove("required");
            let others = rest.remove("additionalProperties").filter(Value::is_object);
            fitted.insert("additionalProperties".to_owned(), others.unwrap_or(Value::Bool(false)));
        }
        Some("array") => {
            if let Some(items) = rest.remove("items") {
                fitted.insert("items".to_owned(), fit(items));
            }
            if let Some(least) = rest.get("minItems").and_then(Value::as_u64).filter(|least| *least <= 1) {
                rest.remove("minItems");
                fitted.insert("minItems".to_owned(), least.into());
            }
        }
        Some("string") if rest.get("format").is_some_and(|format| FORMATS.iter().any(|known| format == known)) => {
            fitted.extend(rest.remove_entry("format"));
        }
        Some("integer" | "number") => {
            rest.remove("format");
        }
        _ => {}
    }
}

/// `type: [string, null]` becomes a choice of two schemas; what constrains the value goes with its type.
fn split_types(keywords: &mut Map<String, Value>) {
    let Some(Value::Array(kinds)) = keywords.get("type") else { return };
    let kinds = kinds.clone();
    keywords.remove("type");
    if keywords.contains_key("enum") || keywords.contains_key("const") {
        return;
    }
    let (annotations, constraints): (Map<_, _>, Map<_, _>) = std::mem::take(keywords)
        .into_iter()
        .partition(|(keyword, _)| ["title", "description", "default"].contains(&keyword.as_str()));
    let variant = |kind: Value| {
        let mut variant = if kind == "null" { Map::new() } else { constraints.clone() };
        variant.insert("type".to_owned(), kind);
        Value::Object(variant)
    };
    *keywords = annotations;
    keywords.insert("anyOf".to_owned(), kinds.into_iter().map(variant).collect());
}

/// A choice between literals, each perhaps with a description of its own, becomes one `enum`: `schemars` writes an enum
/// with documented variants as the former, and the API limits the number of choices.
fn join_literals(keywords: &mut Map<String, Value>) {
    let variants = ["oneOf", "anyOf"].into_iter().find_map(|choice| keywords.get(choice)?.as_array());
    let Some(variants) = variants.filter(|variants| !variants.is_empty()) else { return };
    let Some(literals) = variants.iter().map(literals_of).collect::<Option<Vec<_>>>() else { return };

    let mut description = keywords.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (variant, values) in variants.iter().zip(&literals) {
        if let (Some(text), [value]) = (variant["description"].as_str(), values.as_slice()) {
            let line_break = if description.is_empty() { "" } else { "\n" };
            description = format!("{description}{line_break}- {}: {text}", plain(value));
        }
    }
    let values = literals.concat();
    keywords.retain(|keyword, _| !["oneOf", "anyOf", "type"].contains(&keyword.as_str()));
    keywords.insert("enum".to_owned(), Value::Array(values));
    if !description.is_empty() {
        keywords.insert("description".to_owned(), Value::String(description));
    }
}

/// The values of a schema that is nothing but a list of literals.
fn literals_of(schema: &Value) -> Option<Vec<Value>> {
    let keywords = schema.as_object()?;
    let only = ["const", "enum", "type", "title", "description"];
    if !keywords.keys().all(|keyword| only.contains(&keyword.as_str())) {
        return None;
    }
    let values = match (keywords.get("const"), keywords.get("enum")) {
        (Some(value), None) => vec![value.clone()],
        (None, Some(Value::Array(values))) => values.clone(),
        _ => return None,
    };
    values.iter().all(is_primitive).then_some(values)
}

fn take_literals(keywords: &mut Map<String, Value>) -> Option<(String, Value)> {
    let fits = |keyword: &str, value: &Value| match keyword {
        "enum" => value.as_array().is_some_and(|values| !values.is_empty() && values.iter().all(is_primitive)),
        _ => is_primitive(value),
    };
    let keyword = ["enum", "const"]
        .into_iter()
        .find(|keyword| keywords.get(*keyword).is_some_and(|value| fits(keyword, value)))?;
    keywords.remove_entry(keyword)
}

fn take_choice(keywords: &mut Map<String, Value>) -> Option<(String, Value)> {
    let choice = ["anyOf", "oneOf", "allOf"].into_iter().find(|choice| keywords.contains_key(*choice))?;
    let variants = keywords.remove(choice)?;
    Some((if choice == "oneOf" { "anyOf" } else { choice }.to_owned(), variants))
}

/// Tells the model in words what the API does not enforce.
fn describe(rest: Map<String, Value>, fitted: &mut Map<String, Value>) {
    let (structure, mut unsupported): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|(keyword, _)| STRUCTURE.contains(&keyword.as_str()));
    fitted.extend(structure);
    if unsupported.is_empty() {
        return;
    }
    unsupported.sort_by(|one, other| one.0.cmp(&other.0));
    let told: Vec<_> = unsupported.iter().map(|(keyword, value)| format!("{keyword}: {}", plain(value))).collect();
    let told = format!("{{{}}}", told.join(", "));
    let description = match fitted.get("description").and_then(Value::as_str) {
        Some(description) => format!("{description}\n\n{told}"),
        None => told,
    };
    fitted.insert("description".to_owned(), Value::String(description));
}

fn is_primitive(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Gives each string that differs from a literal of its schema in letter case only the case that the schema has, since
/// the API does not guarantee it (Claude docs: "Structured outputs"). Whatever fits the schema already stays as it is.
///
/// `schema` is one that [`for_api`] made.
pub fn normalise_case(value: &mut Value, schema: &Value) {
    normalise(value, schema, schema);
}

fn normalise(value: &mut Value, schema: &Value, root: &Value) {
    if let Some(referred) = refer(schema, root) {
        return normalise(value, referred, root);
    }
    if let Some(variants) = schema["anyOf"].as_array() {
        if variants.iter().any(|variant| accepts(variant, value, root)) {
            return;
        }
        let normalised = variants.iter().find_map(|variant| {
            let mut candidate = value.clone();
            normalise(&mut candidate, variant, root);
            accepts(variant, &candidate, root).then_some(candidate)
        });
        if let Some(normalised) = normalised {
            *value = normalised;
        }
        return;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        normalise(value, part, root);
    }
    match value {
        Value::String(text) => {
            if let Some(literal) = same_but_for_case(text, schema) {
                literal.clone_into(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| normalise(item, &schema["items"], root)),
        Value::Object(properties) => {
            for (name, property) in properties {
                normalise(property, &schema["properties"][name.as_str()], root);
            }
        }
        _ => {}
    }
}

fn refer<'a>(schema: &Value, root: &'a Value) -> Option<&'a Value> {
    root.pointer(schema["$ref"].as_str()?.strip_prefix('#')?)
}

fn literals(schema: &Value) -> impl Iterator<Item = &Value> + Clone {
    schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"))
}

fn same_but_for_case<'a>(text: &str, schema: &'a Value) -> Option<&'a str> {
    let texts = literals(schema).filter_map(Value::as_str);
    if texts.clone().any(|literal| literal == text) {
        return None;
    }
    let lower = text.to_lowercase();
    texts.into_iter().find(|literal| literal.to_lowercase() == lower)
}

/// Whether a value fits a schema, as far as it takes to tell the variants of an `anyOf` apart.
fn accepts(schema: &Value, value: &Value, root: &Value) -> bool {
    if let Some(referred) = refer(schema, root) {
        return accepts(referred, value, root);
    }
    let all = |keyword: &str| schema[keyword].as_array().into_iter().flatten();
    if schema.get("anyOf").is_some() && !all("anyOf").any(|variant| accepts(variant, value, root))
        || !all("allOf").all(|part| accepts(part, value, root))
        || literals(schema).next().is_some() && !literals(schema).any(|literal| literal == value)
    {
        return false;
    }
    let of_type = match schema["type"].as_str() {
        None => true,
        Some("string") => value.is_string(),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("array") => value.is_array(),
        Some(_) => value.is_object(),
    };
    of_type
        && match value {
            Value::Array(items) => items.iter().all(|item| accepts(&schema["items"], item, root)),
            Value::Object(properties) => {
                all("required").filter_map(Value::as_str).all(|name| properties.contains_key(name))
                    && properties.iter().all(|(name, property)| match schema["properties"].get(name) {
                        Some(expected) => accepts(expected, property, root),
                        None => schema["additionalProperties"] != false,
                    })
            }
            _ => true,
        }
}
