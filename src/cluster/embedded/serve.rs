//! The modelled nodes on ports of loopback, for curl, a browser or a real Prometheus: the very answers that the model
//! gives in the process, while its time runs with the machine's.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::EmbeddedCluster;
use super::api::{self, Answer};
use super::prometheus;
use crate::http::{HttpError, Request, Response};

/// How often the model is moved on, and looked at for what has changed.
const TICK: Duration = Duration::from_millis(20);
/// The largest body that is read, in bytes.
const LARGEST_BODY: usize = 1 << 20;
/// The model answers at once or hangs; it never gives up.
const NO_TIMEOUT: Duration = Duration::MAX;

/// How to serve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The port of the first node, the others following; 0 for any that are free.
    pub port_base: u16,
    /// How fast the model's time runs, against the machine's.
    pub speed: f64,
}

/// A node and where it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address inside the cluster: `pd0:2379`.
    pub authority: String,
    /// Its address on this machine.
    pub address: SocketAddr,
}

/// A served cluster. It is served, and its time runs, until this is dropped.
#[derive(Debug)]
pub struct Served {
    /// The nodes in their order, and Prometheus at the end.
    pub endpoints: Vec<Endpoint>,
    _tasks: JoinSet<Infallible>,
}

/// Serves every node of a cluster, and the Prometheus beside it.
pub async fn serve(cluster: &Arc<EmbeddedCluster>, options: Options) -> io::Result<Served> {
    let mut tasks = JoinSet::new();
    let mut endpoints = Vec::new();
    for (index, authority) in authorities(cluster).into_iter().enumerate() {
        let port = match (options.port_base, u16::try_from(index)) {
            (0, _) => Some(0),
            (base, Ok(index)) => base.checked_add(index),
            (_, Err(_)) => None,
        };
        let port = port.ok_or_else(|| io::Error::other(format!("there is no port left for {authority}")))?;
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let endpoint = Endpoint { authority, address: listener.local_addr()? };
        tasks.spawn(listen(Arc::clone(cluster), endpoint.clone(), listener));
        endpoints.push(endpoint);
    }
    tasks.spawn(run_time(Arc::clone(cluster), options.speed));
    Ok(Served { endpoints, _tasks: tasks })
}

fn authorities(cluster: &EmbeddedCluster) -> Vec<String> {
    let nodes = cluster.nodes.iter().map(|node| {
        let port = if node.role == "pd" { 2379 } else { 20180 };
        format!("{}:{port}", node.name)
    });
    nodes.chain([prometheus::AUTHORITY.to_owned()]).collect()
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

/// Moves the model on by the time that has passed, so many times as fast.
async fn run_time(cluster: Arc<EmbeddedCluster>, speed: f64) -> Infallible {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        let now = Instant::now();
        let span = Duration::try_from_secs_f64((now - last).as_secs_f64() * speed);
        cluster.model().advance(span.unwrap_or_default());
        last = now;
    }
}

/// Accepts connections while the node's process does: one that has ended refuses them, and drops those that it had.
async fn listen(cluster: Arc<EmbeddedCluster>, endpoint: Endpoint, listener: TcpListener) -> Infallible {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let refuses = refuses(&cluster, &endpoint.authority);
        if refuses {
            listener = None;
            connections.abort_all();
        } else if listener.is_none() {
            // If another program has taken the port meanwhile, it is tried again.
            listener = bind(endpoint.address).await.ok();
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = connections.join_next(), if !connections.is_empty() => {}
            stream = accept(listener.as_ref()) => {
                connections.spawn(converse(Arc::clone(&cluster), endpoint.authority.clone(), stream));
            }
        }
    }
}

fn refuses(cluster: &EmbeddedCluster, authority: &str) -> bool {
    let anything = Request::get(authority, "/", NO_TIMEOUT);
    matches!(api::reach(&cluster.model(), &anything), Err(HttpError::Refused { .. }))
}

/// The next connection; none ever comes where nothing listens.
async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            return stream;
        }
        // Out of file descriptors, as a rule: wait for some to be closed.
        tokio::time::sleep(TICK).await;
    }
}

/// Answers the requests of one connection.
async fn converse(cluster: Arc<EmbeddedCluster>, authority: String, stream: TcpStream) {
    let service = service_fn(|request| reply(&cluster, &authority, request));
    // A client that goes away in the middle is no error of ours.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// Nothing is answered: the connection ends.
#[derive(Debug, thiserror::Error)]
#[error("the process is gone")]
struct Gone;

type Reply = hyper::Response<Full<Bytes>>;

async fn reply(cluster: &EmbeddedCluster, authority: &str, request: hyper::Request<Incoming>) -> Result<Reply, Gone> {
    match understood(authority, request).await {
        Ok(request) => wait_for_answer(cluster, &request).await.map(|response| http_reply(&response)),
        Err(status) => Ok(plain(status)),
    }
}

/// The request as the model's routers know it. A form is a query that was too long for the path.
async fn understood(authority: &str, request: hyper::Request<Incoming>) -> Result<Request, StatusCode> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
    let body = std::str::from_utf8(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    if head.method == Method::POST
        && head.headers.get(CONTENT_TYPE) == Some(&form)
        && path_takes_forms(authority, &path)
    {
        let separator = if path.contains('?') { '&' } else { '?' };
        return Ok(Request::get(authority, format!("{path}{separator}{body}"), NO_TIMEOUT));
    }
    // What comes back to a HEAD is what comes back to a GET, without the body.
    let method = if head.method == Method::HEAD { Method::GET } else { head.method };
    let body = if body.is_empty() { None } else { Some(serde_json::from_str(body)) };
    let header = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    Ok(Request {
        headers: head.headers.iter().filter_map(header).collect(),
        body: body.transpose().map_err(|_| StatusCode::BAD_REQUEST)?,
        ..Request::new(method, authority, path, NO_TIMEOUT)
    })
}

/// Prometheus reads queries from forms, and PD hands some of its requests on to it.
fn path_takes_forms(authority: &str, path: &str) -> bool {
    authority == prometheus::AUTHORITY || path.starts_with("/pd/api/v1/metric/")
}

/// Waits in the model's time, which here runs by itself; for ever where the node hangs.
async fn wait_for_answer(cluster: &EmbeddedCluster, request: &Request) -> Result<Response, Gone> {
    let began = cluster.model().now;
    loop {
        {
            let mut model = cluster.model();
            match api::answer(&mut model, request) {
                Ok(Answer::Now(response)) => return Ok(response),
                Ok(Answer::Later(Some((patience, response)))) if model.now >= began + patience => return Ok(response),
                Ok(Answer::Later(_)) => {}
                Err(_) => return Err(Gone),
            }
        }
        tokio::time::sleep(TICK).await;
    }
}

fn http_reply(response: &Response) -> Reply {
    let mut reply = hyper::Response::new(Full::from(response.body.clone()));
    *reply.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(content_type) = HeaderValue::from_str(&response.content_type)
        && !response.content_type.is_empty()
    {
        reply.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    reply
}

fn plain(status: StatusCode) -> Reply {
    let mut reply = hyper::Response::new(Full::from(format!("{status}\n")));
    *reply.status_mut() = status;
    reply
}
