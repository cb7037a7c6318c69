//! `operator-run snapshots`: the list, the review at a terminal and without one, and what no scenario refers to.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::bench::{Bench, STORE_DOWN, changed};

const ACCEPTED: &str = "snapshots/store-down.rules.snap";
const PENDING: &str = "snapshots/store-down.rules.snap.new";

/// What insta itself has written, of which nothing is ours.
const FOREIGN: &str = "---\nsource: tests/a.rs\nexpression: text\n---\nhello\n";

/// A folder with a snapshot that is as accepted, and these of others: its scenario is gone, its diagnoser is unknown, it is
/// another program's.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("scenarios/store-down.yaml", STORE_DOWN);
    let text = bench.read(ACCEPTED).unwrap();
    bench.write("snapshots/gone.rules.snap", &text);
    bench.write("snapshots/gone.claude.snap.new", &text);
    bench.write("snapshots/store-down.oracle.snap", &text);
    bench.write("snapshots/other__test.snap", FOREIGN);
    bench
}

/// A folder in which this is accepted and the diagnosis of another run waits for a review.
fn reviewable() -> Bench {
    let bench = Bench::new();
    let text = bench.read(ACCEPTED).unwrap();
    bench.write(ACCEPTED, text.replace("category: process_crash", "category: disk_full"));
    bench.write("scenarios/store-down.yaml", STORE_DOWN);
    assert_eq!(bench.run(&["scenarios"]).exit, 1);
    assert!(bench.read(PENDING).is_some());
    bench
}

