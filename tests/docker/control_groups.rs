//! Faults in the control group of a real etcd: each bites, outlives its target's process, and ends with the runner.

use std::env;

use operator_run::cluster::{Fault, FaultKind, ProcessState};
use operator_run::units::Rate;

use super::beside::{agents, container};
use super::engine::docker;
use super::on_cluster::{bite, ends_with_the_runner, heal, on_a_cluster};
use super::program::PATIENCE;

#[test]
fn writes_to_a_disk_wait() {
    on_a_cluster("control_groups::writes_to_a_disk_wait", async |run, cluster| {
        let image = env::var("OPERATOR_RUN_NETTOOLS_IMAGE").unwrap();
        // The agent is spoken to meanwhile.
        let slow = async |node: &'static str| {
            let (image, run) = (image.clone(), run.to_owned());
            tokio::task::spawn_blocking(move || writes_slowly(&image, &run, node)).await.unwrap()
        };
        let fault = limit_of_writes();
        assert!(!slow("etcd0").await, "the disk of this machine is as slow as one that is limited");
        bite(cluster, &fault).await;
        assert!(slow("etcd0").await && !slow("etcd1").await);
        // A container that starts has no limits but its own.
        docker(&["restart", "--time", "1", &container(run, "etcd0")]);
        let again = async {
            while !slow("etcd0").await {
                assert_eq!(cluster.ended_fault().await, None);
            }
        };
        tokio::time::timeout(PATIENCE, again).await.expect("the limit to be set again");
        heal(run, cluster, &fault).await;
        assert!(!slow("etcd0").await);

        // An agent that is killed cannot take it away: whoever heals does.
        bite(cluster, &fault).await;
        docker(&["kill", &agents(run)]);
        let ended = cluster.ended_fault().await.unwrap();
        assert!(ended.starts_with("limit_disk etcd0 is not kept in force any more: "), "{ended}");
        heal(run, cluster, &fault).await;
        assert!(!slow("etcd0").await);
    });
}

#[test]
fn others_use_its_processors() {
    on_a_cluster("control_groups::others_use_its_processors", async |run, cluster| {
        let image = env::var("OPERATOR_RUN_NETTOOLS_IMAGE").unwrap();
        let tasks = || in_group_of(&image, run, "cpu", "etcd0", RUNNING_TASKS).parse::<usize>().unwrap();
        let fault = burnt_processors();
        assert_eq!(tasks(), 0);
        bite(cluster, &fault).await;
        let all = tasks();
        assert!(all >= 8, "{all} tasks never wait");
        // They are in the way of nobody who ends or starts.
        docker(&["kill", &container(run, "etcd0")]);
        docker(&["start", &container(run, "etcd0")]);
        assert_eq!(cluster.process(&"etcd0".into()).await.unwrap(), ProcessState::Running);
        let again = async {
            while tasks() != all {
                assert_eq!(cluster.ended_fault().await, None);
            }
        };
        tokio::time::timeout(PATIENCE, again).await.expect("all tasks to be there again");
        heal(run, cluster, &fault).await;
        assert_eq!(tasks(), 0);
    });
}

#[test]
fn a_limit_of_writes_ends_when_the_runner_is_killed() {
    ends_with_the_runner("limit_disk: { target: { node: etcd0 }, writes: 5/s }", |image, run| {
        writes_slowly(image, run, "etcd0")
    });
}

#[test]
fn tasks_end_when_the_runner_is_killed() {
    ends_with_the_runner("burn_cpu: { target: { node: etcd0 }, tasks: 8 }", |image, run| {
        in_group_of(image, run, "cpu", "etcd0", RUNNING_TASKS) != "0"
    });
}

/// Whether three synced writes to the node's disk take longer than any disk does.
fn writes_slowly(image: &str, run: &str, node: &str) -> bool {
    in_group_of(image, run, "blkio", node, THREE_WRITES).parse::<u64>().unwrap() > 300
}

/// Prints how many milliseconds they took.
const THREE_WRITES: &str = "
    begun=$EPOCHREALTIME
    dd if=/dev/zero of=/data/written bs=4k count=3 oflag=dsync conv=notrunc status=none && rm /data/written
    echo $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000))";

/// How many processes of agents are in the group.
const RUNNING_TASKS: &str = "
    count=0
    while read -r id; do
        [[ $id == $$ ]] || [[ $(tr -d '\\0' </proc/$id/cmdline) != bash*agent* ]] || ((count += 1))
    done <$folder/cgroup.procs
    echo $count";

/// What a command prints that runs in the control group of a node, with the node's volumes.
fn in_group_of(image: &str, run: &str, controller: &str, node: &str, command: &str) -> String {
    let id = container(run, node);
    let process = docker(&["inspect", "--format", "{{.State.Pid}}", &id]);
    let script = format!(
        "while IFS=: read -r _ controllers path; do
            case ,$controllers, in *,{controller},*) folder=/cgroup/{controller}$path ;; ,,) : ${{folder:=/cgroup$path}} ;; esac
        done </proc/{process}/cgroup
        echo $$ >$folder/cgroup.procs || exit
        {command}"
    );
    let label = format!("operator-run.run={run}");
    let start = ["run", "--rm", "--pid", "host", "--cgroupns", "host", "--label", &label, "--volumes-from", &id];
    docker(&[&start, &["--volume", "/sys/fs/cgroup:/cgroup", image, "bash", "-c", &script][..]].concat())
}

fn limit_of_writes() -> Fault {
    Fault::new(FaultKind::LimitDisk { writes: Rate(5) }, "etcd0".into())
}

fn burnt_processors() -> Fault {
    Fault::new(FaultKind::BurnCpu { tasks: 8 }, "etcd0".into())
}
