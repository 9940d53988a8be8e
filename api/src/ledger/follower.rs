//! The tasks of each node that let a read model follow the ledger where this node leads, one for each, and
//! that say to those who wait how far it is.
//!
//! They are tasks of their own so that signing never waits for them, nor one for the other, and each rests as
//! long as it works, so that appends keep most of the database when much has come at once. One that meets
//! an entry it cannot take stops before it, and is an alarm; the others go on.

use std::sync::Arc;
use std::time::Duration;

use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up::{self, BATCH_MAX, CaughtUp, Projection, catch_up};
use countersign_projections::coverage::Coverage;
use countersign_projections::database::DatabaseError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::health::Following;
use crate::app::App;
use crate::caught::caught;

/// What comes meanwhile shares the next step. Readers wait for the trail; coverage tells of whole days.
const TRAIL_PACE: Duration = Duration::from_millis(20);
const COVERAGE_PACE: Duration = Duration::from_millis(500);
/// How soon what another node took in is noticed.
const POLL: Duration = Duration::from_millis(50);
/// So long a node that does not lead waits for the one that does, and so often it then looks for itself.
const LEFT_ALONE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a failure, and before an entry that cannot be taken; twice as long each time, up to a bound.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(16);
/// So long a node that stops takes to finish.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The running tasks.
pub struct Followers {
    tasks: Vec<JoinHandle<()>>,
}

impl Followers {
    /// Lets every read model follow, up to where the keeper says.
    #[must_use]
    pub fn start(app: &Arc<App>, sizes: &watch::Receiver<Option<u64>>) -> Self {
        let trail = Follower::new(AuditTrail, TRAIL_PACE, tell_readers, app, sizes);
        let coverage = Follower::new(Coverage, COVERAGE_PACE, |_, _| {}, app, sizes);
        Self { tasks: vec![tokio::spawn(trail.run()), tokio::spawn(coverage.run())] }
    }

    /// Waits for a while until everything was taken in; the keeper must have stopped.
    pub async fn finish(self) {
        let deadline = Instant::now() + FINISH_TIMEOUT;
        for mut task in self.tasks {
            if !matches!(timeout_at(deadline, &mut task).await, Ok(Ok(()))) {
                task.abort();
                tracing::warn!("a read model has not taken in the last entries; the next start goes on");
            }
        }
    }
}

/// Those who wait for the trail are told how far it is.
fn tell_readers(app: &App, position: u64) {
    app.ledger.trail.send_if_modified(|known| std::mem::replace(known, position) != position);
}

struct Follower<P> {
    projection: P,
    pace: Duration,
    /// Is told how far it is.
    tell: fn(&App, u64),
    app: Arc<App>,
    sizes: watch::Receiver<Option<u64>>,
    /// How far it was when this was last known.
    position: u64,
    /// From when on a node that does not lead looks whether the read model is left to it.
    look_at: Instant,
    /// How long it rests after the next failure.
    pause: Duration,
}

/// What a step came to.
enum Followed {
    Everything,
    /// There is more to take in.
    Some,
    /// It cannot take this entry.
    Stopped(u64),
}

impl<P: Projection> Follower<P> {
    fn new(
        projection: P,
        pace: Duration,
        tell: fn(&App, u64),
        app: &Arc<App>,
        sizes: &watch::Receiver<Option<u64>>,
    ) -> Self {
        let (app, sizes) = (Arc::clone(app), sizes.clone());
        Self {
            projection,
            pace,
            tell,
            app,
            sizes,
            position: 0,
            look_at: Instant::now() + LEFT_ALONE,
            pause: PAUSE,
        }
    }

    async fn run(mut self) {
        loop {
            let began = Instant::now();
            // Asked first: what is there once the keeper has stopped is its last word.
            let over = self.sizes.has_changed().is_err();
            let size = *self.sizes.borrow_and_update();
            let outcome = caught(self.step(size)).await.unwrap_or_else(|panicked| Err(panicked.to_string()));
            match self.note(outcome) {
                Some(Followed::Everything | Followed::Stopped(_)) | None if over => return,
                Some(Followed::Everything) => {
                    self.pause = PAUSE;
                    self.rest_or_end(self.pace).await;
                    tokio::select! {
                        () = sleep(POLL) => {}
                        _ = self.sizes.changed() => {}
                    }
                }
                Some(Followed::Some) if over => {}
                Some(Followed::Some) => {
                    self.pause = PAUSE;
                    sleep(began.elapsed()).await;
                }
                Some(Followed::Stopped(_)) | None => self.back_off().await,
            }
        }
    }

