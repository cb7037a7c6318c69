//! Operators at work: at most one for a region, told to its leader step by step and carried out by it, then kept for a
//! while as a record (`pd:pkg/schedule/operator/operator_controller.go`).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::super::bodies::APPROXIMATE_SIZE;
use super::super::lines as cluster_lines;
use super::super::merge;
use super::super::model::{Model, Place, STEP};
use super::super::region::{Region, Role};
use super::super::split;
use super::lines;
use super::operator::{Kind, Operator, PeerAt, Status, Step};

/// How long finished operators are remembered (`operator/status_tracker.go`, `StatusRecordTimeout`... `10 min`).
const KEPT: Duration = Duration::from_mins(10);
/// How long the steps take, in seconds (fixtures/recordings/baseline-metrics.prom.gz,
/// `pd_schedule_finish_operator_steps_duration_seconds`: transfers 0.053 on average, learners 0.136, promotions 0.017,
/// splits 0.011; joint states as long as in remedy-unsafe-recovery.log.gz).
const TRANSFER: Range<f64> = 0.012..0.093;
const LEARNER: Range<f64> = 0.1..0.172;
const CONF_CHANGE: Range<f64> = 0.01..0.024;
const SPLIT: Range<f64> = 0.008..0.014;
/// That of a merge, which is an entry in either of two logs, is a figure of the model.
const MERGE: Range<f64> = 0.02..0.048;
/// A snapshot's speed, in MiB a second (`tikv:src/server/config.rs`, `snap-io-max-bytes-per-sec`).
const SNAPSHOT_SPEED: f64 = 100.0;

/// What is wanted of a region.
#[derive(Debug)]
pub(in super::super) struct Order {
    pub(in super::super) desc: &'static str,
    pub(in super::super) brief: String,
    pub(in super::super) region: usize,
    pub(in super::super) kind: Kind,
    pub(in super::super) steps: Vec<Step>,
}

/// The operators that run and those that ran.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Operators {
    /// By the index of the region.
    running: BTreeMap<usize, Operator>,
    /// The oldest first.
    records: VecDeque<Operator>,
}

impl Operators {
    /// The one of a region.
    pub(in super::super) fn of_region(&self, region: usize) -> Option<&Operator> {
        self.running.get(&region)
    }

    /// Those that run.
    pub(in super::super) fn running(&self) -> impl Iterator<Item = &Operator> {
        self.running.values()
    }

    /// How many run that include this.
    pub(in super::super) fn count(&self, kind: Kind) -> u64 {
        self.running.values().filter(|operator| operator.kind.has(kind)).count() as u64
    }

    /// Those that have come to their end since a time, the oldest first.
    pub(in super::super) fn records(&self, since: Duration) -> impl Iterator<Item = &Operator> {
        self.records.iter().filter(move |operator| operator.finished.is_some_and(|finished| finished >= since))
    }
}

/// How large PD takes a region for, in MiB.
pub(in super::super) fn region_size(_: &Region) -> u64 {
    APPROXIMATE_SIZE
}

/// Orders something of a region. It comes to nothing if PD does not know a leader of it, has something else under way
/// with it that is not to be replaced, or has reached a store's limit.
pub(in super::super) fn add(model: &mut Model, order: Order, now: Duration) -> bool {
    let Order { desc, brief, region, kind, steps } = order;
    let Some(pd) = model.leadership.leader() else { return false };
    let known = &model.regions[region];
    if known.known_leader.is_none() {
        return false;
    }
    if let Some(running) = model.schedule.operators.of_region(region) {
        if !kind.has(Kind::ADMIN) || running.kind.has(Kind::ADMIN) {
            return false;
        }
        end(model, region, Status::Canceled, now);
    }
    let (id, epoch, size) =
        (known_id(model, region), epoch(&model.regions[region]), region_size(&model.regions[region]));
    if !super::limits::take(model, &steps, size, now) {
        count(model, desc, "exceed-limit");
        return false;
    }
    let operator = Operator {
        desc,
        brief,
        region,
        region_id: id,
        epoch,
        kind,
        steps,
        current: 0,
        size,
        created: now,
        finished: None,
        status: Status::Started,
        step_done: None,
        pd_started: model.members[pd].process.running_since().unwrap_or_default(),
    };
    lines::added(&mut model.log, now, &model.members[pd].name, &operator);
    lines::sent(&mut model.log, now, &model.members[pd].name, &operator, "create");
    for event in ["create", "start"] {
        count(model, desc, event);
    }
    model.schedule.operators.running.insert(region, operator);
    true
}

