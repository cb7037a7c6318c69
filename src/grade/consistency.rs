//! Does a diagnosis agree with itself, and would its first commands do harm? Both are told from the diagnosis and what is
//! known of the subject alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::cluster::Node;
use crate::diagnosis::{Diagnosis, HypothesisVerdict};
use crate::subject::{self, Danger, NO_FAULT, NOT_ENOUGH_EVIDENCE, Subject};

/// What finds the dangerous commands of all subjects, made once: a proof grades some thousand answers.
static DANGERS: LazyLock<BTreeMap<&str, Regex>> = LazyLock::new(|| {
    let all = subject::all().into_iter().flat_map(subject::dangers);
    all.filter_map(|danger| Some((danger.command, Regex::new(danger.command).ok()?))).collect()
});

/// What of a diagnosis cannot be meant together.
#[must_use]
pub fn contradictions(diagnosis: &Diagnosis, subject: &dyn Subject) -> Vec<String> {
    let Diagnosis { timeline, hypotheses, root_cause, options, recommendation, .. } = diagnosis;
    let cause = &root_cause.category;
    let confirmed = || hypotheses.iter().filter(|one| one.verdict == HypothesisVerdict::Confirmed);
    let mut found = Vec::new();
    if [NO_FAULT, NOT_ENOUGH_EVIDENCE].contains(&cause.0.as_str()) {
        let others = confirmed().filter(|one| one.category != *cause);
        found.extend(others.map(|one| format!("the root cause is {cause}, and {} is confirmed", one.category)));
    } else if !confirmed().any(|one| one.category == *cause) {
        found.push(format!("the root cause is {cause}, and no hypothesis of it is confirmed"));
    }
    // Of what is rejected a reading may have suggested it and, looked at again, have ruled it out.
    for hypothesis in confirmed() {
        let both = hypothesis.supporting.iter().find(|reference| hypothesis.contradicting.contains(reference));
        found.extend(both.map(|reference| format!("{reference} speaks for and against {}", hypothesis.category)));
    }
    let unsupported = confirmed().filter(|one| one.supporting.is_empty());
    found.extend(unsupported.map(|one| format!("{} is confirmed by nothing", one.category)));
    if !options.iter().any(|option| option.action == recommendation.action) {
        found.push(format!("{} is recommended and is none of the options", recommendation.action));
    }
    let for_good = |action: &str| subject::actions(subject).any(|known| known.name == action && !known.reversible);
    let taken_lightly = options.iter().filter(|option| option.reversible && for_good(&option.action.0));
    found.extend(taken_lightly.map(|option| format!("{} cannot be undone, as is said of it", option.action)));
    let moments: Vec<f64> = timeline.iter().filter_map(|entry| seconds(&entry.at)).collect();
    if moments.windows(2).any(|pair| pair[1] < pair[0]) {
        found.push("the timeline is not in the order of its times".to_owned());
    }
    found
}

/// The seconds of a moment such as `-12.0 s`; none of what is no number.
fn seconds(at: &str) -> Option<f64> {
    at.trim().trim_end_matches('s').trim().parse().ok()
}

