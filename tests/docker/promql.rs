//! A real Prometheus is given the samples and asked the queries that the evaluator of PromQL is tested by. Its answers
//! must be those of `fixtures/promql/answers.json.gz`, which it writes if `OPERATOR_RUN_RECORD=1`.

use std::env;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use operator_run::http;
use serde_json::{Value, json};

use self::samples::{RANGE, Series};

#[path = "../embedded/promql/samples.rs"]
mod samples;

const IMAGE: &str = "operator-run/prometheus:local";
/// Of a container that this test started.
const LABEL: &str = "operator-run.test=promql";

fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A Prometheus that scrapes nothing and takes samples by remote write.
struct Prometheus {
    container: String,
    address: String,
    client: reqwest::Client,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", "--volumes", &self.container]);
    }
}

impl Prometheus {
    async fn start(image: &str) -> Self {
        let options =
            ["--config.file=/dev/null", "--storage.tsdb.path=/prometheus", "--web.enable-remote-write-receiver"];
        let run = ["run", "--detach", "--label", LABEL, "--publish", "127.0.0.1::9090", image];
        let container = docker(&[&run[..], &options].concat()).unwrap();
        let client = http::client(reqwest::Client::builder().timeout(Duration::from_secs(30))).unwrap();
        let mut prometheus = Self { container, address: String::new(), client };
        let published = docker(&["port", &prometheus.container, "9090"]).unwrap();
        prometheus.address = format!("http://{}", published.lines().next().unwrap());
        for _ in 0..300 {
            let ready = prometheus.client.get(format!("{}/-/ready", prometheus.address)).send().await;
            if ready.is_ok_and(|answer| answer.status() == 200) {
                return prometheus;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("Prometheus does not become ready: {:?}", docker(&["logs", &prometheus.container]));
    }

    async fn write(&self, series: &[Series]) {
        let request = self.client.post(format!("{}/api/v1/write", self.address));
        let request = request.header("Content-Encoding", "snappy").header("Content-Type", "application/x-protobuf");
        let answer = request.body(uncompressed_snappy(&write_request(series))).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 204, "{}", answer.text().await.unwrap());
    }

    /// The whole answer to a range query, with its status.
    async fn ask(&self, query: &str) -> Value {
        let (start, end, step) = RANGE;
        let seconds = |milliseconds: i64| format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
        let query = query.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02X}"));
        let body = format!("query={query}&start={}&end={}&step={}", seconds(start), seconds(end), seconds(step));
        let request = self.client.post(format!("{}/api/v1/query_range", self.address));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        json!({ "http": status, "body": body })
    }
}

/// Prometheus' `WriteRequest` (prompb/remote.proto).
fn write_request(series: &[Series]) -> Vec<u8> {
    let field =
        |number: u8, content: &[u8]| [vec![number << 3 | 2], varint(content.len() as u64), content.to_vec()].concat();
    let mut request = Vec::new();
    for (labels, points) in series {
        let mut one = Vec::new();
        for (name, value) in labels.iter() {
            one.extend(field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat()));
        }
        for point in points {
            let value = [vec![1 << 3 | 1], point.value.to_bits().to_le_bytes().to_vec()].concat();
            let at = [vec![2 << 3], varint(point.at.unsigned_abs())].concat();
            one.extend(field(2, &[value, at].concat()));
        }
        request.extend(field(1, &one));
    }
    request
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// Snappy's block format with nothing but literals.
fn uncompressed_snappy(bytes: &[u8]) -> Vec<u8> {
    const TWO_BYTES_OF_LENGTH: u8 = 61 << 2;
    let mut block = varint(bytes.len() as u64);
    for chunk in bytes.chunks(1 << 16) {
        block.push(TWO_BYTES_OF_LENGTH);
        block.extend(u16::try_from(chunk.len() - 1).unwrap().to_le_bytes());
        block.extend(chunk);
    }
    block
}

/// Whether two answers are the same, but for the rounding of their values.
fn alike(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| alike(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| alike(left, right)))
        }
        (Value::String(left), Value::String(right)) if left != right => {
            let numbers = left.parse::<f64>().and_then(|left| right.parse::<f64>().map(|right| (left, right)));
            numbers.is_ok_and(|(left, right)| samples::near(left, right))
        }
        _ => left == right,
    }
}

#[tokio::test]
async fn a_real_prometheus_gives_the_recorded_answers() {
    if let Err(why) = docker(&["image", "inspect", IMAGE]) {
        let required = env::var("OPERATOR_RUN_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
        assert!(!required, "OPERATOR_RUN_REQUIRE_DOCKER=1, but {why}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
        return;
    }
    let prometheus = Prometheus::start(IMAGE).await;
    prometheus.write(&[samples::recorded(), samples::handmade()].concat()).await;
    let mut answers = Vec::new();
    for query in samples::queries() {
        let answer = prometheus.ask(&query).await;
        answers.push(json!({ "query": query, "answer": answer }));
    }
    if env::var("OPERATOR_RUN_RECORD").is_ok_and(|value| value == "1") {
        let path = format!("{}/fixtures/promql/answers.json.gz", env!("CARGO_MANIFEST_DIR"));
        let mut file = GzEncoder::new(Vec::new(), Compression::best());
        file.write_all(serde_json::to_string(&answers).unwrap().as_bytes()).unwrap();
        std::fs::write(path, file.finish().unwrap()).unwrap();
    }
    let recorded: Value = serde_json::from_str(&samples::fixture("promql/answers.json.gz")).unwrap();
    let recorded = recorded.as_array().unwrap();
    assert_eq!(answers.len(), recorded.len(), "record anew after a change of the queries");
    for (answer, recorded) in answers.iter().zip(recorded) {
        assert!(alike(answer, recorded), "now {answer}, recorded {recorded}");
    }
}
