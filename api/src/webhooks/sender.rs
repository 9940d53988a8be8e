//! One attempt: a POST to a receiver, signed, that follows no redirect and asks no proxy.

use std::mem;
use std::time::Duration;

use countersign_domain::Timestamp;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::ClientConfig;
use tokio::time::Instant;

use super::figures::Outcome;
use super::signature::Secret;
use super::target::{self, Reach, TargetRefusal, WithinReach};
use super::trouble::{self, Trouble};
use super::turn::FRESH;
use crate::rest::audit::feed::Message;
use crate::tls;

/// A receiver may take so long until it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const NAME: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));

/// Makes what turns send with.
pub(super) struct Sender {
    tls: ClientConfig,
    reach: Reach,
}

/// What one turn sends with. Its messages share a connection, which leads to an address that was judged and
/// ends with the turn: whatever its name stands for by then, the next turn looks it up.
pub(super) struct Connection {
    client: Client,
    reach: Reach,
    /// Whether something was sent already.
    is_used: bool,
}

/// Nothing can be sent at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum SenderError {
    #[error("no TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    #[error("the program is stopping")]
    Stopping(#[from] tokio::task::JoinError),
}

/// Why a receiver does not have an entry. It never quotes what came from the receiver, nor the address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the receiver answered {}", .0.as_u16())]
    Refused(StatusCode),
    #[error("the receiver answered 410 Gone; it is asked once an hour until the webhook is deleted")]
    Gone,
    #[error("the receiver did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the receiver was not reached: {0}")]
    Unreachable(Trouble),
    #[error("nothing is sent: {0}")]
    NotAllowed(TargetRefusal),
}

impl Sender {
    /// Reads whom the system trusts, beside the threads that answer requests.
    pub(super) async fn new(reach: Reach) -> Result<Self, SenderError> {
        let roots = tokio::task::spawn_blocking(tls::system_roots).await?;
        Ok(Self { tls: tls::client_config(roots)?, reach })
    }

    /// Of a turn; it connects once there is something to send.
    pub(super) fn connection(&self) -> Result<Connection, SenderError> {
        let client = Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(WithinReach(self.reach))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Connection { client, reach: self.reach, is_used: false })
    }
}

impl Connection {
    /// Sends an entry.
    pub(super) async fn send(
        &mut self,
        url: &str,
        secret: &Secret,
        message: &Message,
        now: Timestamp,
    ) -> Result<(), Failure> {
        // Again, since what is allowed may have changed since it was registered.
        let url = target::parse(url, self.reach).map_err(Failure::NotAllowed)?;
        let timestamp_s = now.timestamp();
        let signature = secret.sign(&message.event_id, timestamp_s, &message.body);
        let until = Instant::now() + ANSWER_TIMEOUT;
        let post = || {
            self.client
                .post(url.clone())
                .timeout(until.saturating_duration_since(Instant::now()))
                .header(USER_AGENT, NAME)
                .header(CONTENT_TYPE, "application/json")
                .header("webhook-id", &message.event_id)
                .header("webhook-timestamp", timestamp_s)
                .header("webhook-signature", &signature)
                .body(message.body.clone())
        };
        let began = Instant::now();
        let sent = judge(post().send().await);
        // A receiver may close a connection just when it is used again, which is its right. One that takes its time
        // first gets what is read anew.
        let is_used = mem::replace(&mut self.is_used, true);
        let may_be_closed = is_used && began.elapsed() < FRESH;
        if may_be_closed && sent == Err(Failure::Unreachable(Trouble::Broken)) {
            return judge(post().send().await);
        }
        sent
    }
}

fn judge(answer: Result<Response, reqwest::Error>) -> Result<(), Failure> {
    let status = match answer {
        // The body stays unread: whatever it says, nobody looks at it. A long one ends the connection.
        Ok(response) => response.status(),
        Err(error) => return Err(failure(&error)),
    };
    match status {
        StatusCode::GONE => Err(Failure::Gone),
        status if status.is_success() => Ok(()),
        status => Err(Failure::Refused(status)),
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::TimedOut;
    }
    let refusal = trouble::causes(error).find_map(|cause| cause.downcast_ref::<TargetRefusal>());
    if let Some(refusal) = refusal {
        return Failure::NotAllowed(*refusal);
    }
    Failure::Unreachable(if error.is_dns() { Trouble::NoAddress } else { Trouble::of(error) })
}

