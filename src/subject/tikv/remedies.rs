//! How the actions of [`super::knowledge`] are carried out: by PD's API, as `pd-ctl` does it, and by starting processes
//! again.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::super::CLUSTER;
use super::super::remedy::{Done, NotDone, Remedy};
use super::pd::{self, Stores};
use crate::clock::after;
use crate::cluster::{Cluster, Node};
use crate::http::{HttpError, Method, Request};

/// How long PD may take for a change.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The settings that let PD move and repair replicas, as in a new cluster (PD: pkg/schedule/config/config.go).
const SCHEDULING: &[(&str, &str)] = &[
    ("halt-scheduling", "false"),
    ("leader-schedule-limit", "4"),
    ("region-schedule-limit", "2048"),
    ("replica-schedule-limit", "64"),
    ("enable-make-up-replica", "true"),
    ("enable-replace-offline-replica", "true"),
    ("enable-remove-down-replica", "true"),
];
/// The schedulers that a cluster needs to keep leaders and replicas even (PD: pkg/schedule/schedulers).
const BALANCERS: &[&str] = &["balance-leader-scheduler", "balance-region-scheduler"];
/// How many merges PD does at a time (PD: pkg/schedule/config/config.go, `defaultMergeScheduleLimit`).
const MERGES: u64 = 8;
/// How long a region may take to be split, once PD has taken the order, and how often is asked whether it is.
const SPLIT_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The role of the nodes that an action is done to.
pub(super) fn role_of(action: &str) -> Option<&'static str> {
    match action {
        "restart_store" | "evict_leaders" | "split_hot_region" | "delete_store" | "unsafe_recover" | "replace_disk" => {
            Some("tikv")
        }
        "restart_pd" | "transfer_pd_leader" => Some("pd"),
        "add_store" | "enable_scheduling" | "enable_merging" => Some(CLUSTER),
        _ => None,
    }
}

/// Carries out an action of the catalogue.
pub(super) async fn carry_out(cluster: &mut dyn Cluster, remedy: &Remedy<'_>) -> Result<Done, NotDone> {
    if let Some(outcome) = remedy.carry_out_common(cluster).await {
        return outcome;
    }
    match remedy.action {
        "restart_store" => return remedy.restart("tikv", cluster).await,
        "restart_pd" => return remedy.restart("pd", cluster).await,
        "add_store" => {
            cluster.add_node("tikv")?;
            return Ok(Done::Acted);
        }
        _ => {}
    }
    let pd = Pd::of(cluster);
    match remedy.action {
        "evict_leaders" => {
            let store = pd.store_id(remedy).await?;
            let body = json!({ "name": "evict-leader-scheduler", "store_id": store });
            pd.post("/schedulers", body).await?;
        }
        "split_hot_region" => split_hot_region(&pd, remedy).await?,
        "delete_store" => delete_store(&pd, remedy).await?,
        "unsafe_recover" => unsafe_recover(&pd, remedy).await?,
        "transfer_pd_leader" => pd.post("/leader/resign", json!({})).await?,
        "enable_scheduling" => enable_scheduling(&pd).await?,
        "enable_merging" => pd.post("/config", json!({ "merge-schedule-limit": MERGES })).await?,
        action => return Err(NotDone(format!("nothing is known of how to carry out {action}"))),
    }
    Ok(Done::Acted)
}

/// PD refuses to remove a store where fewer would be left than there are replicas; who means it says so by `force`.
async fn delete_store(pd: &Pd<'_>, remedy: &Remedy<'_>) -> Result<(), NotDone> {
    let path = format!("/store/{}", pd.store_id(remedy).await?);
    if pd.send(Method::DELETE, &path, None).await.is_ok() {
        return Ok(());
    }
    pd.send(Method::DELETE, &format!("{path}?force=true"), None).await.map(drop)
}

/// All stores are named that PD does not hear, as it must be: regions whose majority is on others are given up, too.
async fn unsafe_recover(pd: &Pd<'_>, remedy: &Remedy<'_>) -> Result<(), NotDone> {
    let target = remedy.node_of("tikv", pd.cluster).ok();
    let stores = pd.get::<Stores>("/stores").await?.stores;
    let wanted = |info: &pd::StoreInfo| {
        let silent = matches!(info.store.state_name.as_str(), "Disconnected" | "Down");
        silent || target.as_ref().is_some_and(|target| host(&info.store.address) == target.as_str())
    };
    let ids: Vec<u64> = stores.iter().filter(|info| wanted(info)).map(|info| info.store.id).collect();
    pd.post("/admin/unsafe/remove-failed-stores", json!({ "stores": ids })).await
}

