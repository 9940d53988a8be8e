//! The task of each node that keeps the ledger: one node at a time takes the sequencer's turns, and
//! every node keeps the head.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use countersign_projections::ledger::sequencer::{Held, HeldEvent, Sequencer, Trust};
use countersign_projections::ledger::store::LedgerError;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::head::HeadError;
use super::health::{Leading, Stage};
use super::leadership::Leadership;
use crate::app::App;
use crate::caught::caught;

/// After a turn that found something the next one waits, so that what comes meanwhile shares it.
const PACE: Duration = Duration::from_millis(100);
/// When much comes, fewer and larger turns cost less for each event.
const PACE_WHEN_BUSY: Duration = Duration::from_millis(250);
const BUSY_ROWS: usize = 64;
/// How soon what another node appended is noticed.
const POLL: Duration = Duration::from_millis(50);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// The head is written no more often.
const HEAD_EVERY: Duration = Duration::from_millis(250);
/// How often events are looked for that nobody announced.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// An event may take so long to its place before it is looked for.
const LOOK_AFTER: TimeDelta = TimeDelta::seconds(10);
/// So long a node that stops takes to finish.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The running task.
pub struct Keeper {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    sizes: watch::Receiver<Option<u64>>,
}

impl Keeper {
    /// Starts keeping.
    #[must_use]
    pub fn start(app: Arc<App>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (sender, sizes) = watch::channel(None);
        let task = tokio::spawn(Keeping::new(app, sender).run(stopped));
        Self { stop, task, sizes }
    }

