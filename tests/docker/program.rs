//! The program as a person calls it: its lines as they come, signals to it, and what it leaves behind.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use operator_run::run::RunRecord;
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::engine::{Engine, left_of, remove_all_of};

/// The scenario of the repository that runs on Docker.
pub(crate) const SCENARIO: &str = "scenarios/etcd-member-down.yaml";
/// How long anything may take that is waited for, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

/// A folder for all that the program writes: its database, its temporary files, scenarios of a test's own.
pub(crate) struct Folder(TempDir);

/// What the database says of one run.
pub(crate) struct Kept {
    pub(crate) run: String,
    pub(crate) verdict: Option<String>,
    pub(crate) record: Option<RunRecord>,
    /// How many faults are in the journal.
    pub(crate) faults: u32,
    /// How many of them are not healed.
    pub(crate) unhealed: u32,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.temporary()).unwrap();
        folder
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.path().join("operator-run.db")
    }

    /// Where the program keeps its temporary files.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.0.path().join("tmp")
    }

    /// The repository's scenario of etcd with one part of its text put in another's place.
    pub(crate) fn scenario_with(&self, part: &str, instead: &str) -> PathBuf {
        self.scenario_from(SCENARIO, part, instead)
    }

    /// One of the repository's scenarios with one part of its text put in another's place.
    pub(crate) fn scenario_from(&self, scenario: &str, part: &str, instead: &str) -> PathBuf {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(scenario)).unwrap();
        assert!(text.contains(part), "{scenario} does not contain {part:?} any more");
        let path = self.0.path().join("scenario.yaml");
        fs::write(&path, text.replace(part, instead)).unwrap();
        path
    }

    /// What the database says of each run in it.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        if !self.database().exists() {
            return Vec::new();
        }
        let database = Connection::open(self.database()).unwrap();
        let mut query = database
            .prepare(
                "SELECT id, verdict, record, (SELECT count(*) FROM injections WHERE run = runs.id),
                        (SELECT count(*) FROM injections WHERE run = runs.id AND healed_at IS NULL) FROM runs",
            )
            .unwrap();
        let rows = query.query_map([], |row| {
            let record = row.get::<_, Option<String>>(2)?;
            Ok(Kept {
                run: row.get(0)?,
                verdict: row.get(1)?,
                record: record.map(|record| serde_json::from_str(&record).unwrap()),
                faults: row.get(3)?,
                unhealed: row.get(4)?,
            })
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// What the database says of the one run in it.
    pub(crate) fn only_run(&self) -> Kept {
        let mut kept = self.kept();
        assert_eq!(kept.len(), 1, "runs in the database");
        kept.remove(0)
    }

    /// Nothing of any run is left: no process, nothing on the engine, in the journal and among the temporary files.
    pub(crate) fn assert_nothing_left(&self) {
        for kept in self.kept() {
            assert_eq!(processes_with(&kept.run), Vec::<String>::new(), "processes of run {}", kept.run);
            assert_eq!(left_of(&kept.run), Vec::<String>::new(), "left of run {}", kept.run);
            assert_eq!(kept.unhealed, 0, "faults of run {} that are not healed", kept.run);
        }
        let temporary: Vec<PathBuf> =
            fs::read_dir(self.temporary()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(temporary, Vec::<PathBuf>::new(), "temporary files");
    }
}

impl Drop for Folder {
    /// A test that fails leaves nothing on the engine either.
    fn drop(&mut self) {
        if thread::panicking() {
            self.kept().iter().for_each(|kept| remove_all_of(&kept.run));
        }
    }
}

/// The command lines that contain a text.
fn processes_with(text: &str) -> Vec<String> {
    let output = Command::new("ps").args(["-e", "-o", "args="]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

/// A call of the program that is not started yet.
pub(crate) struct Call(Command);

impl Call {
    /// A run of a scenario. The environment is the test's own but for what would change what the program does.
    pub(crate) fn new(engine: &Engine, folder: &Folder, scenario: impl AsRef<Path>) -> Self {
        Self::of(engine, folder, &[scenario.as_ref().as_os_str()])
    }

    /// A call with these arguments.
    pub(crate) fn of(engine: &Engine, folder: &Folder, arguments: &[&OsStr]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator-run"));
        for variable in ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL", "OPERATOR_RUN_LOG", "CI"] {
            command.env_remove(variable);
        }
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(arguments)
            .arg("--db")
            .arg(folder.database())
            .env("TMPDIR", folder.temporary())
            .env("INSTA_UPDATE", "no")
            .envs(engine.images())
            // As a shell does for what is called at its prompt: an interruption goes to the whole group.
            .process_group(0);
        Self(command)
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.0.arg(argument);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.0.env(name, value.as_ref());
        self
    }

    pub(crate) fn start(mut self) -> Running {
        let started = Instant::now();
        let mut child = self.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        follow(Stream::Output, child.stdout.take().unwrap(), sender.clone());
        follow(Stream::Error, child.stderr.take().unwrap(), sender);
        Running { child, started, lines, seen: Vec::new() }
    }
}

/// Calls `operator-run clean`.
pub(crate) fn clean(engine: &Engine, folder: &Folder, arguments: &[&str]) -> Ended {
    let words: Vec<&OsStr> = ["clean"].iter().chain(arguments).map(OsStr::new).collect();
    Call::of(engine, folder, &words).start().end()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Output,
    Error,
}

fn follow(stream: Stream, pipe: impl Read + Send + 'static, sender: Sender<(Stream, String)>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            // A test that has failed does not listen any more.
            let _ = sender.send((stream, line.unwrap()));
        }
    });
}

