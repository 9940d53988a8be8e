//! Webhooks: entries of the audit trail sent to other programs once they are signed.
//!
//! Each webhook gets its entries one by one and in the ledger's order, each until the receiver has it:
//! at least once, and never with a gap. The node that leads sends; what it knows of a webhook is the
//! cursor in the database, so another node, or the next start, goes on where it stopped.

mod address;
mod backoff;
mod cursor;
pub mod figures;
mod sender;
pub(crate) mod signature;
pub(crate) mod target;
mod trouble;
mod turn;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{self, JoinError, JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::caught::caught;
use crate::problem::Problem;
use cursor::Due;
use sender::Sender;
use target::Reach;
use turn::Turn;

/// How soon a new entry is noticed.
const POLL: Duration = Duration::from_millis(200);
/// After a failure of our own.
const PAUSE: Duration = Duration::from_secs(1);
/// So many webhooks are served at once; each of them by one turn.
const TURNS_MAX: usize = 8;
/// So many of these may be webhooks that fail, and likely wait for an answer in vain.
const FAILING_TURNS_MAX: usize = 4;
/// So long deliveries under way may take once the program is told to stop: as long as requests.
const STOP_TIMEOUT: Duration = Duration::from_secs(12);

/// The task that delivers.
pub struct Deliverer {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Deliverer {
    /// Starts delivering, whenever this node leads.
    #[must_use]
    pub fn start(app: Arc<App>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let delivering = Delivering {
            app,
            stopping,
            sender: None,
            turns: JoinSet::new(),
            served: HashMap::new(),
            restored: false,
            failure: None,
        };
        Self { stop, task: tokio::spawn(delivering.run()) }
    }

    /// Begins no more deliveries, and lets those under way finish.
    pub async fn stop(self) {
        // The receiver is gone only if the task has ended already.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that delivers to webhooks ended early");
        }
    }
}

struct Delivering {
    app: Arc<App>,
    stopping: watch::Receiver<bool>,
    sender: Option<Arc<Sender>>,
    turns: JoinSet<()>,
    /// Which webhook each turn serves, so that none has two at once.
    served: HashMap<task::Id, Served>,
    /// Whether cursors that were lost are there again.
    restored: bool,
    /// What the log was told last.
    failure: Option<String>,
}

struct Served {
    webhook_id: String,
    failing: bool,
}

impl Delivering {
    async fn run(mut self) {
        while !*self.stopping.borrow() {
            let pause = self.round_or_pause().await;
            tokio::select! {
                () = sleep(pause) => {}
                Some(ended) = self.turns.join_next_with_id() => self.forget(ended),
                // An error means that whoever could stop it is gone.
                _ = self.stopping.changed() => break,
            }
            while let Some(ended) = self.turns.try_join_next_with_id() {
                self.forget(ended);
            }
        }
        let finished = async { while self.turns.join_next().await.is_some() {} };
        if timeout(STOP_TIMEOUT, finished).await.is_err() {
            tracing::warn!("some deliveries to webhooks were still under way; they are repeated");
        }
        self.turns.shutdown().await;
    }

    fn forget(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a turn of a webhook ended early");
                error.id()
            }
        };
        self.served.remove(&id);
    }

    async fn round_or_pause(&mut self) -> Duration {
        let outcome = caught(self.round()).await;
        match outcome.unwrap_or_else(|panicked| Err(Problem::internal(panicked.to_string()))) {
            Ok(()) => {
                self.failure = None;
                POLL
            }
            Err(problem) => {
                let failure = problem.for_operator();
                if self.failure.as_ref() != Some(&failure) {
                    tracing::warn!(failure, "nothing is sent to webhooks; this is tried again");
                }
                self.failure = Some(failure);
                PAUSE
            }
        }
    }

    /// Begins a turn for each webhook that is due, as far as there is room.
    async fn round(&mut self) -> Result<(), Problem> {
        if self.served.len() >= TURNS_MAX || !self.app.ledger.health.noticed().leads {
            return Ok(());
        }
        if !self.restored {
            cursor::restore(&self.app.database).await?;
            self.restored = true;
        }
        for due in cursor::due(&self.app.database, self.app.clock.now()).await? {
            if self.has_room_for(&due) {
                self.begin(due).await?;
            }
        }
        Ok(())
    }

    fn has_room_for(&self, due: &Due) -> bool {
        let mut served = self.served.values();
        let room = self.served.len() < TURNS_MAX && !served.any(|served| served.webhook_id == due.id);
        let failing = self.served.values().filter(|served| served.failing).count();
        room && (due.attempts == 0 || failing < FAILING_TURNS_MAX)
    }

    async fn begin(&mut self, due: Due) -> Result<(), Problem> {
        let sender = match &self.sender {
            Some(sender) => Arc::clone(sender),
            None => {
                let made = Sender::new(Reach::of(&self.app.config)).await;
                let made = made.map_err(|error| Problem::internal(error.to_string()))?;
                Arc::clone(self.sender.insert(Arc::new(made)))
            }
        };
        let served = Served { webhook_id: due.id.clone(), failing: due.attempts > 0 };
        let (app, stopping) = (Arc::clone(&self.app), self.stopping.clone());
        let turn = Turn { app, sender, stopping, due, lasts: turn::LASTS };
        let begun = self.turns.spawn(turn.run());
        self.served.insert(begun.id(), served);
        Ok(())
    }
}
