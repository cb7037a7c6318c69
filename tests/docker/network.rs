//! Faults of the network on a real etcd: each bites, is seen from outside, and ends, also when nobody ends it.

use std::collections::BTreeSet;
use std::time::Duration;

use operator_run::cluster::{Direction, Fault, FaultKind};
use operator_run::reading::NodeName;
use operator_run::units::{Size, Span};

use super::beside::{
    address, agents, beside, beside_with, connects, connects_with, container, said_dialling, took, took_with,
};
use super::engine::{Engine, docker, try_docker};
use super::on_cluster::{bite, ends_with_the_runner, heal, on_a_cluster, until};
use super::program::{Call, Folder, PATIENCE, clean};

#[test]
fn a_partition_of_the_leader_elects_another() {
    on_a_cluster("network::a_partition_of_the_leader_elects_another", async |run, cluster| {
        let leader = leader_by(run, "etcd0").unwrap();
        let other = ["etcd0", "etcd1", "etcd2"].into_iter().find(|node| *node != leader).unwrap();
        let fault = partition(&leader, &[], Direction::Both);
        bite(cluster, &fault).await;
        assert!(!connects(run, other, &leader) && !connects(run, &leader, other));
        until("another leader", || leader_by(run, other).is_some_and(|elected| elected != leader));
        heal(run, cluster, &fault).await;
        assert!(connects(run, other, &leader) && connects(run, &leader, other));
        until("one leader for all", || leader_by(run, &leader) == leader_by(run, other));
        // It may be done once more.
        bite(cluster, &fault).await;
        heal(run, cluster, &fault).await;
    });
}

#[test]
fn a_partition_from_one_peer_leaves_the_other() {
    on_a_cluster("network::a_partition_from_one_peer_leaves_the_other", async |run, cluster| {
        let fault = partition("etcd0", &["etcd1"], Direction::Both);
        bite(cluster, &fault).await;
        assert!(!connects(run, "etcd0", "etcd1") && !connects(run, "etcd1", "etcd0"));
        assert!(connects(run, "etcd0", "etcd2") && connects(run, "etcd2", "etcd0"));
        heal(run, cluster, &fault).await;
        assert!(connects(run, "etcd0", "etcd1"));
    });
}

#[test]
fn what_is_left_in_a_network_is_a_leak() {
    on_a_cluster("network::what_is_left_in_a_network_is_a_leak", async |run, cluster| {
        let before = cluster.fingerprint().await.unwrap();
        let limit = Fault::new(FaultKind::LimitBandwidth { to: Size(100_000) }, "etcd0".into());
        let delay = Fault::new(FaultKind::Delay { by: Span(Duration::from_millis(200)), jitter: None }, "etcd0".into());
        let marks = [(limit, "tbf"), (delay, "NFQUEUE"), (partition("etcd0", &["etcd1"], Direction::In), "table inet")];
        for (fault, mark) in marks {
            cluster.undo(&fault).await.unwrap();
            bite(cluster, &fault).await;
            let leaks = before.leaks(&cluster.fingerprint().await.unwrap());
            // A kernel with netem needs no queue.
            let named = |leak: &String| leak.contains(mark) || leak.contains("netem") && mark == "NFQUEUE";
            assert!(leaks.iter().any(named), "{mark}: {leaks:?}");
            heal(run, cluster, &fault).await;
            assert_eq!(before.leaks(&cluster.fingerprint().await.unwrap()), Vec::<String>::new());
        }
    });
}

#[test]
fn a_partition_one_way_lets_the_other_way_pass() {
    on_a_cluster("network::a_partition_one_way_lets_the_other_way_pass", async |run, cluster| {
        for (direction, from, to) in [(Direction::In, "etcd0", "etcd1"), (Direction::Out, "etcd1", "etcd0")] {
            let fault = partition("etcd0", &["etcd1"], direction);
            bite(cluster, &fault).await;
            assert!(!connects(run, "etcd0", "etcd1") && !connects(run, "etcd1", "etcd0"));
            // What is sent this way arrives: the receiver waits for an acknowledgement, which the answer cannot bring.
            let dial = format!("timeout 10 bash -c 'exec 3<>/dev/tcp/{}/2380' || true", address(run, to));
            let dialling = beside(run, from, &["--detach"], &dial);
            until("a connection half open", || {
                let open = beside(run, to, &[], "ss -Htn state syn-recv");
                open.contains(&address(run, from))
            });
            docker(&["rm", "--force", &dialling]);
            heal(run, cluster, &fault).await;
            assert!(connects(run, "etcd0", "etcd1") && connects(run, "etcd1", "etcd0"));
        }
    });
}

