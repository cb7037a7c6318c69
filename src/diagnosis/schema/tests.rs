use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use schemars::{JsonSchema, schema_for};
use serde_json::json;

use super::subset::outside;
use super::*;

/// The type of `fixtures/claude/golden-request.json`, in Rust.
#[derive(JsonSchema)]
#[schemars(title = "Diagnosis", description = "Root-cause diagnosis of a distributed-system fault.")]
#[expect(dead_code, reason = "only its schema is read")]
struct Golden {
    #[schemars(title = "Root Cause")]
    root_cause: RootCause,
    #[schemars(title = "Component")]
    component: String,
    #[schemars(title = "Confidence", range(min = 0.0, max = 1.0))]
    confidence: f64,
    #[schemars(title = "Evidence", length(min = 1))]
    evidence: Vec<Evidence>,
    #[schemars(title = "Next Step")]
    #[serde(default)]
    next_step: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is read")]
enum RootCause {
    Partition,
    SlowNode,
    Crash,
    ClockSkew,
    Unknown,
}

#[derive(JsonSchema)]
#[schemars(title = "Evidence")]
#[expect(dead_code, reason = "only its schema is read")]
struct Evidence {
    #[schemars(title = "Event Id", description = "Id of a trace event that supports the diagnosis")]
    event_id: String,
    #[schemars(title = "Quote", length(max = 200))]
    quote: String,
}

#[test]
fn a_type_becomes_the_schema_that_the_official_sdk_makes_of_it() {
    let golden: Value = serde_json::from_str(include_str!("../../../fixtures/claude/golden-request.json")).unwrap();
    let mut expected = golden["output_config"]["format"]["schema"].clone();
    // Here every field is required, and the default is JSON's null instead of Python's.
    expected["required"].as_array_mut().unwrap().push("next_step".into());
    expected["properties"]["next_step"]["description"] = "{default: null}".into();

    let schema = for_api(schema_for!(Golden));
    assert_eq!(schema, expected);
    assert_eq!(outside(&schema), Vec::<String>::new());
    assert!(jsonschema::meta::is_valid(&schema));
}

/// What `schemars` can make of types, as far as the API can be asked for it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is read")]
struct Everything {
    count: u32,
    perhaps: Option<f64>,
    /// Said of a field, but lost beside `$ref`.
    action: Action,
    other_action: Option<Action>,
    #[schemars(length(min = 2, max = 5))]
    pairs: Vec<Either>,
    #[schemars(email)]
    address: String,
    #[schemars(url, regex(pattern = "^https"))]
    link: String,
    tagged: Tagged,
    flag: bool,
}

/// What to do.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is read")]
enum Action {
    /// Start it again.
    Restart,
    /// Do nothing.
    Wait,
    Drain,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is read")]
enum Either {
    Left(String),
    Right { amount: i64 },
    Neither,
}

#[derive(JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is read")]
enum Tagged {
    Empty,
    Full { amount: u8 },
}

#[test]
fn whatever_a_type_asks_for_stays_within_the_subset() {
    let schema = for_api(schema_for!(Everything));
    assert_eq!(outside(&schema), Vec::<String>::new());
    assert!(jsonschema::meta::is_valid(&schema));
    assert_eq!(for_api(schema.clone()), schema, "a second pass changes nothing");

    let properties = &schema["properties"];
    assert_eq!(properties["count"], json!({ "type": "integer", "description": "{minimum: 0}" }));
    assert_eq!(properties["perhaps"], json!({ "anyOf": [{ "type": "number" }, { "type": "null" }] }));
    assert_eq!(properties["action"], json!({ "$ref": "#/$defs/Action" }));
    assert_eq!(properties["pairs"]["description"], "{maxItems: 5, minItems: 2}");
    assert_eq!(properties["address"], json!({ "type": "string", "format": "email" }));
    assert_eq!(properties["link"], json!({ "type": "string", "format": "uri", "description": "{pattern: ^https}" }));
    let names: Vec<_> = properties.as_object().unwrap().keys().collect();
    assert_eq!(names[..4], ["count", "perhaps", "action", "other_action"], "a model writes in this order");
}

#[test]
fn documented_variants_become_one_enum_that_tells_their_meaning() {
    let schema = for_api(schema_for!(Action));
    assert_eq!(
        schema,
        json!({
            "enum": ["drain", "restart", "wait"],
            "description": "What to do.\n- restart: Start it again.\n- wait: Do nothing.",
            "title": "Action",
        })
    );
}

#[test]
fn a_description_comes_before_what_is_not_enforced() {
    let schema = for_api(json!({ "type": "integer", "minimum": 1, "maximum": 10, "description": "A number" }));
    assert_eq!(schema, json!({ "type": "integer", "description": "A number\n\n{maximum: 10, minimum: 1}" }));
}

#[test]
fn what_cannot_be_asked_for_is_left_for_the_check_to_find() {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is read")]
    struct Beyond {
        map: std::collections::HashMap<String, u8>,
        pair: (u8, u8),
        anything: Value,
        myself: Option<Box<Node>>,
        mixed: Mixed,
    }
    #[derive(JsonSchema)]
    #[schemars(inline)]
    #[expect(dead_code, reason = "only its schema is read")]
    struct Mixed {
        name: String,
        #[serde(flatten)]
        either: Tagged,
    }
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is read")]
    struct Node {
        next: Vec<Node>,
    }
    let found = outside(&for_api(schema_for!(Beyond)));
    assert_eq!(
        found,
        [
            "#/map: is an object without properties",
            "#/pair: `prefixItems` is not supported here",
            "#/pair/[]: is not an object",
            "#/anything: is not an object",
            "#/$defs/Node/next/[]: `#/$defs/Node` refers to itself",
            "#/mixed: `properties` is not supported here",
        ]
    );
}

#[test]
fn letter_case_follows_the_schema_wherever_it_is() {
    let schema = for_api(schema_for!(Everything));
    let mut value = json!({
        "count": 1, "perhaps": null, "action": "Restart", "other_action": "WAIT", "pairs": ["NEITHER", { "Left": "NEITHER" }],
        "address": "A@B.example", "link": "https://B.example", "tagged": { "kind": "FULL", "amount": 1 }, "flag": true,
    });
    normalise_case(&mut value, &schema);
    assert_eq!(value["action"], "restart");
    assert_eq!(value["other_action"], "wait");
    assert_eq!(value["pairs"], json!(["Neither", { "Left": "NEITHER" }]));
    assert_eq!(value["tagged"]["kind"], "full");
    assert_eq!(value["address"], "A@B.example");
    assert!(jsonschema::is_valid(&schema, &value));
}

#[test]
fn an_unknown_word_stays_as_it_is() {
    let mut value = json!("Reboot");
    normalise_case(&mut value, &json!({ "enum": ["restart"] }));
    assert_eq!(value, "Reboot");
}

const WORDS: &[&str] = &["alpha", "Alpha", "Beta", "GAMMA", "delta_1"];

/// Schemas of the subset; `$ref` leads to an enum of [`WORDS`].
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::subsequence(WORDS.to_vec(), 1..=3).prop_map(|words| json!({ "enum": words })),
        prop::sample::select(vec!["string", "integer", "boolean", "null"]).prop_map(|kind| json!({ "type": kind })),
        Just(json!({ "const": "Omega" })),
        Just(json!({ "$ref": "#/$defs/Word" })),
    ];
    let schema = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| json!({ "type": "array", "items": items })),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|variants| json!({ "anyOf": variants })),
            prop::collection::btree_map("[a-d]", inner, 1..4).prop_map(|properties| {
                let required: Vec<_> = properties.keys().cloned().collect();
                json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
            }),
        ]
    });
    schema.prop_map(|mut schema| {
        schema["$defs"] = json!({ "Word": { "enum": WORDS } });
        schema
    })
}

