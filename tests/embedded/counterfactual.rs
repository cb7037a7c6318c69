//! What would come of each remedy: tried on copies of the modelled cluster, and on the cluster itself.

mod actions;
mod applied;
mod facts;
mod table;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use operator_run::cluster::Backend;
use operator_run::diagnosis::{ActionOption, Diagnoser, Diagnosis, Question};
use operator_run::reading::NodeName;
use operator_run::run::{self, Context, Events, Extras, Plan, RunRecord, SnapshotPolicy, Update};
use operator_run::scenario::{self, LoadPart, Loaded};
use operator_run::store::Store;
use operator_run::subject::tikv::TiKv;
use operator_run::subject::{CLUSTER, ClusterSpec, actions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::as_baseline::AsBaseline;

/// To which node something is done.
#[derive(Debug, Clone, Copy)]
enum On {
    /// The one that the ticket is about.
    Suspect,
    /// Another one of its role.
    Peer,
    Cluster,
}

/// Answers as the baseline does, but weighs these actions; the first of them is recommended.
fn advises(actions_on: Vec<(&'static str, On)>) -> impl Diagnoser {
    AsBaseline(move |question: &Question<'_>, diagnosis: &mut Diagnosis| {
        let suspect = question.bundle.suspect().cloned().unwrap_or_else(|| CLUSTER.into());
        let role =
            |name: &NodeName| question.bundle.nodes.iter().find(|node| node.name == *name).map(|node| &node.role);
        let peer = question.bundle.nodes.iter().find(|node| node.name != suspect && Some(&node.role) == role(&suspect));
        let option = |(action, on): &(&str, On)| ActionOption {
            action: (*action).into(),
            target: match on {
                On::Suspect => suspect.as_str().into(),
                On::Peer => peer.map_or(CLUSTER, |node| node.name.as_str()).into(),
                On::Cluster => CLUSTER.into(),
            },
            benefit: String::new(),
            risk: String::new(),
            reversible: actions(&TiKv).any(|known| known.name == *action && known.reversible),
        };
        diagnosis.options = actions_on.iter().map(option).collect();
        diagnosis.recommendation.action = diagnosis.options[0].action.clone();
        diagnosis.recommendation.target = diagnosis.options[0].target.clone();
    })
}

const TRIED: Extras = Extras {
    counterfactual: true,
    keep_observations: false,
    with_baseline: false,
    apply_recommendation: false,
    with_control: false,
};
const APPLIED: Extras = Extras { apply_recommendation: true, counterfactual: false, ..TRIED };

fn load(scenario: &str) -> Loaded {
    scenario::parse(Path::new("s.yaml"), scenario).unwrap_or_else(|error| panic!("{error}"))
}

/// The text of a scenario of the project.
fn file(name: &str) -> String {
    let path = format!("{}/scenarios/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// Runs a scenario.
async fn record(scenario: &str, diagnoser: &dyn Diagnoser, extras: Extras) -> RunRecord {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let folder = tempfile::tempdir().unwrap();
    let loaded = load(scenario);
    let part = loaded.scenario.cluster.clone();
    let load = part.load.map(LoadPart::spec);
    let cluster = ClusterSpec { backend: Backend::Embedded, nodes: part.nodes, seed: part.seed, load, disk: part.disk };
    let snapshots = SnapshotPolicy { folder: folder.path().join("snapshots"), update: Update::Accept };
    let database = format!("{}.db", DATABASES.fetch_add(1, Ordering::Relaxed));
    let store = Store::open(&folder.path().join(database)).unwrap();
    let (sender, _receiver) = mpsc::unbounded_channel();
    let (events, cancel) = (Events::new(sender), CancellationToken::new());
    let context = Context { diagnoser, judge: None, store: &store, events: &events, cancel: &cancel };
    run::run(&Plan { loaded, cluster, snapshots, extras }, context).await
}
