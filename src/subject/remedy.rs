//! How what an operator does is carried out on a cluster: what every subject has in common.

use super::CLUSTER;
use crate::cluster::{Cluster, ClusterError, Fault, FaultKind, ProcessState, Undo};
use crate::reading::NodeName;

/// Something that an operator does.
#[derive(Debug, Clone, Copy)]
pub struct Remedy<'a> {
    /// The word for it, from the subject's actions.
    pub action: &'a str,
    /// The node that it is done to, or `cluster`.
    pub target: &'a str,
    /// The faults that act: what is done outside the system undoes those that it really undoes.
    pub faults: &'a [ActingFault],
}

/// A fault that acts.
#[derive(Debug, Clone, PartialEq)]
pub struct ActingFault {
    /// What was done.
    pub fault: Fault,
    /// What undoes it.
    pub undo: Undo,
}

/// What carrying something out did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Something was done to the cluster.
    Acted,
    /// There was nothing to do: all is as if nobody had done anything.
    Nothing,
}

/// Why something was not carried out. The cluster is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotDone(pub String);

impl From<ClusterError> for NotDone {
    fn from(error: ClusterError) -> Self {
        Self(error.to_string())
    }
}

impl Remedy<'_> {
    /// Carries out what is the same for every subject; none if it is something else.
    pub(super) async fn carry_out_common(&self, cluster: &dyn Cluster) -> Option<Result<Done, NotDone>> {
        match self.action {
            "wait_and_watch" | "gather_evidence" => Some(Ok(Done::Nothing)),
            _ if undoes(self.action).is_some() => Some(self.undo_faults(cluster).await),
            _ => None,
        }
    }

    /// Undoes those of the acting faults that it really undoes on its target. On a node that has none it does nothing.
    async fn undo_faults(&self, cluster: &dyn Cluster) -> Result<Done, NotDone> {
        let node = self.node(cluster)?;
        let undone = undoes(self.action).unwrap_or(|_| false);
        let mut done = Done::Nothing;
        for ActingFault { fault, undo } in self.faults.iter().rev() {
            if undone(fault.kind()) && lies_on(fault, &node) {
                cluster.heal(undo).await?;
                done = Done::Acted;
            }
        }
        Ok(done)
    }

    /// The node that it is done to.
    fn node(&self, cluster: &dyn Cluster) -> Result<NodeName, NotDone> {
        let node = cluster.nodes().iter().find(|node| node.name.as_str() == self.target);
        node.map(|node| node.name.clone()).ok_or_else(|| NotDone(format!("{} is no node", self.target)))
    }

    /// The node that it is done to, which must have a role.
    pub(super) fn node_of(&self, role: &str, cluster: &dyn Cluster) -> Result<NodeName, NotDone> {
        let name = self.node(cluster)?;
        let fits = cluster.nodes().iter().any(|node| node.name == name && node.role == role);
        if fits { Ok(name) } else { Err(NotDone(format!("{name} is no {role} node"))) }
    }

    /// Starts the process of its target again, as the engine does it: one that runs is asked to end first. With the whole
    /// cluster as target, all nodes of the role are started whose process does not run.
    pub(super) async fn restart(&self, role: &str, cluster: &dyn Cluster) -> Result<Done, NotDone> {
        let mut nodes = Vec::new();
        if self.target == CLUSTER {
            for node in cluster.nodes().iter().filter(|node| node.role == role) {
                if cluster.process(&node.name).await? != ProcessState::Running {
                    nodes.push(node.name.clone());
                }
            }
            if nodes.is_empty() {
                return Err(NotDone(format!("every {role} node runs: it is not said which one to start again")));
            }
        } else {
            nodes.push(self.node_of(role, cluster)?);
        }
        for node in nodes {
            cluster.inject(&Fault::new(FaultKind::Restart, node)).await?;
        }
        Ok(Done::Acted)
    }
}

/// Which faults an action outside the system undoes; none if it is no such action.
fn undoes(action: &str) -> Option<fn(&FaultKind) -> bool> {
    use FaultKind::{BurnCpu, Freeze, LimitCpu, LimitDisk, LimitMemory, Pause, ShiftClock, SlowDisk};
    use FaultKind::{Delay, Disconnect, DnsFailure, FillDisk, LimitBandwidth, Loss, Partition, Reset};
    Some(match action {
        "resume_process" => |kind| matches!(kind, Pause | Freeze),
        "repair_network" => |kind| {
            matches!(
                kind,
                Partition { .. }
                    | Delay { .. }
                    | Loss { .. }
                    | LimitBandwidth { .. }
                    | Reset { .. }
                    | DnsFailure
                    | Disconnect
            )
        },
        "free_disk_space" => |kind| matches!(kind, FillDisk { .. }),
        "raise_resource_limit" => |kind| matches!(kind, LimitCpu { .. } | LimitMemory { .. } | BurnCpu { .. }),
        "fix_clock" => |kind| matches!(kind, ShiftClock { .. }),
        "replace_disk" => |kind| matches!(kind, SlowDisk { .. } | LimitDisk { .. }),
        _ => return None,
    })
}

/// Whether a fault is one of a node: it was done to it, or lies on the one link between it and the node that it was done to.
fn lies_on(fault: &Fault, node: &NodeName) -> bool {
    let other_end = match fault.kind() {
        FaultKind::Partition { from, .. } | FaultKind::Reset { from } => from.as_slice(),
        _ => &[],
    };
    fault.node() == Some(node) || other_end == [node.clone()]
}
