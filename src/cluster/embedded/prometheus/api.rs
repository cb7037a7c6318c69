//! Prometheus' HTTP API (Prometheus: web/api/v1/api.go): `query`, `query_range`, `targets`, and its health.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::super::go_format;
use super::super::model::Model;
use super::super::parameters::Parameters;
use super::super::promql::{Curve, Element, Point, Query, QueryError, Value, number};
use super::{INTERVAL, Prometheus, TIMEOUT, Target, instant, milliseconds};
use crate::http::{Request, Response};

/// How many points a range query may ask for.
const MOST_POINTS: i64 = 11_000;

/// Why there is no answer: the status, Prometheus' type of the error, and its words.
struct Refusal(u16, &'static str, String);

type Answered = Result<Json, Refusal>;

fn bad_data(message: impl Into<String>) -> Refusal {
    Refusal(400, "bad_data", message.into())
}

fn invalid(parameter: &str, message: impl std::fmt::Display) -> Refusal {
    bad_data(format!("invalid parameter {parameter:?}: {message}"))
}

/// Answers a request as the model is now.
pub(in super::super) fn answer(model: &Model, request: &Request) -> Response {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let parameters = Parameters::read(query);
    let answered = match path {
        "/-/healthy" => return text(200, "Prometheus Server is Healthy.\n"),
        "/-/ready" => return text(200, "Prometheus Server is Ready.\n"),
        "/api/v1/query" => instant_query(model, &parameters),
        "/api/v1/query_range" => range_query(model, &parameters),
        "/api/v1/targets" => Ok(targets(&model.prometheus)),
        _ => return text(404, "404 page not found\n"),
    };
    let (status, body) = match answered {
        Ok(data) => (200, json!({ "status": "success", "data": data })),
        Err(Refusal(status, kind, error)) => (status, json!({ "status": "error", "errorType": kind, "error": error })),
    };
    Response { status, content_type: "application/json".to_owned(), body: body.to_string() }
}

fn text(status: u16, body: &str) -> Response {
    Response { status, content_type: "text/plain; charset=utf-8".to_owned(), body: body.to_owned() }
}

impl Parameters {
    fn time(&self, name: &str) -> Result<i64, String> {
        time(self.get(name)).ok_or_else(|| format!("cannot parse {:?} to a valid timestamp", self.get(name)))
    }

    fn span(&self, name: &str) -> Result<i64, String> {
        span(self.get(name)).ok_or_else(|| format!("cannot parse {:?} to a valid duration", self.get(name)))
    }

    /// A time-out is read, but queries here take no time.
    fn check_timeout(&self) -> Result<(), Refusal> {
        if self.get("timeout").is_empty() {
            return Ok(());
        }
        self.span("timeout").map(|_| ()).map_err(|error| invalid("timeout", error))
    }
}

/// Milliseconds of a number of seconds, which must be near enough to now for them to be exact.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn exact_milliseconds(seconds: f64) -> Option<i64> {
    let milliseconds = (seconds * 1000.0).round();
    (milliseconds.abs() < 2_f64.powi(53)).then_some(milliseconds as i64)
}

/// Seconds since the epoch, or RFC 3339.
fn time(text: &str) -> Option<i64> {
    let seconds = || text.parse().ok().and_then(exact_milliseconds);
    seconds().or_else(|| text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond))
}

/// Seconds, or a span such as `15s`.
fn span(text: &str) -> Option<i64> {
    text.parse().ok().and_then(exact_milliseconds).or_else(|| number::parse_duration(text))
}

fn instant_query(model: &Model, parameters: &Parameters) -> Answered {
    let at = match parameters.get("time") {
        "" => milliseconds(model.now),
        _ => parameters
            .time("time")
            .map_err(|error| invalid("time", format!("Invalid time value for 'time': {error}")))?,
    };
    parameters.check_timeout()?;
    let query = Query::parse(parameters.get("query")).map_err(|error| invalid("query", error))?;
    let storage = &model.prometheus.storage;
    if let Some(curves) = query.points(storage, at) {
        return Ok(matrix(&curves));
    }
    Ok(match query.instant(storage, at).map_err(|error| refusal(&error))? {
        Value::Scalar(value) => json!({ "resultType": "scalar", "result": point(Point { at, value }) }),
        Value::Text(text) => json!({ "resultType": "string", "result": [seconds(at), text] }),
        Value::Vector(elements) => {
            let element = |Element { labels, value }: &Element| json!({ "metric": labels, "value": point(Point { at, value: *value }) });
            json!({ "resultType": "vector", "result": elements.iter().map(element).collect::<Vec<Json>>() })
        }
    })
}