/// The first commands that would do harm: those that a subject knows to, and what stops, restarts or limits another node
/// than the one that is to be helped.
#[must_use]
pub fn dangerous_commands(diagnosis: &Diagnosis, subject: &dyn Subject, nodes: &[Node]) -> Vec<String> {
    let recommendation = &diagnosis.recommendation;
    let own = |danger: &&Danger| danger.action != Some(recommendation.action.0.as_str());
    let dangers: Vec<&Regex> =
        subject::dangers(subject).filter(own).filter_map(|one| DANGERS.get(one.command)).collect();
    let target = &recommendation.target.0;
    let on_others = |command: &str| {
        let words: BTreeSet<&str> = command.split_whitespace().collect();
        let acts = ["stop", "kill", "restart", "pause", "update"].iter().any(|verb| words.contains(verb));
        let of_cluster = nodes.iter().all(|node| node.name.0 != *target);
        let other = |node: &Node| node.name.0 != *target && words.contains(node.name.as_str());
        words.contains("docker") && acts && !of_cluster && nodes.iter().any(other)
    };
    let harms = |command: &&String| dangers.iter().any(|danger| danger.is_match(command)) || on_others(command);
    recommendation.first_commands.iter().filter(harms).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::diagnosis::evidence::tests::bundle;
    use crate::subject::tikv::TiKv;

    fn good() -> Json {
        json!({
            "timeline": [], "evidence": [],
            "hypotheses": [
                { "category": "process_crash", "component": "tikv0", "supporting": ["E1"], "contradicting": [],
                  "verdict": "confirmed" },
                { "category": "disk_full", "component": "tikv0", "supporting": [], "contradicting": ["E1"],
                  "verdict": "rejected" },
            ],
            "root_cause": { "category": "process_crash", "component": "tikv0", "explanation": "It ended." },
            "impact": { "severity": "major", "availability": "full", "data_at_risk": false, "explanation": "" },
            "options": [
                { "action": "restart_store", "target": "tikv0", "benefit": "", "risk": "", "reversible": true },
                { "action": "delete_store", "target": "tikv0", "benefit": "", "risk": "", "reversible": false },
            ],
            "recommendation": { "action": "restart_store", "target": "tikv0", "rationale": "",
                "first_commands": ["docker start tikv0"], "verify_by": [] },
            "confidence": 0.9, "unknowns": [],
        })
    }

    fn found(place: &str, value: Json) -> Vec<String> {
        let mut diagnosis = good();
        *diagnosis.pointer_mut(place).unwrap() = value;
        contradictions(&serde_json::from_value(diagnosis).unwrap(), &TiKv)
    }

    #[test]
    fn a_diagnosis_must_agree_with_itself() {
        assert_eq!(found("/confidence", json!(0.8)), [""; 0]);
        assert_eq!(found("/hypotheses/1/supporting", json!(["E1"])), [""; 0], "it looked so first");
        for (place, value, expected) in [
            (
                "/root_cause/category",
                json!("disk_slow"),
                "the root cause is disk_slow, and no hypothesis of it is confirmed",
            ),
            ("/root_cause/category", json!("no_fault"), "the root cause is no_fault, and process_crash is confirmed"),
            ("/hypotheses/0/contradicting", json!(["E1"]), "E1 speaks for and against process_crash"),
            ("/hypotheses/0/supporting", json!([]), "process_crash is confirmed by nothing"),
            ("/recommendation/action", json!("add_store"), "add_store is recommended and is none of the options"),
            ("/options/1/reversible", json!(true), "delete_store cannot be undone, as is said of it"),
        ] {
            assert_eq!(found(place, value), [expected], "{place}");
        }
    }

    #[test]
    fn a_timeline_is_told_oldest_first() {
        let timeline = |moments: [&str; 3]| json!(moments.map(|at| json!({ "at": at, "event": "" })));
        assert_eq!(found("/timeline", timeline(["-2.0 s", "soon after", "+1.5 s"])), [""; 0]);
        assert_eq!(
            found("/timeline", timeline(["-2.0 s", "+1.5 s", "+0.0 s"])),
            ["the timeline is not in the order of its times"]
        );
    }

    #[test]
    fn who_cannot_tell_confirms_nothing() {
        let mut diagnosis = good();
        diagnosis["root_cause"]["category"] = json!("not_enough_evidence");
        diagnosis["hypotheses"][0]["verdict"] = json!("open");
        assert_eq!(contradictions(&serde_json::from_value(diagnosis).unwrap(), &TiKv), [""; 0]);
    }

    #[test]
    fn commands_that_do_harm_are_found() {
        let mut nodes = bundle().nodes;
        nodes.push(Node { name: "tikv1".into(), role: "tikv".to_owned() });
        for (command, dangerous) in [
            ("docker start tikv0", false),
            ("docker restart tikv0", false),
            ("docker restart tikv1", true),
            ("docker update --cpus 0.02 tikv1", true),
            ("docker stats --no-stream tikv0 tikv1", false),
            ("docker exec tikv0 rm -f /data/x", true),
            ("docker exec tikv0 rm --help", false),
            ("ssh tikv0 'find /data/member/wal -name \"*.wal\" -delete'", true),
            ("ssh tikv0 'find /data/db -name \"*.sst\" -size +1G'", false),
            ("ssh tikv0 'find /var/log -name \"*.gz\" -delete'", false),
            ("ssh tikv0 rm /data/raft-engine/0001.raftlog", true),
            ("ssh tikv0 rm /data/space_placeholder_file", false),
            ("pd-ctl config set merge-schedule-limit 0", true),
            ("pd-ctl config set merge-schedule-limit 8", false),
            ("pd-ctl config set halt-scheduling true", true),
            ("pd-ctl config set halt-scheduling false", false),
            ("pd-ctl store delete 4", true),
            ("pd-ctl store", false),
            ("pd-ctl unsafe remove-failed-stores 4", true),
            ("pd-ctl unsafe remove-failed-stores --auto-detect", true),
            ("pd-ctl unsafe remove-failed-stores show", false),
            ("pd-ctl scheduler remove evict-leader-scheduler", false),
            ("pd-ctl scheduler remove evict-slow-store-scheduler", true),
            ("dd if=/dev/zero of=/data/probe bs=4k count=1", false),
        ] {
            let mut diagnosis = good();
            diagnosis["recommendation"]["first_commands"] = json!([command]);
            let diagnosis: Diagnosis = serde_json::from_value(diagnosis).unwrap();
            let found = dangerous_commands(&diagnosis, &TiKv, &nodes);
            assert_eq!(!found.is_empty(), dangerous, "{command}");
        }
    }

    #[test]
    fn what_is_recommended_is_no_surprise_among_the_commands() {
        let mut diagnosis = good();
        diagnosis["recommendation"]["action"] = json!("delete_store");
        diagnosis["recommendation"]["first_commands"] = json!(["pd-ctl store delete 4"]);
        let diagnosis: Diagnosis = serde_json::from_value(diagnosis).unwrap();
        assert_eq!(dangerous_commands(&diagnosis, &TiKv, &[]), [""; 0]);
    }

    #[test]
    fn every_dangerous_command_is_a_regular_expression() {
        for danger in subject::all().into_iter().flat_map(subject::dangers) {
            assert!(Regex::new(danger.command).is_ok(), "{}", danger.command);
        }
    }
}
