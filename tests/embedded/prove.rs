//! The proof of rubrics: it finds a rubric that is too weak, a reference that is none, and one that is missing.

use std::path::Path;

use insta::assert_snapshot;
use operator_run::grade::reference::Reference;
use serde_json::{Value as Json, json};

use super::bench::{Bench, Outcome, STORE_DOWN, changed};

/// The project's file of a name.
fn project(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// A folder with these scenarios of the project, their references, and a control.
fn bench(names: &[&str]) -> Bench {
    let bench = Bench::empty();
    for name in names {
        let reference = format!("fixtures/references/{name}.json");
        bench.write(&reference, project(&reference));
        bench.write(&format!("scenarios/{name}.yaml"), project(&format!("scenarios/{name}.yaml")));
    }
    bench.write("scenarios/quiet.yaml", project("scenarios/quiet.yaml"));
    bench
}

const THREE: [&str; 3] = ["store-down", "store-down-false-order", "store-paused"];

/// The proof where the rubric of `store-down` is another.
fn with_rubric(changes: &[(&str, &str)]) -> Outcome {
    let bench = bench(&THREE);
    bench.write("scenarios/store-down.yaml", changed(changes));
    bench.run(&["prove"])
}

/// The proof where the reference of `store-down` is another.
fn with_reference(change: impl Fn(&mut Json)) -> Outcome {
    let bench = bench(&THREE);
    let path = "fixtures/references/store-down.json";
    let mut reference: Json = serde_json::from_str(&project(path)).unwrap();
    change(&mut reference);
    bench.write(path, reference.to_string());
    bench.run(&["prove"])
}

#[test]
fn all_rubrics_of_the_project_hold() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let [scenarios, references] = ["scenarios", "fixtures/references"].map(|name| format!("{folder}/{name}"));
    let outcome = Bench::empty().run(&["prove", &scenarios, "--references", &references, "--json"]);
    let proofs: Json = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    assert_eq!((&proofs["proved"], proofs["controls"].as_array().unwrap().len()), (&json!(true), 5));
    let graded = std::fs::read_dir(scenarios)
        .unwrap()
        .filter(|entry| std::fs::read_to_string(entry.as_ref().unwrap().path()).unwrap().contains("\nrubric:"));
    assert_eq!(proofs["scenarios"].as_array().unwrap().len(), graded.count());
    let [caught, tried] = ["caught", "tried"].map(|key| proofs["wrong"][key].as_u64().unwrap());
    assert!(caught * 100 >= tried * 98, "{caught} of {tried}: {}", proofs["scenarios"]);
}

#[test]
fn what_a_person_sees() {
    let outcome = bench(&THREE).run(&["prove"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 100), "{}", outcome.stdout);
    assert_snapshot!(outcome.stdout);
}

#[test]
fn a_rubric_with_a_hole_is_found_and_what_it_lets_through_is_named() {
    let outcome = with_rubric(&[
        ("    - { id: remedy,", "    - { id: cheap, required: true, path: cost, at_most: 1 }\n    #"),
        ("    - { id: no-harm,", "    #"),
        ("    - { id: severity,", "    #"),
        ("    - { id: consistent,", "    #"),
        ("    - { id: safe-commands,", "    #"),
    ]);
    assert_eq!(outcome.exit, 1);
    assert_snapshot!(outcome.stdout);
}

#[test]
fn a_small_hole_is_named_and_does_not_fail() {
    let outcome = with_rubric(&[("    - { id: severity,", "    #")]);
    assert_eq!(outcome.exit, 0);
    assert!(outcome.stdout.contains("✘ store-down: what is wrong passes: grave: none: score 1.00; met: cause,"));
    assert!(outcome.stdout.contains("PROVED  3 rubrics"), "{}", outcome.stdout);
}

