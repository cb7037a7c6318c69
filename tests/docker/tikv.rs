//! The subject `tikv` on containers. The images of `compose/images/build` are doubles that store nothing: what is tried
//! is the Compose file and the way of a run through it.

use std::path::Path;
use std::process::Command;

use operator_run::reading::NodeName;
use operator_run::run::{RunRecord, SnapshotStatus, Verdict};

use super::engine::{DOUBLES, Engine, docker, say};
use super::program::{Call, Ended, Folder, Running};

/// The files that can be put together, and the profiles that can be asked for.
const FILES: [&[&str]; 4] = [
    &["-f", "tikv.yaml"],
    &["-f", "tikv.yaml", "-f", "tikv-low-nofile.yaml"],
    &["-f", "tikv.yaml", "-f", "tikv-disk.yaml"],
    &["-f", "tikv.yaml", "-f", "tikv-disk.yaml", "-f", "tikv-low-nofile.yaml"],
];
const PROFILES: [&[&str]; 4] =
    [&[], &["--profile", "load"], &["--profile", "operator"], &["--profile", "load", "--profile", "operator"]];

#[test]
fn a_store_is_killed_and_all_is_as_on_the_model() {
    let Some(engine) = Engine::with_doubles() else { return };
    let folder = Folder::new();
    let load = "  seed: 2\n  load: { workload: b, rate: 70/s, records: 500 }\n";
    let scenario = folder.scenario_from("scenarios/store-down.yaml", "  seed: 2\n", load);
    let mut running = on_doubles(&engine, &folder, &scenario);

    running.wait_for_end_of("up");
    let run = folder.only_run().run;
    let label = format!("label=operator-run.run={run}");
    let running_now = docker(&["ps", "--filter", &label, "--format", r#"{{.Label "operator-run.node"}}"#]);
    let mut nodes: Vec<&str> = running_now.lines().collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["load", "pd0", "pd1", "pd2", "prometheus", "tikv0", "tikv1", "tikv2"]);
    let load = docker(&["ps", "-q", "--filter", &label, "--filter", "label=operator-run.node=load"]);
    let asked = docker(&["inspect", "--format", "{{json .Args}}", &load]);
    for word in ["workloadb", "--target=70", "recordcount=500", "requestdistribution=uniform"] {
        assert!(asked.contains(word), "{word} is not in {asked}");
    }

    let ended = running.end();
    ended.assert_code(0);
    say(&format!("store-down on doubles: {:.1} s", ended.took.as_secs_f64()));
    assert_detected(&ended, "store_down");
    folder.assert_nothing_left();
}

#[test]
fn the_disk_of_a_store_fills_up() {
    let Some(engine) = Engine::with_doubles() else { return };
    let folder = Folder::new();
    let scenario = folder.scenario_from("scenarios/store-disk-full.yaml", ON_THE_MODEL, ON_DOUBLES);
    let mut running = on_doubles(&engine, &folder, &scenario);
    running.wait_for("fault ");
    let run = folder.only_run().run;
    let full: Vec<&str> = STORES.into_iter().filter(|store| free_bytes(&run, store) <= 2 << 20).collect();
    let ended = running.end();
    ended.assert_code(0);
    say(&format!("store-disk-full on doubles: {:.1} s", ended.took.as_secs_f64()));
    let target = assert_detected(&ended, "low_disk_space");
    assert_eq!(full, [target.as_str()], "{ended}");
    folder.assert_nothing_left();
}

const STORES: [&str; 3] = ["tikv0", "tikv1", "tikv2"];
/// What a run of `store-disk-full` begins with, and what it begins with on doubles, which need little space and time.
const ON_THE_MODEL: &str = "load: { workload: a, rate: 200/s }, seed: 7 }
steady: { for: 30s, timeout: 180s }
faults:
  - fill_disk: { target: { role: tikv, pick: most-leaders }, leave: 300MiB }
expect:
  violations:
";
const ON_DOUBLES: &str = "disk: 64MiB, seed: 7 }
steady: { for: 5s, timeout: 180s }
faults:
  - fill_disk: { target: { role: tikv, pick: most-leaders }, leave: 2MiB }
expect:
  watch: 1s
  violations:
";

/// The space that is left on a store's disk.
fn free_bytes(run: &str, store: &str) -> u64 {
    let label = format!("label=operator-run.run={run}");
    let keeper = docker(&["ps", "--quiet", "--filter", &label, "--filter", "label=com.docker.compose.service=disks"]);
    let output = docker(&["exec", &keeper, "stat", "-f", "-c", "%a %S", &format!("/{store}")]);
    let (blocks, size) = output.split_once(' ').unwrap();
    blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap()
}

/// Starts a scenario on the doubles.
fn on_doubles(engine: &Engine, folder: &Folder, scenario: &Path) -> Running {
    let call = Call::new(engine, folder, scenario).argument("--backend").argument("compose").argument("--json");
    let call = call.variable("PROMETHEUS_IMAGE", engine.prometheus_image());
    DOUBLES.iter().fold(call, |call, (name, image)| call.variable(name, image)).start()
}

/// It has passed, with one violation, on the target, as the snapshot has it. Returns the target.
fn assert_detected(ended: &Ended, invariant: &str) -> NodeName {
    let record: RunRecord = serde_json::from_str(&ended.output()).unwrap();
    assert_eq!((record.verdict, record.reasons), (Verdict::Pass, Vec::<String>::new()));
    assert_eq!(record.snapshot.unwrap().status, SnapshotStatus::Same, "{ended}");
    let [violation] = record.violations.as_slice() else { panic!("not one violation:\n{ended}") };
    assert_eq!((violation.invariant.as_str(), Some(&violation.node)), (invariant, record.injections[0].fault.node()));
    assert!(violation.resolved.is_some(), "{ended}");
    violation.node.clone()
}

/// Each dialect of Compose that is installed reads each way to put the files together.
#[test]
fn compose_reads_the_files_in_every_combination() {
    let dialects = [&["docker", "compose"][..], &["docker-compose"]].into_iter().filter(|words| {
        let version = Command::new(words[0]).args(&words[1..]).arg("version").output();
        version.is_ok_and(|output| output.status.success())
    });
    let mut dialects = dialects.peekable();
    if dialects.peek().is_none() && Engine::find().is_none() {
        return;
    }
    for words in dialects {
        for (files, profiles) in FILES.iter().flat_map(|files| PROFILES.map(|profiles| (files, profiles))) {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).args(["-p", "read"]).args(*files).args(profiles).arg("config");
            command.env("OPERATOR_RUN_DISK", "1000000");
            let output = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("compose")).output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            let read: serde_yaml::Value = serde_yaml::from_slice(&output.stdout).unwrap();
            let limit = &read["services"]["tikv2"]["ulimits"]["nofile"];
            let expected = if files.contains(&"tikv-low-nofile.yaml") { 4096 } else { 1_000_000 };
            assert!(limit.as_u64() == Some(expected) || limit["soft"].as_u64() == Some(expected), "{limit:?}");
            for (profile, service) in [("load", "ycsb-run"), ("operator", "operator")] {
                let asked = profiles.contains(&profile);
                let shown = !read["services"][service].is_null();
                // Compose v1 shows the services of all profiles.
                assert!(shown || !asked, "{command:?} has no {service}");
            }
        }
    }
}
