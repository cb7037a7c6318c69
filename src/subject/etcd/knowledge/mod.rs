//! What an operator of etcd knows: causes, actions with their risks, and how causes show.

mod signatures;

pub(super) use signatures::SIGNATURES;

use super::super::{Action, Danger, Term};

pub(super) const CATEGORIES: &[Term] = &[
    Term { name: "quorum_loss", means: "a majority of the members is gone: nothing can be written" },
    Term {
        name: "space_quota_exceeded",
        means: "the database has reached its quota and refuses writes (NOSPACE alarm)",
    },
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "restart_member",
        does: "starts the member's process again on its own data directory",
        risk: "none if the process is gone",
        reversible: true,
        command: "docker start {node}",
    },
    Action {
        name: "move_leader",
        does: "hands the leadership to another member",
        risk: "a pause of some milliseconds",
        reversible: true,
        command: "etcdctl move-leader MEMBER_ID",
    },
    Action {
        name: "replace_disk",
        does: "takes away what slows a member's disk down: a failing device, a limit, or a neighbour that uses it up",
        risk: "little, as long as the others have a quorum",
        reversible: true,
        command: "iostat -x 1",
    },
    Action {
        name: "compact_and_defragment",
        does: "drops old revisions and gives their space back",
        risk: "a member does not serve while it is defragmented",
        reversible: false,
        command: "etcdctl compact REVISION",
    },
    Action {
        name: "replace_member",
        does: "removes the member for good and adds an empty one that copies the data",
        risk: "the member's data is given up; with a quorum of two, one more loss stops the cluster",
        reversible: false,
        command: "etcdctl member remove MEMBER_ID",
    },
    Action {
        name: "force_new_cluster",
        does: "makes a one-member cluster out of one member's data",
        risk: "loses what only the others had acknowledged; the others can never rejoin with their data",
        reversible: false,
        command: "etcd --force-new-cluster",
    },
];

pub(super) const DANGERS: &[Danger] = &[
    Danger { command: r"\bmember\s+remove\b", action: Some("replace_member") },
    Danger { command: r"--force-new-cluster", action: Some("force_new_cluster") },
    Danger { command: r"\bsnapshot\s+restore\b", action: None },
    Danger { command: r"\bdel\b.*--(prefix|from-key)\b", action: None },
];

pub(super) const KNOWLEDGE: &str = "\
etcd is a replicated key-value store: three members (role etcd) form one Raft group with one leader; a write needs two \
of them.
- When the leader dies, the others elect a new one within 1 to 2 s; each such election raises the Raft term by at least \
one and leader_changes by one. When a follower dies, the term does not change. raft_term is the term of the last entry \
that a member has applied: an election that nobody wins is not in it.
- Counts from Prometheus (leader_changes, failed_proposals, slow_applies, late_heartbeats) are extrapolated from its scrapes \
and have fractions; they look a minute back, leader_changes 15, so that they go on for a while.
- A member that has lost the others answers its status API, which asks nobody, but neither writes nor linearizable reads; \
a leader that hears from no majority steps down after an election timeout.
- write and read are a client's request through that member: a follower hands writes to the leader, so that its way to the \
leader is in its latency. raft_lag counts committed entries that the member has not applied.
- A write waits for the fsyncs of a majority: fsync_p99 is the disk. late_heartbeats are a leader's that came too late \
because it was short of processor time or its disk was slow.
- Without space for its log a member ends itself. A database at its quota raises the alarm NOSPACE instead: all members \
refuse writes (http_429) until it is compacted, defragmented and the alarm is disarmed.
- elections_begun and overload_warnings are counted in the member's own log of the last 8 and 30 s: one that hears from no leader \
begins an election every second or two, a leader that gets to its heartbeats late says that it is overloaded, and a hung \
one logs nothing.
- A process that the kernel ended for want of memory is exited(137, out of memory); a bare exited(137) was killed by somebody \
else.
- A killed process refuses connections. A paused or cut-off one lets them time out.
- A member that comes back with its data directory rejoins by itself and catches up from the leader's log.
- Prometheus (role prometheus) scrapes every member: prometheus_up is 0 for one that it cannot scrape.";
