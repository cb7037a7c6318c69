//! What `compose/` says, as a reader of the files would check it: the images cannot be had on every machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use operator_run::cluster::embedded::promql::Query;
use serde_json::Value as Json;
use serde_yaml::Value as Yaml;

const STORES: [&str; 3] = ["tikv0", "tikv1", "tikv2"];
const MEMBERS: [&str; 3] = ["pd0", "pd1", "pd2"];

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(name: &str) -> Yaml {
    let mut file: Yaml = serde_yaml::from_str(&text(name)).unwrap();
    // Once for what is merged, once more for what that merges.
    file.apply_merge().unwrap();
    file.apply_merge().unwrap();
    file
}

fn words(list: &Yaml) -> Vec<&str> {
    list.as_sequence().into_iter().flatten().map(|word| word.as_str().unwrap()).collect()
}

fn services(file: &Yaml) -> impl Iterator<Item = (&str, &Yaml)> {
    file["services"].as_mapping().unwrap().iter().map(|(name, service)| (name.as_str().unwrap(), service))
}

#[test]
fn the_cluster_is_whole_and_what_is_not_always_wanted_has_a_profile() {
    let file = yaml("tikv.yaml");
    let of_profile = |profile: Option<&str>| {
        let fits = |service: &Yaml| words(&service["profiles"]).first().copied() == profile;
        services(&file).filter(|(_, service)| fits(service)).map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(of_profile(None), [&MEMBERS[..], &STORES, &["prometheus", "grafana"]].concat());
    assert_eq!(of_profile(Some("load")), ["ycsb-load", "ycsb-run"]);
    assert_eq!(of_profile(Some("operator")), ["operator"]);
}

#[test]
fn each_image_has_its_variable_and_the_official_one_behind_it() {
    let file = yaml("tikv.yaml");
    let images: BTreeSet<&str> = services(&file).map(|(_, service)| service["image"].as_str().unwrap()).collect();
    let expected = [
        "${GRAFANA_IMAGE:-grafana/grafana:11.6.0}",
        "${OPERATOR_IMAGE:-operator-run:local}",
        "${PD_IMAGE:-pingcap/pd:v8.5.5}",
        "${PROMETHEUS_IMAGE:-prom/prometheus:v2.53.4}",
        "${TIKV_IMAGE:-pingcap/tikv:v8.5.5}",
        "${YCSB_IMAGE:-pingcap/go-ycsb:latest}",
    ];
    assert_eq!(images.into_iter().collect::<Vec<_>>(), expected);
}

/// The flags are those that the recorded cluster had.
#[test]
fn servers_get_flags_alone_and_find_each_other_by_name() {
    let file = yaml("tikv.yaml");
    let initial: Vec<String> = MEMBERS.iter().map(|name| format!("{name}=http://{name}:2380")).collect();
    for name in MEMBERS {
        let service = &file["services"][name];
        let flags = [
            format!("--name={name}"),
            "--client-urls=http://0.0.0.0:2379".to_owned(),
            format!("--advertise-client-urls=http://{name}:2379"),
            "--peer-urls=http://0.0.0.0:2380".to_owned(),
            format!("--advertise-peer-urls=http://{name}:2380"),
            format!("--initial-cluster={}", initial.join(",")),
            "--data-dir=/data".to_owned(),
            "--config=/pd.toml".to_owned(),
        ];
        assert_eq!(words(&service["command"]), flags);
        assert_node(service, name, "pd", ":2379/pd/api/v1/leader");
        assert_eq!(words(&service["ports"]), ["127.0.0.1::2379"]);
        assert_eq!(words(&service["volumes"]), ["./pd.toml:/pd.toml:ro".to_owned(), format!("{name}:/data")]);
    }
    for name in STORES {
        let service = &file["services"][name];
        let flags = [
            "--pd-endpoints=pd0:2379,pd1:2379,pd2:2379".to_owned(),
            "--addr=0.0.0.0:20160".to_owned(),
            format!("--advertise-addr={name}:20160"),
            "--status-addr=0.0.0.0:20180".to_owned(),
            format!("--advertise-status-addr={name}:20180"),
            "--data-dir=/data".to_owned(),
            "--capacity=20GB".to_owned(),
            "--config=/tikv.toml".to_owned(),
        ];
        assert_eq!(words(&service["command"]), flags);
        assert_node(service, name, "tikv", ":20180/status");
        assert_eq!(words(&service["ports"]), ["127.0.0.1::20160", "127.0.0.1::20180"]);
        assert_eq!(words(&service["volumes"]), ["./tikv.toml:/tikv.toml:ro".to_owned(), format!("{name}:/data")]);
    }
}

fn assert_node(service: &Yaml, name: &str, role: &str, ready: &str) {
    assert_eq!(service["hostname"], name);
    assert_eq!(service["labels"]["operator-run.node"], name);
    assert_eq!(service["labels"]["operator-run.role"], role);
    assert_eq!(service["labels"]["operator-run.ready"], ready);
}

#[test]
fn nothing_starts_again_by_itself_nor_needs_a_shell_and_all_is_labelled() {
    let file = yaml("tikv.yaml");
    for (name, service) in services(&file) {
        assert_eq!(service["restart"], "no", "{name}");
        assert_eq!(service["stop_grace_period"], "40s", "{name}");
        assert!(service["healthcheck"].is_null() && service["entrypoint"].is_null(), "{name}");
        assert!(service["container_name"].is_null(), "{name}: two runs at once would meet");
        assert_eq!(service["labels"]["operator-run.run"], "${OPERATOR_RUN_ID:-by-hand}", "{name}");
        for port in words(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1::"), "{name}: {port}");
        }
    }
    let made = [&file["networks"], &file["volumes"]].map(|made| made.as_mapping().unwrap().values());
    for made in made.into_iter().flatten() {
        assert_eq!(made["labels"]["operator-run.run"], "${OPERATOR_RUN_ID:-by-hand}");
    }
}

/// TiKV does not start with a limit below 1,000 and its two `max-open-files`.
#[test]
fn the_lower_limit_of_open_files_is_enough_for_the_configuration() {
    let (file, lower, config) = (yaml("tikv.yaml"), yaml("tikv-low-nofile.yaml"), text("tikv.toml"));
    let limit = |file: &Yaml, store: &str| file["services"][store]["ulimits"]["nofile"].as_u64().unwrap();
    let wanted = config.lines().filter_map(|line| line.strip_prefix("max-open-files = "));
    let wanted: Vec<u64> = wanted.map(|count| count.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(wanted, [1024, 1024]);
    for store in STORES {
        assert_eq!(limit(&file, store), 1_000_000);
        assert!(limit(&lower, store) >= 1000 + wanted.iter().sum::<u64>());
    }
    assert_eq!(services(&lower).count(), STORES.len(), "it changes the stores alone");
}

#[test]
fn the_footprint_is_small() {
    let config = text("tikv.toml");
    for setting in [
        "memory-usage-limit = \"768MB\"",
        "[storage]\nreserve-space = \"0MB\"",
        "[storage.block-cache]\ncapacity = \"128MB\"",
        "store-pool-size = 1",
        "apply-pool-size = 1",
        "inspect-interval = \"500ms\"",
        "purge-threshold = \"256MB\"",
        "memory-limit = \"64MB\"",
        "max-thread-count = 2",
        "grpc-concurrency = 2",
    ] {
        assert!(config.contains(setting), "{setting}");
    }
    for setting in ["max-store-down-time = \"30m\"", "merge-schedule-limit = 0", "max-replicas = 3"] {
        assert!(text("pd.toml").contains(setting), "{setting}");
    }
}

#[test]
fn prometheus_scrapes_every_node_by_the_jobs_that_the_rules_expect() {
    let file = yaml("tikv-prometheus.yml");
    assert_eq!(file["global"]["scrape_interval"], "15s", "as the model's does");
    let jobs = file["scrape_configs"].as_sequence().unwrap().iter();
    let jobs: Vec<(&str, Vec<&str>)> =
        jobs.map(|job| (job["job_name"].as_str().unwrap(), words(&job["static_configs"][0]["targets"]))).collect();
    let pd = vec!["pd0:2379", "pd1:2379", "pd2:2379"];
    assert_eq!(jobs, [("pd", pd), ("tikv", vec!["tikv0:20180", "tikv1:20180", "tikv2:20180"])]);
}

#[test]
fn the_load_fills_the_table_of_the_model_before_it_runs() {
    let file = yaml("tikv.yaml");
    let (load, run) = (&file["services"]["ycsb-load"], &file["services"]["ycsb-run"]);
    assert_eq!(run["depends_on"]["ycsb-load"]["condition"], "service_completed_successfully");
    for (service, phase) in [(load, "load"), (run, "run")] {
        let command = words(&service["command"]);
        assert_eq!(command[..2], [phase, "tikv"]);
        for flag in [
            "--property_file=/workloads/workload${YCSB_WORKLOAD:-a}",
            "--prop=tikv.type=raw",
            "--prop=tikv.pd=pd0:2379,pd1:2379,pd2:2379",
            "--prop=insertorder=ordered",
            "--prop=zeropadding=12",
            "--prop=recordcount=${YCSB_RECORDS:-10000}",
            "--threads=${YCSB_THREADS:-4}",
        ] {
            assert!(command.contains(&flag), "{phase}: {flag}");
        }
    }
    let command = words(&run["command"]);
    assert!(command.contains(&"--target=${YCSB_TARGET:-60}"));
    assert!(command.contains(&"--prop=requestdistribution=${YCSB_DISTRIBUTION:-uniform}"));
}

#[test]
fn grafana_is_given_its_datasource_and_a_dashboard_of_metrics_that_there_are() {
    let file = yaml("tikv.yaml");
    let mounts = words(&file["services"]["grafana"]["volumes"]);
    let source = |target: &str| {
        let mount = mounts.iter().find(|mount| mount.contains(target)).unwrap();
        mount.split(':').next().unwrap().trim_start_matches("./").to_owned()
    };
    let datasources = yaml(&source("/etc/grafana/provisioning/datasources/"));
    assert_eq!(datasources["datasources"][0]["url"], "http://prometheus:9090");
    let provider = yaml(&source("/etc/grafana/provisioning/dashboards/"));
    let folder = provider["providers"][0]["options"]["path"].as_str().unwrap();
    let dashboard: Json = serde_json::from_str(&text(&source(folder))).unwrap();

    let recorded = recorded_metrics();
    let mut expressions = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        assert_eq!(panel["datasource"]["uid"], datasources["datasources"][0]["uid"].as_str().unwrap());
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            Query::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error:?}"));
            let metric = metric_of(expression);
            assert!(recorded.contains(metric) || metric == "up", "{metric} was not recorded");
            expressions += 1;
        }
    }
    assert!(expressions >= 15, "{expressions} expressions");
}

/// The first word of a query that is a metric's name.
fn metric_of(expression: &str) -> &str {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let is_metric =
        |word: &&str| ["pd_", "tikv_", "etcd_", "process_", "service_"].iter().any(|own| word.starts_with(own));
    let mut words = words.filter(|word| is_metric(word) || *word == "up");
    words.next().unwrap_or_else(|| panic!("no metric in {expression}"))
}

/// The metrics' names in the recordings: of a quiet cluster, and those that appear with the first failure.
fn recorded_metrics() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings/baseline-metrics.prom.gz");
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(fs::File::open(path).unwrap())).unwrap();
    let name = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
    let names = text.lines().filter(|line| !line.starts_with('#')).map(name);
    names.chain(["tikv_server_report_failure_msg_total".to_owned()]).collect()
}
