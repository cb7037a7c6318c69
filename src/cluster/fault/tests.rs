use std::time::Duration;

use super::*;

#[test]
fn a_fault_and_its_undo_are_kept_whole() {
    let from = vec!["tikv2".into()];
    let faults = [
        Fault::new(FaultKind::KILL, "tikv0".into()),
        Fault::new(FaultKind::Partition { from, direction: Direction::In }, "tikv0".into()),
        Fault::new(FaultKind::ShiftClock { by: Shift(jiff::SignedDuration::from_secs(-5)) }, "pd0".into()),
        Fault::new(FaultKind::Reset { from: vec!["etcd1".into()] }, "etcd0".into()),
        Fault::new(FaultKind::DnsFailure, "etcd0".into()),
        Fault::of_cluster(FaultKind::HaltScheduling),
        Fault::of_cluster(FaultKind::SplitRegions { count: 200 }),
    ];
    for fault in faults {
        let text = serde_json::to_string(&(&fault, fault.undo())).unwrap();
        assert_eq!(serde_json::from_str::<(Fault, Undo)>(&text).unwrap(), (fault.clone(), fault.undo()), "{text}");
    }
}

#[test]
fn where_a_container_is_connected_is_kept_whole() {
    let connection = Connection { address: "10.0.0.2".to_owned(), aliases: vec!["etcd0".to_owned()] };
    let undo = Undo::Reconnect { node: "etcd0".into(), before: [("net".to_owned(), connection)].into() };
    let text = serde_json::to_string(&undo).unwrap();
    assert_eq!(serde_json::from_str::<Undo>(&text).unwrap(), undo, "{text}");
}

#[test]
fn an_older_journal_is_understood() {
    let node = || "tikv0".into();
    assert_eq!(
        serde_json::from_str::<Fault>(r#"{"kind":"kill","node":"tikv0"}"#).unwrap(),
        Fault::new(FaultKind::KILL, node())
    );
    assert_eq!(serde_json::from_str::<Undo>(r#"{"start":{"node":"tikv0"}}"#).unwrap(), Undo::Start { node: node() });
    assert_eq!(
        serde_json::from_str::<Fault>(r#"{"kind":"delay","by":"300ms","node":"tikv0"}"#).unwrap(),
        Fault::new(FaultKind::Delay { by: Span(Duration::from_millis(300)), jitter: None }, node())
    );
    assert_eq!(serde_json::from_str::<Undo>(r#"{"resume":{"node":"tikv0"}}"#).unwrap(), Undo::Resume { node: node() });
}
