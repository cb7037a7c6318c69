//! The subject `tikv` on the model, with something broken about its cluster, and a look at what was done to it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use operator_run::clock::Clock;
use operator_run::cluster::{
    Backend, Cluster, ClusterError, Direction, Fault, FaultKind, Fingerprint, LogLine, Node, ProcessState, Undo,
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
    /// A store dies by itself before the fault.
    BeforeTheFault,
    /// PD hears nothing of the store that is to be killed, which nothing has noticed when it is.
    UnheardBefore,
    /// The run is well, and its twin comes up without a store.
    TwinUnwell,
    /// The run is well, and in its twin a store is away for some time.
    TwinAlarms,
    /// The run is well, and its twin is never observed.
    TwinObserve,
    /// The run is well, and its twin does not go down.
    TwinDown,
}

/// The subject, and the calls of its cluster that change something.
#[derive(Debug, Clone)]
struct Spy {
    broken: Broken,
    cancel: CancellationToken,
    calls: Arc<Mutex<Vec<String>>>,
    /// How often the cluster was observed since it was up.
    polls: Arc<AtomicUsize>,
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
    run_with(Extras::default(), scenario, diagnoser, broken, cancel).await
}

/// The same with what is done beyond what it takes for a verdict.
pub(crate) async fn run_with(
    extras: Extras,
    scenario: &str,
    diagnoser: &dyn Diagnoser,
    broken: Broken,
    cancel: &CancellationToken,
) -> Observed {
    let folder = tempfile::tempdir().unwrap();
    let spy = Spy { broken, cancel: cancel.clone(), calls: Arc::default(), polls: Arc::default() };
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
    let context = Context { diagnoser, store: &store, events: &events, cancel };
    let record = run::run(&Plan { loaded, cluster, snapshots, extras }, context).await;

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
        self.do_harm(cluster).await;
        if self.broken == Broken::Observe && self.faulty() || self.broken == Broken::TwinObserve && self.ups() == 2 {
            // The first poll after the fault never comes to an end, and somebody loses patience.
            self.cancel.cancel();
            std::future::pending::<()>().await;
        }
        TiKv.observe(cluster).await
    }
}

impl Spy {
    /// How many clusters have come up.
    fn ups(&self) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| *call == "up").count()
    }

    /// Does what happens by itself. The sixth poll is the last one of the steady time, and the next one comes 2 s later.
    async fn do_harm(&self, cluster: &dyn Cluster) {
        let poll = self.polls.fetch_add(1, Ordering::Relaxed);
        let fault = |kind, node: &str| Fault::new(kind, NodeName::from(node));
        match (self.broken, poll) {
            (Broken::BeforeTheFault, 6) => cluster.inject(&fault(FaultKind::KILL, "tikv0")).await.unwrap(),
            (Broken::UnheardBefore, 8) => cluster.inject(&unheard()).await.unwrap(),
            (Broken::TwinAlarms, 6) if self.ups() == 2 => {
                cluster.inject(&fault(FaultKind::KILL, "tikv0")).await.unwrap();
            }
            (Broken::TwinAlarms, 17) if self.ups() == 2 => {
                cluster.heal(&Undo::Start { node: "tikv0".into() }).await.unwrap();
            }
            _ => {}
        }
    }

    fn harmed(&self) -> bool {
        self.polls.load(Ordering::Relaxed) > 8
    }

    fn faulty(&self) -> bool {
        self.calls.lock().unwrap().iter().any(|call| call.starts_with("kill"))
    }
}

/// What keeps the heartbeats of a store from PD.
fn unheard() -> Fault {
    let from = ["pd0", "pd1", "pd2"].map(NodeName::from).into();
    Fault::new(FaultKind::Partition { from, direction: Direction::Both }, NodeName::from("tikv1"))
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
        self.spy.polls.store(0, Ordering::Relaxed);
        self.model.up(cancel).await?;
        if self.spy.broken == Broken::Unwell || self.spy.broken == Broken::TwinUnwell && self.spy.ups() == 2 {
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

    /// What has gone by itself is there again when all faults are undone.
    async fn fingerprint(&self) -> Result<Fingerprint, ClusterError> {
        match self.spy.broken {
            Broken::BeforeTheFault if self.spy.harmed() => {
                self.model.heal(&Undo::Start { node: "tikv0".into() }).await?;
            }
            Broken::UnheardBefore if self.spy.harmed() => {
                self.model.heal(&Undo::Lift { fault: unheard() }).await?;
            }
            _ => {}
        }
        self.model.fingerprint().await
    }

    async fn logs(&self, since: Timestamp) -> Result<Vec<LogLine>, ClusterError> {
        self.model.logs(since).await
    }

    async fn down(&self) -> Result<(), ClusterError> {
        let broken = if self.spy.ups() == 2 { Broken::TwinDown } else { Broken::Down };
        self.call("down", broken)?;
        self.model.down().await
    }
}
