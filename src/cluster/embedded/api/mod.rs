//! What the nodes answer over HTTP: who can be reached, and what comes back. The bodies are made in [`super::bodies`].

mod members;
mod pd;
mod placement;
mod regions;
mod reply;
mod scheduling;
mod stores;
mod tikv;

use std::time::Duration;

use super::model::{Model, Place};
use super::{faults, metrics, prometheus};
use crate::http::{HttpError, Method, Request, Response};

const METRICS: &str = "/metrics";

/// What a request meets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reached {
    /// The Prometheus beside the cluster.
    Prometheus,
    /// A node that answers.
    Answers(Place),
    /// A node that never answers.
    Hangs,
}

/// Finds who would answer a request as the model is now.
pub(super) fn reach(model: &Model, request: &Request) -> Result<Reached, HttpError> {
    if request.authority == prometheus::AUTHORITY {
        return Ok(Reached::Prometheus);
    }
    let place = request.authority.split_once(':').and_then(|(host, port)| match (model.place(host)?, port) {
        (place @ Place::Pd(_), "2379") | (place @ Place::Tikv(_), "20180") => Some(place),
        _ => None,
    });
    let Some(place) = place else { return Err(HttpError::NoSuchAddress { url: request.url() }) };
    let serves = match place {
        Place::Pd(index) => model.members[index].serves(model.now),
        Place::Tikv(index) => model.stores[index].serves(),
    };
    match place {
        _ if model.process(place).hangs() => Ok(Reached::Hangs),
        _ if serves => Ok(Reached::Answers(place)),
        _ => Err(HttpError::Refused { url: request.url() }),
    }
}

/// What came of a request.
pub(super) enum Answer {
    /// The answer. If the request was to change something, it is changed.
    Now(Response),
    /// There is none yet, and nothing is changed: how long the node tries before it gives up, and the answer that it
    /// then gives. None if it never does.
    Later(Option<(Duration, Response)>),
}

/// Answers a request as the model is now.
pub(super) fn answer(model: &mut Model, request: &Request) -> Result<Answer, HttpError> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let reached = reach(model, request)?;
    let answer = match reached {
        Reached::Prometheus => Answer::Now(prometheus::answer(model, request)),
        Reached::Hangs => Answer::Later(None),
        Reached::Answers(place) if path == METRICS => Answer::Now(metrics(model, place)),
        Reached::Answers(Place::Pd(index)) => pd::answer(model, index, request, path, query),
        Reached::Answers(Place::Tikv(index)) => Answer::Now(tikv::answer(model, index, request, path)),
    };
    Ok(match (reached, answer) {
        // What changes something is answered at once, so that it changes it once only.
        (Reached::Answers(place), Answer::Now(response)) if request.method == Method::GET => {
            match faults::answer_delay(model, place) {
                Duration::ZERO => Answer::Now(response),
                delay => Answer::Later(Some((delay, response))),
            }
        }
        (_, answer) => answer,
    })
}

fn metrics(model: &Model, place: Place) -> Response {
    let [go, rust] = metrics::CONTENT_TYPES;
    let content_type = if matches!(place, Place::Pd(_)) { go } else { rust };
    reply::plain(200, content_type, metrics::exposition(model, place))
}
