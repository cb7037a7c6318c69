//! The process of a runner, written down so that another process can tell later whether it is still there.

use std::fs;
use std::io;
use std::process::Command;

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// A process of this program. Its number alone would not do: numbers are used again, and each container has its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// The machine's host name.
    pub host: String,
    /// Which start of the machine it is (Linux, `/proc/sys/kernel/random/boot_id`).
    pub boot: Option<String>,
    /// The namespace that the process has its number in (Linux, `/proc/self/ns/pid`).
    pub namespace: Option<String>,
    /// Its number.
    pub process: u32,
    /// When it started, in the words of its system: clock ticks since the machine's start on Linux, else a date.
    pub start: String,
}

/// Whether a runner is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It is.
    Alive,
    /// It has ended, for sure.
    Gone,
    /// It can't be told from here, with the reason.
    Unknown(String),
}

/// What can be seen of a process.
enum Seen {
    /// It runs since then.
    Since(String),
    Ended,
    Hidden(String),
}

impl Runner {
    /// This process.
    pub fn current() -> io::Result<Self> {
        let process = std::process::id();
        let Seen::Since(start) = look_at(process) else {
            return Err(io::Error::other("the system does not tell when this process started"));
        };
        Ok(Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned()),
            namespace: fs::read_link("/proc/self/ns/pid").ok().map(|link| link.to_string_lossy().into_owned()),
            process,
            start,
        })
    }

    /// Whether it is still there, as far as this process can tell.
    #[must_use]
    pub fn life(&self) -> Life {
        match Self::current() {
            Ok(here) => self.life_as_seen_by(&here),
            Err(error) => Life::Unknown(error.to_string()),
        }
    }

    fn life_as_seen_by(&self, here: &Self) -> Life {
        if self.host != here.host {
            return Life::Unknown(format!("its process ran on {}, and this is {}", self.host, here.host));
        }
        if self.boot != here.boot && self.boot.is_some() && here.boot.is_some() {
            // The machine was started anew since.
            return Life::Gone;
        }
        if (&self.boot, &self.namespace) != (&here.boot, &here.namespace) {
            return Life::Unknown(format!("its process {} belongs to another container or system", self.process));
        }
        match look_at(self.process) {
            Seen::Since(start) if start == self.start => Life::Alive,
            // Its number is another process' now.
            Seen::Since(_) | Seen::Ended => Life::Gone,
            Seen::Hidden(reason) => Life::Unknown(reason),
        }
    }
}

fn look_at(process: u32) -> Seen {
    let found = if cfg!(target_os = "linux") { from_proc(process) } else { from_ps(process) };
    found.unwrap_or_else(|| {
        // Nothing is shown of it: it has ended, or it belongs to a user whose processes are hidden (`hidepid`).
        match i32::try_from(process).ok().and_then(Pid::from_raw).map(test_kill_process) {
            Some(Err(rustix::io::Errno::SRCH)) | None => Seen::Ended,
            Some(_) => Seen::Hidden(format!("process {process} is there, but hidden from this user")),
        }
    })
}

/// `/proc/PID/stat`: the name in parentheses, which may hold any character, then the state; the start is field 22
/// (`man 5 proc`).
fn from_proc(process: u32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    // Whose parent has not asked for its exit code yet is listed, but has ended.
    if ["Z", "X"].contains(&state) { Some(Seen::Ended) } else { Some(Seen::Since(fields.nth(18)?.to_owned())) }
}

/// `ps`, where there is no `/proc`.
fn from_ps(process: u32) -> Option<Seen> {
    let mut ps = Command::new("ps");
    ps.args(["-o", "stat=,lstart=", "-p", &process.to_string()]).env("LC_ALL", "C").env("TZ", "UTC");
    let output = ps.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (state, start) = text.split_once(' ')?;
    if state.starts_with('Z') { Some(Seen::Ended) } else { Some(Seen::Since(start.trim().to_owned())) }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn here() -> Runner {
        Runner::current().unwrap()
    }

    #[test]
    fn this_process_is_alive_and_is_kept_whole() {
        let text = serde_json::to_string(&here()).unwrap();
        assert_eq!(serde_json::from_str::<Runner>(&text).unwrap().life(), Life::Alive);
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        assert_eq!(Runner { start: "1".to_owned(), ..here() }.life(), Life::Gone);
    }

    #[test]
    fn a_process_that_has_ended_is_gone_before_its_parent_knows() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let Seen::Since(start) = look_at(child.id()) else { panic!("it runs") };
        let runner = Runner { process: child.id(), start, ..here() };
        assert_eq!(runner.life(), Life::Alive);
        child.kill().unwrap();
        // Its output ends when it does, or a moment before.
        std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut Vec::new()).unwrap();
        while runner.life() == Life::Alive {
            std::thread::yield_now();
        }
        assert_eq!(runner.life(), Life::Gone, "nobody has waited for it");
        child.wait().unwrap();
        assert_eq!(runner.life(), Life::Gone);
    }

    #[test]
    fn what_is_out_of_sight_is_unknown_and_a_new_start_of_the_machine_ends_all() {
        let other = |text: &str| Some(text.to_owned());
        let elsewhere = Runner { host: "elsewhere".to_owned(), boot: other("1"), ..here() };
        assert!(matches!(elsewhere.life(), Life::Unknown(reason) if reason.contains("ran on elsewhere")));
        let contained = Runner { namespace: other("pid:[1]"), ..here() };
        assert!(matches!(contained.life(), Life::Unknown(reason) if reason.contains("another container")));
        if here().boot.is_some() {
            assert_eq!(Runner { boot: other("1"), namespace: other("pid:[1]"), ..here() }.life(), Life::Gone);
            assert!(matches!(Runner { boot: None, ..here() }.life(), Life::Unknown(_)));
        }
    }

    #[test]
    fn ps_tells_the_same_each_time() {
        let start = |seen: Option<Seen>| match seen {
            Some(Seen::Since(start)) => start,
            _ => panic!("this process runs"),
        };
        let process = std::process::id();
        assert_eq!(start(from_ps(process)), start(from_ps(process)));
        assert!(from_ps(u32::MAX).is_none());
    }
}
