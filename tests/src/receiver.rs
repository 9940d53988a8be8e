//! A program that receives webhooks, and answers as a test tells it to.

mod tls;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

/// Far above any delivery's time, so that one that never comes fails its test.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a path answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With this status.
    Status(u16),
    /// With a redirect to this address.
    Redirect(String),
    /// Not before the receiver is told to let go.
    Hang,
}

/// One message, as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The path it was sent to.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it came.
    pub bytes: Bytes,
    /// Its body as JSON.
    pub body: Value,
}

impl Received {
    /// A header, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The id of the message.
    pub fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    /// Asserts that it was signed with this secret, as Standard Webhooks lays down.
    #[track_caller]
    pub fn assert_signed_with(&self, secret: &str) {
        let key = secret.strip_prefix("whsec_").expect("a secret of Standard Webhooks");
        let key = STANDARD.decode(key).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
        for part in [self.header("webhook-id"), ".", self.header("webhook-timestamp"), "."] {
            mac.update(part.as_bytes());
        }
        mac.update(&self.bytes);
        let signature = self.header("webhook-signature").strip_prefix("v1,").expect("version 1");
        let signature = STANDARD.decode(signature).expect("base64");
        assert!(mac.verify_slice(&signature).is_ok(), "{self:?}");
    }
}

struct Shared {
    received: Mutex<Vec<Received>>,
    replies: Mutex<BTreeMap<String, Reply>>,
    let_go: Semaphore,
}

/// The running receiver; it goes with its test.
pub struct Receiver {
    base: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// Starts receiving on this machine, and answers 204 until it is told otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        Self::serving(base, listener)
    }

    /// Starts receiving over TLS as `localhost`; also returns the certificate, which nobody trusts yet.
    pub async fn start_with_tls() -> (Self, String) {
        let (listener, certificate) = tls::listen().await;
        let port = axum::serve::Listener::local_addr(&listener).expect("an address").port();
        (Self::serving(format!("https://localhost:{port}"), listener), certificate)
    }

    fn serving<L>(base: String, listener: L) -> Self
    where
        L: axum::serve::Listener<Addr = SocketAddr>,
    {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            replies: Mutex::default(),
            let_go: Semaphore::new(0),
        });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a receiver serves");
        });
        Self { base, shared, serving }
    }

    /// The address of a path here.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The port.
    pub fn port(&self) -> &str {
        self.base.rsplit_once(':').map_or("", |(_, port)| port)
    }

    /// Says how a path answers from now on.
    pub fn reply(&self, path: &str, reply: Reply) {
        lock(&self.shared.replies).insert(path.to_owned(), reply);
    }

    /// Answers those that hang, and all that would.
    pub fn let_go(&self) {
        self.shared.let_go.close();
    }

    /// What came to a path, in order.
    pub fn received(&self, path: &str) -> Vec<Received> {
        lock(&self.shared.received).iter().filter(|received| received.path == path).cloned().collect()
    }

    /// What came to a path, once there are so many.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Received> {
        eventually(&format!("{count} messages at {path}"), async || {
            let received = self.received(path);
            (received.len() >= count).then_some(received)
        })
        .await
    }
}

async fn receive(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> Response {
    let path = uri.path().to_owned();
    let reply = lock(&shared.replies).get(&path).cloned().unwrap_or(Reply::Status(204));
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    lock(&shared.received).push(Received { path, headers, bytes, body });
    match reply {
        Reply::Status(status) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, "what the receiver says is its own business").into_response()
        }
        Reply::Redirect(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Reply::Hang => {
            // It is never given, only closed.
            let closed = shared.let_go.acquire().await.is_err();
            assert!(closed, "nobody gives permits");
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks until there is an answer.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, asking).await;
    found.unwrap_or_else(|_| panic!("there never came {what}"))
}
