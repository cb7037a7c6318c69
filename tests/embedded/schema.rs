//! The JSON Schema for editors is the one of the program, and the scenarios of this repository are right by both.

use std::path::{Path, PathBuf};

use operator_run::scenario;
use serde_json::Value;

use super::bench::{Bench, STORE_DOWN, changed};

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A scenario as a validator of JSON sees it.
fn as_json(yaml: &str) -> Value {
    serde_json::to_value(serde_yaml::from_str::<serde_yaml::Value>(yaml).unwrap()).unwrap()
}

fn validator() -> jsonschema::Validator {
    let schema = std::fs::read_to_string(repository("schema/scenario.json")).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap()
}

#[test]
fn the_schema_in_the_repository_is_the_one_that_the_program_prints() {
    let outcome = Bench::empty().run(&["schema"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    let kept = std::fs::read_to_string(repository("schema/scenario.json")).unwrap();
    assert!(outcome.stdout == kept, "make it anew: operator-run schema > schema/scenario.json");
}

#[test]
fn every_scenario_in_the_repository_is_right() {
    let folder = repository("scenarios");
    let files = scenario::find(&[folder.to_str().unwrap().to_owned()]).unwrap();
    assert!(files.len() >= 2, "{files:?}");
    let validator = validator();
    for file in files {
        let loaded = scenario::load(&file).unwrap_or_else(|error| panic!("{:#?}", error.reports()));
        let text = std::fs::read_to_string(&file).unwrap();
        let mistakes: Vec<String> = validator.iter_errors(&as_json(&text)).map(|error| error.to_string()).collect();
        assert_eq!(mistakes, Vec::<String>::new(), "{}", file.display());
        assert_eq!(file.file_stem().unwrap().to_str(), Some(loaded.scenario.name.as_str()));
        let lines: Vec<&str> = text.lines().collect();
        let checks = loaded.scenario.rubric.map(|rubric| rubric.checks).unwrap_or_default();
        for (check, line) in checks.iter().zip(&loaded.check_lines) {
            assert!(lines[line - 1].contains(&format!("id: {},", check.id)), "{}: line {line}", check.id);
        }
    }
}

/// What an editor calls wrong, the program does too; the program also knows what the words mean.
#[test]
fn the_schema_refuses_what_the_program_refuses_for_its_shape() {
    let validator = validator();
    for (good, bad) in [
        ("title: A", "titel: A"),
        ("title: A TiKV store is killed\n", ""),
        ("seed: 2", "seed: -2"),
        ("pass: 0.8", "pass: most"),
        ("until: graded", "untill: graded"),
        ("most-leaders", "most-leader"),
        ("[tikv, crash, smoke]", "tikv"),
    ] {
        let scenario = changed(&[(good, bad)]);
        assert!(!validator.is_valid(&as_json(&scenario)), "{bad}");
        assert!(scenario::parse(Path::new("s.yaml"), &scenario).is_err(), "{bad}");
    }
    assert!(validator.is_valid(&as_json(STORE_DOWN)));
}
