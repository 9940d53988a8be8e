//! Keeps the queue small on PostgreSQL.
//!
//! A row that left the queue keeps its room until it is vacuumed away, and autovacuum comes once a minute. By then a
//! busy queue has grown by hundreds of megabytes: more than fits into the server's memory as it comes, so that each
//! append and each turn waits for pages of it.

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::QUEUE;
use crate::database::Database;

/// So many rows leave the queue before it is swept: some megabytes, which stay in memory.
pub(super) const SWEEP_ROWS: usize = 8_192;

/// After a sweep comes a rest of so many times as long: where a long transaction lets nothing be swept away, each takes
/// longer than the one before.
const REST: u32 = 9;

#[derive(Default)]
pub(super) struct Sweeping {
    gone: usize,
    pub(super) under_way: Option<JoinHandle<()>>,
}

impl Sweeping {
    /// Notes that so many rows left the queue. Turns do not wait for the sweep.
    pub(super) fn note(&mut self, gone: usize, database: &Database) {
        self.gone += gone;
        let is_under_way = self.under_way.as_ref().is_some_and(|sweep| !sweep.is_finished());
        if self.gone < SWEEP_ROWS || is_under_way {
            return;
        }
        self.gone = 0;
        let database = database.clone();
        self.under_way = Some(tokio::spawn(async move {
            let began = Instant::now();
            // Without it everything works, only slower.
            if let Err(error) = database.sweep(QUEUE).await {
                tracing::warn!(%error, "the ledger's queue was not swept");
            }
            sleep(began.elapsed() * REST).await;
        }));
    }
}
