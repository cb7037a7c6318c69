//! A gate between the program and the engine. It lets all requests through but for one kind, which it holds back from
//! when it is closed until it is opened: so a test can act at exactly that moment.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use tempfile::TempDir;

use super::program::PATIENCE;

/// Where the engine listens if the environment does not say.
const USUAL_SOCKET: &str = "/var/run/docker.sock";

/// A kind of request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requests {
    pub(crate) method: &'static str,
    /// What their path contains.
    pub(crate) path: &'static str,
}

pub(crate) struct Gate {
    folder: TempDir,
    shared: Arc<Shared>,
    held: Receiver<()>,
}

struct Shared {
    kind: Requests,
    closed: Mutex<bool>,
    opened: Condvar,
    broken: AtomicBool,
}

impl Gate {
    /// An open gate.
    pub(crate) fn new(kind: Requests) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let shared = Arc::new(Shared {
            kind,
            closed: Mutex::new(false),
            opened: Condvar::new(),
            broken: AtomicBool::new(false),
        });
        let (sender, held) = mpsc::channel();
        let gate = Self { folder, shared: Arc::clone(&shared), held };
        thread::spawn(move || {
            for client in listener.incoming() {
                connect(client.unwrap(), &shared, &sender);
            }
        });
        gate
    }

    /// A closed gate.
    pub(crate) fn closed(kind: Requests) -> Self {
        let gate = Self::new(kind);
        gate.close();
        gate
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    pub(crate) fn close(&self) {
        *self.shared.closed.lock().unwrap() = true;
    }

    /// Waits until a request is held back.
    pub(crate) fn wait(&self) {
        self.held.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("there was no request of {:?}", self.shared.kind));
    }

    /// Lets the held requests through, and those to come.
    pub(crate) fn open(&self) {
        *self.shared.closed.lock().unwrap() = false;
        self.shared.opened.notify_all();
    }

    /// From now on each request, on old connections and on new ones, ends in a closed connection.
    pub(crate) fn break_down(&self) {
        self.shared.broken.store(true, Ordering::SeqCst);
    }
}

fn connect(client: UnixStream, shared: &Arc<Shared>, held: &Sender<()>) {
    let engine = UnixStream::connect(socket()).unwrap();
    let (from_client, to_engine) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    let (shared, held) = (Arc::clone(shared), held.clone());
    thread::spawn(move || {
        copy(from_client, to_engine, |chunk| {
            if shared.kind.is_begun_by(chunk) {
                shared.pass(&held);
            }
            !shared.broken.load(Ordering::SeqCst)
        });
    });
    thread::spawn(move || copy(engine, client, |_| true));
}

impl Requests {
    /// Clients write the head of a request at once, and nothing before the last answer has come.
    fn is_begun_by(&self, chunk: &[u8]) -> bool {
        let line = String::from_utf8_lossy(chunk.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
        line.strip_prefix(self.method).is_some_and(|rest| rest.starts_with(" /") && rest.contains(self.path))
    }
}

impl Shared {
    fn pass(&self, held: &Sender<()>) {
        let closed = self.closed.lock().unwrap();
        if *closed {
            // A test that has failed does not listen any more.
            let _ = held.send(());
        }
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
    }
}

/// Copies until either side has ended, or what comes may not pass.
fn copy(mut from: UnixStream, mut to: UnixStream, may_pass: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !may_pass(&buffer[..length]) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other side may have closed it already.
    let _ = to.shutdown(Shutdown::Write);
}

fn socket() -> PathBuf {
    match env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => {
            host.strip_prefix("unix://").expect("the tests need an engine on a Unix socket").into()
        }
        _ => USUAL_SOCKET.into(),
    }
}
