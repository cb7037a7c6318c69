//! Checks what a file says against what there is: subjects, roles, nodes, invariants, paths and words of a diagnosis.
//! It finds every mistake at once.

use serde_json::Value as Json;

use super::mistake::Mistake;
use super::model::{FaultEntry, Pick, Scenario, Target};
use super::tree::{Step, Tree};
use super::{Check, Rubric, Scalar, TARGET, find_subject};
use crate::cluster::{FaultKind, Node};
use crate::diagnosis::form;
use crate::subject::{self, CLUSTER, Leads, Subject, UNREACHABLE};

/// Finds the mistakes of meaning.
pub(super) fn check(tree: &Tree, scenario: &Scenario) -> Vec<Mistake> {
    let Some(subject) = find_subject(&scenario.subject) else {
        let known = subject::all().into_iter().map(Subject::name);
        return vec![Mistake::unknown_name(tree.place(&["subject".into()]), "subject", &scenario.subject, known)];
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
        self.mistakes.push(Mistake::unknown_name(self.tree.place(path), what, name, known));
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
        let roles = self.subject.roles();
        for (role, count) in &self.scenario.cluster.nodes {
            let path: [Step<'_>; 3] = ["cluster".into(), "nodes".into(), role.as_str().into()];
            match roles.iter().find(|known| known.name == role) {
                None => self.unknown(&path, "role", role, roles.iter().map(|role| role.name)),
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
    }

    fn monitor(&mut self) {
        if self.scenario.monitor.every.0.is_zero() {
            self.say(&["monitor".into(), "every".into()], "the time from one poll to the next cannot be zero", "");
        }
    }

    fn fault(&mut self, index: usize, entry: &FaultEntry) {
        let path = [Step::from("faults"), index.into()];
        let acts: Vec<(FaultKind, &Target)> = entry.acts().collect();
        for (kind, target) in &acts {
            self.target(&[path[0], path[1], kind.key().into(), "target".into()], target);
        }
        match acts.as_slice() {
            [] => self.say(&path, "this entry does nothing", "name what is done: kill, stop, pause or partition"),
            [_] => {}
            [_, (second, _), ..] => {
                let path = [path[0], path[1], second.key().into()];
                self.say(
                    &path,
                    "an entry does one thing",
                    "make it an entry of its own; entries can have the same `at`",
                );
            }
        }
    }

    fn target(&mut self, path: &[Step<'_>], target: &Target) {
        let inner = |key: &'static str| [path, &[Step::from(key)]].concat();
        match (&target.node, &target.role, target.pick) {
            (Some(node), None, None) => {
                let names: Vec<String> = self.nodes.iter().map(|node| node.name.0.clone()).collect();
                if !names.contains(&node.0) {
                    self.unknown(&inner("node"), "node", node.as_str(), names.iter().map(String::as_str));
                }
            }
            (None, Some(role), Some(pick)) => match self.subject.roles().iter().find(|known| known.name == role) {
                None => self.unknown(&inner("role"), "role", role, self.subject.roles().iter().map(|role| role.name)),
                Some(known) => {
                    let better = match (pick, known.leads) {
                        (Pick::Leader, Leads::ManyGroups) => "nodes of this role lead many groups: use `most-leaders`",
                        (Pick::MostLeaders, Leads::OneGroup) => "this role has one leader: use `leader`",
                        _ => return,
                    };
                    self.say(&inner("pick"), format!("role {role} cannot be picked from so"), better);
                }
            },
            _ => {
                self.say(
                    path,
                    "a target is a `node`, or a `role` with a `pick`",
                    "{ node: … } or { role: …, pick: … }",
                );
            }
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
        }
        for (index, name) in expect.allow.iter().enumerate() {
            self.invariant(&["expect".into(), "allow".into(), index.into()], name);
        }
    }

    fn invariant(&mut self, path: &[Step<'_>], name: &str) {
        let known: Vec<&str> =
            self.subject.invariants().iter().map(|invariant| invariant.name).chain([UNREACHABLE]).collect();
        if !known.contains(&name) {
            self.unknown(path, "invariant", name, known);
        }
    }

    /// Where an invariant is expected to be violated must be a place that it is checked on.
    fn place(&mut self, path: &[Step<'_>], invariant: &str, on: &str) {
        if on == TARGET {
            if self.scenario.faults.is_empty() {
                self.say(path, "there is no target: the scenario has no fault", "");
            }
            return;
        }
        let role = self.subject.invariants().iter().find(|known| known.name == invariant).map(|known| known.role);
        let fits = |node: &&Node| role.is_none_or(|role| node.role == role);
        let nodes: Vec<String> = self.nodes.iter().filter(fits).map(|node| node.name.0.clone()).collect();
        let mut known: Vec<&str> = vec![TARGET];
        if role.is_none_or(|role| role == CLUSTER) {
            known.push(CLUSTER);
        }
        known.extend(nodes.iter().map(String::as_str));
        if !known.contains(&on) {
            self.unknown(path, &format!("place for {invariant}"), on, known);
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
        }
        let schema = form::schema(self.subject, &self.nodes);
        for (index, check) in rubric.checks.iter().enumerate() {
            let path = [Step::from("rubric"), "checks".into(), index.into()];
            if rubric.checks[..index].iter().any(|other| other.id == check.id) {
                self.say(&path, format!("there is another check with the id `{}`", check.id), "");
            }
            if !(check.weight > 0.0 && check.weight.is_finite()) {
                self.say(
                    &path,
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
            check.at_least.is_some().then(|| ("at_least", Vec::new())),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [(test, values)] = tests.as_slice() else {
            let message = format!("the check `{}` has {} tests; it must have one", check.id, tests.len());
            return self.say(path, message, "is, any_of, none_of, contains or at_least");
        };
        if matches!(*test, "any_of" | "none_of") && values.is_empty() {
            return self.say(&inner(test), "an empty list tests nothing", "");
        }
        let words: Vec<&str> = place["enum"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        for value in values.iter().filter(|_| !words.is_empty() && *test != "contains") {
            let word = value.0.as_str().unwrap_or_default();
            if word != TARGET && !words.contains(&word) {
                self.unknown(&inner(test), &format!("word for {}", check.path), word, words.iter().copied());
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
                self.unknown(path, "field of a diagnosis", key, properties.keys().map(String::as_str));
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
