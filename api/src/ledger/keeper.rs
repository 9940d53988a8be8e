//! The task of each node that keeps the ledger: one node at a time takes the sequencer's turns, and
//! every node keeps the head.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up::{CaughtUp, catch_up};
use countersign_projections::ledger::sequencer::Sequencer;
use countersign_projections::ledger::store::LedgerError;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::head::HeadError;
use super::leadership::Leadership;
use crate::app::App;

/// After a turn that found something the next one waits, so that what comes meanwhile shares it.
const PACE: Duration = Duration::from_millis(20);
/// When much comes, larger turns cost less.
const PACE_WHEN_BUSY: Duration = Duration::from_millis(100);
const BUSY_ROWS: usize = 64;
/// How soon what another node appended is noticed.
const POLL: Duration = Duration::from_millis(50);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// The head is written no more often.
const HEAD_EVERY: Duration = Duration::from_millis(250);
/// How often events are looked for that nobody announced.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);
/// An event may take so long to its place before it is looked for.
const RECONCILE_AFTER: TimeDelta = TimeDelta::seconds(10);
/// So long a node that stops takes to finish.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The running task.
pub struct Keeper {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts keeping.
    #[must_use]
    pub fn start(app: Arc<App>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let keeping = Keeping::new(app);
        Self { stop, task: tokio::spawn(keeping.run(stopped)) }
    }

    /// Takes a last turn, so that what was answered is signed and the head knows it, and lets another
    /// node lead.
    pub async fn stop(self) {
        // The receiver is gone only if the task has ended already.
        let _ = self.stop.send(());
        if timeout(STOP_TIMEOUT, self.task).await.is_err() {
            tracing::warn!("the ledger's last turn was not finished; the next start takes it");
        }
    }
}

struct Keeping {
    app: Arc<App>,
    sequencer: Sequencer,
    leadership: Leadership,
    head_written: Option<Instant>,
    reconciled: Option<Instant>,
}

impl Keeping {
    fn new(app: Arc<App>) -> Self {
        let (sequencer, leadership) = (app.ledger.sequencer(), Leadership::of(&app.database));
        Self { app, sequencer, leadership, head_written: None, reconciled: None }
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let bell = self.app.ledger.bell();
        loop {
            let (pause, may_be_rung) = self.round_or_pause().await;
            let rung = async {
                if may_be_rung {
                    bell.notified().await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = rung => {}
                _ = &mut stopped => break,
            }
        }
        self.head_written = None;
        let last = self.round_or_pause().await;
        tracing::trace!(?last, "the ledger's last turn");
        self.leadership.release().await;
    }

    /// How long to wait for the next round, and whether an append may shorten that.
    async fn round_or_pause(&mut self) -> (Duration, bool) {
        let outcome = self.round().await;
        let mut noticed = self.app.ledger.health.lock();
        match outcome {
            Ok(taken) => {
                if noticed.failure.take().is_some() {
                    tracing::info!("the ledger is signed again");
                }
                match taken {
                    0 => (POLL, true),
                    1..BUSY_ROWS => (PACE, false),
                    BUSY_ROWS.. => (PACE_WHEN_BUSY, false),
                }
            }
            Err(error) => {
                noticed.failed_signatures += 1;
                let failure = error.to_string();
                if noticed.failure.as_ref() != Some(&failure) {
                    tracing::error!(%error, "the ledger is not signed; this is tried again");
                }
                noticed.failure = Some(failure);
                (PAUSE, false)
            }
        }
    }

    /// One round; how many entries are new.
    async fn round(&mut self) -> Result<usize, HeadError> {
        let leads = self.leadership.held().await.map_err(LedgerError::from)?;
        self.app.ledger.health.lock().leads = leads;
        let taken = if leads { self.lead().await? } else { self.watch_trail().await? };
        if self.head_written.is_none_or(|at| at.elapsed() >= HEAD_EVERY) {
            self.keep_head().await?;
        }
        Ok(taken)
    }

    async fn lead(&mut self) -> Result<usize, HeadError> {
        let ledger = &self.app.ledger;
        let turn = self.sequencer.turn(ledger.head.trusted().as_ref(), self.app.clock.now()).await?;
        let taken = if turn.more { turn.taken.max(1) } else { turn.taken };
        self.notice_held(turn.held);
        self.follow(turn.size).await?;
        if self.reconciled.is_none_or(|at| at.elapsed() >= RECONCILE_EVERY) {
            self.reconcile().await?;
        }
        Ok(taken)
    }

    fn notice_held(&self, held: Vec<String>) {
        let mut noticed = self.app.ledger.health.lock();
        if noticed.held != held {
            for event in held.iter().filter(|event| !noticed.held.contains(event)).take(10) {
                tracing::error!(event, "an event gets no place in the ledger");
            }
            noticed.held = held;
        }
    }

    /// Lets what follows the ledger take in what is new.
    async fn follow(&self, size: u64) -> Result<(), HeadError> {
        let caught_up = catch_up(&AuditTrail, &self.app.database, size).await.map_err(LedgerError::from)?;
        let (trail_size, poisoned) = match caught_up {
            CaughtUp::To(position) => (position, None),
            CaughtUp::Poisoned(position) => (position, Some(position)),
        };
        self.tell_trail_size(trail_size);
        let mut noticed = self.app.ledger.health.lock();
        if let Some(position) = poisoned
            && noticed.poisoned.is_none()
        {
            tracing::error!(position, "the audit trail stops before an entry whose event is gone");
        }
        noticed.poisoned = poisoned;
        Ok(())
    }

    /// What the leader has done, for those who listen to this node.
    async fn watch_trail(&self) -> Result<usize, HeadError> {
        let size = self.app.trail_size().await.map_err(LedgerError::from)?;
        self.tell_trail_size(size);
        Ok(0)
    }

    fn tell_trail_size(&self, size: u64) {
        self.app.ledger.trail.send_if_modified(|known| std::mem::replace(known, size) != size);
    }

    async fn reconcile(&mut self) -> Result<(), HeadError> {
        let (missing, at_the_end) = self.sequencer.reconcile(self.app.clock.now() - RECONCILE_AFTER).await?;
        // Where there is more to look at, the next round goes on.
        self.reconciled = at_the_end.then(Instant::now);
        let events: Vec<String> = missing.into_iter().map(|missing| missing.event).collect();
        let mut noticed = self.app.ledger.health.lock();
        // What is held waits for its place, and was announced.
        let unsequenced = if noticed.held.is_empty() { events } else { Vec::new() };
        if let Some(event) = unsequenced.first()
            && noticed.unsequenced.is_empty()
        {
            tracing::error!(event, "an event never came to the ledger; run `countersign verify`");
        }
        noticed.unsequenced = unsequenced;
        Ok(())
    }

    async fn keep_head(&mut self) -> Result<(), HeadError> {
        let ledger = &self.app.ledger;
        let state = ledger.store.state().await?.ok_or(LedgerError::NotThere)?;
        ledger.head.advance(&ledger.store, &state.checkpoint).await?;
        self.head_written = Some(Instant::now());
        Ok(())
    }
}