async fn enable_scheduling(pd: &Pd<'_>) -> Result<(), NotDone> {
    for (setting, value) in SCHEDULING {
        let value = value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
        let body = Json::Object([((*setting).to_owned(), value)].into_iter().collect());
        pd.post("/config", body).await?;
    }
    pd.post("/schedulers/all", json!({ "delay": 0 })).await?;
    pd.post("/checker/rule", json!({ "delay": 0 })).await?;
    let there: Vec<String> = pd.get("/schedulers").await?;
    for name in BALANCERS.iter().filter(|name| !there.iter().any(|own| own == *name)) {
        pd.post("/schedulers", json!({ "name": name })).await?;
    }
    Ok(())
}

/// `GET /regions` and `GET /regions/writeflow` (PD: pkg/response/region.go).
#[derive(Debug, Deserialize)]
struct Regions {
    #[serde(default)]
    regions: Vec<Region>,
}

#[derive(Debug, Deserialize)]
struct Region {
    id: u64,
    start_key: String,
    end_key: String,
    leader: Option<pd::RegionPeer>,
}

impl Region {
    /// Whether it is a part of another, or that itself. Keys are in hex, which has their order.
    fn is_part_of(&self, whole: &Self) -> bool {
        self.start_key >= whole.start_key && (whole.end_key.is_empty() || self.start_key < whole.end_key)
    }
}

/// Has the region split in the middle that is written most, of those that the store leads if a store is named, and
/// scatters the parts.
async fn split_hot_region(pd: &Pd<'_>, remedy: &Remedy<'_>) -> Result<(), NotDone> {
    let store = match remedy.node_of("tikv", pd.cluster) {
        Ok(_) => Some(pd.store_id(remedy).await?),
        Err(_) => None,
    };
    let leads = |region: &Region| store.is_none() || region.leader.as_ref().map(|leader| leader.store_id) == store;
    let regions = pd.get::<Regions>("/regions/writeflow?limit=1024").await?.regions;
    let hottest = regions.into_iter().find(leads).ok_or_else(|| NotDone("no region is led there".to_owned()))?;
    let body = json!({ "name": "split-region", "region_id": hottest.id, "policy": "scan" });
    pd.post("/operators", body).await?;
    let deadline = after(pd.cluster.clock().now(), SPLIT_WITHIN);
    loop {
        let regions = pd.get::<Regions>("/regions").await?.regions;
        let parts: Vec<u64> =
            regions.iter().filter(|region| region.is_part_of(&hottest)).map(|region| region.id).collect();
        if parts.len() > 1 {
            return pd.post("/regions/scatter", json!({ "regions_id": parts })).await;
        }
        if pd.cluster.clock().now() >= deadline {
            return Err(NotDone(format!("region {} was not split within {SPLIT_WITHIN:?}", hottest.id)));
        }
        pd.cluster.clock().sleep(ASK_EVERY).await;
    }
}

/// PD's API, through whichever member takes a request: each passes it on to the leader.
struct Pd<'a> {
    cluster: &'a dyn Cluster,
    members: Vec<&'a Node>,
}

impl<'a> Pd<'a> {
    fn of(cluster: &'a dyn Cluster) -> Self {
        Self { cluster, members: cluster.nodes().iter().filter(|node| node.role == "pd").collect() }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, NotDone> {
        pd::ask_in_turn(self.cluster, &self.members, path).await.map_err(NotDone)
    }

    async fn post(&self, path: &str, body: Json) -> Result<(), NotDone> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Asks one member after the other. A refusal is PD's word: no other is asked after it.
    async fn send(&self, method: Method, path: &str, body: Option<Json>) -> Result<(), NotDone> {
        let mut reason = NotDone("the cluster has no PD".to_owned());
        for member in &self.members {
            let path = format!("/pd/api/v1{path}");
            let request =
                Request { body: body.clone(), ..Request::new(method.clone(), pd::address(member), path, TIMEOUT) };
            let answer = self.cluster.http().send(&request).await.and_then(|response| response.ok(&request));
            match answer {
                Ok(()) => return Ok(()),
                // PD itself has answered. A follower that finds no leader says 503, or 500 in plain words.
                Err(HttpError::Status { status: 400..=500, body, .. }) if body.starts_with('"') => {
                    return Err(NotDone(format!("PD refuses: {}", body.trim_matches('"'))));
                }
                Err(error) => reason = NotDone(error.to_string()),
            }
        }
        Err(reason)
    }

    /// PD's id of the store that something is done to.
    async fn store_id(&self, remedy: &Remedy<'_>) -> Result<u64, NotDone> {
        let node = remedy.node_of("tikv", self.cluster)?;
        let stores = self.get::<Stores>("/stores").await?.stores;
        let known = stores.into_iter().find(|info| host(&info.store.address) == node.as_str());
        known.map(|info| info.store.id).ok_or_else(|| NotDone(format!("PD knows no store {node}")))
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}