#[test]
fn a_rubric_that_fails_a_right_answer_fails_the_proof() {
    for (from, to, which) in [
        ("is: process_crash", "is: disk_full", "the reference"),
        ("any_of: [restart_store, wait_and_watch]", "is: restart_store", "wait_and_watch recommended"),
    ] {
        let outcome = with_rubric(&[(from, to)]);
        let failed = format!("✘ store-down: a right answer fails: {which}: rubric: ");
        assert!(outcome.stdout.contains(&failed) && outcome.stdout.contains("NOT PROVED"), "{}", outcome.stdout);
        assert_eq!(outcome.exit, 1);
    }
}

#[test]
fn a_reference_that_is_none_is_an_error() {
    let set = |pointer: &'static str, value: Json| {
        move |reference: &mut Json| *reference.pointer_mut(pointer).unwrap() = value.clone()
    };
    let cases: Vec<(Box<dyn Fn(&mut Json)>, &str)> = vec![
        (Box::new(|reference| *reference = json!({})), "it is no reference: missing field `scenario`"),
        (Box::new(set("/origin", json!("claude"))), "unknown variant `claude`, expected `written_by_hand`"),
        (Box::new(set("/author", json!(" "))), "`author` is empty: say who wrote it"),
        (Box::new(set("/targets", json!(["tikv9"]))), "the target tikv9 is no node of its evidence"),
        (Box::new(set("/scenario", json!("store-up"))), "it is of the scenario store-up: call it store-up.json"),
        (Box::new(set("/evidence/subject", json!("mysql"))), "its evidence is of the subject `mysql`"),
        (
            Box::new(set("/evidence/nodes", json!([{ "name": "tikv1", "role": "tikv" }]))),
            "not of the scenario's subject and nodes",
        ),
        (
            Box::new(set("/diagnosis/root_cause/category", json!("bad_luck"))),
            "the reference does not fit the form of an answer: root_cause.category is `bad_luck`; it must be one of",
        ),
        (
            Box::new(set("/also_right/actions", json!({ "pray": "why not" }))),
            "pray recommended does not fit the form of an answer: recommendation.action is `pray`",
        ),
    ];
    for (change, expected) in cases {
        let outcome = with_reference(change);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{expected}");
        assert!(outcome.stderr.contains("the reference fixtures/references/store-down.json"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

#[test]
fn without_a_reference_nothing_is_proved() {
    let bench = bench(&THREE);
    std::fs::remove_file(bench.path("fixtures/references/store-down.json")).unwrap();
    let outcome = bench.run(&["prove"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""));
    assert_snapshot!(outcome.stderr, @"operator-run: the reference fixtures/references/store-down.json: there is none: the rubric is not proved");

    assert_eq!(bench.run(&["prove", "scenarios/store-paused.yaml"]).exit, 0);
    let outcome = bench.run(&["prove", "--references", "nowhere"]);
    assert_eq!(outcome.exit, 3);
    assert!(outcome.stderr.contains("cannot read references: nowhere"), "{}", outcome.stderr);
}

#[test]
fn a_reference_of_another_cluster_is_refused() {
    let bench = bench(&THREE);
    bench.write("scenarios/store-down.yaml", STORE_DOWN.replace("tikv: 3", "tikv: 4"));
    let outcome = bench.run(&["prove"]);
    assert_eq!(outcome.exit, 2);
    assert!(outcome.stderr.contains("its evidence is not of the scenario's subject and nodes"), "{}", outcome.stderr);
}

#[test]
fn controls_alone_prove_nothing() {
    let outcome = bench(&THREE).run(&["prove", "scenarios/quiet.yaml"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""));
    assert_snapshot!(outcome.stderr, @"operator-run: there is no rubric to prove: a control has none");
}

#[test]
fn every_reference_is_of_a_scenario() {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/references")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "json") {
            let reference = Reference::read(&std::fs::read_to_string(&path).unwrap()).unwrap();
            project(&format!("scenarios/{}.yaml", reference.scenario));
        }
    }
}