#[test]
fn the_list_says_what_is_accepted_what_waits_and_what_nothing_refers_to() {
    let outcome = bench().run(&["snapshots"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    assert_snapshot!(outcome.stdout, @"
    pending, unreferenced   gone.claude: there is no scenario `gone`
    accepted, unreferenced  gone.rules: there is no scenario `gone`
    accepted, unreferenced  store-down.oracle: there is no diagnoser `oracle`
    accepted                store-down.rules
    3 accepted, 1 pending, 3 unreferenced
    ");
    // A scenario with a mistake refers to nobody knows what.
    let bench = bench();
    bench.write("scenarios/broken.yaml", "name: gone\n");
    let outcome = bench.run(&["snapshots", "prune"]);
    assert_eq!(
        (outcome.exit, outcome.stdout.as_str(), bench.path("snapshots/gone.rules.snap").exists()),
        (2, "", true)
    );
    let nothing = Bench::empty();
    nothing.write("one.yaml", STORE_DOWN);
    assert_eq!(nothing.run(&["snapshots", "one.yaml"]).stdout, "0 accepted, 0 pending, 0 unreferenced\n");
}

#[test]
fn what_nothing_refers_to_is_removed_only_when_told() {
    let bench = bench();
    let would = bench.run(&["snapshots", "prune", "--dry-run"]);
    assert_snapshot!(would.stdout, @"
    would be removed  gone.claude: there is no scenario `gone`
    would be removed  gone.rules: there is no scenario `gone`
    would be removed  store-down.oracle: there is no diagnoser `oracle`
    ");
    assert!(bench.path("snapshots/gone.rules.snap").exists());
    let pruned = bench.run(&["snapshots", "prune"]);
    assert_eq!((pruned.exit, pruned.stdout), (0, would.stdout.replace("would be removed", "removed")));
    let mut left: Vec<_> =
        std::fs::read_dir(bench.path("snapshots")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["other__test.snap", "store-down.rules.snap"]);
    assert_eq!(bench.run(&["snapshots", "prune"]).stdout, "Every snapshot is referred to.\n");
}

/// The scenario that a snapshot names may be in another folder than those that are asked about.
#[test]
fn a_scenario_in_another_folder_refers_to_its_snapshot_as_well() {
    let bench = bench();
    bench.write("elsewhere/quiet.yaml", "name: calm\ntitle: Calm\nsubject: tikv\nexpect: { quiet: 10s }\n");
    let listed = bench.run(&["snapshots", "elsewhere"]).stdout;
    assert!(!listed.contains("store-down.rules: "), "{listed}");
    bench.write("scenarios/store-down.yaml", changed(&[("name: store-down", "name: renamed")]));
    let listed = bench.run(&["snapshots", "elsewhere"]).stdout;
    assert!(listed.contains("store-down.rules: there is no scenario `store-down`\n"), "{listed}");
}

#[test]
fn the_run_of_a_folder_says_which_are_unreferenced() {
    let bench = bench();
    let lines = |argument: &str| {
        let outcome = bench.run(&[argument]);
        assert_eq!(outcome.exit, 0, "{}", outcome.stdout);
        let lines = outcome.stdout.lines().filter(|line| line.contains("unreferenced")).map(str::to_owned);
        lines.collect::<Vec<String>>().join("\n")
    };
    assert_snapshot!(lines("scenarios"), @"
    unreferenced snapshot gone.claude: there is no scenario `gone`
    unreferenced snapshot gone.rules: there is no scenario `gone`
    unreferenced snapshot store-down.oracle: there is no diagnoser `oracle`
    ");
    assert_eq!(lines("scenarios/store-down.yaml"), "");
}

#[test]
fn without_a_terminal_a_review_needs_to_be_told() {
    let bench = reviewable();
    let before = bench.read(ACCEPTED).unwrap();
    let asked = bench.run(&["snapshots", "review"]);
    assert_eq!((asked.exit, asked.stdout.as_str()), (2, ""));
    assert_snapshot!(asked.stderr, @"operator-run: a review asks at a terminal, and there is none: use --accept-all or --reject-all");
    assert_eq!(bench.run(&["snapshots", "review", "--accept-all", "--reject-all"]).exit, 2);

    let rejected = bench.run(&["snapshots", "review", "--reject-all"]);
    assert_eq!((rejected.exit, bench.read(PENDING), bench.read(ACCEPTED)), (0, None, Some(before)));
    assert_snapshot!(rejected.stdout, @"
    1 of 1  store-down.rules: A TiKV store is killed (scenarios/store-down.yaml)
    --- accepted
    +++ pending
    @@ -1,5 +1,5 @@
     root_cause:
    -  category: disk_full
    +  category: process_crash
       role: tikv
     severity: major
     availability: degraded
    rejected
    ");
    assert_eq!(bench.run(&["snapshots", "review"]).stdout, "No snapshot waits for a review.\n");

    assert_eq!(bench.run(&["scenarios"]).exit, 1);
    assert_eq!(bench.run(&["snapshots", "review", "--accept-all"]).exit, 0);
    assert_eq!(bench.read(PENDING), None);
    assert!(!bench.read(ACCEPTED).unwrap().contains("assertion_line"));
    assert_eq!(bench.run(&["scenarios"]).exit, 0);
}

#[test]
fn at_a_terminal_each_is_asked_about() {
    for (keys, accepted, pending) in [("xa", true, false), ("r", false, false), ("s", false, true)] {
        let bench = reviewable();
        let screen = at_terminal(&bench, keys);
        assert_eq!(screen.matches("accept, reject or skip? [a/r/s]").count(), keys.len(), "{screen}");
        assert!(screen.contains("-  category: disk_full") && screen.contains("+  category: process_crash"), "{screen}");
        let now = bench.read(ACCEPTED).unwrap().contains("category: process_crash\n  role");
        assert_eq!((now, bench.read(PENDING).is_some()), (accepted, pending), "{keys}: {screen}");
    }
}

/// Reviews at a terminal: each key is pressed when something is asked.
fn at_terminal(bench: &Bench, keys: &str) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = || Stdio::from(OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap());
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("operator-run"));
    command.args(["snapshots", "review"]).current_dir(bench.path("")).env_clear().env("TERM", "xterm");
    let mut child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    drop(command);
    let mut terminal = File::from(terminal);
    let (mut screen, mut asked) = (String::new(), 0);
    let mut bytes = [0; 4096];
    // Reading fails when nobody has the other side open any more.
    while let Ok(count @ 1..) = terminal.read(&mut bytes) {
        screen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        while asked < screen.matches("[a/r/s]").count() {
            terminal.write_all(&keys.as_bytes()[asked..=asked]).unwrap();
            asked += 1;
        }
    }
    assert!(child.wait().unwrap().success(), "{screen}");
    screen
}
