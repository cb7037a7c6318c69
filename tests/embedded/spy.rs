//! The subject `tikv` on the model, with something broken about its cluster, and a look at what was done to it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use operator_run::clock::Clock;
use operator_run::cluster::{
    Backend, Cluster, ClusterError, Fault, FaultKind, Fingerprint, LogLine, Node, ProcessState, Undo,
};
use operator_run::diagnosis::Diagnoser;
use operator_run::http::Http;
use operator_run::reading::{NodeName, Observation};
use operator_run::run::{self, Context, Event, Events, Extras, Plan, RunRecord, SnapshotPolicy, Update};
use operator_run::scenario;
use operator_run::store::Store;
use operator_run::subject::tikv::TiKv;
use operator_run::subject::{ClusterSpec, Manual, Subject};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Nothing,
    Up,
    /// It comes up without one of its stores.
    Unwell,
    Inject,
    InjectPanics,
    Effect,
    Observe,
    Heal,
    /// It undoes the fault and does another one.
    HealLeaks,
    Down,
}

/// The subject, and the calls of its cluster that change something.
#[derive(Debug, Clone)]
struct Spy {
    broken: Broken,
    cancel: CancellationToken,
    calls: Arc<Mutex<Vec<String>>>,
}

/// What a run under observation came to.
pub(crate) struct Observed {
    pub(crate) record: RunRecord,
    /// What was done to the cluster, in order.
    pub(crate) calls: Vec<String>,
    /// What is in the journal and was not undone.
    pub(crate) unhealed: usize,
    /// The tickets' states, by number.
    pub(crate) tickets: Vec<String>,
    pub(crate) events: Vec<Event>,
}

/// Runs a scenario with a diagnoser of the test, on a cluster that is broken.
pub(crate) async fn run(
    scenario: &str,
    diagnoser: &dyn Diagnoser,
    broken: Broken,
    cancel: &CancellationToken,
) -> Observed {
    let folder = tempfile::tempdir().unwrap();
    let spy = Spy { broken, cancel: cancel.clone(), calls: Arc::default() };
    let calls = Arc::clone(&spy.calls);
    let mut loaded = scenario::parse(Path::new("s.yaml"), scenario).unwrap_or_else(|error| panic!("{error}"));
    // A subject lives as long as the program.
    loaded.subject = Box::leak(Box::new(spy));
    let cluster = ClusterSpec {
        backend: Backend::Embedded,
        nodes: loaded.scenario.cluster.nodes.clone(),
        seed: 2,
        load: None,
        disk: None,
    };
    let snapshots = SnapshotPolicy { folder: folder.path().join("snapshots"), update: Update::Accept };
    let store = Store::open(&folder.path().join("test.db")).unwrap();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let events = Events::new(sender);
    let context = Context { diagnoser, judge: None, store: &store, events: &events, cancel };
    let record = run::run(&Plan { loaded, cluster, snapshots, extras: Extras::default() }, context).await;

    let mut seen = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        seen.push(event);
    }
    let mut tickets: Vec<String> = store.tickets(9).unwrap().iter().map(|ticket| ticket.state.to_string()).collect();
    tickets.reverse();
    let calls = calls.lock().unwrap().clone();
    Observed { unhealed: store.unhealed(&record.wall.run).unwrap().len(), calls, record, tickets, events: seen }
}

#[async_trait]
impl Subject for Spy {
    fn manual(&self) -> &'static Manual {
        TiKv.manual()
    }

    fn cluster(&self, spec: &ClusterSpec, run: &str) -> Result<Box<dyn Cluster>, ClusterError> {
        Ok(Box::new(SpyCluster { spy: self.clone(), model: TiKv.cluster(spec, run)? }))
    }

    async fn observe(&self, cluster: &dyn Cluster) -> Observation {
        if self.broken == Broken::Observe && self.faulty() {
            // The first poll after the fault never comes to an end, and somebody loses patience.
            self.cancel.cancel();
            std::future::pending::<()>().await;
        }
        TiKv.observe(cluster).await
    }
}

impl Spy {
    fn faulty(&self) -> bool {
        self.calls.lock().unwrap().iter().any(|call| call.starts_with("kill"))
    }
}

struct SpyCluster {
    spy: Spy,
    model: Box<dyn Cluster>,
}

impl SpyCluster {
    /// Writes a call down, and breaks if that is what is broken.
    fn call(&self, what: impl Into<String>, broken: Broken) -> Result<(), ClusterError> {
        let what = what.into();
        self.spy.calls.lock().unwrap().push(what.clone());
        if self.spy.broken == broken {
            return Err(ClusterError::environment(what, "it is broken", "Mend it."));
        }
        Ok(())
    }
}

#[async_trait]
impl Cluster for SpyCluster {
    fn nodes(&self) -> &[Node] {
        self.model.nodes()
    }

    fn clock(&self) -> &dyn Clock {
        self.model.clock()
    }

    fn http(&self) -> &dyn Http {
        self.model.http()
    }

    async fn up(&self, cancel: &CancellationToken) -> Result<(), ClusterError> {
        self.call("up", Broken::Up)?;
        self.model.up(cancel).await?;
        if self.spy.broken == Broken::Unwell {
            self.model.inject(&Fault::new(FaultKind::KILL, NodeName::from("tikv0"))).await?;
        }
        Ok(())
    }

    async fn process(&self, node: &NodeName) -> Result<ProcessState, ClusterError> {
        self.model.process(node).await
    }

    async fn inject(&self, fault: &Fault) -> Result<(), ClusterError> {
        assert!(self.spy.broken != Broken::InjectPanics, "the injector is broken");
        self.model.inject(fault).await?;
        // It was done when it says that it was not.
        self.call(fault.to_string(), Broken::Inject)
    }

    async fn missing_effect(&self, fault: &Fault) -> Result<Option<String>, ClusterError> {
        if self.spy.broken == Broken::Effect {
            return Ok(Some("it runs".to_owned()));
        }
        self.model.missing_effect(fault).await
    }

    async fn heal(&self, undo: &Undo) -> Result<(), ClusterError> {
        let call = match undo {
            Undo::Start { node } => format!("start {node}"),
            Undo::Resume { node } => format!("resume {node}"),
            Undo::Lift { fault } => format!("lift {fault}"),
            Undo::RestoreCpu { .. } | Undo::RestoreMemory { .. } | Undo::Reconnect { .. } => undo.to_string(),
        };
        self.call(call, Broken::Heal)?;
        if self.spy.broken == Broken::HealLeaks {
            self.model.inject(&Fault::of_cluster(FaultKind::HaltScheduling)).await?;
        }
        self.model.heal(undo).await
    }

    async fn fingerprint(&self) -> Result<Fingerprint, ClusterError> {
        self.model.fingerprint().await
    }

    async fn logs(&self, since: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
        self.model.logs(since).await
    }

    async fn down(&self) -> Result<(), ClusterError> {
        self.call("down", Broken::Down)?;
        self.model.down().await
    }
}
