//! A cluster that is watched with nothing expected of it: tickets and diagnoses for what happens to it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use operator_run::cluster::embedded::{EmbeddedCluster, Topology};
use operator_run::cluster::{Cluster as _, Fault, FaultKind};
use operator_run::diagnosis::Bundle;
use operator_run::diagnosis::past::PastTicket;
use operator_run::diagnosis::rules::{Rules, diagnose};
use operator_run::run::{Context, Event, Events, OnCall, watch};
use operator_run::store::{Store, TicketState};
use operator_run::subject::tikv::TiKv;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::bench::Bench;

/// Watches a cluster until every invariant holds again, and heals the fault when there is a diagnosis. Returns what was told.
async fn attend(cluster: &EmbeddedCluster, fault: &Fault, store: &Store) -> Vec<Event> {
    let cancel = CancellationToken::new();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let events = Events::new(sender);
    let rules = Rules::new(&TiKv, "for a test");
    let context = Context { diagnoser: &rules, judge: None, store, events: &events, cancel: &cancel };
    let plan = OnCall { subject: &TiKv, cluster, every: Duration::from_secs(2) };
    let told = async {
        let mut told = Vec::new();
        let (mut observed, mut open, mut diagnosed) = (0, 0, false);
        while let Some(event) = receiver.recv().await {
            match &event {
                Event::Observed(_) => observed += 1,
                Event::Ticket { .. } => open += 1,
                Event::Resolved { .. } => open -= 1,
                Event::Diagnosed { .. } => {
                    diagnosed = true;
                    cluster.heal(&fault.undo()).await.unwrap();
                }
                _ => {}
            }
            if observed == 5 {
                observed += 1;
                cluster.inject(fault).await.unwrap();
            }
            if !matches!(event, Event::Observed(_)) {
                told.push(event);
            }
            if diagnosed && open == 0 {
                cancel.cancel();
                return told;
            }
        }
        told
    };
    let (outcome, told) = tokio::join!(watch(&plan, context), told);
    outcome.unwrap();
    told
}

#[tokio::test]
async fn a_store_that_dies_gets_a_ticket_and_a_diagnosis_and_is_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("watch.db")).unwrap();
    let cluster = EmbeddedCluster::new(Topology::default());
    cluster.up(&CancellationToken::new()).await.unwrap();
    let fault = Fault::new(FaultKind::KILL, "tikv1".into());
    let told = attend(&cluster, &fault, &store).await;

    let words: Vec<String> = told
        .iter()
        .map(|event| match event {
            Event::Started { cluster, .. } => format!("watches {cluster}"),
            Event::Ticket { ticket, violation, changed } => {
                assert!(!changed.known.is_empty());
                format!("ticket {ticket}: {} on {}", violation.invariant, violation.node)
            }
            Event::Diagnosed { diagnosis, .. } => {
                format!("{} on {}", diagnosis.root_cause.category, diagnosis.root_cause.component)
            }
            Event::Resolved { invariant, node, .. } => format!("{invariant} on {node} holds"),
            event => panic!("{event:?}"),
        })
        .collect();
    let told = [
        "watches 3 pd + 3 tikv",
        "ticket 1: client_errors on cluster",
        "ticket 2: store_down on tikv1",
        "client_errors on cluster holds",
        "process_crash on tikv1",
        "store_down on tikv1 holds",
    ];
    assert_eq!(words, told);
    assert_eq!(store.ticket(2).unwrap().state, TicketState::Resolved);
    let kept: Option<(operator_run::diagnosis::Diagnosis, operator_run::diagnosis::Bundle)> =
        store.diagnosis(2).unwrap();
    assert!(kept.is_some());
}

/// The past tickets of the one diagnosis of a watch.
async fn past(cluster: &EmbeddedCluster, store: &Store) -> Vec<PastTicket> {
    let told = attend(cluster, &Fault::new(FaultKind::KILL, "tikv1".into()), store).await;
    let past = told.into_iter().find_map(|event| match event {
        Event::Diagnosed { evidence, .. } => Some(evidence.past),
        _ => None,
    });
    past.unwrap()
}

#[tokio::test]
async fn what_earlier_watches_have_found_is_shown_and_what_runs_have_found_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("watch.db")).unwrap();
    let cluster = EmbeddedCluster::new(Topology::default());
    cluster.up(&CancellationToken::new()).await.unwrap();
    // A run of a scenario has left a ticket of the same kind.
    store.start_run("a-run", "tikv", "embedded").unwrap();
    let ticket = store.open_ticket("a-run", "store_down", &"tikv1".into(), "gone", Timestamp::UNIX_EPOCH).unwrap();
    let diagnosis = diagnose(&TiKv, &Bundle::default());
    store.write_diagnosis(ticket, "rules", &diagnosis, &Bundle::default(), Timestamp::UNIX_EPOCH).unwrap();
    store.move_ticket(ticket, TicketState::Resolved, Timestamp::UNIX_EPOCH).unwrap();

    assert_eq!(past(&cluster, &store).await, []);
    let [first] = past(&cluster, &store).await.try_into().unwrap();
    let PastTicket { invariant, on, ago, cause, action, resolved_after } = first;
    assert_eq!((invariant.as_str(), on.as_str(), cause.0.as_str()), ("store_down", "tikv1", "process_crash"));
    assert_eq!((action.0.as_str(), resolved_after.unwrap() < ago), ("restart_store", true));
    for _ in 0..3 {
        past(&cluster, &store).await;
    }
    let newest = past(&cluster, &store).await;
    assert_eq!(newest.len(), 3);
    assert!(newest.iter().all(|ticket| ticket.cause.0 == "process_crash"), "{newest:?}");
    assert!(newest.is_sorted_by_key(|ticket| ticket.ago), "{newest:?}");
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let bench = Bench::new();
    let refused: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("unknown role `tikw`; there are pd and tikv", &["--nodes", "tikw=3"] as &[&str]),
        ("there can be 1 to", &["--nodes", "pd=0"]),
        ("expected such as tikv=3", &["--nodes", "tikv"]),
        ("expected such as pd0:2379=127.0.0.1:12000", &["--address", "pd0"]),
        ("the time from one poll to the next cannot be zero", &["--every", "0s"]),
        ("[possible values: tikv, etcd]", &["--subject", "redis"]),
    ]);
    for (message, arguments) in refused {
        let outcome = bench.run(&[&["watch"], arguments].concat());
        assert_eq!(outcome.exit, 2, "{arguments:?}");
        assert!(outcome.stderr.contains(message), "{arguments:?}: {}", outcome.stderr);
    }
    assert_eq!(bench.files(), ["snapshots"], "nothing was started");
}
