//! The baseline: it names each cause that it knows from its evidence, and no cause without evidence. That it does not
//! look at the scenario needs no test: it is given the subject and the evidence alone.

use operator_run::diagnosis::evidence::{EvidenceRow, TicketFacts};
use operator_run::diagnosis::rules::diagnose;
use operator_run::diagnosis::{Bundle, Diagnosis, EvidenceRef, form};
use operator_run::grade::grounding;
use operator_run::reading::{Unit, Value};
use operator_run::subject::etcd::Etcd;
use operator_run::subject::tikv::TiKv;
use operator_run::subject::{self, Subject};

/// A node, the name of a reading, and its value at the violation: a number, or a word.
type Row = (&'static str, &'static str, &'static str);

/// Evidence of a violation on a node: these readings, and nothing else.
fn bundle(subject: &dyn Subject, suspect: &str, rows: &[Row]) -> Bundle {
    let row = |(index, (node, name, value)): (usize, &Row)| {
        let value = match *value {
            "unknown" => Value::unknown("timed out"),
            word => {
                word.parse::<f64>().map(Value::from).or(word.parse::<bool>().map(Value::from)).unwrap_or(word.into())
            }
        };
        EvidenceRow {
            id: EvidenceRef(format!("E{}", index + 1)),
            source: "test".to_owned(),
            node: (*node).into(),
            name: (*name).to_owned(),
            unit: Unit::None,
            before: Value::from("as it should be"),
            at: value.clone(),
            after: value,
        }
    };
    let ticket = TicketFacts {
        invariant: "it_is_well".to_owned(),
        demands: "it is well".to_owned(),
        node: suspect.into(),
        because: "it is not".to_owned(),
        since: 0.0,
    };
    Bundle {
        subject: subject.name().to_owned(),
        nodes: subject::nodes(subject, &std::collections::BTreeMap::new()),
        tickets: vec![ticket],
        columns: [-2.0, 0.0, 10.0],
        readings: rows.iter().enumerate().map(row).collect(),
        ..Bundle::default()
    }
}

const STORES_UP: [Row; 2] = [("tikv0", "store_state", "Up"), ("tikv2", "store_state", "Up")];
const MEMBERS_UP: [Row; 4] = [
    ("etcd0", "status_api", "answers"),
    ("etcd2", "status_api", "answers"),
    ("etcd0", "knows_leader", "true"),
    ("etcd2", "knows_leader", "true"),
];

/// What is seen of a store that PD does not hear from.
fn store(process: &'static str, port: &'static str, leaders: &'static str) -> Vec<Row> {
    let suspect = [
        ("tikv1", "process", process),
        ("tikv1", "status_port", port),
        ("tikv1", "store_state", "Disconnected"),
        ("tikv1", "heartbeat_age", "21.5"),
        ("tikv1", "leaders", leaders),
        ("cluster", "miss_peer_regions", "0"),
    ];
    [&suspect[..], &STORES_UP].concat()
}

fn member(process: &'static str, api: &'static str) -> Vec<Row> {
    [&[("etcd1", "process", process), ("etcd1", "status_api", api), ("etcd1", "prometheus_up", "0")], &MEMBERS_UP[..]]
        .concat()
}

/// A store that does not answer, and how many others it says that it cannot reach.
fn silent(process: &'static str, unreachable: &'static str) -> Vec<Row> {
    let mut rows = store(process, "timed_out", "0");
    rows.push(("tikv1", "unreachable_stores", unreachable));
    rows
}

/// What is seen of a PD member that the others cannot reach.
fn pd(process: &'static str, api: &'static str) -> Vec<Row> {
    vec![
        ("pd1", "process", process),
        ("pd1", "pd_api", api),
        ("pd1", "pd_health", "unreachable"),
        ("pd0", "pd_health", "healthy"),
        ("pd2", "pd_health", "healthy"),
    ]
}

/// One store crashed, and then another: one of three is left.
fn two_stores_down() -> Vec<Row> {
    let mut rows = store("exited(137)", "refused", "9");
    rows.retain(|row| row.0 != "tikv0");
    rows.extend([("tikv0", "store_state", "Down"), ("tikv0", "status_port", "refused")]);
    rows
}

/// A store that answers, though PD has heard nothing of it for some time.
fn answering(cpu_share: &'static str) -> Vec<Row> {
    let mut rows = store("running", "answers", "9");
    let more = [("cut_off_from_pd", "true"), ("cpu_share", cpu_share), ("slow_score", "1"), ("hot_region_share", "0")];
    rows.extend(more.map(|(name, value)| ("tikv1", name, value)));
    rows.push(("tikv1", "written_share", "0.04"));
    rows
}

/// A store whose processor is busy with writes, most of which go to one region that PD does not call hot yet.
fn written_most() -> Vec<Row> {
    let rows = [
        ("store_state", "Up"),
        ("status_port", "answers"),
        ("cpu_share", "0.99"),
        ("slow_score", "1"),
        ("hot_region_share", "0"),
        ("written_share", "0.88"),
    ];
    rows.map(|(name, value)| ("tikv1", name, value)).into()
}

/// Two of three members are down; the third knows no leader.
fn two_members_down() -> Vec<Row> {
    let mut rows = member("exited(137)", "refused");
    rows.retain(|row| !["etcd0", "etcd2"].contains(&row.0));
    rows.extend([
        ("etcd0", "status_api", "refused"),
        ("etcd0", "knows_leader", "unknown"),
        ("etcd2", "status_api", "answers"),
        ("etcd2", "knows_leader", "false"),
        ("cluster", "quorum", "lost"),
    ]);
    rows
}

/// A member that lets everybody wait, by what its log tells.
fn silent_member(elections: &'static str, warnings: &'static str) -> Vec<Row> {
    let log = [("etcd1", "elections_begun", elections), ("etcd1", "overload_warnings", warnings)];
    let others = [("etcd0", "write", "ok"), ("etcd2", "write", "ok")];
    [member("running", "timed_out"), log.to_vec(), others.to_vec()].concat()
}

/// A member whose log is so late that its clients give up, as those of one that is cut off do.
fn late_log() -> Vec<Row> {
    let own = [("etcd1", "write", "timed_out"), ("etcd1", "fsync_p99", "1.02"), ("etcd1", "commit_p99", "unknown")];
    let others = [("etcd0", "write", "ok"), ("etcd2", "write", "ok")];
    [member("running", "answers"), own.to_vec(), others.to_vec()].concat()
}

/// A member that is short of processor time and answers meanwhile: its clients give up, as those of one that is cut off do.
fn late_member() -> Vec<Row> {
    let own = [("etcd1", "write", "timed_out"), ("etcd1", "fsync_p99", "0.02"), ("etcd1", "overload_warnings", "5")];
    let others = [("etcd0", "write", "ok"), ("etcd2", "write", "ok")];
    [member("running", "answers"), own.to_vec(), others.to_vec()].concat()
}

#[test]
fn each_cause_is_told_by_its_signature() {
    let cases: Vec<(&dyn Subject, &str, Vec<Row>, &str, &str)> = vec![
        (&TiKv, "tikv1", store("exited(137)", "refused", "0"), "process_crash", "restart_store"),
        (&TiKv, "tikv1", store("exited(134)", "refused", "5"), "process_crash", "restart_store"),
        (
            &TiKv,
            "tikv1",
            store("exited(137, out of memory)", "refused", "0"),
            "memory_exhaustion",
            "raise_resource_limit",
        ),
        (&TiKv, "tikv1", store("exited(0)", "refused", "0"), "planned_restart", "wait_and_watch"),
        (&TiKv, "tikv1", silent("running", "0"), "process_hang", "resume_process"),
        (&TiKv, "tikv1", silent("paused", "0"), "process_hang", "resume_process"),
        (&TiKv, "tikv1", silent("running", "2"), "network_partition", "repair_network"),
        (&TiKv, "tikv1", answering("0.2"), "network_partition", "repair_network"),
        (&TiKv, "tikv1", answering("unknown"), "network_partition", "repair_network"),
        (&TiKv, "tikv1", answering("0.97"), "cpu_starvation", "raise_resource_limit"),
        (&TiKv, "tikv1", written_most(), "hot_region", "split_hot_region"),
        (&TiKv, "tikv1", two_stores_down(), "region_quorum_loss", "restart_store"),
        (&TiKv, "pd1", pd("exited(137)", "refused"), "process_crash", "restart_pd"),
        (&TiKv, "pd1", pd("exited(0)", "refused"), "planned_restart", "wait_and_watch"),
        (&TiKv, "pd1", pd("paused", "timed_out"), "process_hang", "resume_process"),
        // It may hang as well as be cut off.
        (&TiKv, "pd1", pd("running", "timed_out"), "not_enough_evidence", "gather_evidence"),
        (&Etcd, "etcd1", member("exited(137)", "refused"), "process_crash", "restart_member"),
        (&Etcd, "etcd1", member("exited(137, out of memory)", "refused"), "memory_exhaustion", "raise_resource_limit"),
        (&Etcd, "etcd1", member("exited(0)", "refused"), "planned_restart", "wait_and_watch"),
        // It may hang, be cut off or be short of processors.
        (&Etcd, "etcd1", member("running", "timed_out"), "not_enough_evidence", "gather_evidence"),
        (&Etcd, "etcd1", late_log(), "disk_slow", "replace_disk"),
        (&Etcd, "etcd1", late_member(), "not_enough_evidence", "gather_evidence"),
        (&Etcd, "etcd1", silent_member("0", "0"), "process_hang", "resume_process"),
        (&Etcd, "etcd1", silent_member("5", "0"), "network_partition", "repair_network"),
        (&Etcd, "etcd1", silent_member("0", "18"), "cpu_starvation", "raise_resource_limit"),
        (&Etcd, "etcd1", two_members_down(), "quorum_loss", "restart_member"),
    ];
    for (subject, suspect, rows, category, action) in cases {
        let bundle = bundle(subject, suspect, &rows);
        let diagnosis = diagnose(subject, &bundle);
        let (cause, remedy) = (&diagnosis.root_cause, &diagnosis.recommendation);
        assert_eq!(
            (cause.category.0.as_str(), cause.component.0.as_str(), remedy.action.0.as_str(), remedy.target.0.as_str()),
            (category, suspect, action, suspect),
            "{}: {rows:?}",
            subject.name()
        );
        assert_sound(subject, &diagnosis, &bundle);
    }
}

/// What is asked of a model holds for the baseline too.
fn assert_sound(subject: &dyn Subject, diagnosis: &Diagnosis, bundle: &Bundle) {
    form::check(diagnosis, &form::schema(subject, &bundle.nodes)).unwrap_or_else(|error| panic!("{error}"));
    let grounding = grounding::check(diagnosis, bundle, subject);
    assert_eq!(grounding.ungrounded, Vec::<String>::new());
    assert!(diagnosis.options.iter().any(|option| option.action == diagnosis.recommendation.action));
}

#[test]
fn what_does_not_tell_is_not_enough_evidence() {
    let unknown = |rows: Vec<Row>| rows.into_iter().map(|(node, name, _)| (node, name, "unknown")).collect();
    let unheard_of = vec![("tikv1", "process", "running"), ("tikv1", "status_port", "answers")];
    let cases: Vec<(&dyn Subject, &str, Vec<Row>)> = vec![
        (&TiKv, "tikv1", Vec::new()),
        (&Etcd, "etcd1", Vec::new()),
        (&TiKv, "cluster", store("exited(137)", "refused", "0")),
        (&TiKv, "tikv1", unknown(store("exited(137)", "refused", "0"))),
        (&Etcd, "etcd1", unknown(member("exited(137)", "refused"))),
        (&TiKv, "tikv1", unheard_of),
        (&TiKv, "tikv1", store("running", "answers", "9")),
        // PD's new leader calls every store Disconnected.
        (&TiKv, "tikv1", vec![("tikv1", "store_state", "Disconnected"), ("tikv0", "store_state", "Disconnected")]),
        // Nothing says how it ended.
        (&TiKv, "tikv1", store("unknown", "refused", "0")),
    ];
    for (subject, suspect, rows) in cases {
        let diagnosis = diagnose(subject, &bundle(subject, suspect, &rows));
        assert_eq!(
            (diagnosis.root_cause.category.0.as_str(), diagnosis.recommendation.action.0.as_str()),
            ("not_enough_evidence", "gather_evidence"),
            "{rows:?}"
        );
        assert!(diagnosis.confidence < 0.5);
    }
}

/// Three members that are well, as they were before; only Prometheus had nothing of their disks at first.
fn quiet() -> Bundle {
    let mut rows = Vec::new();
    for member in ["etcd0", "etcd1", "etcd2"] {
        rows.extend([(member, "process", "running"), (member, "status_api", "answers"), (member, "write", "ok")]);
        rows.extend([(member, "knows_leader", "true"), (member, "fsync_p99", "0.03")]);
    }
    let mut bundle = bundle(&Etcd, "etcd0", &rows);
    bundle.tickets.clear();
    for row in &mut bundle.readings {
        row.before = if row.name == "fsync_p99" { Value::unknown("no sample") } else { row.at.clone() };
    }
    bundle
}

/// Changes what a reading of `etcd1` is since the first poll.
fn change(bundle: &mut Bundle, name: &str, value: &Value) {
    let row = bundle.readings.iter_mut().find(|row| row.node.as_str() == "etcd1" && row.name == name).unwrap();
    (row.at, row.after) = (value.clone(), value.clone());
}

#[test]
fn without_a_ticket_nothing_is_wrong_where_all_is_as_it_was() {
    let bundle = quiet();
    let diagnosis = diagnose(&Etcd, &bundle);
    let (cause, action) = (&diagnosis.root_cause, &diagnosis.recommendation.action);
    assert_eq!((cause.category.0.as_str(), action.0.as_str()), ("no_fault", "wait_and_watch"));
    let claims: Vec<&str> = diagnosis.evidence.iter().map(|claim| claim.claim.as_str()).collect();
    assert_eq!(claims, ["etcd0", "etcd1", "etcd2"].map(|node| format!("{node} status_api is answers, as before")));
    assert!((grounding::check(&diagnosis, &bundle, &Etcd).share - 1.0).abs() < 1e-9);
}

#[test]
fn without_a_ticket_a_fault_is_found_all_the_same() {
    let mut bundle = quiet();
    for (name, value) in [("process", "exited(137)"), ("status_api", "refused"), ("write", "refused")] {
        change(&mut bundle, name, &Value::from(value));
    }
    for name in ["knows_leader", "fsync_p99"] {
        change(&mut bundle, name, &Value::unknown("refused"));
    }
    let cause = diagnose(&Etcd, &bundle).root_cause;
    assert_eq!((cause.category.0.as_str(), cause.component.0.as_str()), ("process_crash", "etcd1"));
    // What cannot be told is not well.
    let mut bundle = quiet();
    change(&mut bundle, "status_api", &Value::unknown("nobody asked"));
    assert_eq!(diagnose(&Etcd, &bundle).root_cause.category.0, "not_enough_evidence");
}
