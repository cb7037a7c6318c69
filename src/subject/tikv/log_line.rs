//! The unified log format of TiKV and PD: `[time] [LEVEL] [source] [message] [name=value]…`, where a token that contains
//! a space, a quote, an equals sign or a bracket is quoted as JSON (tikv/rfcs 2018-12-19; `tikv:components/tikv_util/src/logger/formatter.rs`).

use std::borrow::Cow;

use jiff::Timestamp;

/// What a line tells of, as far as an operator counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A replica wants to become leader (raft-rs: `src/raft.rs`).
    Election,
    /// A leader gave up for want of a majority (raft-rs: `src/raft.rs`).
    StepDown,
    /// A replica is sent, or fills itself from, a whole copy (`tikv:src/server/snap.rs`, `tikv:components/raftstore/src/store`).
    Snapshot,
    /// Something took longer than its limit for slow logs.
    SlowOperation,
    /// The disk is full or nearly so (`tikv:components/server/src/server.rs`; PD: `store does not have enough disk space`).
    DiskSpace,
    /// Another store cannot be reached (`tikv:src/server/raft_client.rs`).
    Unreachable,
}

/// Messages, or their beginnings, and what they tell of.
const BEGINNINGS: &[(&str, Event)] = &[
    ("starting a new election", Event::Election),
    ("stepped down to follower since quorum is not active", Event::StepDown),
    ("set_snapshot_meta", Event::Snapshot),
    ("sent snapshot", Event::Snapshot),
    ("begin apply snap data", Event::Snapshot),
    ("apply request took too long", Event::SlowOperation),
    ("slow fdatasync", Event::SlowOperation),
    ("leader failed to send out heartbeat on time", Event::SlowOperation),
    ("keep alive lease too slow", Event::SlowOperation),
    ("waiting for ReadIndex response took too long", Event::SlowOperation),
    ("min_matched < min_committed, this is likely caused by disk IO jitters", Event::SlowOperation),
    ("disk usage ", Event::DiskSpace),
    ("no available space", Event::DiskSpace),
    ("no enough disk space left", Event::DiskSpace),
    ("store does not have enough disk space", Event::DiskSpace),
    ("connection abort", Event::Unreachable),
    ("wait connect timeout", Event::Unreachable),
];

/// Parts of messages that begin with something else, such as `[store 4] async write too slow, …`.
const PARTS: &[(&str, Event)] = &[
    ("async write too slow", Event::SlowOperation),
    ("scheduler handle command", Event::SlowOperation),
    ("No space left on device", Event::DiskSpace),
];

/// What stands for a source that is not known.
const UNKNOWN_SOURCE: &str = "<unknown>";

/// A line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'l> {
    /// When it was written, by the clock of the process.
    pub(super) at: Timestamp,
    /// `DEBUG`, `INFO`, `WARN`, `ERROR` or `FATAL`.
    pub(super) level: &'l str,
    /// The file and the line of the program.
    pub(super) source: &'l str,
    /// What it says.
    pub(super) message: Cow<'l, str>,
    /// The named values, in their order.
    pub(super) fields: Vec<(Cow<'l, str>, Cow<'l, str>)>,
}

impl<'l> Line<'l> {
    /// Takes a line apart; none if it is not in the unified format.
    pub(super) fn parse(text: &'l str) -> Option<Self> {
        let (time, rest) = plain(text.trim_end())?;
        let at = Timestamp::strptime("%Y/%m/%d %H:%M:%S%.f %:z", time).ok()?;
        let (level, rest) = plain(rest.strip_prefix(' ')?)?;
        let (mut source, mut rest) = plain(rest.strip_prefix(' ')?)?;
        // A part of PD with a logger of its own, such as etcd's raft, puts its name first.
        if !source.contains(':') && source != UNKNOWN_SOURCE {
            (source, rest) = plain(rest.strip_prefix(' ')?)?;
        }
        let (message, rest) = token(rest.strip_prefix(" [")?, ']')?;
        let mut line = Self { at, level, source, message, fields: Vec::new() };
        let mut rest = rest.strip_prefix(']')?;
        while !rest.is_empty() {
            // PD writes a list of no fields so.
            if let Some(after) = rest.strip_prefix(" []") {
                rest = after;
                continue;
            }
            let (name, after) = token(rest.strip_prefix(" [")?, '=')?;
            let (value, after) = token(after.strip_prefix('=')?, ']')?;
            rest = after.strip_prefix(']')?;
            line.fields.push((name, value));
        }
        Some(line)
    }

    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_ref())
    }

    /// What it tells of, if it is something that is counted.
    pub(super) fn event(&self) -> Option<Event> {
        let beginning = BEGINNINGS.iter().find(|(text, _)| self.message.starts_with(text));
        beginning.or_else(|| PARTS.iter().find(|(text, _)| self.message.contains(text))).map(|(_, event)| *event)
    }
}

/// What stands between the brackets that the text begins with, and what follows them.
fn plain(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('[')?.split_once(']')
}