    /// Up to where what follows the ledger may follow it on this node; none where another node lets it.
    #[must_use]
    pub fn sizes(&self) -> watch::Receiver<Option<u64>> {
        self.sizes.clone()
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
    /// Up to where the trail may follow; none where another node lets it.
    sizes: watch::Sender<Option<u64>>,
    sequencer: Sequencer,
    leadership: Leadership,
    head_written: Option<Instant>,
    looked: Option<Instant>,
    /// Whether the ledger has not grown from its head when that was last compared.
    distrusts: bool,
}

impl Keeping {
    fn new(app: Arc<App>, sizes: watch::Sender<Option<u64>>) -> Self {
        let (sequencer, leadership) = (app.ledger.sequencer(), Leadership::of(&app.database));
        Self { app, sizes, sequencer, leadership, head_written: None, looked: None, distrusts: false }
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let appends = self.app.ledger.appends();
        loop {
            let (pause, may_be_rung) = self.round_or_pause().await;
            let rung = async {
                if may_be_rung {
                    appends.rung().await;
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
        // What it could not do, it has logged.
        let _ = self.round_or_pause().await;
        self.leadership.release().await;
    }

    /// How long to wait for the next round, and whether an append may shorten that.
    async fn round_or_pause(&mut self) -> (Duration, bool) {
        let outcome = match caught(self.round()).await {
            Ok(outcome) => outcome,
            Err(panicked) => {
                self.begin_anew();
                Err(at(Stage::Round)(panicked))
            }
        };
        let mut noticed = self.app.ledger.health.lock();
        match outcome {
            Ok(found) => {
                if noticed.failure.take().is_some() {
                    tracing::info!("the ledger is kept again");
                }
                found.pause()
            }
            Err(Failed { stage, reason }) => {
                if stage == Stage::Sign {
                    noticed.failed_signatures += 1;
                }
                let failure = (stage, reason);
                if noticed.failure.as_ref() != Some(&failure) {
                    tracing::error!(
                        ?stage,
                        reason = failure.1,
                        "the ledger is not kept; this is tried again"
                    );
                }
                noticed.failure = Some(failure);
                (PAUSE, false)
            }
        }
    }

    /// Nobody knows in which state a panic left what is remembered. Another node may lead.
    fn begin_anew(&mut self) {
        self.app.ledger.appends().forget();
        self.sequencer = self.app.ledger.sequencer();
        self.leadership = Leadership::of(&self.app.database);
    }

    async fn round(&mut self) -> Result<Found, Failed> {
        let leads = self.leadership.held().await.map_err(at(Stage::Lead));
        // Whoever does not know whether it leads does not.
        let does_lead = matches!(leads, Ok(true));
        let appends = self.app.ledger.appends();
        if does_lead {
            appends.remember();
        } else {
            appends.forget();
        }
        {
            let mut noticed = self.app.ledger.health.lock();
            noticed.leads = does_lead;
            if let Ok(false) = leads {
                // The node that leads now sees it, or that it is over.
                noticed.leading = Leading::default();
            }
        }
        if !does_lead {
            self.tell_follower(None);
        }
        if !leads? {
            return self.keep_head_now_and_then().await.map(|()| Found::Nothing);
        }
        // What was forked or rolled back is not signed on.
        if self.distrusts {
            self.keep_head().await.map_err(at(Stage::Head))?;
        }
        let head = self.app.ledger.head.trusted();
        let turn = self.sequencer.turn(Trust::Head(head.as_ref()), self.app.clock.now()).await;
        let turn = turn.map_err(at(Stage::Sign))?;
        self.notice_held(turn.held);
        self.tell_follower(Some(turn.size));
        // Each of these goes on whatever becomes of the other.
        let kept = self.keep_head_now_and_then().await;
        self.look_now_and_then().await;
        kept?;
        Ok(Found::by(turn.taken, turn.again))
    }

    fn tell_follower(&self, size: Option<u64>) {
        self.sizes.send_if_modified(|known| std::mem::replace(known, size) != size);
    }

    fn notice_held(&self, held: Held) {
        let mut noticed = self.app.ledger.health.lock();
        let known = &noticed.leading.held.first;
        for HeldEvent { event, reason } in held.first.iter().filter(|held| !known.contains(held)) {
            tracing::error!(event, reason, "an event gets no place in the ledger");
        }
        noticed.leading.held = held;
    }

    /// A look that fails keeps no turn waiting; it is an alarm until one succeeds.
    async fn look_now_and_then(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        let until = self.app.clock.now() - LOOK_AFTER;
        let looked = self.sequencer.look_for_missing(until).await;
        // Where there is more to look at, the next round goes on.
        let goes_on = matches!(&looked, Ok(looked) if !looked.at_the_end);
        self.looked = (!goes_on).then(Instant::now);
        let leading = &mut self.app.ledger.health.lock().leading;
        match looked {
            Ok(looked) => {
                leading.look_failure = None;
                for event in leading.notice_missing(looked) {
                    tracing::error!(event, "an event never came to the ledger; run `countersign verify`");
                }
            }
            Err(error) => {
                let failure = Some(error.to_string());
                if leading.look_failure != failure {
                    tracing::error!(%error, "events that nobody announced are not looked for; this is tried again");
                }
                leading.look_failure = failure;
            }
        }
    }

    async fn keep_head_now_and_then(&mut self) -> Result<(), Failed> {
        if self.head_written.is_some_and(|at| at.elapsed() < HEAD_EVERY) {
            return Ok(());
        }
        self.keep_head().await.map_err(at(Stage::Head))
    }

    async fn keep_head(&mut self) -> Result<(), HeadError> {
        let ledger = &self.app.ledger;
        let state = ledger.store.state().await?.ok_or(LedgerError::NotThere)?;
        let kept = ledger.head.advance(&ledger.store, &state.checkpoint).await;
        self.distrusts = match &kept {
            Ok(()) | Err(HeadError::Unreadable { .. }) => false,
            Err(HeadError::RolledBack { .. } | HeadError::Forked { .. } | HeadError::NotOurs { .. }) => true,
            Err(HeadError::Ledger(_)) => self.distrusts,
        };
        kept?;
        self.head_written = Some(Instant::now());
        Ok(())
    }
}

/// How much a round found to do.
#[derive(Clone, Copy, Debug)]
enum Found {
    Nothing,
    /// Little, or not all that waits.
    LittleOrNotAll,
    Much,
}

impl Found {
    /// By how many events a turn took, and whether another would find something.
    const fn by(taken: usize, again: bool) -> Self {
        match (taken, again) {
            (0, false) => Self::Nothing,
            (BUSY_ROWS.., false) => Self::Much,
            (_, true) | (0..BUSY_ROWS, false) => Self::LittleOrNotAll,
        }
    }

    /// How long to wait for the next round, and whether an append may shorten that.
    const fn pause(self) -> (Duration, bool) {
        match self {
            Self::Nothing => (POLL, true),
            Self::LittleOrNotAll => (PACE, false),
            Self::Much => (PACE_WHEN_BUSY, false),
        }
    }
}

/// What a round failed at.
#[derive(Debug)]
struct Failed {
    stage: Stage,
    reason: String,
}

fn at<E: std::fmt::Display>(stage: Stage) -> impl FnOnce(E) -> Failed {
    move |error| Failed { stage, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::testing::{app_in, open_agreement, toggle_enforcement};

    #[test]
    fn only_a_turn_that_found_nothing_lets_an_append_begin_the_next_one() {
        assert_eq!(Found::by(0, false).pause(), (POLL, true));
        for (taken, again) in [(0, true), (1, false), (BUSY_ROWS, false), (BUSY_ROWS, true)] {
            assert!(!Found::by(taken, again).pause().1, "{taken}, {again}");
        }
    }

    #[test]
    fn a_turn_that_left_some_is_followed_soon_however_much_it_took() {
        assert_eq!(Found::by(BUSY_ROWS - 1, false).pause().0, PACE);
        assert_eq!(Found::by(BUSY_ROWS, false).pause().0, PACE_WHEN_BUSY);
        assert_eq!(Found::by(4_096, true).pause().0, PACE);
    }

    const PATIENCE: Duration = Duration::from_secs(30);
    const LAST_LEAF: &str = "SELECT leaf_hash FROM snapshots";

    async fn column(app: &App, sql: &str) -> Vec<String> {
        let rows = app.database.read(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get("leaf_hash").unwrap()).collect()
    }

    #[tokio::test]
    async fn who_leads_gives_its_own_events_their_place_by_what_it_remembers() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        let keeper = Keeper::start(Arc::clone(&app));
        let mut sizes = keeper.sizes();
        timeout(PATIENCE, sizes.wait_for(|size| *size == Some(0))).await.unwrap().unwrap();
        // Whatever is read back from the queue names its event, is no leaf, and would be held.
        let spoil = "CREATE TRIGGER spoil AFTER INSERT ON ledger_pending \
                     BEGIN UPDATE ledger_pending SET leaf = '{\"event_id\":\"' || event_id || '\"}'; END";
        app.database.write(spoil, &[]).await.unwrap();
        let mut made = Vec::new();
        open_agreement(&app).await;
        made.extend(column(&app, LAST_LEAF).await);
        for enforced in [true, false] {
            toggle_enforcement(&app, enforced).await;
            made.extend(column(&app, LAST_LEAF).await);
        }
        timeout(PATIENCE, sizes.wait_for(|size| *size == Some(3))).await.unwrap().unwrap();
        keeper.stop().await;
        assert_eq!(column(&app, "SELECT leaf_hash FROM ledger_entries ORDER BY position").await, made);
    }

    #[tokio::test]
    async fn a_round_that_panics_is_an_alarm_and_the_next_one_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        let now = app.clock.now();
        // Nothing is before it, so that what looks ten seconds back panics.
        app.clock.set(DateTime::<Utc>::MIN_UTC);
        let mut keeping = Keeping::new(Arc::clone(&app), watch::channel(None).0);
        assert_eq!(keeping.round_or_pause().await.0, PAUSE);
        let failure = app.ledger.health.noticed().failure.map(|(stage, _)| stage);
        assert_eq!(failure, Some(Stage::Round));
        app.clock.set(now);
        open_agreement(&app).await;
        keeping.round_or_pause().await;
        assert_eq!(app.ledger.health.noticed().failure, None);
        assert_eq!(app.ledger.observe(now).await.unwrap().signed_size, 1);
    }

    #[tokio::test]
    async fn a_look_that_fails_is_an_alarm_until_one_succeeds_and_keeps_no_turn_waiting() {
        const ALARM: &str = "Events that nobody announced are not looked for.";
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        let mut keeping = Keeping::new(Arc::clone(&app), watch::channel(None).0);
        app.database.write("ALTER TABLE events RENAME TO elsewhere", &[]).await.unwrap();
        // The second of these looks for nothing.
        for _ in 0..2 {
            assert_eq!(keeping.round_or_pause().await, Found::Nothing.pause());
            assert_eq!(app.ledger.health.noticed().alarms(), [ALARM]);
        }
        app.database.write("ALTER TABLE elsewhere RENAME TO events", &[]).await.unwrap();
        keeping.looked = None;
        keeping.round_or_pause().await;
        assert_eq!(app.ledger.health.noticed().alarms(), [""; 0]);
    }
}