#[test]
fn loss_loses_some_packets() {
    on_a_cluster("network::loss_loses_some_packets", async |run, cluster| {
        let fault = Fault::new(FaultKind::Loss { percent: 40 }, "etcd0".into());
        assert_eq!(lost_of_fifty(run), 0);
        bite(cluster, &fault).await;
        // 64 of a hundred connections lose the packet or the answer to it. Outside of these bounds: 1 of 100 000.
        let lost = lost_of_fifty(run);
        assert!((17..=46).contains(&lost), "{lost} of 50 were lost");
        heal(run, cluster, &fault).await;
        assert_eq!(lost_of_fifty(run), 0);
    });
}

#[test]
fn a_delay_makes_round_trips_longer() {
    on_a_cluster("network::a_delay_makes_round_trips_longer", async |run, cluster| {
        let span = |milliseconds| Span(Duration::from_millis(milliseconds));
        for (by, jitter) in [(200, None), (400, Some(span(100)))] {
            let fault = Fault::new(FaultKind::Delay { by: span(by), jitter }, "etcd0".into());
            let before = took(run, "etcd1", "etcd0");
            assert!(before < Duration::from_millis(100), "{before:?}");
            bite(cluster, &fault).await;
            let bounds = [by - 100, by + 100].map(Duration::from_millis);
            let (there, back) = (took(run, "etcd1", "etcd0"), took(run, "etcd0", "etcd1"));
            assert!(bounds[0] < there && there < bounds[1], "{there:?} for {by} ms");
            assert!(bounds[0] < back && back < bounds[1], "{back:?} for {by} ms");
            assert!(took(run, "etcd1", "etcd2") < Duration::from_millis(100));
            let error = cluster.inject(&fault).await.unwrap_err().to_string();
            assert!(error.contains("it acts already"), "{error}");
            heal(run, cluster, &fault).await;
            assert!(took(run, "etcd1", "etcd0") < Duration::from_millis(100));
        }
    });
}

#[test]
fn a_delay_that_ends_too_early_is_set_again() {
    on_a_cluster("network::a_delay_that_ends_too_early_is_set_again", async |run, cluster| {
        let by = Span(Duration::from_millis(300));
        let fault = Fault::new(FaultKind::Delay { by, jitter: None }, "etcd0".into());
        bite(cluster, &fault).await;
        // What holds the packets back, whichever it is.
        let end = "[[ -e /tmp/delayer ]] && kill -9 $(</tmp/delayer) || tc qdisc del dev eth0 root";
        let first = agents(run);
        docker(&["exec", &first, "bash", "-c", end]);
        let again = async {
            while agents(run) == first || agents(run).is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, again).await.unwrap();
        bite(cluster, &fault).await;
        assert!(took(run, "etcd1", "etcd0") > Duration::from_millis(250));
        heal(run, cluster, &fault).await;
    });
}

#[test]
fn a_narrow_link_takes_its_time() {
    on_a_cluster("network::a_narrow_link_takes_its_time", async |run, cluster| {
        // A request that is too long for etcd: it is read to 1 MiB, and answered.
        let seconds = || {
            let post = format!(
                "exec 3<>/dev/tcp/{}/2379; begun=$EPOCHREALTIME; {{ printf 'GET / HTTP/1.0\\r\\na: '; \
                 head -c 500000 /dev/zero | tr '\\0' a; printf '\\r\\n\\r\\n'; }} >&3; head -c 5 <&3 >/dev/null; \
                 echo $((${{EPOCHREALTIME/./}} - ${{begun/./}}))",
                address(run, "etcd1")
            );
            beside(run, "etcd0", &[], &post).parse::<f64>().unwrap() / 1e6
        };
        let fault = Fault::new(FaultKind::LimitBandwidth { to: Size(200_000) }, "etcd0".into());
        assert!(seconds() < 1.0);
        bite(cluster, &fault).await;
        let limited = seconds();
        assert!((2.0..6.0).contains(&limited), "500 kB took {limited} s at 200 kB in a second");
        heal(run, cluster, &fault).await;
        assert!(seconds() < 1.0);
    });
}

