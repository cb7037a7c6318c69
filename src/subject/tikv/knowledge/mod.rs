//! What an operator of TiKV knows: causes, actions with their risks, and how causes show.

mod signatures;

pub(super) use self::signatures::SIGNATURES;
use super::super::{Action, Danger, Term};

pub(super) const CATEGORIES: &[Term] = &[
    Term {
        name: "region_quorum_loss",
        means: "a majority of the replicas of some regions is gone: they have no leader",
    },
    Term { name: "pd_quorum_loss", means: "a majority of the PD members is gone: no store state can be read" },
    Term { name: "hot_region", means: "one region gets so much traffic that its leader's store is the bottleneck" },
    Term { name: "scheduling_disabled", means: "PD is configured not to move or repair replicas" },
    Term {
        name: "merge_disabled",
        means: "PD is configured not to merge regions, so that the empty ones that splits leave stay for ever",
    },
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "restart_store",
        does: "starts the store's process again on its own data directory",
        risk: "none if the process is gone; a cold cache for some minutes",
        reversible: true,
        command: "docker start {node}",
    },
    Action {
        name: "restart_pd",
        does: "starts the PD member's process again on its own data directory",
        risk: "none if the process is gone; an election if it was the leader",
        reversible: true,
        command: "docker start {node}",
    },
    Action {
        name: "evict_leaders",
        does: "moves all region leaders off a store by PD's evict-leader-scheduler",
        risk: "the other stores carry the load until the scheduler is removed again",
        reversible: true,
        command: "pd-ctl scheduler add evict-leader-scheduler STORE_ID",
    },
    Action {
        name: "split_hot_region",
        does: "splits a region and scatters the parts",
        risk: "little: more regions",
        reversible: true,
        command: "pd-ctl operator add split-region REGION_ID",
    },
    Action {
        name: "add_store",
        does: "adds a store, so that PD can make the missing replicas there",
        risk: "the copying of replicas loads disks and network",
        reversible: true,
        command: "pd-ctl store",
    },
    Action {
        name: "delete_store",
        does: "tells PD to remove a store for good and to move its replicas elsewhere",
        risk: "with three stores there is nowhere to move them; by force the store can never come back",
        reversible: false,
        command: "pd-ctl store delete STORE_ID",
    },
    Action {
        name: "unsafe_recover",
        does: "makes the remaining replicas leaders without a majority",
        risk: "loses acknowledged writes; the removed stores can never rejoin with their data",
        reversible: false,
        command: "pd-ctl unsafe remove-failed-stores STORE_ID",
    },
    Action {
        name: "transfer_pd_leader",
        does: "makes another PD member the leader",
        risk: "PD has no leader for moments, and then knows little of the stores for 10 s",
        reversible: true,
        command: "pd-ctl member leader resign",
    },
    Action {
        name: "enable_scheduling",
        does: "restores the scheduling settings and resumes the schedulers of PD",
        risk: "a backup or an unsafe recovery may have switched them off on purpose",
        reversible: true,
        command: "pd-ctl config set halt-scheduling false",
    },
    Action {
        name: "enable_merging",
        does: "lets PD merge small regions again, each an hour after it was split (split-merge-interval)",
        risk: "little: some load for a while; regions that were split for a bulk load that goes on are merged, too",
        reversible: true,
        command: "pd-ctl config set merge-schedule-limit 8",
    },
    Action {
        name: "fix_clock",
        does: "sets a node's clock right",
        risk: "little: timestamps never go back",
        reversible: true,
        command: "chronyc makestep",
    },
    Action {
        name: "replace_disk",
        does: "takes away what slows a store's disk down: a failing device, or a neighbour that uses it up",
        risk: "little: PD has moved the leaders away",
        reversible: true,
        command: "iostat -x 1",
    },
];

