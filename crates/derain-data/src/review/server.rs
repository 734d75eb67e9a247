//! The server's thread.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::iter;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

use super::access::Gate;
use super::log::Log;
use super::queue::{Queue, Stage};
use super::shared::Shared;
use super::{ReviewOptions, WebJudge, routes};
use crate::Error;
use crate::dataset::{BuildEvent, RecordedVerdict};
use crate::hex::hex;

/// 128 bits cannot be guessed.
const TOKEN_BYTES: usize = 16;
/// For answers that are under way when the server is shut down; then connections are cut.
const GRACE: Duration = Duration::from_secs(1);

/// Serves the page until it is shut down or dropped.
pub struct ReviewServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    url: String,
    /// Dropping it stops the thread.
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ReviewServer {
    /// Serves the page, with verdicts in the file `verdicts`: made if missing, else its verdicts hold and new ones are
    /// added.
    ///
    /// # Errors
    /// [`Error::ReviewServer`] if the address cannot be had; [`Error::ReviewInUse`] if another program holds the file,
    /// [`Error::NotAFile`], [`Error::ListLine`] or [`Error::Io`] if it is no file of verdicts.
    pub fn start(verdicts: impl AsRef<Path>, options: &ReviewOptions) -> Result<Self, Error> {
        let failed = |action| move |source| Error::ReviewServer { action, address: options.address, source };
        let log = Log::open(verdicts.as_ref())?;
        let token = token().map_err(failed("draw a token"))?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed("start a runtime"))?;
        let listener = listen(&runtime, options.address).map_err(failed("listen"))?;
        let address = listener.local_addr().map_err(failed("listen"))?;
        let shared = Arc::new(Shared::new(Queue::new(log)));
        let url = format!("http://{}/?token={token}", reachable(address));
        let app = routes::app(shared.clone(), Gate::new(token, reachable(address), &options.hosts));
        let (stop, stopped) = watch::channel(());
        let serve = move || serve(runtime, listener, app, stopped);
        let thread = thread::Builder::new().name("review".into()).spawn(serve).map_err(failed("start a thread"))?;
        Ok(Self { shared, address, url, stop: Some(stop), thread: Some(thread) })
    }

    /// The page's address with its token, for the person alone.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A judge that asks on the page.
    #[must_use]
    pub fn judge(&self) -> WebJudge {
        WebJudge::new(self.shared.clone())
    }

    /// Puts a video into the queue, to be seen before its turn.
    pub fn expect(&self, video: &str) {
        self.shared.queue().expect(video);
    }

    /// Says that a video's clean image is being made.
    pub fn computing(&self, video: &str) {
        self.shared.queue().note(video, Stage::Computing(None));
    }

    /// Says that a video cannot be used.
    pub fn failed(&self, video: &str, why: &str) {
        self.shared.queue().note(video, Stage::Failed(why.to_owned()));
    }

    /// Shows how far [`build_dataset`](crate::dataset::build_dataset) is; to be called from its observer.
    pub fn observe(&self, event: &BuildEvent<'_>) {
        match event {
            BuildEvent::Hashing { video, .. } => self.expect(video),
            BuildEvent::Started { video, .. } => self.computing(video),
            // What an earlier run has finished is not judged again.
            BuildEvent::Judged { video } | BuildEvent::Finished { video } => {
                let stage = match video.verdict {
                    RecordedVerdict::Accepted => Stage::Accepted(video.frames),
                    RecordedVerdict::Rejected => {
                        Stage::Rejected(video.frames, video.reason.clone().unwrap_or_default())
                    }
                };
                self.shared.queue().note(&video.name, stage);
            }
            BuildEvent::Failed { video, error } => self.failed(video, &with_causes(error)),
            _ => {}
        }
    }

    /// Ends the waiting of all judges with an error, finishes answers that are under way, and stops. Dropping does the
    /// same.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for ReviewServer {
    fn drop(&mut self) {
        self.shared.queue().close();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panics only by a bug, of which its message has told.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for ReviewServer {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReviewServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// An error with its causes. Decoders say theirs themselves, so what is said already is left out.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let causes = iter::successors(error.source(), |&cause| cause.source());
    for cause in causes.map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

fn listen(runtime: &Runtime, address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let _inside = runtime.enter();
    TcpListener::from_std(listener)
}

/// The address to ask at: a server that listens everywhere is at least here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// Until the sender of `stopped` is dropped.
fn serve(runtime: Runtime, listener: TcpListener, app: axum::Router, mut stopped: watch::Receiver<()>) {
    let mut closing = stopped.clone();
    let serving = runtime.spawn(async move {
        let closed = async move { drop(closing.changed().await) };
        // Serving does not fail: a connection that cannot be accepted is tried again.
        let _ = axum::serve(listener, app).with_graceful_shutdown(closed).await;
    });
    runtime.block_on(async move {
        let _ = stopped.changed().await;
        let _ = timeout(GRACE, serving).await;
    });
}