fn known_id(model: &Model, region: usize) -> u64 {
    model.regions[region].id
}

fn epoch(region: &Region) -> (u64, u64) {
    (region.version, region.conf_ver)
}

/// Counts for `pd_schedule_operators_count`.
fn count(model: &mut Model, desc: &'static str, event: &'static str) {
    if let Some(leader) = model.leadership.leader() {
        *model.metrics.members[leader].operators.entry((event, desc)).or_default() += 1;
    }
}

/// Takes an operator away before its end.
pub(in super::super) fn cancel(model: &mut Model, region: usize, now: Duration) -> bool {
    let running = model.schedule.operators.running.contains_key(&region);
    end(model, region, Status::Canceled, now);
    running
}

/// Has an operator done at once, where whoever ordered it waits for it.
pub(in super::super) fn rush(model: &mut Model, region: usize, now: Duration) {
    advance(model, region, now);
    if let Some(operator) = model.schedule.operators.running.get_mut(&region) {
        operator.step_done = operator.step_done.map(|_| now);
    }
    advance(model, region, now);
}

fn end(model: &mut Model, region: usize, status: Status, at: Duration) {
    let Some(mut operator) = model.schedule.operators.running.remove(&region) else { return };
    operator.status = status;
    operator.finished = Some(at);
    if let Some(leader) = model.leadership.leader() {
        lines::ended(&mut model.log, at, &model.members[leader].name, &operator);
    }
    let event = match status {
        Status::Success => "finish",
        Status::Timeout => "timeout",
        Status::Canceled | Status::Started => "cancel",
    };
    count(model, operator.desc, event);
    count(model, operator.desc, "remove");
    model.schedule.patrol.look_again();
    model.schedule.operators.records.push_back(operator);
}

/// The region of an operator has become part of another, so that nobody can tell PD that it is done.
fn disappear(model: &mut Model, region: usize, at: Duration) {
    let Some(operator) = model.schedule.operators.of_region(region) else { return };
    let desc = operator.desc;
    if let Some(leader) = model.leadership.leader() {
        lines::disappeared(&mut model.log, at, &model.members[leader].name, operator);
    }
    count(model, desc, "disappear");
    end(model, region, Status::Canceled, at);
}

/// Moves every operator on as far as it gets.
pub(super) fn step(model: &mut Model, now: Duration) {
    let regions: Vec<usize> = model.schedule.operators.running.keys().copied().collect();
    for region in regions {
        advance(model, region, now);
    }
    let records = &mut model.schedule.operators.records;
    while records.front().and_then(|oldest| oldest.finished).is_some_and(|finished| now > finished + KEPT) {
        records.pop_front();
    }
}