impl Failure {
    /// How it is counted.
    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Refused(_) => Outcome::Refused,
            Self::Gone => Outcome::Gone,
            Self::TimedOut => Outcome::TimedOut,
            Self::Unreachable(_) => Outcome::Unreachable,
            Self::NotAllowed(_) => Outcome::NotAllowed,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;
    use std::error::Error;
    use std::io::ErrorKind;
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::ConnectInfo;
    use reqwest::dns::{Addrs, Name, Resolve, Resolving};
    use tokio::net::{TcpListener, TcpStream};
    use zeroize::Zeroizing;

    use super::*;

    /// The address of a receiver that takes everything, and from where that came.
    pub(in crate::webhooks) async fn receiver() -> (String, Arc<Mutex<Vec<SocketAddr>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let peers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&peers);
        let receive = move |ConnectInfo(peer): ConnectInfo<SocketAddr>, _body: Bytes| {
            seen.lock().unwrap().push(peer);
            async { StatusCode::NO_CONTENT }
        };
        let service = Router::new().fallback(receive).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        (url, peers)
    }

    async fn connection() -> Connection {
        Sender::new(Reach::Anywhere).await.unwrap().connection().unwrap()
    }

    async fn send(connection: &mut Connection, url: &str) -> Result<(), Failure> {
        let secret = Secret::from_bytes(Zeroizing::new(b"secret".to_vec()));
        let message = Message { position: 0, event_id: "1".to_owned(), body: b"{}".to_vec() };
        connection.send(url, &secret, &message, Timestamp::default()).await
    }

    async fn fail_to_send(url: &str) -> Failure {
        send(&mut connection().await, url).await.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_never_answers_is_given_up_after_ten_seconds() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", silent.local_addr().unwrap());
        let began = Instant::now();
        assert_eq!(fail_to_send(&url).await, Failure::TimedOut);
        assert_eq!(began.elapsed().as_secs(), ANSWER_TIMEOUT.as_secs());
    }

    #[tokio::test]
    async fn a_failure_tells_its_reason_and_not_the_address() {
        // Bound, so that nobody else takes the port, and not listening.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = closed.local_addr().unwrap();
        let failure = fail_to_send(&format!("http://{address}/in?key=secret")).await;
        assert_eq!(failure, Failure::Unreachable(Trouble::Refused));
        let told = failure.to_string();
        assert!(!told.contains("secret") && !told.contains(&address.to_string()), "{told}");
        assert_eq!(fail_to_send("ftp://siem.example/").await, Failure::NotAllowed(TargetRefusal::NotHttps));
    }

    struct NobodyKnows;

    impl Resolve for NobodyKnows {
        fn resolve(&self, name: Name) -> Resolving {
            let told: Box<dyn Error + Send + Sync> = format!("nobody knows {}", name.as_str()).into();
            Box::pin(async move { Err::<Addrs, _>(told) })
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_found_is_not_told() {
        let client = tls::plain_http_client().unwrap().dns_resolver(NobodyKnows).build().unwrap();
        let error = client.get("http://siem.internal/in").send().await.unwrap_err();
        assert_eq!(failure(&error), Failure::Unreachable(Trouble::NoAddress));
        assert_eq!(failure(&error).to_string(), "the receiver was not reached: its name was not found");
    }

    #[tokio::test]
    async fn the_messages_of_a_turn_share_a_connection_which_ends_with_the_turn() {
        let (url, peers) = receiver().await;
        let sender = Sender::new(Reach::Anywhere).await.unwrap();
        let mut turns = Vec::new();
        for _ in 0..2 {
            let mut connection = sender.connection().unwrap();
            for _ in 0..10 {
                send(&mut connection, &url).await.unwrap();
            }
            let peers = mem::take(&mut *peers.lock().unwrap());
            assert_eq!(peers.len(), 10);
            turns.push(peers.into_iter().collect::<BTreeSet<_>>());
        }
        // Where one is given back too late another one is opened.
        assert!(turns.iter().all(|connections| connections.len() < 10), "{turns:?}");
        assert!(turns[0].is_disjoint(&turns[1]), "{turns:?}");
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer_once(stream));
            }
        });
        let mut connection = connection().await;
        for _ in 0..3 {
            send(&mut connection, &url).await.unwrap();
        }
    }

    /// Answers the first request, and hangs up on the second.
    async fn answer_once(stream: TcpStream) {
        read_request(&stream).await;
        stream.writable().await.unwrap();
        stream.try_write(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        read_request(&stream).await;
    }

    async fn read_request(stream: &TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"{}") {
            stream.readable().await.unwrap();
            let mut piece = [0; 1_024];
            match stream.try_read(&mut piece) {
                Ok(0) => return,
                Ok(length) => request.extend_from_slice(&piece[..length]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }
}