#[test]
fn connections_are_reset() {
    on_a_cluster("network::connections_are_reset", async |run, cluster| {
        for (from, unharmed) in [(vec!["etcd1".into()], true), (Vec::new(), false)] {
            let fault = Fault::new(FaultKind::Reset { from }, "etcd0".into());
            bite(cluster, &fault).await;
            for (from, to) in [("etcd0", "etcd1"), ("etcd1", "etcd0")] {
                let said = said_dialling(run, from, to);
                assert!(said.contains("refused"), "from {from} to {to}: {said:?}");
            }
            assert_eq!(connects(run, "etcd2", "etcd0"), unharmed);
            heal(run, cluster, &fault).await;
            assert!(connects(run, "etcd0", "etcd1") && connects(run, "etcd1", "etcd0"));
        }
    });
}

#[test]
fn names_are_not_found() {
    on_a_cluster("network::names_are_not_found", async |run, cluster| {
        let found = |node| {
            let find = "timeout 3 python3 -c 'import socket; print(socket.gethostbyname(b\"etcd2\"))' 2>&1 || true";
            beside(run, node, &[], find) == address(run, "etcd2")
        };
        let fault = Fault::new(FaultKind::DnsFailure, "etcd0".into());
        assert!(found("etcd0"));
        bite(cluster, &fault).await;
        assert!(!found("etcd0") && found("etcd1"));
        assert!(connects(run, "etcd0", "etcd1"), "addresses are as good as ever");
        heal(run, cluster, &fault).await;
        assert!(found("etcd0"));
    });
}

