//! What a person is shown of the mistakes in a scenario file: all of them, where each is and what would be right.
//! Nothing is started.

use std::fmt::Write as _;

use insta::assert_snapshot;

use super::bench::{Bench, STORE_DOWN};

/// A case: its name, what of the good scenario is replaced, and by what.
type Case = (&'static str, &'static str, &'static str);

const KILL: &str = "  - kill: { target: { role: tikv, pick: most-leaders } }";
const FAULTS: &str = "\
faults:
  - kill: { target: { role: tikv, pick: most-leaders } }
    until: graded
";
const VIOLATIONS: &str = "  violations:
    # A heartbeat comes each 10 s, and PD gives up on a store 20 s after the last one.
    - { invariant: store_down, on: target, within: 30s }
";
const WATCH: &str = "  watch: 10s";

const SHAPE: &[Case] = &[
    ("unknown key at the top", "tags: [", "tag: ["),
    ("unknown key in a map", "seed: 2", "sed: 7"),
    ("unknown key in an item of a list", "until: graded", "untill: graded"),
    ("unknown key that is like no other", "until: graded", "wibble: graded"),
    ("missing key at the top", "title: A TiKV store is killed\n", ""),
    ("missing key in a map", "  pass: 0.8\n", ""),
    ("missing key in an item of a list", "on: target, ", ""),
    ("missing key, by a typo", "title:", "titel:"),
    ("a number for a word", "A TiKV store is killed", "7"),
    ("a word for a number", "pass: 0.8", "pass: most"),
    ("a word for a list", "[tikv, crash, smoke]", "tikv"),
    ("a number for a map", "{ pd: 3, tikv: 3 }", "3"),
    ("a list for a map", "{ pd: 3, tikv: 3 }", "[3, 3]"),
    ("a map for a list", "faults:\n  - kill:", "faults:\n    kill:"),
    ("nothing for a map", "recover: { within: 60s }", "recover:"),
    ("a fraction for a whole number", "seed: 2", "seed: 2.5"),
    ("a negative count", "tikv: 3 }", "tikv: -3 }"),
    ("a number without its unit", "within: 60s", "within: 10"),
    ("a word for a span", "within: 60s", "within: ten"),
    ("a negative span", "within: 60s", "within: -5s"),
    ("an end that is none", "until: graded", "until: grade"),
    ("a size without its unit", KILL, "  - fill_disk: { target: { node: tikv1 }, leave: 100 }"),
    ("a size that is none", KILL, "  - limit_memory: { target: { node: tikv1 }, to: 300mib }"),
    ("a rate that is none", KILL, "  - hot_key: { target: { node: tikv1 }, rate: 2000 per second }"),
    ("a shift that is none", KILL, "  - shift_clock: { target: { node: tikv1 }, by: yesterday }"),
    ("more than a hundred of a hundred", KILL, "  - loss: { target: { node: tikv1 }, percent: 130 }"),
    ("unknown direction", KILL, "  - partition: { target: { node: tikv1 }, direction: inward }"),
    ("missing key of a fault", KILL, "  - flap: { target: { node: tikv1 }, up: 10s }"),
    ("a target where there is none", KILL, "  - halt_scheduling: { target: { node: pd0 } }"),
    ("a rate without its unit", "  seed: 2", "  seed: 2\n  load: { workload: a, rate: 500 }"),
    ("a rate of a minute", "  seed: 2", "  seed: 2\n  load: { workload: a, rate: 500/m }"),
    ("unknown workload", "  seed: 2", "  seed: 2\n  load: { workload: g, rate: 500/s }"),
    ("unknown pick", "most-leaders", "most-leader"),
    ("a list for a word", "subject: tikv", "subject: [tikv]"),
];

const MEANING: &[Case] = &[
    ("a name that is no file name", "name: store-down", "name: store/down"),
    ("unknown subject", "subject: tikv", "subject: tivk"),
    ("unknown role of a count", "{ pd: 3,", "{ pdd: 3,"),
    ("too few nodes", "tikv: 3 }", "tikv: 2 }"),
    ("no load at all", "  seed: 2", "  seed: 2\n  load: { workload: a, rate: 0/s, threads: 0, records: 0 }"),
    ("no time between polls", "  seed: 2", "  seed: 2\nmonitor: { every: 0s }"),
    ("no time to be steady in", "timeout: 120s", "timeout: 5s"),
    ("no time to detect in", "within: 30s", "within: 0s"),
    ("a fault that does nothing", KILL, "  - at: 0s"),
    ("unknown role of a target", "role: tikv, pick", "role: tikvv, pick"),
    ("unknown node of a target", "role: tikv, pick: most-leaders", "node: tikv3"),
    ("target with node and role", "role: tikv, pick", "node: tikv1, role: tikv, pick"),
    ("target with a role alone", "role: tikv, pick: most-leaders", "role: tikv"),
    ("target with nothing", "{ role: tikv, pick: most-leaders }", "{}"),
    ("one leader where many lead", "most-leaders", "leader"),
    ("many leaders where one leads", "role: tikv, pick", "role: pd, pick"),
    ("nobody that does not lead", "most-leaders", "non-leader"),
    ("no target at all", "most-leaders", "random, count: 0"),
    ("more targets than nodes", "most-leaders", "most-leaders, count: 4"),
    ("more followers than there are", "role: tikv, pick: most-leaders", "role: pd, pick: non-leader, count: 3"),
    ("a count of all", "most-leaders", "all, count: 2"),
    ("a count of a named node", "role: tikv, pick: most-leaders", "node: tikv1, count: 1"),
    ("cut off from nobody", KILL, "  - partition: { target: { node: tikv1 }, from: [tikv2, pdd] }"),
    ("a fault of nothing", KILL, "  - limit_cpu: { target: { node: tikv1 }, cores: 0 }"),
    ("a delay of nothing", KILL, "  - delay: { target: { node: tikv1 }, by: 0s }"),
    ("a packet that comes before it is sent", KILL, "  - delay: { target: { node: tikv1 }, by: 1s, jitter: 2s }"),
    ("a link that carries nothing", KILL, "  - limit_bandwidth: { target: { node: tikv1 }, to: 1KB }"),
    ("a disk that takes no write", KILL, "  - limit_disk: { target: { node: tikv1 }, writes: 0/s }"),
    ("more tasks than a machine can start", KILL, "  - burn_cpu: { target: { node: tikv1 }, tasks: 65 }"),
    ("connections to nobody", KILL, "  - reset: { target: { node: tikv1 }, from: [tikv2, pdd] }"),
    ("a disk of a role without data", KILL, "  - slow_disk: { target: { role: pd, pick: leader }, by: 300ms }"),
    ("a target of the cluster", KILL, "  - halt_scheduling: {}"),
    ("unknown invariant", "store_down, on", "store_dwn, on"),
    ("unknown allowed invariant", "[client_errors]", "[pd_no_leader, pd_no_leadr]"),
    ("where the invariant is not checked", "on: target", "on: pd0"),
    ("on no node", "on: target", "on: tikv7"),
    ("target without a fault", FAULTS, ""),
    ("nothing expected", VIOLATIONS, ""),
    ("quiet with violations", WATCH, "  quiet: 1m"),
];

const RUBRIC: &[Case] = &[
    ("more than all", "pass: 0.8", "pass: 80"),
    ("no check", "  checks:\n", "  checks: []\nnotes:\n"),
    ("another check with the id", "id: component", "id: cause"),
    ("a weight of nothing", "weight: 2", "weight: 0"),
    ("unknown path", "root_cause.category", "root_cause.categry"),
    ("a path that leads too far", "root_cause.category", "root_cause.category.name"),
    ("a path into a list", "hypotheses", "hypotheses.0.category"),
    ("unknown word", "process_crash", "process_crsh"),
    ("unknown word in a list", "[restart_store,", "[restart_stor,"),
    ("target where no node can stand", "is: process_crash", "is: target"),
    ("no test", ", is: process_crash", ""),
    ("two tests", "is: process_crash", "is: process_crash, none_of: [disk_full]"),
    ("an empty list", "[restart_store, wait_and_watch]", "[]"),
    ("a test that is never met", "hypotheses, at_least: 2", "hypotheses, is: 2"),
    ("a test that is never missed", "is: false", "none_of: [none]"),
    ("the length of a word", "is: process_crash", "at_least: 2"),
    ("the most of a word", "is: process_crash", "at_most: 2"),
    ("a pattern for a list", "hypotheses, at_least: 2", "hypotheses, matches: x"),
    ("a broken pattern", "is: process_crash", "matches: '('"),
    ("an unknown cause in a set", "hypotheses, at_least: 2", "rejected, contains: disk_ful"),
    ("a word in a list of maps", "options, at_least: 2", "options, contains: restart_store"),
    ("a check without a path", "path: hypotheses, at_least: 2", "at_least: 2"),
    ("a judge with a path", "path: hypotheses, at_least: 2", "path: hypotheses, judge: says so"),
    ("a judge with a test", "path: hypotheses, at_least: 2", "judge: says so, at_least: 2"),
    ("an empty statement", "path: hypotheses, at_least: 2", "judge: ' '"),
    ("an even number of votes", "path: hypotheses, at_least: 2", "judge: says so, votes: 2"),
    ("votes without a judge", "hypotheses, at_least: 2", "hypotheses, at_least: 2, votes: 3"),
];

/// Shows a broken scenario to the program, checks that it starts nothing, and returns what it says.
#[track_caller]
fn refusal(contents: impl AsRef<[u8]>) -> String {
    let bench = Bench::empty();
    bench.write("s.yaml", contents);
    let outcome = bench.run(&["s.yaml", "--json", "--junit", "report.xml"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{}", outcome.stderr);
    assert_eq!(bench.files(), ["s.yaml"], "something was started");
    outcome.stderr
}

fn refusals(cases: &[Case]) -> String {
    let mut text = String::new();
    for (name, good, bad) in cases {
        assert!(STORE_DOWN.contains(good), "`{good}` is not in the scenario");
        writeln!(text, "# {name}\n{}", refusal(STORE_DOWN.replacen(good, bad, 1)).trim_end()).unwrap();
        text.push('\n');
    }
    text
}

#[test]
fn mistakes_of_shape() {
    assert_snapshot!(refusals(SHAPE));
}

#[test]
fn mistakes_of_meaning() {
    assert_snapshot!(refusals(MEANING));
}

#[test]
fn mistakes_in_the_rubric() {
    assert_snapshot!(refusals(RUBRIC));
}

#[test]
fn all_mistakes_are_shown_at_once_and_no_consequences_of_them() {
    let text = refusal(include_str!("broken.yaml"));
    assert_snapshot!(text);
}

#[test]
fn what_can_only_pass_or_never_ends_is_refused() {
    let (head, _) = STORE_DOWN.split_once("rubric:").unwrap();
    let optional = STORE_DOWN.replace("pass: 0.8", "pass: 0").replace("required: true, ", "");
    let control = head.split_once("expect:").unwrap().0;
    let text = [
        ("no rubric", head.to_owned()),
        ("nothing needed", optional),
        ("a control with a rubric", STORE_DOWN.replace(VIOLATIONS, "  quiet: 60s\n")),
        ("a quiet time without a poll", format!("{control}expect: {{ quiet: 1s }}\n")),
        ("a fault after the quiet time", format!("{control}    at: 2m\nexpect: {{ quiet: 60s }}\n")),
    ]
    .map(|(name, contents)| format!("# {name}\n{}\n", refusal(contents)))
    .concat();
    assert_snapshot!(text);
}

#[test]
fn files_that_are_no_scenario() {
    let deep = format!("name: {}", "[\n".repeat(20_000));
    let text = [
        ("an empty file", ""),
        ("a comment alone", "# nothing\n"),
        ("a word", "scenario"),
        ("a list", "- name: x\n"),
        ("a bracket that is not closed", "name: [a, b\ntitle: x\n"),
        ("a key twice", "name: a\nname: b\n"),
        ("a tab", "name: a\ncluster:\n\tseed: 1\n"),
        ("two documents", "name: a\n---\nname: b\n"),
        ("an alias of nothing", "name: *nobody\n"),
        ("a key that is a list", "[a]: b\n"),
        ("deep nesting", &deep),
    ]
    .map(|(name, contents)| format!("# {name}\n{}\n", refusal(contents)))
    .concat();
    assert_snapshot!(text);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let text = refusal(b"name: caf\xe9\n");
    assert_snapshot!(text);
    let bench = Bench::empty();
    std::fs::create_dir(bench.path("folder.yaml")).unwrap();
    let outcome = bench.run(&["folder.yaml"]);
    assert_eq!((outcome.exit, bench.files()), (2, vec!["folder.yaml".to_owned()]));
    assert_snapshot!(outcome.stderr);
}

/// The line and the column, counted in characters, that a mistake is shown at.
fn position(contents: &str) -> String {
    let text = refusal(contents);
    let (_, rest) = text.split_once("[s.yaml:").unwrap_or_else(|| panic!("{text}"));
    rest.split_once(']').unwrap().0.to_owned()
}

#[test]
fn columns_are_right_after_letters_of_several_bytes_and_with_any_line_end() {
    let plain = STORE_DOWN.replace("is: process_crash", "is: crash");
    let letters = STORE_DOWN.replace("id: cause", "id: \"größe-🚀\"").replace("is: process_crash", "is: crash");
    let lines = plain.replace('\n', "\r\n");
    let bom = format!("\u{feff}{plain}");
    assert_eq!([plain, letters, lines, bom].map(|contents| position(&contents)), ["22:78", "22:82", "22:78", "22:78"]);
}

#[test]
fn a_mistake_behind_an_alias_is_shown_where_it_is_used() {
    let aliased = STORE_DOWN
        .replace("steady: { for: 10s, timeout: 120s }", "steady: &twice { for: 10s, timeout: 120s }")
        .replace("recover: { within: 60s }", "recover: *twice");
    assert_snapshot!(refusal(aliased));
}
