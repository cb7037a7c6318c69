//! The containers of a run, and what is seen from within their networks.

use std::env;
use std::time::Duration;

use super::engine::{Engine, docker};

pub(crate) fn agents(run: &str) -> String {
    let run = format!("label=operator-run.run={run}");
    docker(&["ps", "--all", "--quiet", "--filter", &run, "--filter", "label=operator-run.agent"])
}

pub(crate) fn container(run: &str, node: &str) -> String {
    let (run, node) = (format!("label=operator-run.run={run}"), format!("label=operator-run.node={node}"));
    docker(&["ps", "--all", "--quiet", "--filter", &run, "--filter", &node])
}

/// The address of a node.
pub(crate) fn address(run: &str, node: &str) -> String {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    docker(&["inspect", "--format", format, &container(run, node)])
}

/// What a command prints in the network of a node.
pub(crate) fn beside(run: &str, node: &str, options: &[&str], command: &str) -> String {
    let image = env::var("OPERATOR_RUN_NETTOOLS_IMAGE").unwrap();
    beside_with(&image, run, node, options, command)
}

pub(crate) fn beside_with(image: &str, run: &str, node: &str, options: &[&str], command: &str) -> String {
    let (network, label) = (format!("container:{}", container(run, node)), format!("operator-run.run={run}"));
    let start = ["run", "--rm", "--network", &network, "--label", &label, "--cap-add", "NET_ADMIN"];
    docker(&[&start, options, &[image, "bash", "-c", command]].concat())
}

/// Whether a node can be connected to from the network of another.
pub(crate) fn connects(run: &str, from: &str, to: &str) -> bool {
    connects_with(&env::var("OPERATOR_RUN_NETTOOLS_IMAGE").unwrap(), run, from, to)
}

/// What bash says of a connection from the network of a node to another.
pub(crate) fn said_dialling(run: &str, from: &str, to: &str) -> String {
    let dial = format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{}/2380' 2>&1 || true", address(run, to));
    beside(run, from, &[], &dial)
}

/// How long a connection from the network of a node to another takes.
pub(crate) fn took(run: &str, from: &str, to: &str) -> Duration {
    took_with(&env::var("OPERATOR_RUN_NETTOOLS_IMAGE").unwrap(), run, from, to)
}

pub(crate) fn took_with(image: &str, run: &str, from: &str, to: &str) -> Duration {
    let dial = format!(
        "begun=$EPOCHREALTIME; exec 3<>/dev/tcp/{}/2380 && echo $((${{EPOCHREALTIME/./}} - ${{begun/./}}))",
        address(run, to)
    );
    Duration::from_micros(beside_with(image, run, from, &[], &dial).parse().unwrap())
}

pub(crate) fn connects_with(image: &str, run: &str, from: &str, to: &str) -> bool {
    let dial = format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{}/2380' && echo open || true", address(run, to));
    beside_with(image, run, from, &[], &dial).contains("open")
}

pub(crate) fn engine_image(engine: &Engine) -> String {
    engine.images().find(|(name, _)| *name == "OPERATOR_RUN_NETTOOLS_IMAGE").unwrap().1.to_owned()
}
