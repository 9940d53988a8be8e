//! The closed loop: so many clients, each sending its next request when the last one was answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::client::{Answer, Connection};

/// The requests of one kind of work, and what must be answered to them.
pub(crate) trait Work: Send + Sync + 'static {
    /// Writes the next request and says which it is; nothing when there are no more.
    fn next(&self, into: &mut Vec<u8>) -> Option<usize>;

    /// Looks at the answer; a wrong one fails the run.
    fn answered(&self, which: usize, answer: &Answer<'_>) -> anyhow::Result<()>;
}

/// What one round brought.
pub(crate) struct Round {
    /// Answers.
    pub(crate) count: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// How long each answer took, in microseconds, shortest first.
    latencies_us: Vec<u32>,
}

impl Round {
    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// Below this were so many hundredths of the answers, in milliseconds.
    pub(crate) fn percentile_ms(&self, hundredths: usize) -> f64 {
        let index =
            (self.latencies_us.len() * hundredths / 100).min(self.latencies_us.len().saturating_sub(1));
        self.latencies_us.get(index).map_or(f64::NAN, |us| f64::from(*us) / 1_000.0)
    }
}

/// Runs until the time is over or there are no more requests; with several addresses, clients spread over them.
pub(crate) async fn run(
    addresses: &[SocketAddr],
    clients: usize,
    time: Duration,
    work: Arc<dyn Work>,
) -> anyhow::Result<Round> {
    let over = Arc::new(AtomicBool::new(false));
    let mut connections = Vec::with_capacity(clients);
    for address in addresses.iter().cycle().take(clients) {
        connections.push(Connection::open(*address).await?);
    }
    let started = Instant::now();
    let mut running = JoinSet::new();
    for connection in connections {
        running.spawn(client(connection, Arc::clone(&work), Arc::clone(&over)));
    }
    let mut timer = Some(Box::pin(tokio::time::sleep(time)));
    let (mut latencies_us, mut ended) = (Vec::new(), started);
    while !running.is_empty() {
        let finished = match timer.as_mut() {
            Some(sleep) => tokio::select! {
                finished = running.join_next() => finished,
                () = sleep => {
                    over.store(true, Ordering::Relaxed);
                    timer = None;
                    continue;
                }
            },
            None => running.join_next().await,
        };
        if let Some(finished) = finished {
            let (took, last) = finished??;
            latencies_us.extend(took);
            ended = ended.max(last);
        }
    }
    latencies_us.sort_unstable();
    let seconds = ended.duration_since(started).as_secs_f64();
    Ok(Round { count: latencies_us.len() as u64, seconds, latencies_us })
}

/// Every request once, however long it takes.
pub(crate) async fn run_all(
    addresses: &[SocketAddr],
    clients: usize,
    work: Arc<dyn Work>,
) -> anyhow::Result<Round> {
    run(addresses, clients, Duration::from_hours(2), work).await
}

/// One client: how long each answer took, and when the last one came.
async fn client(
    mut connection: Connection,
    work: Arc<dyn Work>,
    over: Arc<AtomicBool>,
) -> anyhow::Result<(Vec<u32>, Instant)> {
    let mut request = Vec::with_capacity(1024);
    let mut latencies_us = Vec::with_capacity(16 * 1024);
    let mut last = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let Some(which) = work.next(&mut request) else { break };
        let sent = Instant::now();
        let answer = connection.send(&request).await?;
        last = Instant::now();
        latencies_us.push(u32::try_from((last - sent).as_micros()).unwrap_or(u32::MAX));
        work.answered(which, &answer)?;
    }
    Ok((latencies_us, last))
}
