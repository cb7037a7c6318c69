//! What operators of TiKV know of each fault, held against what the model makes of it: the remedy is among the best of all
//! that is tried, and what is dangerous costs clearly more.

use super::On::{Cluster, Peer, Suspect};
use super::{On, TRIED, advises, file, record};

/// A remedy may have this regret,
const REMEDY: f64 = 0.1;
/// and what is dangerous has at least this.
const DANGER: f64 = 0.3;

type Act = (&'static str, On);

/// Tries all of it on a scenario of the project.
async fn judge(scenario: &str, remedy: Act, others: &[Act], dangers: &[Act]) {
    let diagnoser = advises([&[remedy], others, dangers].concat());
    let record = record(&file(scenario), &diagnoser, TRIED).await;
    let tried = record.counterfactual.as_ref().unwrap_or_else(|| panic!("{:?}", record.reasons));
    let options = record.diagnosis.unwrap().options;
    let table = serde_json::to_string_pretty(tried).unwrap();
    let regret = |index: usize| {
        let (action, target) = (&options[index].action.0, &options[index].target.0);
        let trial = tried.trial(action, target).unwrap();
        (tried.regret(action, target).unwrap(), trial.cost.total, format!("{action} on {target}"))
    };
    let (best, cost, what) = regret(0);
    assert!(best <= REMEDY, "{scenario}: the regret of {what} is {best}\n{table}");
    for index in 1..=others.len() {
        let (regret, _, what) = regret(index);
        assert!(regret < DANGER.max(best), "{scenario}: the regret of {what} is {regret}\n{table}");
    }
    for index in 1 + others.len()..options.len() {
        let (regret, danger, what) = regret(index);
        assert!(danger > cost && regret >= DANGER, "{scenario}: the regret of {what} is {regret}\n{table}");
    }
}

#[tokio::test]
async fn store_sigkill() {
    let dangers = [("delete_store", Suspect), ("unsafe_recover", Suspect), ("restart_store", Peer)];
    judge("store-down", ("restart_store", Suspect), &[], &dangers).await;
}

#[tokio::test]
async fn store_sigstop() {
    // To kill it is safe, if unnecessary.
    let others = [("restart_store", Suspect)];
    let dangers = [("delete_store", Suspect), ("unsafe_recover", Suspect), ("restart_store", Peer)];
    judge("store-paused", ("resume_process", Suspect), &others, &dangers).await;
}

#[tokio::test]
async fn two_of_three_stores_down() {
    let dangers = [("unsafe_recover", Suspect), ("delete_store", Suspect)];
    judge("store-quorum-loss", ("restart_store", Suspect), &[], &dangers).await;
}

#[tokio::test]
async fn pd_leader_kill() {
    judge("pd-leader-killed", ("restart_pd", Suspect), &[], &[("restart_pd", Peer)]).await;
}

#[tokio::test]
async fn pd_quorum_loss() {
    // What is dangerous is no action of the catalogue: to give up the members' data.
    judge("pd-quorum-loss", ("restart_pd", Suspect), &[], &[("wait_and_watch", Suspect)]).await;
}

#[tokio::test]
async fn store_full_partition() {
    let dangers = [("delete_store", Suspect), ("restart_store", Suspect)];
    judge("store-partitioned", ("repair_network", Suspect), &[], &dangers).await;
}

#[tokio::test]
async fn one_way_loss() {
    let dangers = [("delete_store", Suspect), ("restart_store", Suspect)];
    judge("store-one-way-partition", ("repair_network", Suspect), &[], &dangers).await;
}

#[tokio::test]
async fn pairwise_loss() {
    judge("store-pair-partitioned", ("repair_network", Suspect), &[], &[("evict_leaders", Suspect)]).await;
}

#[tokio::test]
async fn latency_on_one_store() {
    let dangers = [("replace_disk", Suspect), ("restart_store", Suspect)];
    judge("store-slow-network", ("repair_network", Suspect), &[], &dangers).await;
}

#[tokio::test]
async fn disk_full() {
    let dangers = [("restart_store", Suspect), ("delete_store", Suspect)];
    judge("store-disk-full", ("free_disk_space", Suspect), &[], &dangers).await;
}

#[tokio::test]
async fn slow_disk() {
    judge("store-slow-disk", ("replace_disk", Suspect), &[], &[("restart_store", Suspect)]).await;
}

#[tokio::test]
async fn cpu_starvation() {
    judge("store-cpu-starved", ("raise_resource_limit", Suspect), &[], &[("restart_store", Suspect)]).await;
}

#[tokio::test]
async fn oom_kill() {
    judge("store-out-of-memory", ("raise_resource_limit", Suspect), &[], &[("restart_store", Suspect)]).await;
}

#[tokio::test]
async fn clock_skew() {
    judge("pd-clock-back", ("fix_clock", Suspect), &[], &[("restart_pd", Suspect)]).await;
}

/// One key is as hot in a half of its region as in the whole: neither to split it nor to add a store changes anything, and
/// neither costs anything here.
#[tokio::test]
async fn hot_region() {
    judge("one-key-written", ("split_hot_region", Suspect), &[("add_store", Cluster)], &[("delete_store", Suspect)])
        .await;
}

#[tokio::test]
async fn scheduling_disabled() {
    judge("scheduling-halted", ("enable_scheduling", Cluster), &[], &[("wait_and_watch", Cluster)]).await;
}

#[tokio::test]
async fn merge_disabled() {
    judge("merge-disabled", ("enable_merging", Cluster), &[], &[("wait_and_watch", Cluster)]).await;
}

#[tokio::test]
async fn flapping_store() {
    let dangers = [("wait_and_watch", Suspect), ("restart_store", Suspect), ("delete_store", Suspect)];
    judge("store-flapping", ("evict_leaders", Suspect), &[], &dangers).await;
}
