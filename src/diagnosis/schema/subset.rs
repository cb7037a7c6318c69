//! A check for tests: what of a schema the API would refuse.
//!
//! Source: Claude docs, "Structured outputs", its lists of what is supported and its limits.

use serde_json::Value;

use super::{FORMATS, is_primitive};

/// What a schema of a type may hold; one without a type is a choice.
fn keywords_of(kind: Option<&str>) -> &'static [&'static str] {
    match kind {
        None => &["enum", "const", "anyOf", "allOf"],
        Some("object") => &["type", "properties", "required", "additionalProperties"],
        Some("array") => &["type", "items", "minItems"],
        Some("string") => &["type", "format"],
        Some(_) => &["type"],
    }
}

/// How many `anyOf` a request may have, over all its schemas.
const MOST_UNIONS: usize = 16;

/// One line for each thing that the API would refuse, with its place in the schema.
pub(crate) fn outside(schema: &Value) -> Vec<String> {
    let mut walk = Walk { root: schema, unions: 0, found: Vec::new() };
    walk.schema(schema, "#", &mut Vec::new());
    if walk.unions > MOST_UNIONS {
        walk.found.push(format!("#: {} unions are more than {MOST_UNIONS}", walk.unions));
    }
    walk.found
}

struct Walk<'a> {
    root: &'a Value,
    unions: usize,
    found: Vec<String>,
}

impl<'a> Walk<'a> {
    fn refuse(&mut self, path: &str, why: impl AsRef<str>) {
        self.found.push(format!("{path}: {}", why.as_ref()));
    }

    fn schema(&mut self, schema: &'a Value, path: &str, within: &mut Vec<&'a str>) {
        let Some(keywords) = schema.as_object() else { return self.refuse(path, "is not an object") };
        if let Some(reference) = schema["$ref"].as_str() {
            if keywords.keys().any(|keyword| keyword != "$ref" && keyword != "$defs") {
                self.refuse(path, "`$ref` does not stand alone");
            }
            return self.reference(reference, path, within);
        }
        let kind = schema["type"].as_str();
        let supported = [keywords_of(kind), &["$defs", "title", "description"]].concat();
        for keyword in keywords.keys().filter(|keyword| !supported.contains(&keyword.as_str())) {
            self.refuse(path, format!("`{keyword}` is not supported here"));
        }
        match kind {
            Some("object") => self.object(schema, path, within),
            Some("array") => self.array(schema, path, within),
            Some("string") => {
                let known = schema.get("format").is_none_or(|format| FORMATS.iter().any(|known| format == known));
                if !known {
                    self.refuse(path, "`format` is not supported");
                }
            }
            Some("integer" | "number" | "boolean" | "null") => {}
            Some(other) => self.refuse(path, format!("there is no type `{other}`")),
            None => self.untyped(schema, path, within),
        }
    }

    fn reference(&mut self, reference: &'a str, path: &str, within: &mut Vec<&'a str>) {
        let referred = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        match referred {
            None => self.refuse(path, format!("`{reference}` refers to nothing in here")),
            Some(_) if within.contains(&reference) => self.refuse(path, format!("`{reference}` refers to itself")),
            Some(referred) => {
                within.push(reference);
                self.schema(referred, reference, within);
                within.pop();
            }
        }
    }

    fn object(&mut self, schema: &'a Value, path: &str, within: &mut Vec<&'a str>) {
        let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
            return self.refuse(path, "is an object without properties");
        };
        if schema["additionalProperties"] != false {
            self.refuse(path, "is an open object");
        }
        if !properties.keys().eq(schema["required"].as_array().into_iter().flatten()) {
            self.refuse(path, "does not require each property, in their order");
        }
        for (name, property) in properties {
            self.schema(property, &format!("{path}/{name}"), within);
        }
    }

    fn array(&mut self, schema: &'a Value, path: &str, within: &mut Vec<&'a str>) {
        if schema.get("minItems").is_some_and(|least| *least != 0 && *least != 1) {
            self.refuse(path, "`minItems` is neither 0 nor 1");
        }
        self.schema(&schema["items"], &format!("{path}/[]"), within);
    }

    fn untyped(&mut self, schema: &'a Value, path: &str, within: &mut Vec<&'a str>) {
        let literals = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
        let variants = ["anyOf", "allOf"].iter().flat_map(|choice| schema[*choice].as_array().into_iter().flatten());
        if literals.clone().chain(variants.clone()).next().is_none() {
            self.refuse(path, "says nothing of its type");
        }
        if !literals.clone().all(is_primitive) {
            self.refuse(path, "has a literal that is not primitive");
        }
        self.unions += usize::from(schema.get("anyOf").is_some());
        for variant in variants {
            self.schema(variant, &format!("{path}|"), within);
        }
    }
}