fn values_of(schema: &Value) -> BoxedStrategy<Value> {
    if schema.get("$ref").is_some() {
        return prop::sample::select(WORDS).prop_map(Value::from).boxed();
    }
    if let Some(variants) = schema["anyOf"].as_array() {
        return prop::strategy::Union::new(variants.iter().map(values_of)).boxed();
    }
    let literals: Vec<_> = literals(schema).cloned().collect();
    if !literals.is_empty() {
        return prop::sample::select(literals).boxed();
    }
    match schema["type"].as_str().unwrap() {
        "string" => prop_oneof!["[a-zA-Z]{0,6}", prop::sample::select(WORDS).prop_map(str::to_uppercase)]
            .prop_map(Value::from)
            .boxed(),
        "integer" => any::<i64>().prop_map(Value::from).boxed(),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "null" => Just(Value::Null).boxed(),
        "array" => prop::collection::vec(values_of(&schema["items"]), 0..3).prop_map(Value::from).boxed(),
        _ => {
            let properties = schema["properties"].as_object().unwrap();
            let (names, values): (Vec<_>, Vec<_>) =
                properties.iter().map(|(name, property)| (name.clone(), values_of(property))).unzip();
            values.prop_map(move |values| names.iter().cloned().zip(values).collect()).boxed()
        }
    }
}

fn swap_case(value: &mut Value) {
    let swap = |letter: char| {
        if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    match value {
        Value::String(text) => *text = text.chars().map(swap).collect(),
        Value::Array(items) => items.iter_mut().for_each(swap_case),
        Value::Object(properties) => properties.values_mut().for_each(swap_case),
        _ => {}
    }
}

fn schemas_and_values() -> impl Strategy<Value = (Value, Value)> {
    schemas().prop_flat_map(|schema| {
        let values = values_of(&schema);
        (Just(schema), values)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_valid_value_is_never_changed((schema, value) in schemas_and_values()) {
        prop_assert!(jsonschema::is_valid(&schema, &value));
        let mut normalised = value.clone();
        normalise_case(&mut normalised, &schema);
        prop_assert_eq!(normalised, value);
    }

    #[test]
    fn a_value_in_the_wrong_case_becomes_valid((schema, mut value) in schemas_and_values()) {
        swap_case(&mut value);
        normalise_case(&mut value, &schema);
        prop_assert!(jsonschema::is_valid(&schema, &value), "{value}");
    }
}
