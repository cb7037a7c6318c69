//! Answers as PD and TiKV write them.

use serde::Serialize;

use crate::http::Response;

/// What PD's `render` says of JSON.
pub(super) const JSON: &str = "application/json; charset=UTF-8";
/// What Go's server says of text.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// What PD's `render` says of bytes.
const BINARY: &str = "application/octet-stream";

/// An answer; the error is one, too: a refusal.
pub(in super::super) type Reply = Result<Response, Response>;

/// An answer as it stands.
pub(super) fn plain(status: u16, content_type: &str, body: impl Into<String>) -> Response {
    Response { status, content_type: content_type.to_owned(), body: body.into() }
}

/// Indented JSON and a newline, as PD's `render` writes it.
pub(in super::super) fn json(body: &impl Serialize) -> Reply {
    json_with_status(200, body)
}

/// A refusal: a reason as a JSON string.
pub(in super::super) fn refusal(status: u16, reason: &str) -> Response {
    json_with_status(status, &reason).unwrap_or_else(|response| response)
}

/// JSON without spaces, as the endpoints for regions write it.
pub(in super::super) fn compact(body: &impl Serialize) -> Reply {
    serde_json::to_string(body).map(|body| plain(200, BINARY, body)).map_err(|error| cannot_write(&error))
}

fn json_with_status(status: u16, body: &impl Serialize) -> Reply {
    let text = serde_json::to_string_pretty(body).map_err(|error| cannot_write(&error))?;
    Ok(plain(status, JSON, text + "\n"))
}

fn cannot_write(error: &serde_json::Error) -> Response {
    plain(500, TEXT, format!("{error}\n"))
}
