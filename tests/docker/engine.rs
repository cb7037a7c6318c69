//! The engine that the tests run on, asked by its own command line: what is proved here must not rest on the code that
//! is tested.

use std::env;
use std::io::Write as _;
use std::process::Command;
use std::sync::{Condvar, Mutex};

/// The image of each variable: the stand-in of `compose/images/build`, and the official one.
const IMAGES: [(&str, [&str; 2]); 3] = [
    ("OPERATOR_RUN_ETCD_IMAGE", ["operator-run/etcd:local", "gcr.io/etcd-development/etcd:v3.5.21"]),
    ("OPERATOR_RUN_PROMETHEUS_IMAGE", ["operator-run/prometheus:local", "prom/prometheus:v2.53.4"]),
    ("OPERATOR_RUN_NETTOOLS_IMAGE", ["operator-run/nettools:local", "nicolaka/netshoot:v0.13"]),
];
/// The double of each image of TiKV's Compose file, and a name for what no run may start.
pub(crate) const DOUBLES: [(&str, &str); 5] = [
    ("PD_IMAGE", "operator-run/pd-double:local"),
    ("TIKV_IMAGE", "operator-run/tikv-double:local"),
    ("YCSB_IMAGE", "operator-run/ycsb-double:local"),
    ("GRAFANA_IMAGE", NO_IMAGE),
    ("OPERATOR_IMAGE", NO_IMAGE),
];
const NO_IMAGE: &str = "operator-run/no-such-image:local";
/// How many tests have a cluster at the same time.
const TESTS_AT_ONCE: usize = 2;

/// The engine, and the right to start a cluster on it.
pub(crate) struct Engine {
    images: Vec<(&'static str, String)>,
    _turn: Turn,
}

impl Engine {
    /// None if the tests cannot run here; then why is on standard error.
    pub(crate) fn find() -> Option<Self> {
        Self::with(find_images())
    }

    /// An engine that has the doubles, too.
    pub(crate) fn with_doubles() -> Option<Self> {
        Self::with(find_images().and_then(|images| {
            let missing = DOUBLES.iter().find(|(_, image)| *image != NO_IMAGE && !present(image));
            match missing {
                Some((_, image)) => Err(format!("the engine has no {image}: make it by compose/images/build")),
                None => Ok(images),
            }
        }))
    }

    fn with(images: Result<Vec<(&'static str, String)>, String>) -> Option<Self> {
        match images {
            Ok(images) => Some(Self { images, _turn: Turn::take() }),
            Err(why) => {
                let required = env::var("OPERATOR_RUN_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
                assert!(!required, "OPERATOR_RUN_REQUIRE_DOCKER=1, but {why}");
                say(&format!("SKIPPED: {why}"));
                None
            }
        }
    }

    /// The variables that name the images, with their values.
    pub(crate) fn images(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.images.iter().map(|(variable, image)| (*variable, image.as_str()))
    }

    /// The image of Prometheus.
    pub(crate) fn prometheus_image(&self) -> &str {
        &self.images[1].1
    }

    /// The image of etcd.
    pub(crate) fn etcd_image(&self) -> &str {
        &self.images[0].1
    }
}

/// Writes to standard error, also when the test passes.
pub(crate) fn say(line: &str) {
    // As one write, which the harness does not capture.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// What Docker's command line prints for these arguments.
pub(crate) fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).unwrap_or_else(|why| panic!("{why}"))
}

/// What on the engine carries the label of this run.
pub(crate) fn left_of(run: &str) -> Vec<String> {
    let filter = format!("label=operator-run.run={run}");
    let list = |arguments: &[&str]| docker(&[arguments, &["--quiet", "--filter", &filter]].concat());
    let lists = [
        ("container", list(&["ps", "--all"])),
        ("network", list(&["network", "ls"])),
        ("volume", list(&["volume", "ls"])),
    ];
    let lines = |(kind, list): &(&str, String)| list.lines().map(|id| format!("{kind} {id}")).collect::<Vec<_>>();
    lists.iter().flat_map(lines).collect()
}

/// Removes what carries the label of this run.
pub(crate) fn remove_all_of(run: &str) {
    for left in left_of(run) {
        let (kind, id) = left.split_once(' ').unwrap();
        let force: &[&str] = if kind == "container" { &["--force", "--volumes"] } else { &[] };
        // What somebody else has removed in the meantime is as well removed.
        let _ = try_docker(&[&[kind, "rm"], force, &[id]].concat());
    }
}

pub(crate) fn try_docker(arguments: &[&str]) -> Result<String, String> {
    let command = format!("`docker {}`", arguments.join(" "));
    let output = Command::new("docker").args(arguments).output().map_err(|error| format!("{command}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

fn find_images() -> Result<Vec<(&'static str, String)>, String> {
    try_docker(&["version", "--format", "{{.Server.Version}}"])?;
    let choose = |(variable, candidates): &(&'static str, [&str; 2])| {
        let named = env::var(variable).ok().filter(|image| !image.is_empty());
        let image = named.or_else(|| candidates.iter().find(|image| present(image)).map(|image| (*image).to_owned()));
        let image = image.filter(|image| present(image));
        image.map(|image| (*variable, image)).ok_or_else(|| {
            let [stand_in, official] = candidates;
            format!(
                "the engine has no image for {variable}: make {stand_in} by compose/images/build, or pull {official}"
            )
        })
    };
    IMAGES.iter().map(choose).collect()
}

fn present(image: &str) -> bool {
    try_docker(&["image", "inspect", "--format", "{{.Id}}", image]).is_ok()
}

/// One of a few turns that this process has.
struct Turn;

static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

impl Turn {
    fn take() -> Self {
        let taken = TAKEN.lock().unwrap();
        *GIVEN_BACK.wait_while(taken, |taken| *taken >= TESTS_AT_ONCE).unwrap() += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap() -= 1;
        GIVEN_BACK.notify_one();
    }
}
