//! When each of many things next has something to do, so that nothing is looked at in vain.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// The times at which the items 0, 1, 2, … are due. A time may turn out to be too early: whoever takes the item finds
/// nothing to do, and sets it anew.
#[derive(Debug, Clone)]
pub(super) struct Agenda {
    queue: BinaryHeap<Reverse<(Duration, usize)>>,
    /// The earliest time in the queue, by item; an entry of another time is obsolete.
    earliest: Vec<Duration>,
}

impl Agenda {
    /// One for so many items, none of them due.
    pub(super) fn new(items: usize) -> Self {
        Self { queue: BinaryHeap::new(), earliest: vec![Duration::MAX; items] }
    }

    /// An item is due at this time, or earlier if that was set before; [`Duration::MAX`] is never.
    pub(super) fn set(&mut self, item: usize, due: Duration) {
        if item >= self.earliest.len() {
            self.earliest.resize(item + 1, Duration::MAX);
        }
        if due < self.earliest[item] {
            self.earliest[item] = due;
            self.queue.push(Reverse((due, item)));
        }
    }

    /// Takes the next item that is due, by time and then by number.
    pub(super) fn take(&mut self, now: Duration) -> Option<usize> {
        while let Some(Reverse((due, item))) = self.queue.peek().copied().filter(|Reverse((due, _))| *due <= now) {
            self.queue.pop();
            if self.earliest[item] == due {
                self.earliest[item] = Duration::MAX;
                return Some(item);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_once_in_the_order_of_their_earliest_times() {
        let seconds = Duration::from_secs;
        let mut agenda = Agenda::new(2);
        agenda.set(1, seconds(5));
        agenda.set(0, seconds(9));
        agenda.set(0, seconds(3));
        agenda.set(2, Duration::MAX);
        assert_eq!(agenda.take(seconds(2)), None);
        assert_eq!(agenda.take(seconds(10)), Some(0));
        assert_eq!(agenda.take(seconds(10)), Some(1));
        assert_eq!(agenda.take(seconds(10)), None);
        agenda.set(0, seconds(11));
        assert_eq!(agenda.take(seconds(11)), Some(0));
    }
}