/// A token and what follows it, which begins with `end`.
fn token(text: &str, end: char) -> Option<(Cow<'_, str>, &str)> {
    if !text.starts_with('"') {
        let length = text.find(end)?;
        return Some((Cow::Borrowed(&text[..length]), &text[length..]));
    }
    let mut escaped = false;
    let length = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })? + 2;
    let (quoted, rest) = text.split_at(length);
    Some((Cow::Owned(serde_json::from_str(quoted).ok()?), rest))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let text = r#"[2026/01/13 14:08:50.123 +02:00] [INFO] [raft.rs:1271] ["became leader at \"term\" 7"] [term=7] ["a b"="[x=1, y]"]"#;
        let line = Line::parse(text).unwrap();
        assert_eq!(line.at, "2026-01-13T12:08:50.123Z".parse().unwrap());
        assert_eq!((line.level, line.source), ("INFO", "raft.rs:1271"));
        assert_eq!(line.message, "became leader at \"term\" 7");
        assert_eq!((line.field("term"), line.field("a b"), line.field("x")), (Some("7"), Some("[x=1, y]"), None));
    }

    #[test]
    fn what_is_not_in_the_format_is_not_read() {
        let good = "[2026/01/13 12:08:50.123 +00:00] [INFO] [raft.rs:1271] [word] [a=b]";
        assert!(Line::parse(good).is_some());
        for end in (1..good.len()).filter(|end| !good[..*end].trim_end().ends_with("[word]")) {
            assert_eq!(Line::parse(&good[..end]), None, "{}", &good[..end]);
        }
        let bad = ["", "Welcome", "[2026/13/13 12:08:50.123 +00:00] [INFO] [a] [b]", &format!("{good} more")];
        assert!(bad.iter().all(|text| Line::parse(text).is_none()));
    }

    #[test]
    fn messages_tell_of_events() {
        let event = |message: &str| {
            let text = format!("[2026/01/13 12:08:50.123 +00:00] [WARN] [a.rs:1] [{}]", written(message));
            Line::parse(&text).unwrap().event()
        };
        assert_eq!(event("starting a new election"), Some(Event::Election));
        assert_eq!(event("[store 4] async write too slow, write_kv: 1.2s"), Some(Event::SlowOperation));
        let full = "disk usage Normal->AlmostFull (raft engine usage: Normal, kv engine usage: AlmostFull)";
        assert_eq!(event(full), Some(Event::DiskSpace));
        assert_eq!(event("connection aborted"), Some(Event::Unreachable));
        assert_eq!(event("became follower at term 7"), None);
    }

    /// The whole log of a recording, without the names of the nodes.
    fn recorded(name: &str) -> Vec<String> {
        let path = format!("{}/fixtures/recordings/{name}.log.gz", env!("CARGO_MANIFEST_DIR"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        text.lines().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn every_recorded_line_is_read() {
        let folder = format!("{}/fixtures/recordings", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = files.filter_map(|file| file.strip_suffix(".log.gz").map(str::to_owned)).collect();
        let lines: Vec<String> = names.iter().flat_map(|name| recorded(name)).collect();
        let (read, unread): (Vec<&String>, Vec<&String>) = lines.iter().partition(|text| Line::parse(text).is_some());
        assert!(read.len() > 9_000, "{}", read.len());
        // One recording ends in the middle of a line.
        assert_eq!(unread, ["[2026/11/23 13:57:27.695 +00:00] [INFO] [raft_client.rs:1615] [\""]);
        let levels = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
        assert!(read.iter().all(|text| levels.contains(&Line::parse(text).unwrap().level)));
    }

    #[test]
    fn a_store_without_a_majority_is_told_by_its_log() {
        let lines = recorded("store-quorum-loss");
        let count = |event| lines.iter().filter(|text| Line::parse(text).unwrap().event() == Some(event)).count();
        assert_eq!(count(Event::StepDown), lines.iter().filter(|text| text.contains("quorum is not active")).count());
        assert!(count(Event::StepDown) > 0 && count(Event::Election) > 50 && count(Event::Unreachable) > 2);
        assert_eq!(count(Event::DiskSpace), 0);
    }

    /// A token as TiKV writes it.
    fn written(text: &str) -> String {
        if text.bytes().any(|byte| byte <= 0x20 || b"\"=[]".contains(&byte)) {
            serde_json::Value::from(text).to_string()
        } else {
            text.to_owned()
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            milliseconds in 0_i64..4_102_444_800_000,
            minutes in -14 * 60_i32..=14 * 60,
            message in any::<String>(),
            fields in prop::collection::vec((any::<String>(), any::<String>()), 0..5),
        ) {
            let at = Timestamp::from_millisecond(milliseconds).unwrap();
            let local = jiff::tz::Offset::from_seconds(minutes * 60).unwrap().to_datetime(at);
            let sign = if minutes < 0 { '-' } else { '+' };
            let zone = format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            let time = format!("{} {zone}", local.strftime("%Y/%m/%d %H:%M:%S%.3f"));
            let mut text = format!("[{time}] [INFO] [a.rs:1] [{}]", written(&message));
            for (name, value) in &fields {
                text += &[" [", &written(name), "=", &written(value), "]"].concat();
            }
            let line = Line::parse(&text).unwrap();
            prop_assert_eq!(line.at, at);
            prop_assert_eq!(line.message, message);
            let own: Vec<(String, String)> =
                line.fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            prop_assert_eq!(own, fields);
        }
    }
}
