//! The log lines of the modelled processes, in the unified format of TiKV and PD
//! (`tikv:components/tikv_util/src/logger/formatter.rs`). Messages, fields, levels and sources are those of `fixtures/recordings/store-kill.log.gz`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Display, Write as _};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::instant;
use crate::cluster::LogLine;
use crate::reading::NodeName;

/// How many lines are kept; the oldest go first. Half an hour with a dead store has about 900.
const KEPT_LINES: usize = 10_000;

/// The level and the source line of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin(pub(super) &'static str, pub(super) &'static str);

/// The named values behind a message.
pub(super) type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

/// What the processes wrote, in the order of the events.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    lines: VecDeque<LogLine>,
    /// How far the clocks of nodes are ahead, where they are not right.
    clocks: BTreeMap<NodeName, SignedDuration>,
}

impl Log {
    /// The clock of a node is so far ahead.
    pub(super) fn set_clock(&mut self, node: &NodeName, ahead: SignedDuration) {
        self.clocks.insert(node.clone(), ahead);
    }

    /// Writes a line.
    pub(super) fn write(&mut self, at: Duration, node: &NodeName, origin: Origin, message: &str, fields: Fields) {
        let Origin(level, source) = origin;
        let shown = self.clocks.get(node).map_or(instant(at), |ahead| instant(at) + *ahead);
        let mut text =
            format!("[{}] [{level}] [{source}] [{}]", shown.strftime("%Y/%m/%d %H:%M:%S.%3f +00:00"), token(message));
        for (name, value) in fields {
            let written = write!(text, " [{}={}]", token(name), token(&value.to_string()));
            debug_assert!(written.is_ok(), "a String takes every write");
        }
        self.write_text(at, node, text);
    }

    /// Writes a line that has a form of its own.
    pub(super) fn write_text(&mut self, at: Duration, node: &NodeName, text: String) {
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(LogLine { at: instant(at), node: node.clone(), text });
    }

    /// Whether a node has written such a message.
    pub(super) fn has(&self, node: &NodeName, message: &str) -> bool {
        let message = format!("[{}]", token(message));
        self.lines.iter().any(|line| line.node == *node && line.text.contains(&message))
    }

    /// The lines since a time, oldest first.
    pub(super) fn since(&self, since: Timestamp) -> Vec<LogLine> {
        let mut lines: Vec<LogLine> = self.lines.iter().filter(|line| line.at >= since).cloned().collect();
        lines.sort_by_key(|line| line.at);
        lines
    }
}

/// A token is quoted as JSON if and only if it contains a byte ≤ 0x20, `"`, `=`, `[` or `]`.
fn token(text: &str) -> String {
    if text.bytes().any(|byte| byte <= 0x20 || b"\"=[]".contains(&byte)) {
        serde_json::Value::from(text).to_string()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_as_the_recorded_one() {
        let mut log = Log::default();
        let origin = Origin("INFO", "raft.rs:1271");
        let fields: Fields = &[("term", &7), ("to", &"[20, 13]")];
        log.write(Duration::from_millis(61_002), &"tikv0".into(), origin, "became leader at term 7", fields);
        let expected = r#"[2026/01/01 00:01:01.002 +00:00] [INFO] [raft.rs:1271] ["became leader at term 7"] [term=7] [to="[20, 13]"]"#;
        assert_eq!(log.since(Timestamp::MIN)[0].text, expected);
    }
}
