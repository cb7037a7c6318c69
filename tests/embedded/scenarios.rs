//! The scenario files of the project, and what is said of files that cannot be run, through the program itself.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn program(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("operator-run").unwrap();
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    for variable in ["ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "INSTA_UPDATE", "INSTA_FORCE_PASS", "DOCKER_HOST"] {
        command.env_remove(variable);
    }
    command.args(["--diagnoser", "rules", "--db"]).arg(folder.join("test.db"));
    command
}

/// The scenarios that run on the model.
fn modelled() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| std::fs::read_to_string(file).unwrap().contains("subject: tikv")).collect();
    files.sort();
    files
}

#[test]
fn the_baseline_passes_every_modelled_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path()).args(modelled()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_same_scenario_gives_the_same_record() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let output = program(folder.path()).arg("--json").args(modelled()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let records = text.lines().map(|line| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            record.as_object_mut().unwrap().remove("wall").unwrap();
            record
        });
        records.collect::<Vec<serde_json::Value>>()
    };
    let first = run();
    assert_eq!(first.len(), modelled().len());
    assert!(first == run(), "the same scenarios gave other records");
}

/// What the program says of a scenario that it refuses.
fn refusal(subject: &str, faults: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.yaml");
    let rest = "expect: { quiet: 10s }\n";
    std::fs::write(&file, format!("name: one\ntitle: One\nsubject: {subject}\nfaults:\n{faults}{rest}")).unwrap();
    let output = program(folder.path()).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!folder.path().join("test.db").exists(), "something was started");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_fault_that_the_backend_cannot_do_is_refused_with_its_line() {
    let said =
        refusal("etcd", "  - kill: { target: { node: etcd0 } }\n  - slow_disk: { target: { node: etcd1 }, by: 1s }\n");
    for expected in ["one.yaml:6:", "the backend compose cannot do `slow_disk`", "it can be done on embedded"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!said.contains("`kill`"), "{said}");
    for (fault, expected) in [
        ("delay: { target: { node: tikv0 }, by: 1s, jitter: 1ms }", "the model delays all packets alike"),
        ("limit_bandwidth: { target: { node: tikv0 }, to: 1MB }", "it can be done on compose"),
        ("limit_disk: { target: { node: tikv0 }, writes: 5/s }", "use `slow_disk`"),
        ("burn_cpu: { target: { node: tikv0 }, tasks: 8 }", "use `limit_cpu`"),
        ("reset: { target: { node: tikv0 } }", "it can be done on compose"),
        ("dns_failure: { target: { node: tikv0 } }", "it can be done on compose"),
        ("disconnect: { target: { node: tikv0 } }", "it can be done on compose"),
    ] {
        let said = refusal("tikv", &format!("  - {fault}\n"));
        assert!(said.contains("the backend embedded cannot do") && said.contains(expected), "{said}");
    }
}

#[test]
fn the_clocks_of_containers_cannot_be_shifted_and_it_is_said_why() {
    let said = refusal("etcd", "  - shift_clock: { target: { node: etcd0 }, by: -5m }\n");
    for expected in ["one.yaml:5:", "the backend compose cannot do `shift_clock`", "share the machine's clock"] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn in_containers_only_a_disk_with_a_size_is_filled_up() {
    let fill = "  - fill_disk: { target: { node: etcd0 }, leave: 0B }\n";
    let said = refusal("etcd", fill);
    for expected in ["one.yaml:5:", "`fill_disk` would fill up the disk of this machine", "cluster: { disk: 1GiB }"] {
        assert!(said.contains(expected), "{said}");
    }
    let said = refusal("tikv", &format!("{}cluster: {{ disk: 256MiB }}\n", fill.replace("etcd0", "tikv0")));
    for expected in ["one.yaml:6:", "the backend embedded cannot give disks a size"] {
        assert!(said.contains(expected), "{said}");
    }
    let both = "  - limit_disk: { target: { node: etcd0 }, writes: 5/s }\ncluster: { disk: 256MiB }\n";
    let said = refusal("etcd", both);
    for expected in ["one.yaml:5:", "`limit_disk` cannot limit a disk that is in memory", "leave out `cluster.disk`"] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_count_of_nodes_that_the_compose_file_does_not_have_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.yaml");
    let scenario = "name: one\ntitle: One\nsubject: tikv\ncluster:\n  nodes:\n    pd: 3\n    tikv: 5\n";
    std::fs::write(&file, format!("{scenario}expect: {{ quiet: 10s }}\n")).unwrap();
    let call = |backend: &str| program(folder.path()).arg(&file).args(["--backend", backend]).output().unwrap();
    let output = call("compose");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!folder.path().join("test.db").exists(), "something was started");
    let said = String::from_utf8(output.stderr).unwrap();
    for expected in ["one.yaml:7:", "the backend compose has 3 nodes of role tikv, not 5", "the backend embedded"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!said.contains("role pd"), "{said}");
    assert_eq!(call("embedded").status.code(), Some(0));
}

#[test]
fn an_entry_does_exactly_one_thing() {
    let both = "  - kill: { target: { node: tikv0 } }\n    pause: { target: { node: tikv9 } }\n";
    let said = refusal("tikv", &format!("{both}  - at: 5s\n"));
    for expected in
        ["an entry does one thing", "one.yaml:6:", "unknown node `tikv9`", "this entry does nothing", "one.yaml:7:"]
    {
        assert!(said.contains(expected), "{said}");
    }
}