#[test]
fn a_disconnected_node_comes_back_with_its_names() {
    on_a_cluster("network::a_disconnected_node_comes_back_with_its_names", async |run, cluster| {
        let names = || {
            let format = "{{range .NetworkSettings.Networks}}{{join .Aliases \" \"}}{{end}}";
            let names = docker(&["inspect", "--format", format, &container(run, "etcd0")]);
            // The engine keeps them in no order.
            names.split(' ').map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let (fault, before, at) = (Fault::new(FaultKind::Disconnect, "etcd0".into()), names(), address(run, "etcd0"));
        let fingerprint = cluster.fingerprint().await.unwrap();
        let undo = cluster.undo(&fault).await.unwrap();
        cluster.inject(&fault).await.unwrap();
        assert_eq!(cluster.missing_effect(&fault).await.unwrap(), None);
        assert_eq!((names(), address(run, "etcd0")), (BTreeSet::from([String::new()]), String::new()));
        assert_ne!(fingerprint.leaks(&cluster.fingerprint().await.unwrap()), Vec::<String>::new());
        for _ in 0..2 {
            cluster.heal(&undo).await.unwrap();
            assert_eq!((names(), address(run, "etcd0")), (before.clone(), at.clone()));
            assert!(connects(run, "etcd1", "etcd0"));
        }
        assert_eq!(fingerprint.leaks(&cluster.fingerprint().await.unwrap()), Vec::<String>::new());
        until("one leader for all", || {
            leader_by(run, "etcd0").is_some_and(|leader| Some(leader) == leader_by(run, "etcd1"))
        });
    });
}

#[test]
fn a_target_that_starts_again_is_cut_off_again() {
    on_a_cluster("network::a_target_that_starts_again_is_cut_off_again", async |run, cluster| {
        let fault = partition("etcd0", &[], Direction::Both);
        bite(cluster, &fault).await;
        docker(&["restart", "--time", "1", &container(run, "etcd0")]);
        // What keeps the fault in force is a task of this thread.
        let cut_off = async {
            while connects(run, "etcd1", "etcd0") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, cut_off).await.unwrap();
        bite(cluster, &fault).await;
        assert_eq!(cluster.ended_fault().await, None);
        heal(run, cluster, &fault).await;
        assert!(connects(run, "etcd1", "etcd0"));
        // Undone before anybody has noticed that it has another network.
        bite(cluster, &fault).await;
        docker(&["restart", "--time", "1", &container(run, "etcd0")]);
        heal(run, cluster, &fault).await;
        until("etcd0 to listen", || connects(run, "etcd1", "etcd0"));
    });
}

#[test]
fn of_two_faults_on_one_node_one_is_undone() {
    on_a_cluster("network::of_two_faults_on_one_node_one_is_undone", async |run, cluster| {
        let reset = Fault::new(FaultKind::Reset { from: vec!["etcd1".into()] }, "etcd0".into());
        let cut = partition("etcd0", &["etcd1"], Direction::Both);
        bite(cluster, &reset).await;
        bite(cluster, &cut).await;
        // Nothing answers yet, which is the other one's doing.
        cluster.heal(&reset.undo()).await.unwrap();
        assert_eq!(cluster.missing_effect(&cut).await.unwrap(), None);
        cluster.heal(&cut.undo()).await.unwrap();
        assert_eq!(agents(run), "");
        assert!(connects(run, "etcd0", "etcd1") && connects(run, "etcd1", "etcd0"));
    });
}

#[test]
fn a_partition_ends_when_the_runner_is_killed() {
    ends_with_the_runner("partition: { target: { node: etcd0 } }", |image, run| {
        !connects_with(image, run, "etcd1", "etcd0")
    });
}

#[test]
fn a_delay_ends_when_the_runner_is_killed() {
    ends_with_the_runner("delay: { target: { node: etcd0 }, by: 300ms }", |image, run| {
        took_with(image, run, "etcd1", "etcd0") > Duration::from_millis(250)
    });
}

#[test]
fn a_limit_of_bandwidth_ends_when_the_runner_is_killed() {
    ends_with_the_runner("limit_bandwidth: { target: { node: etcd0 }, to: 100KB }", |image, run| {
        beside_with(image, run, "etcd0", &[], "tc qdisc show").contains("tbf")
    });
}

#[test]
fn what_a_killed_runner_has_done_is_undone_by_another_process() {
    let Some(engine) = Engine::find() else { return };
    let disconnect = "disconnect: { target: { node: etcd0 } }";
    let two =
        "delay: { target: { node: etcd0 }, by: 300ms }\n  - partition: { target: { node: etcd0 }, from: [etcd1] }";
    for (faults, count) in [(disconnect, "1 fault"), (two, "2 faults")] {
        let folder = Folder::new();
        let scenario = folder.scenario_with("kill: { target: { role: etcd, pick: leader } }", faults);
        let mut running = Call::new(&engine, &folder, scenario).start();
        for _ in faults.lines() {
            running.wait_for("fault ");
        }
        running.kill();
        clean(&engine, &folder, &[]).assert_says(&[&format!("healed and removed {count}")]);
        folder.assert_nothing_left();
    }
}

fn partition(node: &str, from: &[&str], direction: Direction) -> Fault {
    let from = from.iter().map(|node| NodeName::from(*node)).collect();
    Fault::new(FaultKind::Partition { from, direction }, node.into())
}

/// How many of fifty connections from a peer to `etcd0` are not there before a lost packet is sent again.
fn lost_of_fifty(run: &str) -> usize {
    let dial = format!(
        "for one in {{1..50}}; do (timeout 0.9 bash -c 'exec 3<>/dev/tcp/{}/2380' 2>&1 || echo lost) & done; wait",
        address(run, "etcd0")
    );
    beside(run, "etcd1", &[], &dial).matches("lost").count()
}

/// The leader that a node sees, by name; none if it sees none.
fn leader_by(run: &str, node: &str) -> Option<String> {
    let etcdctl = |arguments: &[&str]| {
        let container = container(run, node);
        let start = ["exec", &container, "etcdctl", "--command-timeout=1s", "--write-out=json"];
        let said = try_docker(&[&start, arguments].concat()).ok()?;
        serde_json::from_str::<serde_json::Value>(&said).ok()
    };
    let leader = etcdctl(&["endpoint", "status"])?[0]["Status"]["leader"].as_u64().filter(|leader| *leader != 0)?;
    let members = etcdctl(&["member", "list"])?;
    let member = members["members"].as_array()?.iter().find(|member| member["ID"].as_u64() == Some(leader))?;
    member["name"].as_str().map(str::to_owned)
}