fn advance(model: &mut Model, region: usize, now: Duration) {
    let Some(created) = model.schedule.operators.of_region(region).map(|operator| operator.created) else { return };
    let mut at = created;
    while let Some(operator) = model.schedule.operators.of_region(region) {
        if model.regions[region].is_merged() {
            return disappear(model, region, at);
        }
        let Some(step) = operator.steps.get(operator.current).cloned() else {
            return end(model, region, Status::Success, at);
        };
        if is_stale(model, region, &step) {
            return end(model, region, Status::Canceled, now);
        }
        if now >= operator.created + operator.timeout() {
            return end(model, region, Status::Timeout, now);
        }
        let (current, step_done) = (operator.current, operator.step_done);
        match step_done {
            None if !can_begin(model, region) => return,
            None => {
                let begun = if current == 0 { created } else { at };
                let done = begin(model, region, &step, begun);
                if let Some(operator) = model.schedule.operators.running.get_mut(&region) {
                    operator.step_done = Some(done);
                }
            }
            Some(done) if done > now => return,
            Some(done) => {
                // What had to wait for something happens now.
                at = if done + STEP > now { done } else { now };
                if !carry_out(model, region, &step, at) {
                    return;
                }
                if let Some(operator) = model.schedule.operators.running.get_mut(&region) {
                    operator.current += 1;
                    operator.step_done = None;
                    if let Some(leader) = model.leadership.leader() {
                        lines::sent(&mut model.log, at, &model.members[leader].name, operator, "heartbeat");
                    }
                }
            }
        }
    }
}

/// Whether a step has lost its sense: the leader that should hand over leads no more, or two regions cannot become one any
/// more.
fn is_stale(model: &Model, region: usize, step: &Step) -> bool {
    match step {
        Step::TransferLeader { from, to } => {
            let leader = model.regions[region].known_leader_store();
            leader != Some(from.store) && !to.iter().any(|to| leader == Some(to.store))
        }
        Step::Merge { source: (source, _), .. } if *source != region && model.regions[*source].is_merged() => false,
        Step::Merge { source: (source, _), target: (target, _) } => {
            let ordered =
                |region| model.schedule.operators.of_region(region).is_some_and(|own| own.kind.has(Kind::MERGE));
            !merge::fit_together(model, *source, *target) || !ordered(*source) || !ordered(*target)
        }
        _ => false,
    }
}

/// Whether the leader hears what PD wants of it.
fn can_begin(model: &Model, region: usize) -> bool {
    model.regions[region].leader_store().is_some_and(|store| model.links[store].serves.is_ok())
}

/// The leader begins with a step. Returns when it will be done.
fn begin(model: &mut Model, region: usize, step: &Step, at: Duration) -> Duration {
    let range = match step {
        Step::TransferLeader { .. } => TRANSFER,
        Step::AddLearner { .. } => LEARNER,
        Step::Split { .. } => SPLIT,
        Step::Merge { .. } => MERGE,
        _ => CONF_CHANGE,
    };
    let mut takes = range.start + (range.end - range.start) * model.random.f64();
    if let Step::AddLearner { peer, to } = step {
        #[expect(clippy::cast_precision_loss, reason = "sizes of regions are small")]
        let size = region_size(&model.regions[region]).saturating_sub(APPROXIMATE_SIZE) as f64;
        takes += size / SNAPSHOT_SPEED;
        let done = at + Duration::from_secs_f64(takes);
        change_peers(model, region, at, |region| region.add_learner(*peer, to.store, done));
        return done;
    }
    at + Duration::from_secs_f64(takes)
}

