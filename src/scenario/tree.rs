//! A YAML file as a tree in which every key and value knows its place, so that any later complaint can point at it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_saphyr::{Location, Spanned};

use super::mistake::{Mistake, Place};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Nothing, a truth value, a number or a word.
    Scalar(Json),
    /// A list.
    List(Vec<Tree>),
    /// A map, in the order of the file.
    Map(Vec<(Key, Tree)>),
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) node: Node,
    pub(super) place: Place,
}

/// A key and its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) place: Place,
}

/// One step of a path into a tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl Tree {
    /// Reads a file.
    pub(super) fn read(text: &str) -> Result<Self, Mistake> {
        serde_saphyr::from_str::<Spanned<Node>>(text).map(Self::from).map_err(|error| {
            let place = error.location().map_or_else(Place::default, |location| place(text, &location));
            let message = error.without_snippet().to_string();
            let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(&message);
            let message = message.split(" at line ").next().unwrap_or(message);
            let message = message.split("; use ").next().unwrap_or(message);
            Mistake::new(place, format!("cannot read the YAML: {message}"))
        })
    }

    /// The place of a value, or of the nearest thing around it that the file has.
    pub(super) fn place(&self, path: &[Step<'_>]) -> Place {
        let mut tree = self;
        for step in path {
            let next = match (&tree.node, step) {
                (Node::Map(_), Step::Key(name)) => tree.entry(name).map(|(_, value)| value),
                (Node::List(items), Step::Index(index)) => items.get(*index),
                _ => None,
            };
            match next {
                Some(next) => tree = next,
                None => break,
            }
        }
        tree.place
    }

    /// A key of a map, and its value.
    pub(super) fn entry(&self, name: &str) -> Option<&(Key, Self)> {
        let Node::Map(entries) = &self.node else { return None };
        entries.iter().find(|(key, _)| key.name == name)
    }
}

impl From<Spanned<Node>> for Tree {
    /// A map is where its first key is: what it lacks has no better place.
    fn from(spanned: Spanned<Node>) -> Self {
        let place = match &spanned.value {
            Node::Map(entries) => entries.first().map(|(key, _)| key.place),
            _ => None,
        };
        Self { place: place.unwrap_or_else(|| known_place(&spanned.referenced)), node: spanned.value }
    }
}

/// The place that the parser gives with byte positions, as it does for a `&str`.
fn known_place(location: &Location) -> Place {
    let span = location.span();
    let offset = span.byte_offset().unwrap_or_else(|| span.offset());
    let length = span.byte_len().unwrap_or_else(|| span.len());
    Place { offset: index(offset), length: index(length) }
}

/// The place of an error, which may come without byte positions: then they are counted from line and column.
fn place(text: &str, location: &Location) -> Place {
    if location.span().byte_offset().is_some() {
        return known_place(location);
    }
    let before: usize = text.split_inclusive('\n').take(index(location.line().saturating_sub(1))).map(str::len).sum();
    let line = &text[before.min(text.len())..];
    let column: usize = line.chars().take(index(location.column().saturating_sub(1))).map(char::len_utf8).sum();
    Place { offset: before + column, length: 1 }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Json::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Scalar(flag.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Scalar(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Scalar(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Scalar(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Node>>()? {
            list.push(item.into());
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Node>>()? {
            let key = Key { name: key.value, place: known_place(&key.referenced) };
            let mut value = Tree::from(value);
            // A value of several parts, or of none, is best known by its key.
            if matches!(value.node, Node::Map(_) | Node::List(_) | Node::Scalar(Json::Null)) {
                value.place = key.place;
            }
            map.push((key, value));
        }
        Ok(Node::Map(map))
    }
}
