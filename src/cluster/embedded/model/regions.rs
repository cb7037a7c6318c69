//! How regions move on: each when it has something to do.

use std::time::Duration;

use super::super::lines;
use super::super::region::Change;
use super::{Model, STEP};

impl Model {
    /// Does what is due of the regions.
    pub(super) fn step_regions(&mut self, now: Duration) {
        let pd_reached = self.pd_serves(now);
        if std::mem::replace(&mut self.pd_reached, pd_reached) != pd_reached {
            self.refresh_links();
        }
        if std::mem::take(&mut self.all_regions_due) {
            (0..self.regions.len()).for_each(|index| self.agenda.set(index, self.region_due(index)));
        }
        while let Some(index) = self.agenda.take(now) {
            self.step_region(index, now);
            let next = self.region_due(index).max(now + STEP);
            self.agenda.set(index, next);
        }
    }

    fn region_due(&self, region: usize) -> Duration {
        self.regions[region].due(self.region_reaches_pd(region), |store| self.stores[store].acts())
    }

    /// Whether the leader of a region can report to PD.
    fn region_reaches_pd(&self, region: usize) -> bool {
        self.pd_reached && self.regions[region].leader_store().is_some_and(|store| self.links[store].reaches_pd)
    }

    fn step_region(&mut self, index: usize, now: Duration) {
        if let Some((at, change)) = self.regions[index].change
            && now >= at
        {
            self.change_leader(index, at, change);
        }
        let arrived = self.regions[index].take_snapshots(now, &self.links);
        if arrived {
            self.regions[index].next_heartbeat = now;
        }
        if now >= self.regions[index].next_heartbeat && self.region_reaches_pd(index) {
            self.report_region(index, now);
        }
        self.step_lonely_peers(index, now);
    }

    fn change_leader(&mut self, region: usize, at: Duration, change: Change) {
        self.load.touch();
        let region = &mut self.regions[region];
        match change {
            Change::Elect(winner) => {
                region.lead(winner, at, &self.links);
                let peer = &region.peers[winner];
                lines::elected(&mut self.log, at, &self.stores[peer.store], region, peer.id);
            }
            Change::StepDown => {
                if let Some(leader) = region.step_down(at, &mut self.random) {
                    let peer = &region.peers[leader];
                    lines::stepped_down(&mut self.log, at, &self.stores[peer.store], region, peer.id);
                }
            }
        }
    }

    /// The peers of a region that hear neither a leader nor a quorum: a leader steps down, the others ask for votes.
    fn step_lonely_peers(&mut self, region: usize, now: Duration) {
        let (region, stores) = (&mut self.regions[region], &self.stores);
        let acts = |store: usize| stores[store].acts();
        if let Some(index) = region.step_down_unheard(now, acts, &mut self.random) {
            let peer = &region.peers[index];
            lines::stepped_down(&mut self.log, now, &stores[peer.store], region, peer.id);
        }
        while let Some((index, at)) = region.next_campaign(now, acts, &mut self.random) {
            lines::campaign(&mut self.log, at, &stores[region.peers[index].store], region, index);
            for denier in region.deniers(index, &self.links) {
                let here = &stores[region.peers[denier].store];
                // A follower has heard the leader less than two ticks ago.
                let remaining = if region.leader == Some(denier) { 10 } else { 10 - self.random.u32(0..2) };
                lines::network::vote_ignored(&mut self.log, at, here, region, (denier, index), remaining);
            }
        }
    }

    /// A region's leader sends its heartbeat to PD.
    pub(in super::super) fn report_region(&mut self, region: usize, now: Duration) {
        self.metrics.region_reported(self.leadership.leader(), self.regions[region].leader_store());
        let flow = self.load.report_region(region, self.regions[region].leader_store(), now);
        let region = &mut self.regions[region];
        region.flow = flow;
        if let Some((from, to)) = region.report(now, &self.links)
            && let Some(leader) = self.leadership.leader()
        {
            let pd = &self.members[leader].name;
            lines::leader_changed(&mut self.log, now, pd, region.id, self.stores[from].id, self.stores[to].id);
        }
    }
}
