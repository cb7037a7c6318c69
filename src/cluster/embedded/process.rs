//! The life of a modelled process and of its link to the network. It knows nothing of what the process does.

use std::time::Duration;

use jiff::SignedDuration;

use crate::cluster::ProcessState;

/// Whether a process exists.
#[derive(Debug, Clone, Copy)]
enum Life {
    /// It runs since then.
    Running { since: Duration },
    /// It has ended, or was never started.
    Exited { at: Duration, code: i64, out_of_memory: bool },
}

/// A process, whether it is paused, and whether its node is cut off from all others and from the observer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    life: Life,
    /// Since when it is stopped by SIGSTOP.
    paused: Option<Duration>,
    /// Since when its node is cut off.
    cut: Option<Duration>,
    /// No packet reaches its node, though some of those that it sends still arrive.
    deaf: bool,
    /// How far the clock of its node is ahead.
    clock: SignedDuration,
}

impl Process {
    /// A process that was not started yet.
    pub(super) const NEW: Self = Self {
        life: Life::Exited { at: Duration::ZERO, code: 0, out_of_memory: false },
        paused: None,
        cut: None,
        deaf: false,
        clock: SignedDuration::ZERO,
    };

    /// Since when it runs, paused or not.
    pub(super) fn running_since(self) -> Option<Duration> {
        if let Life::Running { since } = self.life { Some(since) } else { None }
    }

    /// Whether it runs and does what it should.
    pub(super) fn acts(self) -> bool {
        self.running_since().is_some() && self.paused.is_none()
    }

    /// Whether it acts and others can hear of it.
    pub(super) fn reachable(self) -> bool {
        self.acts() && self.cut.is_none()
    }

    /// Whether who asks it waits in vain. A process that is gone refuses, but from a node that is cut off not even the
    /// refusal arrives.
    pub(super) fn hangs(self) -> bool {
        self.cut.is_some() || self.deaf || self.running_since().is_some() && self.paused.is_some()
    }

    /// Whether its node is cut off.
    pub(super) fn is_cut(self) -> bool {
        self.cut.is_some()
    }

    /// Since when nobody can hear of it; none if it is reachable, or has only just started.
    pub(super) fn silent_since(self) -> Option<Duration> {
        let gone = if let Life::Exited { at, .. } = self.life { Some(at) } else { None };
        [gone, self.paused, self.cut].into_iter().flatten().min()
    }

    /// Starts it. One that runs is left alone.
    pub(super) fn start(&mut self, now: Duration) {
        if self.running_since().is_none() {
            self.life = Life::Running { since: now };
        }
    }

    /// Ends it. One that has ended is left alone.
    pub(super) fn exit(&mut self, now: Duration, code: i64) {
        if self.running_since().is_some() {
            self.life = Life::Exited { at: now, code, out_of_memory: false };
            self.paused = None;
        }
    }

    /// It was the kernel that ended it, for want of memory.
    pub(super) fn ran_out_of_memory(&mut self) {
        if let Life::Exited { out_of_memory, .. } = &mut self.life {
            *out_of_memory = true;
        }
    }

    /// Stops it in its tracks. One that does not run is left alone.
    pub(super) fn pause(&mut self, now: Duration) {
        if self.acts() {
            self.paused = Some(now);
        }
    }

    /// Lets it go on.
    pub(super) fn resume(&mut self) {
        self.paused = None;
    }

    /// Cuts its node off.
    pub(super) fn cut(&mut self, now: Duration) {
        self.cut.get_or_insert(now);
    }

    /// Keeps all packets from its node.
    pub(super) fn deafen(&mut self) {
        self.deaf = true;
    }

    /// Whether no packet reaches its node.
    pub(super) fn is_deaf(self) -> bool {
        self.deaf
    }

    /// Connects its node again.
    pub(super) fn reconnect(&mut self) {
        self.cut = None;
        self.deaf = false;
    }

    /// How far the clock of its node is ahead; negative if it is behind.
    pub(super) fn clock(self) -> SignedDuration {
        self.clock
    }

    /// Sets the clock of its node.
    pub(super) fn set_clock(&mut self, ahead: SignedDuration) {
        self.clock = ahead;
    }

    /// What the machine says of it.
    pub(super) fn state(self) -> ProcessState {
        match self.life {
            Life::Running { .. } if self.paused.is_some() => ProcessState::Paused,
            Life::Running { .. } => ProcessState::Running,
            Life::Exited { code, out_of_memory, .. } => ProcessState::Exited { code, out_of_memory },
        }
    }
}
