//! Checks what a file says against what there is: subjects, roles, nodes, invariants, paths and words of a diagnosis.
//! It finds every mistake at once.

mod faults;

use std::ops::RangeInclusive;

use serde_json::{Value as Json, json};

use super::entry::FaultEntry;
use super::mistake::Mistake;
use super::model::Scenario;
use super::tree::{Node as Part, Step, Tree};
use super::{Check, Rubric, Scalar, TARGET, find_subject};
use crate::cluster::{Backend, LoadSpec, Node};
use crate::diagnosis::form;
use crate::grade::rubric::{BY_VERDICT, CALIBRATION, COST, GROUNDED, LATENCY, REGRET, WHOLE};
use crate::subject::{self, CLUSTER, Subject, UNREACHABLE};

/// How many operations a second there can be.
const RATES: RangeInclusive<u32> = 1..=1_000_000;
/// How many records there can be.
const RECORDS: RangeInclusive<u32> = 1..=100_000_000;
/// How many threads there can be.
const THREADS: RangeInclusive<u32> = 1..=10_000;

/// Finds the mistakes of meaning.
pub(super) fn check(tree: &Tree, scenario: &Scenario) -> Vec<Mistake> {
    let Some(subject) = find_subject(&scenario.subject) else {
        let known = subject::all().into_iter().map(Subject::name);
        let message = format!("unknown subject `{}`", scenario.subject);
        return vec![Mistake::unknown_name(tree.place(&["subject".into()]), message, &scenario.subject, known)];
    };
    let nodes = subject::nodes(subject, &scenario.cluster.nodes);
    let mut checker = Checker { tree, scenario, subject, nodes, mistakes: Vec::new() };
    checker.name();
    checker.cluster();
    checker.monitor();
    for (index, entry) in scenario.faults.iter().enumerate() {
        checker.fault(index, entry);
    }
    checker.expect();
    match &scenario.rubric {
        Some(rubric) => checker.rubric(rubric),
        None if scenario.expect.quiet.is_none() => {
            checker.say(&[], "a scenario without a rubric checks nothing", "add a `rubric` with at least one check");
        }
        None => {}
    }
    checker.mistakes
}

struct Checker<'a> {
    tree: &'a Tree,
    scenario: &'a Scenario,
    subject: &'static dyn Subject,
    nodes: Vec<Node>,
    mistakes: Vec<Mistake>,
}