    /// Rests after a failure, each time for longer.
    async fn back_off(&mut self) {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        self.rest_or_end(pause).await;
    }

    /// Rests, unless the node is about to stop meanwhile.
    async fn rest_or_end(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && self.sizes.has_changed().is_ok() {
            tokio::select! {
                () = sleep_until(until) => {}
                changed = self.sizes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn step(&mut self, size: Option<u64>) -> Result<Followed, String> {
        match size {
            Some(size) => self.follow(size).await,
            None => self.watch().await,
        }
    }

    /// Where another node leads, it lets the read model follow; but one of another version fills tables of its
    /// own and leaves ours to us.
    async fn watch(&mut self) -> Result<Followed, String> {
        let position = catch_up::position::<P>(&self.app.database).await.map_err(text)?;
        let now = Instant::now();
        if std::mem::replace(&mut self.position, position) != position {
            self.look_at = now + LEFT_ALONE;
        }
        (self.tell)(&self.app, position);
        if now < self.look_at {
            return Ok(Followed::Everything);
        }
        let size = self.size().await?;
        if position < size {
            return self.follow(size).await;
        }
        self.look_at = now + LOOK_EVERY;
        Ok(Followed::Everything)
    }

    async fn size(&self) -> Result<u64, String> {
        let state = self.app.ledger.store.state().await.map_err(|error| error.to_string())?;
        Ok(state.map_or(0, |state| state.size()))
    }

    async fn follow(&mut self, size: u64) -> Result<Followed, String> {
        let to = size.min(self.position.saturating_add(BATCH_MAX));
        let poisoned = match catch_up(&self.projection, &self.app.database, to).await.map_err(text)? {
            CaughtUp::To(position) => {
                self.position = position;
                None
            }
            CaughtUp::Poisoned(position) => {
                self.position = position;
                Some(position)
            }
        };
        if self.position > size {
            // Another node, or the command line, may have gone further since.
            let size = self.size().await?;
            if self.position > size {
                return Err(format!("it says that it holds {} entries of a ledger of {size}", self.position));
            }
        }
        (self.tell)(&self.app, self.position);
        Ok(match poisoned {
            Some(position) => Followed::Stopped(position),
            None if self.position < size => Followed::Some,
            None => Followed::Everything,
        })
    }

    /// Remembers what keeps it from following until that is over, and logs each once.
    fn note(&self, outcome: Result<Followed, String>) -> Option<Followed> {
        let mut noticed = self.app.ledger.health.lock();
        let known = noticed.followers.entry(P::NAME).or_insert_with(|| Following::of(P::TITLE));
        match outcome {
            Ok(followed) => {
                let stopped_before = match followed {
                    Followed::Stopped(position) => Some(position),
                    Followed::Everything | Followed::Some => None,
                };
                if known.failure.take().is_some() {
                    tracing::info!(read_model = P::NAME, "it follows the ledger again");
                }
                if let Some(position) = stopped_before
                    && known.stopped_before != stopped_before
                {
                    tracing::error!(
                        read_model = P::NAME,
                        position,
                        "it stops before an entry that it cannot take"
                    );
                }
                known.stopped_before = stopped_before;
                Some(followed)
            }
            Err(reason) => {
                if known.failure.as_ref() != Some(&reason) {
                    tracing::error!(
                        read_model = P::NAME,
                        reason,
                        "it does not follow the ledger; this is tried again"
                    );
                }
                known.failure = Some(reason);
                None
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by it")]
fn text(error: DatabaseError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::timeout;

    use super::*;
    use crate::operator;
    use crate::testing::app_in;

    const PATIENCE: Duration = Duration::from_secs(20);
    const ALARM: &str = "The audit trail does not follow the ledger.";

    /// An app whose ledger has one entry, which its trail has not taken in.
    async fn app(directory: &tempfile::TempDir) -> Arc<App> {
        let app = app_in(directory.path()).await;
        operator::issue_api_key(&app, "test", &["login"], None).await.unwrap();
        let head = app.ledger.head.trusted();
        let trust = countersign_projections::ledger::sequencer::Trust::Head(head.as_ref());
        let turn = app.ledger.sequencer().turn(trust, app.clock.now()).await.unwrap();
        assert_eq!(turn.size, 1);
        app
    }

    /// Its read models follow, as the keeper says; what it says next goes to the sender.
    fn followed(app: &Arc<App>, size: Option<u64>) -> (watch::Sender<Option<u64>>, Followers) {
        let (sender, sizes) = watch::channel(size);
        (sender, Followers::start(app, &sizes))
    }

    async fn until_the_trail_holds_it(app: &App) {
        timeout(PATIENCE, app.ledger.trail().wait_for(|size| *size == 1)).await.unwrap().unwrap();
    }

    async fn trail_of(app: &App) -> u64 {
        catch_up::position::<AuditTrail>(&app.database).await.unwrap()
    }

    #[tokio::test]
    async fn the_last_thing_the_keeper_said_is_done_before_it_finishes() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let (sender, follower) = followed(&app, None);
        sender.send(Some(1)).unwrap();
        drop(sender);
        assert_eq!(trail_of(&app).await, 0);
        follower.finish().await;
        assert_eq!(trail_of(&app).await, 1);
        assert_eq!(catch_up::position::<Coverage>(&app.database).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_another_node_took_in_is_told_to_those_who_wait() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let (sender, follower) = followed(&app, None);
        catch_up(&AuditTrail, &app.database, 1).await.unwrap();
        until_the_trail_holds_it(&app).await;
        drop(sender);
        follower.finish().await;
    }

    #[tokio::test]
    async fn what_the_leading_node_does_not_fill_is_filled_by_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let (sender, follower) = followed(&app, None);
        until_the_trail_holds_it(&app).await;
        drop(sender);
        follower.finish().await;
    }

    #[tokio::test]
    async fn a_trail_that_says_it_holds_what_never_was_is_an_alarm_until_it_is_right() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let forge = "INSERT INTO projection_checkpoints (projection, version, position) \
                     VALUES ('audit_trail', 1, 1000)";
        app.database.write(forge, &[]).await.unwrap();
        let (sender, follower) = followed(&app, Some(1));
        let alarmed = async {
            while app.ledger.health.noticed().alarms().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, alarmed).await.unwrap();
        let alarms = app.ledger.health.noticed().alarms();
        assert_eq!(alarms, [ALARM]);
        let repair = "UPDATE projection_checkpoints SET position = 0 WHERE projection = 'audit_trail'";
        app.database.write(repair, &[]).await.unwrap();
        until_the_trail_holds_it(&app).await;
        drop(sender);
        follower.finish().await;
        assert!(app.ledger.health.noticed().alarms().is_empty());
    }

    #[tokio::test]
    async fn a_step_that_panics_is_an_alarm_and_is_tried_again() {
        static ALARMS: Mutex<Vec<Vec<String>>> = Mutex::new(Vec::new());
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let (sender, sizes) = watch::channel(Some(1));
        let tell = |app: &App, size| {
            let alarms = app.ledger.health.noticed().alarms();
            let calls = {
                let mut seen = ALARMS.lock().unwrap();
                seen.push(alarms);
                seen.len()
            };
            assert_ne!(calls, 1, "the first time, this panics");
            tell_readers(app, size);
        };
        let follower = tokio::spawn(Follower::new(AuditTrail, TRAIL_PACE, tell, &app, &sizes).run());
        until_the_trail_holds_it(&app).await;
        drop(sender);
        follower.await.unwrap();
        let seen = ALARMS.lock().unwrap();
        assert_eq!((seen[0].as_slice(), seen[1].as_slice()), ([].as_slice(), [ALARM.to_owned()].as_slice()));
        assert_eq!(app.ledger.health.noticed().alarms(), [""; 0]);
    }
}
