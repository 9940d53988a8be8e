//! One attempt: a POST to a receiver, signed, that follows no redirect and asks no proxy.

use std::error::Error;
use std::time::Duration;

use countersign_domain::Timestamp;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use super::figures::Outcome;
use super::signature::Secret;
use super::target::{self, Reach, TargetRefusal, WithinReach};
use crate::rest::audit::feed::Message;
use crate::tls;

/// A receiver may take so long until it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const REASON_CHARACTERS_MAX: usize = 200;
const NAME: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));

/// Sends to receivers within reach.
pub(super) struct Sender {
    client: Client,
    reach: Reach,
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

/// Why a receiver does not have an entry. It never quotes what the receiver answered, nor the address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the receiver answered {}", .0.as_u16())]
    Refused(StatusCode),
    #[error("the receiver answered 410 Gone; it is asked once an hour until the webhook is deleted")]
    Gone,
    #[error("the receiver did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the receiver was not reached: {0}")]
    Unreachable(String),
    #[error("nothing is sent: {0}")]
    NotAllowed(TargetRefusal),
}

impl Sender {
    /// Reads whom the system trusts, beside the threads that answer requests.
    pub(super) async fn new(reach: Reach) -> Result<Self, SenderError> {
        let roots = tokio::task::spawn_blocking(tls::system_roots).await?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client_config(roots)?)
            .dns_resolver(WithinReach(reach))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            // A connection that is used again could outlive what its name stands for.
            .pool_max_idle_per_host(0)
            .timeout(ANSWER_TIMEOUT)
            .build()?;
        Ok(Self { client, reach })
    }

    /// Sends an entry.
    pub(super) async fn send(
        &self,
        url: &str,
        secret: &Secret,
        message: &Message,
        now: Timestamp,
    ) -> Result<(), Failure> {
        // Again, since what is allowed may have changed since it was registered.
        let url = target::parse(url, self.reach).map_err(Failure::NotAllowed)?;
        let timestamp_s = now.timestamp();
        let request = self
            .client
            .post(url)
            .header(USER_AGENT, NAME)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.event_id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", secret.sign(&message.event_id, timestamp_s, &message.body))
            .body(message.body.clone());
        judge(request.send().await)
    }
}

fn judge(answer: Result<Response, reqwest::Error>) -> Result<(), Failure> {
    let status = match answer {
        // The body stays unread: whatever it says, nobody looks at it.
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
    // What is innermost names the reason; what is around it quotes the address.
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
        if let Some(refusal) = innermost.downcast_ref::<TargetRefusal>() {
            return Failure::NotAllowed(*refusal);
        }
    }
    if innermost.is::<reqwest::Error>() {
        return Failure::Unreachable("the request cannot be sent".to_owned());
    }
    let reason = innermost.to_string();
    let printable = reason.chars().filter(|character| !character.is_control());
    Failure::Unreachable(printable.take(REASON_CHARACTERS_MAX).collect())
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
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::Instant;
    use zeroize::Zeroizing;

    use super::*;

    async fn send(url: &str) -> Failure {
        let sender = Sender::new(Reach::Anywhere).await.unwrap();
        let secret = Secret::from_bytes(Zeroizing::new(b"secret".to_vec()));
        let message = Message { position: 0, event_id: "1".to_owned(), body: b"{}".to_vec() };
        sender.send(url, &secret, &message, Timestamp::default()).await.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_never_answers_is_given_up_after_ten_seconds() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", silent.local_addr().unwrap());
        let began = Instant::now();
        assert_eq!(send(&url).await, Failure::TimedOut);
        assert_eq!(began.elapsed().as_secs(), ANSWER_TIMEOUT.as_secs());
    }

    #[tokio::test]
    async fn a_failure_tells_its_reason_and_not_the_address() {
        // Bound, so that nobody else takes the port, and not listening.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = closed.local_addr().unwrap();
        let failure = send(&format!("http://{address}/in?key=secret")).await;
        assert_eq!(failure.outcome(), Outcome::Unreachable);
        let told = failure.to_string();
        assert!(told.contains("refused"), "{told}");
        assert!(!told.contains("secret") && !told.contains(&address.to_string()), "{told}");
        assert_eq!(send("ftp://siem.example/").await, Failure::NotAllowed(TargetRefusal::NotHttps));
    }
}
