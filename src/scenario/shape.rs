//! Checks a file against the JSON Schema of a scenario and finds every mistake of shape at once: unknown and missing keys,
//! wrong types, words that are none. It reads the part of JSON Schema that the scenario's types make.

use serde_json::{Map, Value as Json};

use super::mistake::{Mistake, Place};
use super::model::Until;
use super::tree::{Key, Node, Tree};
use crate::units::{Rate, Shift, Size, Span};

/// A text that must be written in a certain way.
struct Format {
    /// Its name in the JSON Schema.
    name: &'static str,
    expected: &'static str,
    /// One that is right.
    example: &'static str,
    fits: fn(&str) -> bool,
}

const FORMATS: [Format; 5] = [
    Format { name: Span::FORMAT, expected: Span::EXPECTED, example: "1s", fits: |text| Span::parse(text).is_ok() },
    Format {
        name: Until::FORMAT,
        expected: Until::EXPECTED,
        example: "graded",
        fits: |text| Until::parse(text).is_ok(),
    },
    Format { name: Shift::FORMAT, expected: Shift::EXPECTED, example: "1s", fits: |text| Shift::parse(text).is_ok() },
    Format { name: Size::FORMAT, expected: Size::EXPECTED, example: "1MiB", fits: |text| Size::parse(text).is_ok() },
    Format { name: Rate::FORMAT, expected: Rate::EXPECTED, example: "1/s", fits: |text| Rate::parse(text).is_ok() },
];

fn format_of(schema: &Json) -> Option<&'static Format> {
    let name = schema["format"].as_str()?;
    FORMATS.iter().find(|format| format.name == name)
}

/// What a file says, in the shape that it should have.
pub(super) struct Shaped {
    /// It, with a stand-in for each part that is wrong or missing.
    pub(super) json: Json,
    /// What is wrong.
    pub(super) mistakes: Vec<Mistake>,
    /// Where a further mistake may be a mere consequence of these.
    pub(super) doubtful: Vec<Place>,
}

/// Finds the mistakes of shape.
pub(super) fn check(tree: &Tree, schema: &Json) -> Shaped {
    let mut checker = Checker { root: schema, mistakes: Vec::new(), doubtful: Vec::new() };
    let json = checker.value(tree, schema, "the scenario");
    checker.doubtful.extend(checker.mistakes.iter().map(|mistake| mistake.place));
    Shaped { json, mistakes: checker.mistakes, doubtful: checker.doubtful }
}

struct Checker<'a> {
    root: &'a Json,
    mistakes: Vec<Mistake>,
    doubtful: Vec<Place>,
}

impl<'a> Checker<'a> {
    /// Checks one value, and returns it or a stand-in; `what` names it in messages.
    fn value(&mut self, tree: &Tree, schema: &'a Json, what: &str) -> Json {
        let schema = self.resolve(schema);
        match &tree.node {
            Node::Map(entries) if allows(schema, "object") => self.map(tree, entries, schema, what),
            Node::List(items) if allows(schema, "array") => {
                items.iter().map(|item| self.value(item, &schema["items"], &format!("an item of {what}"))).collect()
            }
            Node::Scalar(scalar) if allows(schema, type_of(scalar)) => self.scalar(tree, scalar, schema, what),
            node => {
                let message = format!("{what} must be {}, not {}", expected(schema), found(node));
                self.mistakes.push(Mistake::new(tree.place, message));
                self.stand_in(schema)
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

    fn map(&mut self, tree: &Tree, entries: &[(Key, Tree)], schema: &'a Json, what: &str) -> Json {
        let mut map = Map::new();
        for (key, value) in entries {
            let known = match schema["properties"].as_object() {
                Some(properties) => properties.get(&key.name),
                None => Some(&schema["additionalProperties"]).filter(|of| **of != Json::Bool(false)),
            };
            if let Some(property) = known {
                map.insert(key.name.clone(), self.value(value, property, &format!("`{}`", key.name)));
            } else {
                let known = schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str);
                let message = format!("unknown key `{}`", key.name);
                self.mistakes.push(Mistake::unknown_name(key.place, message, &key.name, known));
                self.doubtful.push(tree.place);
            }
        }
        for name in required(schema).filter(|name| tree.entry(name).is_none()) {
            let help = schema["properties"][name]["description"].as_str().unwrap_or_default();
            self.mistakes.push(Mistake::new(tree.place, format!("{what} has no `{name}`")).help(help));
            map.insert(name.to_owned(), self.stand_in(&schema["properties"][name]));
        }
        map.into()
    }

    fn scalar(&mut self, tree: &Tree, scalar: &Json, schema: &'a Json, what: &str) -> Json {
        let words = words(schema);
        if let Some(word) = scalar.as_str()
            && !words.is_empty()
            && !words.contains(&word)
        {
            let message = format!("unknown word `{word}` for {what}");
            self.mistakes.push(Mistake::unknown_name(tree.place, message, word, words));
            return self.stand_in(schema);
        }
        let number = scalar.as_f64();
        let bad = match (scalar.as_str(), format_of(schema)) {
            (Some(text), Some(format)) => !(format.fits)(text),
            _ => {
                schema["minimum"].as_f64().zip(number).is_some_and(|(minimum, number)| number < minimum)
                    || schema["maximum"].as_f64().zip(number).is_some_and(|(maximum, number)| number > maximum)
            }
        };
        if bad {
            let message = format!("{what} must be {}, not `{}`", expected(schema), plain(scalar));
            self.mistakes.push(Mistake::new(tree.place, message));
            return self.stand_in(schema);
        }
        scalar.clone()
    }

    /// Something of the right shape, so that the rest of the file can still be checked.
    fn stand_in(&self, schema: &'a Json) -> Json {
        let schema = self.resolve(schema);
        if let Some(word) = words(schema).first() {
            return (*word).into();
        }
        let name = match &schema["type"] {
            Json::Array(names) => &names[0],
            name => name,
        };
        match (name.as_str(), format_of(schema)) {
            (_, Some(format)) => format.example.into(),
            (Some("object"), _) => {
                let part = |name: &'a str| (name.to_owned(), self.stand_in(&schema["properties"][name]));
                required(schema).map(part).collect()
            }
            (Some("array"), _) => Json::Array(Vec::new()),
            (Some("boolean"), _) => false.into(),
            (Some("integer" | "number"), _) => 1.into(),
            _ => String::new().into(),
        }
    }
}

fn required(schema: &Json) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str)
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
    if let Some(format) = format_of(schema) {
        return format.expected.to_owned();
    }
    if let (Some(minimum), Some(maximum)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        return format!("a whole number from {minimum} to {maximum}");
    }
    let name = |name: &str| match name {
        "object" => "a map",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number that is not negative",
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
        Node::Scalar(Json::String(word)) if word.is_empty() => "an empty text".to_owned(),
        Node::Scalar(scalar) => format!("`{}`", plain(scalar)),
    }
}

fn plain(scalar: &Json) -> String {
    scalar.as_str().map_or_else(|| scalar.to_string(), str::to_owned)
}