fn range_query(model: &Model, parameters: &Parameters) -> Answered {
    let start = parameters.time("start").map_err(|error| invalid("start", error))?;
    let end = parameters.time("end").map_err(|error| invalid("end", error))?;
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let step = parameters.span("step").map_err(|error| invalid("step", error))?;
    if step <= 0 {
        let advice = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(invalid("step", advice));
    }
    if (end - start) / step > MOST_POINTS {
        let advice = "Try decreasing the query resolution (?step=XX)";
        return Err(bad_data(format!("exceeded maximum resolution of 11,000 points per timeseries. {advice}")));
    }
    parameters.check_timeout()?;
    // Without the name of the parameter, unlike the other endpoint.
    let query = Query::parse(parameters.get("query")).map_err(|error| bad_data(error.to_string()))?;
    let curves = query.range(&model.prometheus.storage, start, end, step);
    curves.map(|curves| matrix(&curves)).map_err(|error| refusal(&error))
}

fn refusal(error: &QueryError) -> Refusal {
    match error {
        QueryError::Execution(reason) => Refusal(422, "execution", reason.clone()),
        QueryError::Parse(_) | QueryError::NoRange(_) => bad_data(error.to_string()),
    }
}

fn matrix(curves: &[Curve]) -> Json {
    let curve = |curve: &Curve| {
        let points: Vec<Json> = curve.points.iter().copied().map(point).collect();
        json!({ "metric": curve.labels, "values": points })
    };
    json!({ "resultType": "matrix", "result": curves.iter().map(curve).collect::<Vec<Json>>() })
}

fn point(point: Point) -> Json {
    json!([seconds(point.at), number::value(point.value)])
}

/// A time in seconds: a whole number where it is one.
fn seconds(at: i64) -> Json {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch are below 2^53")]
    if at % 1000 == 0 { json!(at / 1000) } else { json!(at as f64 / 1000.0) }
}

fn targets(prometheus: &Prometheus) -> Json {
    let active: Vec<Json> = prometheus.targets.iter().map(target).collect();
    json!({ "activeTargets": active, "droppedTargets": [] })
}

fn target(target: &Target) -> Json {
    let Target { job, instance, last, .. } = target;
    let url = format!("http://{instance}/metrics");
    let (health, error) = match last {
        None => ("unknown", ""),
        Some((_, error)) if error.is_empty() => ("up", ""),
        Some((_, error)) => ("down", error.as_str()),
    };
    // Go's zero time stands for never. A scrape takes no time here.
    let scraped = last.as_ref().map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |(at, _)| instant(*at).to_string());
    json!({
        "discoveredLabels": {
            "__address__": instance,
            "__metrics_path__": "/metrics",
            "__scheme__": "http",
            "__scrape_interval__": go_span(INTERVAL),
            "__scrape_timeout__": go_span(TIMEOUT),
            "job": job,
        },
        "labels": { "instance": instance, "job": job },
        "scrapePool": job,
        "scrapeUrl": url,
        "globalUrl": url,
        "lastError": error,
        "lastScrape": scraped,
        "lastScrapeDuration": 0,
        "health": health,
        "scrapeInterval": go_span(INTERVAL),
        "scrapeTimeout": go_span(TIMEOUT),
    })
}

fn go_span(span: Duration) -> String {
    go_format::duration(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let parameters = Parameters::read("query=sum(up)%20%3E+1&time=2026-01-01T00:00:00.5Z&step=1m30s&x=%zz%4");
        assert_eq!(parameters.get("query"), "sum(up) > 1");
        assert_eq!(parameters.time("time"), Ok(1_767_225_600_500));
        assert_eq!(parameters.span("step"), Ok(90_000));
        assert_eq!(parameters.get("x"), "%zz%4");
        assert_eq!(time("1767225600.934"), Some(1_767_225_600_934));
        assert_eq!((time("NaN"), time("1e300"), span("")), (None, None, None));
    }
}