/// A call that was started.
pub(crate) struct Running {
    child: Child,
    started: Instant,
    lines: Receiver<(Stream, String)>,
    seen: Vec<(Stream, String)>,
}

impl Running {
    /// Waits for a line with this text, on either stream.
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line);
                    if self.seen.last().is_some_and(|(_, line)| line.contains(text)) {
                        return;
                    }
                }
                Err(error) => panic!("no line with {text:?} ({error}) after:\n{}", Lines(&self.seen)),
            }
        }
    }

    /// Waits for the line that a phase ends with.
    pub(crate) fn wait_for_end_of(&mut self, phase: &str) {
        self.wait_for(&format!("  {phase:<10} "));
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// A signal as it usually comes: from `kill` to the program alone, from the terminal to the whole group.
    pub(crate) fn signal(&self, signal: Signal) {
        let send = if signal == Signal::TERM { kill_process } else { kill_process_group };
        send(self.pid(), signal).unwrap();
    }

    /// What `kill -9` does: to the program alone, not to what it has started. It is dead when this returns.
    pub(crate) fn kill(self) -> Ended {
        // It may have ended by itself.
        let _ = kill_process(self.pid(), Signal::KILL);
        self.end()
    }

    /// Reads what it prints for so long, or until it ends.
    pub(crate) fn listen_for(&mut self, span: Duration) {
        let deadline = Instant::now() + span;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.seen.push(line);
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until it has ended.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        // Both streams are closed when it has ended.
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", Lines(&self.seen)),
            }
        }
        let code = self.child.wait().unwrap().code();
        Ended { code, took: self.started.elapsed(), lines: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only a test that fails gets here before it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A call that has ended. It is shown as what it has printed.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) took: Duration,
    lines: Vec<(Stream, String)>,
}

impl Ended {
    /// What it printed on standard output.
    pub(crate) fn output(&self) -> String {
        self.text(Stream::Output)
    }

    /// What it printed on standard error.
    pub(crate) fn error(&self) -> String {
        self.text(Stream::Error)
    }

    fn text(&self, stream: Stream) -> String {
        let lines = self.lines.iter().filter(|(of, _)| *of == stream);
        lines.flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
    }

    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "exit code of:\n{self}");
    }

    /// Standard output has every one of these texts.
    #[track_caller]
    pub(crate) fn assert_says(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.output().contains(text), "{text:?} is not in:\n{self}");
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Lines(&self.lines).fmt(formatter)
    }
}

struct Lines<'a>(&'a [(Stream, String)]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(stream, line)| writeln!(formatter, "{stream:?}: {line}"))
    }
}
