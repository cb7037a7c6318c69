//! A region that becomes part of a neighbour. It stays in its place as one without peers, so that no other changes its
//! number: nobody leads it, PD does not know it, and it has no keys.

use super::{Flow, Region};

/// What a region hands over.
#[derive(Debug)]
pub(in super::super) struct Range {
    start_key: String,
    end_key: String,
    active: bool,
}

impl Region {
    /// Whether it has become part of another.
    pub(in super::super) fn is_merged(&self) -> bool {
        self.peers.is_empty()
    }

    /// It is no more. Returns its version, raised once more by the preparation, and what it had.
    pub(in super::super) fn give_up(&mut self) -> (u64, Range) {
        self.version += 1;
        // One of the two is the bound to a neighbour, hence not empty.
        let bound = if self.start_key.is_empty() { self.end_key.clone() } else { self.start_key.clone() };
        let range = Range {
            start_key: std::mem::replace(&mut self.start_key, bound.clone()),
            end_key: std::mem::replace(&mut self.end_key, bound),
            active: std::mem::take(&mut self.active),
        };
        self.peers.clear();
        (self.leader, self.unheard, self.change) = (None, None, None);
        (self.known_leader, self.reported, self.flow) = (None, false, Flow::default());
        (self.version, range)
    }

    /// It takes over what a neighbour had.
    pub(in super::super) fn absorb(&mut self, version: u64, range: Range) {
        self.version = self.version.max(version) + 1;
        self.active |= range.active;
        if range.end_key == self.start_key {
            self.start_key = range.start_key;
        } else {
            self.end_key = range.end_key;
        }
    }
}