pub(super) const DANGERS: &[Danger] = &[
    Danger { command: r"\bstore\s+delete\b", action: Some("delete_store") },
    // With `show` and `history` it only tells.
    Danger { command: r"\bunsafe\s+remove-failed-stores\s+([^sh\s]|s[^h]|h[^i])", action: Some("unsafe_recover") },
    Danger { command: r"\btikv-ctl\b.*\b(unsafe-recover|recreate-region|tombstone|reset-to-version)\b", action: None },
    Danger { command: r"\bmember\s+delete\b", action: None },
    Danger { command: r"\bpd-recover\b|--force-new-cluster", action: None },
    Danger { command: r"\bmax-replicas\s+[12]\b", action: None },
    // It switches off what repairs, merges or balances.
    Danger {
        command: r"\bconfig\s+set\s+(\S+-limit\s+0|max-merge-region-\w+\s+0|halt-scheduling\s+true|enable-\S+\s+false)\b",
        action: None,
    },
    // It is what keeps leaders away from a store whose disk is slow.
    Danger { command: r"\bscheduler\s+(remove|pause)\s+evict-slow-store-scheduler\b", action: None },
];

pub(super) const KNOWLEDGE: &str = "\
TiKV is a distributed key-value store. Its keys are cut into regions; each region has three replicas on three stores \
(role tikv) that form a Raft group with one leader. The Placement Driver (role pd, three members with a leader of their \
own) keeps the stores' states and moves replicas.
- Each store sends PD a heartbeat every 10 s. PD calls a store Disconnected when its last heartbeat is older than 20 s \
and Down after 30 minutes. PD moves no replica before that, and with three stores there is nowhere to move one.
- When a store dies, its regions elect new leaders one by one, between 2 and 20 s later; its leader count at PD falls \
to 0. When a majority of a region's replicas is gone there is no election: leader counts then stay as they were.
- A process that the kernel ended for want of memory is exited(137, out of memory); a bare exited(137) was killed by somebody \
else.
- A killed process refuses connections on its status port. A paused or cut-off one lets them time out. Other stores log \
`wait connect timeout` of one that is gone in whatever way.
- store_id is the number by which PD and the logs call a store.
- What the clients feel is what the load reports every 10 s of the 10 s before. The p99 readings and cpu_share look one \
minute back, so that a node that died keeps its p99 for a while.
- unreachable_stores is how many other stores a store has said in its own log that it cannot connect to, within the last 15 s; \
cannot_reach names them. A store that is cut off writes of all the others; one that is paused writes nothing.
- A dead store's replicas count as pending while they are behind, as down after 10 minutes, and never as missing.
- For up to 10 s after PD changes its leader, PD calls all stores Disconnected: that alone is no fault of the stores.
- A store that answers and that PD calls Disconnected all the same is cut off from PD, or so short of processor time that \
its heartbeats are late (cpu_share near 1), or (heard = not_by_this_leader) PD's leader is new. heard = not_since_start: \
its last heartbeat is older than its start, by the clock of PD and its own.
- slow_score is a store's own measure of its disk, from 1 to 100; PD moves the leaders off a store at 100, if only one \
is slow. append_log_p99 high: the disk. commit_log_p99 high and append_log_p99 low: the network or a follower. cpu_share \
near 1: too little processor time, which also delays the rest.
- Below a fifth of the disk (available_share) PD brings no more replicas; TiKV refuses writes when nearly nothing is left. \
Never delete its files.
- hot_region_share is the share of all traffic that goes to the hottest region of the store that leads it; PD tells of \
one after 3 minutes. written_share is the share of all written keys that goes to the most written region of the store that \
leads it, and shows within a minute. Adding stores does not help: splitting the region does.
- scheduling = off does not hurt by itself, but nothing is repaired; switched_off says why.
- empty_regions are of at most 1 MiB; a table that was split before it is filled has many. PD merges them with their \
neighbours an hour after the split, unless merge_limit is 0. Each costs its stores heartbeats and memory; \
clients feel nothing, and some dozens are no trouble.
- Without a majority of its members PD has no leader: known regions are served, but no state of a store can be read. \
One member back with its data is enough.
- With raft two replicas of three suffice, so that a broken link between two stores is felt little; both complain of \
each other, and PD calls both Up.";
