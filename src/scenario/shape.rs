//! Checks a file against the JSON Schema of a scenario and finds every mistake of shape at once: unknown and missing keys,
//! wrong types, words that are none. It reads the part of JSON Schema that the scenario's types make.

use serde_json::Value as Json;

use super::mistake::Mistake;
use super::model::{SPAN_FORMAT, Span, UNTIL_FORMAT, Until};
use super::tree::{Node, Tree};

/// Finds the mistakes of shape.
pub(super) fn check(tree: &Tree, schema: &Json) -> Vec<Mistake> {
    let mut checker = Checker { root: schema, mistakes: Vec::new() };
    checker.value(tree, schema, "the scenario");
    checker.mistakes
}

struct Checker<'a> {
    root: &'a Json,
    mistakes: Vec<Mistake>,
}

impl<'a> Checker<'a> {
    /// Checks one value; `what` names it in messages.
    fn value(&mut self, tree: &Tree, schema: &'a Json, what: &str) {
        let schema = self.resolve(schema);
        match &tree.node {
            Node::Map(entries) if allows(schema, "object") => self.map(tree, entries, schema, what),
            Node::List(items) if allows(schema, "array") => {
                for item in items {
                    self.value(item, &schema["items"], &format!("an item of {what}"));
                }
            }
            Node::Scalar(scalar) if allows(schema, type_of(scalar)) => self.scalar(tree, scalar, schema, what),
            node => {
                let message = format!("{what} must be {}, not {}", expected(schema), found(node));
                self.mistakes.push(Mistake::new(tree.place, message));
            }
        }
    }

    /// Follows references, and takes what an optional value is when it is there.
    fn resolve(&self, mut schema: &'a Json) -> &'a Json {
        loop {
            if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
                schema = &self.root["$defs"][name];
            } else if let Some(choices) = schema["anyOf"].as_array() {
                match choices.iter().find(|choice| choice["type"] != "null") {
                    Some(choice) => schema = choice,
                    None => return schema,
                }
            } else {
                return schema;
            }
        }
    }

    fn map(&mut self, tree: &Tree, entries: &[(super::tree::Key, Tree)], schema: &'a Json, what: &str) {
        if let Some(properties) = schema["properties"].as_object() {
            for (key, value) in entries {
                if let Some(property) = properties.get(&key.name) {
                    self.value(value, property, &format!("`{}`", key.name));
                } else {
                    let known = properties.keys().map(String::as_str);
                    self.mistakes.push(Mistake::unknown_name(key.place, "key", &key.name, known));
                }
            }
        } else {
            for (key, value) in entries {
                self.value(value, &schema["additionalProperties"], &format!("`{}`", key.name));
            }
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        for name in required.filter(|name| entries.iter().all(|(key, _)| key.name != *name)) {
            let help = schema["properties"][name]["description"].as_str().unwrap_or_default();
            self.mistakes.push(Mistake::new(tree.place, format!("{what} has no `{name}`")).help(help));
        }
    }

    fn scalar(&mut self, tree: &Tree, scalar: &Json, schema: &'a Json, what: &str) {
        let words: Vec<&str> = words(schema);
        if let Some(word) = scalar.as_str()
            && !words.is_empty()
            && !words.contains(&word)
        {
            self.mistakes.push(Mistake::unknown_name(tree.place, &format!("word for {what}"), word, words));
        }
        let wrong = match (scalar.as_str(), schema["format"].as_str()) {
            (Some(text), Some(SPAN_FORMAT)) => Span::parse(text).err(),
            (Some(text), Some(UNTIL_FORMAT)) => Until::parse(text).err(),
            _ if schema["minimum"].as_f64().zip(scalar.as_f64()).is_some_and(|(minimum, number)| number < minimum) => {
                Some(format!("it must be at least {}", schema["minimum"]))
            }
            _ => None,
        };
        if let Some(expected) = wrong {
            self.mistakes.push(Mistake::new(tree.place, format!("{what} is wrong: {expected}")));
        }
    }
}

/// The words that a schema allows; none if it does not list them.
fn words(schema: &Json) -> Vec<&str> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten().map(|choice| &choice["const"]);
    listed.chain(described).filter_map(Json::as_str).collect()
}

fn allows(schema: &Json, wanted: &str) -> bool {
    let is = |name: &Json| name == wanted || (name == "number" && wanted == "integer");
    match &schema["type"] {
        Json::Array(names) => names.iter().any(is),
        Json::Null => wanted == "string" && !words(schema).is_empty(),
        name => is(name),
    }
}

fn type_of(scalar: &Json) -> &'static str {
    match scalar {
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        _ => "null",
    }
}

fn expected(schema: &Json) -> String {
    match schema["format"].as_str() {
        Some(SPAN_FORMAT) => return "a span with its unit, such as 10s".to_owned(),
        Some(UNTIL_FORMAT) => return "graded, detected or a span such as 30s".to_owned(),
        _ => {}
    }
    let name = |name: &str| match name {
        "object" => "a map",
        "array" => "a list",
        "string" => "a word",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "nothing",
    };
    match &schema["type"] {
        Json::Array(names) => {
            let names: Vec<&str> =
                names.iter().filter_map(Json::as_str).filter(|name| *name != "null").map(name).collect();
            names.join(" or ")
        }
        Json::String(one) => name(one).to_owned(),
        _ => format!("one of {}", words(schema).join(", ")),
    }
}

fn found(node: &Node) -> String {
    match node {
        Node::Map(_) => "a map".to_owned(),
        Node::List(_) => "a list".to_owned(),
        Node::Scalar(Json::Null) => "empty".to_owned(),
        Node::Scalar(Json::String(word)) => format!("the word `{word}`"),
        Node::Scalar(Json::Bool(flag)) => format!("the truth value `{flag}`"),
        Node::Scalar(scalar) => format!("the number {scalar}"),
    }
}