impl Checker<'_> {
    fn say(&mut self, path: &[Step<'_>], message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.push(Mistake::new(self.tree.place(path), message).help(help));
    }

    fn unknown<'n>(&mut self, path: &[Step<'_>], what: &str, name: &str, known: impl IntoIterator<Item = &'n str>) {
        let message = format!("unknown {what} `{name}`");
        self.mistakes.push(Mistake::unknown_name(self.tree.place(path), message, name, known));
    }

    fn name(&mut self) {
        let name = &self.scenario.name;
        let good = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        if name.is_empty() || !name.chars().all(good) {
            self.say(
                &["name".into()],
                "a name is made of letters, digits, `-` and `_`",
                "it names the snapshot's file",
            );
        }
    }

    fn cluster(&mut self) {
        let roles = self.subject.manual().roles;
        for (role, count) in &self.scenario.cluster.nodes {
            let path: [Step<'_>; 3] = ["cluster".into(), "nodes".into(), role.as_str().into()];
            match roles.iter().find(|known| known.name == role) {
                None => self.unknown_count(role),
                Some(known) if !known.allowed.contains(count) => {
                    let (least, most) = (known.allowed.start(), known.allowed.end());
                    let allowed = if least == most { format!("{least}") } else { format!("{least} to {most}") };
                    self.say(
                        &path,
                        format!("{} has {allowed} nodes of role {role}, not {count}", self.subject.name()),
                        "",
                    );
                }
                Some(_) => {}
            }
        }
        self.load();
    }

    fn load(&mut self) {
        let Some(load) = self.scenario.cluster.load else { return };
        if !self.subject.manual().takes_load {
            let message = format!("no load can be put on {}", self.subject.name());
            return self.say(&["cluster".into(), "load".into()], message, "");
        }
        let LoadSpec { rate, records, threads, .. } = load.spec();
        for (key, count, limits) in
            [("rate", rate, RATES), ("records", records, RECORDS), ("threads", threads, THREADS)]
        {
            if !limits.contains(&count) {
                let message = format!("`{key}` must be from {} to {}, not {count}", limits.start(), limits.end());
                self.say(&["cluster".into(), "load".into(), key.into()], message, "");
            }
        }
    }

    /// A count of nodes of a role that there is not: its key is wrong, not the count.
    fn unknown_count(&mut self, role: &str) {
        let nodes = self.tree.entry("cluster").and_then(|(_, cluster)| cluster.entry("nodes"));
        if let Some((key, _)) = nodes.and_then(|(_, nodes)| nodes.entry(role)) {
            let known = self.subject.manual().roles.iter().map(|role| role.name);
            self.mistakes.push(Mistake::unknown_name(key.place, format!("unknown role `{role}`"), role, known));
        }
    }

    fn monitor(&mut self) {
        if self.scenario.monitor.every.0.is_zero() {
            self.say(&["monitor".into(), "every".into()], "the time from one poll to the next cannot be zero", "");
        }
        let Scenario { steady, expect, monitor, .. } = self.scenario;
        if steady.hold > steady.timeout {
            let message = format!("what must hold for {} cannot have done so within {}", steady.hold, steady.timeout);
            self.say(&["steady".into(), "timeout".into()], message, "");
        }
        let horizon: [Step<'_>; 2] = ["counterfactual".into(), "horizon".into()];
        match self.scenario.counterfactual.horizon {
            Some(_) if !self.subject.manual().backends.contains(&Backend::Embedded) => {
                let message =
                    format!("of a cluster of {} there can be no copies to try remedies on", self.subject.name());
                self.say(&horizon, message, "remove it");
            }
            Some(span) if span < monitor.every => {
                let message = format!("the horizon is over before the first poll, which is after {}", monitor.every);
                self.say(&horizon, message, "");
            }
            _ => {}
        }
        if expect.quiet.is_some_and(|quiet| quiet < monitor.every) {
            let help = "a control must be looked at at least once";
            let message = format!("the quiet time is over before the first poll, which is after {}", monitor.every);
            self.say(&["expect".into(), "quiet".into()], message, help);
        }
    }

    fn expect(&mut self) {
        let expect = &self.scenario.expect;
        match (expect.violations.is_empty(), &expect.quiet) {
            (true, None) => self.say(
                &["expect".into()],
                "nothing is expected",
                "name the `violations` that must be detected, or for a control how long it must be `quiet`",
            ),
            (false, Some(_)) => self.say(&["expect".into(), "quiet".into()], "a control expects no violations", ""),
            (true, Some(_)) if self.scenario.rubric.is_some() => {
                self.say(&["rubric".into()], "a control has no diagnosis to grade", "remove the rubric");
            }
            _ => {}
        }
        for (index, violation) in expect.violations.iter().enumerate() {
            let path = |key: &'static str| [Step::from("expect"), "violations".into(), index.into(), key.into()];
            self.invariant(&path("invariant"), &violation.invariant);
            self.place(&path("on"), &violation.invariant, violation.on.as_str());
            if violation.within.0.is_zero() {
                self.say(&path("within"), "nothing is detected within no time", "");
            }
        }
        for (index, name) in expect.allow.iter().enumerate() {
            self.invariant(&["expect".into(), "allow".into(), index.into()], name);
        }
    }

    fn invariant(&mut self, path: &[Step<'_>], name: &str) {
        let known: Vec<&str> =
            self.subject.manual().invariants.iter().map(|invariant| invariant.name).chain([UNREACHABLE]).collect();
        if !known.contains(&name) {
            self.unknown(path, "invariant", name, known);
        }
    }

    /// Where an invariant is expected to be violated must be a place that it is checked on.
    fn place(&mut self, path: &[Step<'_>], invariant: &str, on: &str) {
        if on == TARGET {
            let listed = self.tree.entry("faults").is_none_or(|(_, faults)| matches!(faults.node, Part::List(_)));
            let mut acts = self.scenario.faults.iter().flat_map(FaultEntry::acts).peekable();
            if acts.peek().is_none() && self.scenario.faults.is_empty() && listed {
                self.say(path, "there is no target: the scenario has no fault", "");
            } else if acts.peek().is_some() && acts.all(|(_, target)| target.is_none()) {
                let help = format!("name a node, or `{CLUSTER}`");
                self.say(path, "there is no target: no fault is done to a node", help);
            }
            return;
        }
        let roles =
            self.subject.manual().invariants.iter().find(|known| known.name == invariant).map(|known| known.roles);
        let fits = |node: &&Node| roles.is_none_or(|roles| roles.contains(&node.role.as_str()));
        let nodes: Vec<String> = self.nodes.iter().filter(fits).map(|node| node.name.0.clone()).collect();
        let mut known: Vec<&str> = vec![TARGET];
        if roles.is_none_or(|roles| roles.contains(&CLUSTER)) {
            known.push(CLUSTER);
        }
        known.extend(nodes.iter().map(String::as_str));
        if !known.contains(&on) {
            let message = format!("{invariant} is not checked on `{on}`");
            self.mistakes.push(Mistake::unknown_name(self.tree.place(path), message, on, known));
        }
    }

    fn rubric(&mut self, rubric: &Rubric) {
        if !(0.0..=1.0).contains(&rubric.pass) {
            self.say(
                &["rubric".into(), "pass".into()],
                "`pass` is a share: it must lie between 0 and 1",
                "0.8 is usual",
            );
        }
        if rubric.checks.is_empty() {
            self.say(&["rubric".into(), "checks".into()], "a rubric without a check can only pass", "add a check");
        } else if rubric.pass == 0.0 && rubric.checks.iter().all(|check| !check.required) {
            let help = "raise `pass`, or say of a check that it is `required`";
            self.say(&["rubric".into(), "pass".into()], "with nothing needed every diagnosis passes", help);
        }
        let mut schema = form::schema(self.subject, &self.nodes);
        for path in [GROUNDED, CALIBRATION, COST, LATENCY, REGRET] {
            schema["properties"][path] = json!({ "type": "number" });
        }
        schema["properties"][WHOLE] = json!({ "type": "object" });
        let category = dereference(&schema, &schema["properties"]["root_cause"])["properties"]["category"].clone();
        for (path, _) in BY_VERDICT {
            schema["properties"][path] = json!({ "type": "array", "items": category });
        }
        for (index, check) in rubric.checks.iter().enumerate() {
            let path = [Step::from("rubric"), "checks".into(), index.into()];
            if rubric.checks[..index].iter().any(|other| other.id == check.id) {
                let id = [&path[..], &["id".into()]].concat();
                self.say(&id, format!("there is another check with the id `{}`", check.id), "");
            }
            if !(check.weight > 0.0 && check.weight.is_finite()) {
                self.say(
                    &[&path[..], &["weight".into()]].concat(),
                    "a weight must be above 0",
                    "a check that must be met whatever it weighs is `required`",
                );
            }
            self.check(&path, check, &schema);
        }
    }

    fn check(&mut self, path: &[Step<'_>], check: &Check, schema: &Json) {
        let inner = |key: &'static str| [path, &[Step::from(key)]].concat();
        let Some(place) = self.diagnosis_place(&inner("path"), check, schema) else { return };
        let one = |scalar: &Option<Scalar>| scalar.iter().cloned().collect::<Vec<Scalar>>();
        let tests: Vec<(&'static str, Vec<Scalar>)> = [
            check.is.is_some().then(|| ("is", one(&check.is))),
            check.any_of.clone().map(|values| ("any_of", values)),
            check.none_of.clone().map(|values| ("none_of", values)),
            check.contains.is_some().then(|| ("contains", one(&check.contains))),
            check.lacks.is_some().then(|| ("lacks", one(&check.lacks))),
            check.matches.is_some().then(|| ("matches", Vec::new())),
            check.at_least.is_some().then(|| ("at_least", Vec::new())),
            check.at_most.is_some().then(|| ("at_most", Vec::new())),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [(test, values)] = tests.as_slice() else {
            let message = format!("the check `{}` has {} tests; it must have one", check.id, tests.len());
            return self.say(path, message, "is, any_of, none_of, contains, lacks, matches, at_least or at_most");
        };
        if matches!(*test, "any_of" | "none_of") && values.is_empty() {
            return self.say(&inner(test), "an empty list tests nothing", "");
        }
        if let Some(takes) = misfit(test, values, place, schema) {
            return self.say(&inner(test), format!("`{test}` does not fit `{}`", check.path), takes);
        }
        if let Some(error) = check.matches.as_ref().and_then(|pattern| regex::Regex::new(pattern).err()) {
            return self.say(&inner(test), format!("not a regular expression: {error}"), "");
        }
        // A list of words, such as the causes that were rejected, is asked for one that it can contain.
        let place = if *test == "contains" { dereference(schema, &place["items"]) } else { place };
        let words: Vec<&str> = place["enum"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        for (index, value) in values.iter().enumerate().filter(|_| !words.is_empty() && *test != "lacks") {
            let word = value.0.as_str().unwrap_or_default();
            // Only where a node may stand can it be the target.
            if !words.contains(&word) && (word != TARGET || !words.contains(&CLUSTER)) {
                let message = format!("unknown word `{word}` for `{}`", check.path);
                let place = self.tree.place(&[&inner(test)[..], &[index.into()]].concat());
                self.mistakes.push(Mistake::unknown_name(place, message, word, words.iter().copied()));
            }
        }
    }

    /// The schema of the place in the diagnosis that a check looks at.
    fn diagnosis_place<'s>(&mut self, path: &[Step<'_>], check: &Check, schema: &'s Json) -> Option<&'s Json> {
        let mut place = schema;
        for key in check.path.split('.') {
            place = dereference(schema, place);
            let Some(properties) = place["properties"].as_object() else {
                self.say(path, format!("`{}` leads beyond the fields of a diagnosis", check.path), "");
                return None;
            };
            let Some(next) = properties.get(key) else {
                let message = format!("a diagnosis has no `{}`", check.path);
                let known = properties.keys().map(String::as_str);
                self.mistakes.push(Mistake::unknown_name(self.tree.place(path), message, key, known));
                return None;
            };
            place = next;
        }
        Some(dereference(schema, place))
    }
}

fn dereference<'s>(root: &'s Json, place: &'s Json) -> &'s Json {
    let name = place["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(place, |name| &root["$defs"][name])
}

/// What a test takes, if it can never be met, or never be missed, at such a place of a diagnosis.
fn misfit(test: &str, values: &[Scalar], place: &Json, schema: &Json) -> Option<String> {
    let kind = |place: &Json| if place["enum"].is_array() { "string".into() } else { place["type"].clone() };
    let of_kind = |value: &Scalar, kind: &Json| match &value.0 {
        Json::String(_) => kind == "string",
        Json::Bool(_) => kind == "boolean",
        _ => kind == "number" || kind == "integer",
    };
    let word = |kind: &Json| match kind.as_str() {
        Some("boolean") => "true or false".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("object") => "a map".to_owned(),
        Some("string") => "a text".to_owned(),
        _ => "a number".to_owned(),
    };
    let found = kind(place);
    let (fits, takes) = match test {
        "at_least" => (found == "array" || found == "number", "`at_least` tests a number or the length of a list"),
        "at_most" => (found == "array" || found == "number", "`at_most` tests a number or the length of a list"),
        "matches" => (found == "string", "`matches` tests a text"),
        "lacks" => (found != "number" && found != "boolean", "`lacks` tests texts"),
        "contains" => {
            let items = kind(dereference(schema, &place["items"]));
            let fits = found == "string" || found == "array" && values.iter().all(|value| of_kind(value, &items));
            (fits, "`contains` tests a text or a list of words")
        }
        _ if found == "array" || found == "object" => (false, "name a path to a single value"),
        _ => (values.iter().all(|value| of_kind(value, &found)), "so must be what it is compared with"),
    };
    (!fits).then(|| format!("it is {}: {takes}", word(&found)))
}
