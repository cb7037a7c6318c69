//! A folder to run the program in, and what people are shown without what differs from run to run.

use std::path::Path;

use assert_cmd::Command;
use operator_run::run::RunRecord;
use tempfile::TempDir;

/// A scenario that passes.
pub(crate) const STORE_DOWN: &str = include_str!("../../scenarios/store-down.yaml");

/// A folder with the repository's snapshots.
pub(crate) struct Bench {
    folder: TempDir,
}

/// What a run of the program gave.
pub(crate) struct Outcome {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self::empty();
        let accepted = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/store-down.rules.snap");
        bench.write("snapshots/store-down.rules.snap", std::fs::read(accepted).unwrap());
        bench
    }

    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    /// What lies in the folder, by name.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Runs the program in the folder, with nothing of the caller's environment.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("operator-run"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("LANG", "C.UTF-8")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        Outcome {
            exit: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Writes a scenario, runs it, and returns the exit code and the record.
    pub(crate) fn record(&self, scenario: &str, arguments: &[&str]) -> (i32, RunRecord) {
        self.write("scenario.yaml", scenario);
        let outcome = self.run(&[&["scenario.yaml", "--json"], arguments].concat());
        let record = serde_json::from_str(&outcome.stdout);
        (outcome.exit, record.unwrap_or_else(|error| panic!("{error}: {}{}", outcome.stdout, outcome.stderr)))
    }
}

/// Puts a placeholder in the place of a run's id and of the time that it took.
pub(crate) fn redact(text: &str) -> String {
    let word = |word: &str| {
        let id = word.trim_end_matches([',', ':']);
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match id.split('-').collect::<Vec<_>>().as_slice() {
            [day, second, letters]
                if digits(day) && digits(second) && (day.len(), second.len(), letters.len()) == (8, 6, 4) =>
            {
                word.replace(id, "RUN")
            }
            _ => word.to_owned(),
        }
    };
    let line = |line: &str| {
        let line = line.split(' ').map(word).collect::<Vec<_>>().join(" ");
        match line.split_once("RUN, ") {
            Some((before, after)) if after.ends_with("s of wall time") => format!("{before}RUN, TIME s of wall time"),
            _ => line,
        }
    };
    text.lines().flat_map(|one| [line(one), "\n".to_owned()]).collect()
}

/// The scenario that passes, with each of these replaced.
pub(crate) fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(STORE_DOWN.to_owned(), |scenario, (from, to)| {
        assert!(scenario.contains(from), "`{from}` is not in the scenario");
        scenario.replacen(from, to, 1)
    })
}