/// The leader does what is due, if it can. Returns whether it could.
fn carry_out(model: &mut Model, region: usize, step: &Step, at: Duration) -> bool {
    let known = &model.regions[region];
    let swap = |model: &mut Model, (_, to): &PeerAt, (_, from): &PeerAt, roles: [Role; 2]| {
        change_peers(model, region, at, |region| {
            region.set_role(to.store, roles[0]);
            region.set_role(from.store, roles[1]);
        });
    };
    match step {
        Step::TransferLeader { to, .. } => {
            if to.iter().any(|to| known.known_leader_store() == Some(to.store)) {
                return true;
            }
            let heard = |store: usize| {
                known.leader_store().is_some_and(|leader| model.talk(Place::Tikv(leader), Place::Tikv(store)))
            };
            // One that is about to end takes none, so that its clients feel nothing, as recorded of graceful restarts.
            let can_lead = |store: usize| {
                model.stores[store].connected
                    && model.stores[store].shutdown.is_none()
                    && heard(store)
                    && known.peer_on(store).is_some_and(|peer| !known.peers[peer].lagging)
            };
            let fitting: Vec<usize> = to.iter().map(|to| to.store).filter(|store| can_lead(*store)).collect();
            if known.leader_store() != known.known_leader_store() {
                return false;
            }
            let Some(winner) = model.random.choice(fitting) else { return false };
            hand_over(model, region, winner, at);
            return true;
        }
        Step::AddLearner { to, .. } => {
            return known.peer_on(to.store).is_some_and(|peer| !known.peers[peer].lagging);
        }
        _ if !can_begin(model, region) || !known.has_quorum(&model.links) => return false,
        Step::PromoteLearner { on, .. } => {
            change_peers(model, region, at, |region| region.set_role(on.store, Role::Voter));
        }
        Step::EnterJoint { promote, demote } => {
            swap(model, promote, demote, [Role::IncomingVoter, Role::DemotingVoter]);
        }
        Step::LeaveJoint { promote, demote } => swap(model, promote, demote, [Role::Voter, Role::Learner]),
        Step::RemovePeer { from } => change_peers(model, region, at, |region| region.remove_peer(from.store)),
        Step::Split { keys } => split::carry_out(model, region, keys, at),
        Step::Merge { source: (source, _), .. } if *source != region => return model.regions[*source].is_merged(),
        Step::Merge { source: (source, _), target: (target, _) } => merge::carry_out(model, *source, *target, at),
    }
    true
}

/// The leader of a region hands over to the peer on a store, and PD hears of it.
pub(super) fn hand_over(model: &mut Model, index: usize, winner: usize, at: Duration) {
    let region = &mut model.regions[index];
    let (Some(leader), Some(peer)) = (region.leader, region.peer_on(winner)) else { return };
    let (from, store) = (&model.stores[region.peers[leader].store], &model.stores[winner]);
    let to = (region.peers[peer].id, store.id);
    cluster_lines::transferring(&mut model.log, at, from, region, region.peers[leader].id, to);
    region.lead(peer, at, &model.links);
    cluster_lines::elected(&mut model.log, at, store, region, to.0);
    model.report_region(index, at);
    model.agenda.set(index, model.regions[index].next_heartbeat);
}

/// The group of a region changes, and PD hears of it at once.
pub(in super::super) fn change_peers(model: &mut Model, index: usize, at: Duration, change: impl FnOnce(&mut Region)) {
    let before = model.regions[index].clone();
    change(&mut model.regions[index]);
    let after = &model.regions[index];
    if let Some(leader) = model.leadership.leader().filter(|_| after.conf_ver != before.conf_ver) {
        let of = |region: &Region| -> Vec<String> {
            region.peers.iter().map(|peer| peer_text(model, peer.id, peer.store, peer.role)).collect()
        };
        let (old, new) = (of(&before), of(after));
        let gone = old.iter().filter(|peer| !new.contains(peer)).map(|peer| format!("Remove peer:{peer}"));
        let come = new.iter().filter(|peer| !old.contains(peer)).map(|peer| format!("Add peer:{peer}"));
        let detail = gone.chain(come).collect::<Vec<_>>().join(",");
        let (id, versions) = (after.id, (before.conf_ver, after.conf_ver));
        lines::peers_changed(&mut model.log, at, &model.members[leader].name, id, &detail, versions);
    }
    model.report_region(index, at);
    model.agenda.set(index, at);
}

/// A peer as protobuf prints it in PD's log.
fn peer_text(model: &Model, id: u64, store: usize, role: Role) -> String {
    let role = match role {
        Role::Voter => "",
        Role::Learner => "role:Learner ",
        Role::IncomingVoter => "role:IncomingVoter ",
        Role::DemotingVoter => "role:DemotingVoter ",
    };
    format!("{{id:{id} store_id:{} {role}}}", model.stores[store].id)
}
