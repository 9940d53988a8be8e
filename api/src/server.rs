//! Answering over HTTP/1.1: a bounded number of connections, each with a bounded patience.
//!
//! HTTP/2 and TLS belong to the proxy in front. Told apart by their first bytes here, they would
//! let a silent connection keep its place for ever.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::app::{App, StartError};
use crate::clock::Clock;
use crate::config::Config;
use crate::housekeeping::keep_house;
use crate::ledger::{Followers, Keeper};
use crate::router::router;
use crate::webhooks::Deliverer;

/// So long a connection may take to send a request's head, or stay idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// So long a client may leave what it was sent unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// So long nothing is accepted after the operating system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// So long requests under way may take once the program is told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(12);

/// A running server.
pub struct Server {
    app: Arc<App>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
    housekeeping: JoinHandle<()>,
    keeper: Keeper,
    followers: Followers,
    deliverer: Deliverer,
}

impl Server {
    /// Migrates, opens the vault, and listens.
    ///
    /// # Errors
    /// Says why not, in words for whoever runs the program.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let address = config.listen;
        let app = App::open(config, clock).await?;
        let failed = |reason| StartError::Listen { address, reason };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&app), stopped));
        let housekeeping = tokio::spawn(keep_house(Arc::clone(&app)));
        let keeper = Keeper::start(Arc::clone(&app));
        let followers = Followers::start(&app, &keeper.sizes());
        let deliverer = Deliverer::start(Arc::clone(&app));
        Ok(Self { app, address, stop, accepting, housekeeping, keeper, followers, deliverer })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it consists of.
    #[must_use]
    pub const fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Takes no more connections, and lets the requests and deliveries under way finish.
    pub async fn stop(self) {
        self.housekeeping.abort();
        self.app.ledger.stop_listeners();
        // The receiver is gone only if accepting has ended already.
        let _ = self.stop.send(());
        let (_, ()) = tokio::join!(self.accepting, self.deliverer.stop());
        self.app.to_the_end.stop().await;
        self.keeper.stop().await;
        self.followers.finish().await;
    }
}

async fn accept(listener: TcpListener, app: Arc<App>, mut stopped: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(app.config.connections_max));
    let router = router(app);
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let graceful = GracefulShutdown::new();
    loop {
        // The place is taken before the connection is: what does not fit waits in the backlog.
        let place = Arc::clone(&places).acquire_owned();
        let accepted = async { (place.await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut stopped => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: it takes a moment until some are closed.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = serve(&http, stream, peer, router.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still under way when the program stopped");
    }
}

fn serve(
    http: &Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: axum::Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + use<> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    http.serve_connection(TokioIo::new(Box::pin(stream)), service)
}
