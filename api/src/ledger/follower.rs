//! The task of each node that lets the audit trail follow the ledger where this node leads, and that says
//! to those who wait how far the trail is.
//!
//! It is a task of its own so that signing never waits for it, and it rests as long as it works, so that
//! appends keep most of the database when much has come at once.

use std::sync::Arc;
use std::time::Duration;

use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up::{self, BATCH_MAX, CaughtUp, catch_up};
use countersign_projections::database::DatabaseError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::app::App;

/// What comes meanwhile shares the next step.
const PACE: Duration = Duration::from_millis(20);
/// How soon what another node's trail took in is noticed.
const POLL: Duration = Duration::from_millis(50);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// So long a node that stops takes to finish.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The running task.
pub struct Follower {
    task: JoinHandle<()>,
}

impl Follower {
    /// Starts following, up to where the keeper says.
    #[must_use]
    pub fn start(app: Arc<App>, sizes: watch::Receiver<Option<u64>>) -> Self {
        Self { task: tokio::spawn(Following { app, sizes, position: 0 }.run()) }
    }

    /// Waits for a while until everything was taken in; the keeper must have stopped.
    pub async fn finish(mut self) {
        if !matches!(timeout(FINISH_TIMEOUT, &mut self.task).await, Ok(Ok(()))) {
            self.task.abort();
            tracing::warn!("the audit trail has not taken in the last entries; the next start goes on");
        }
    }
}

struct Following {
    app: Arc<App>,
    sizes: watch::Receiver<Option<u64>>,
    /// How far the trail was when this was last known.
    position: u64,
}

/// What a step came to.
enum Followed {
    Everything,
    /// There is more to take in.
    Some,
}

impl Following {
    async fn run(mut self) {
        loop {
            let began = Instant::now();
            // Asked first: what is there once the keeper has stopped is its last word.
            let over = self.sizes.has_changed().is_err();
            let size = *self.sizes.borrow_and_update();
            let outcome = self.step(size).await;
            match self.note(outcome) {
                Some(Followed::Everything) | None if over => return,
                Some(Followed::Everything) => {
                    sleep(PACE).await;
                    tokio::select! {
                        () = sleep(POLL) => {}
                        _ = self.sizes.changed() => {}
                    }
                }
                Some(Followed::Some) if over => {}
                Some(Followed::Some) => sleep(began.elapsed()).await,
                None => sleep(PAUSE).await,
            }
        }
    }

    async fn step(&mut self, size: Option<u64>) -> Result<Followed, String> {
        let Some(size) = size else {
            self.position = catch_up::position::<AuditTrail>(&self.app.database).await.map_err(text)?;
            self.tell();
            return Ok(Followed::Everything);
        };
        let to = size.min(self.position.saturating_add(BATCH_MAX));
        let poisoned = match catch_up(&AuditTrail, &self.app.database, to).await.map_err(text)? {
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
            let state = self.app.ledger.store.state().await.map_err(|error| error.to_string())?;
            let size = state.map_or(0, |state| state.size());
            if self.position > size {
                return Err(format!("it says that it holds {} entries of a ledger of {size}", self.position));
            }
        }
        self.tell();
        self.notice(poisoned);
        Ok(if self.position < size && poisoned.is_none() { Followed::Some } else { Followed::Everything })
    }

    fn tell(&self) {
        let position = self.position;
        self.app.ledger.trail.send_if_modified(|known| std::mem::replace(known, position) != position);
    }

    fn notice(&self, poisoned: Option<u64>) {
        let mut noticed = self.app.ledger.health.lock();
        if let Some(position) = poisoned
            && noticed.leading.poisoned.is_none()
        {
            tracing::error!(position, "the audit trail stops before an entry that it cannot take");
        }
        noticed.leading.poisoned = poisoned;
    }

    /// Remembers a failure until a step succeeds, and logs each once.
    fn note(&self, outcome: Result<Followed, String>) -> Option<Followed> {
        let mut noticed = self.app.ledger.health.lock();
        match outcome {
            Ok(followed) => {
                if noticed.trail_failure.take().is_some() {
                    tracing::info!("the audit trail follows the ledger again");
                }
                Some(followed)
            }
            Err(reason) => {
                if noticed.trail_failure.as_ref() != Some(&reason) {
                    tracing::error!(reason, "the audit trail does not follow; this is tried again");
                }
                noticed.trail_failure = Some(reason);
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
    use super::*;
    use crate::operator;
    use crate::testing::app_in;

    const PATIENCE: Duration = Duration::from_secs(20);

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

    async fn trail_of(app: &App) -> u64 {
        catch_up::position::<AuditTrail>(&app.database).await.unwrap()
    }

    #[tokio::test]
    async fn the_last_thing_the_keeper_said_is_done_before_it_finishes() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let (sender, sizes) = watch::channel(None);
        let follower = Follower::start(Arc::clone(&app), sizes);
        sender.send(Some(1)).unwrap();
        drop(sender);
        assert_eq!(trail_of(&app).await, 0);
        follower.finish().await;
        assert_eq!(trail_of(&app).await, 1);
    }

    #[tokio::test]
    async fn where_another_node_leads_the_trail_is_watched_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let (sender, sizes) = watch::channel(None);
        let follower = Follower::start(Arc::clone(&app), sizes);
        let mut trail = app.ledger.trail();
        catch_up(&AuditTrail, &app.database, 1).await.unwrap();
        timeout(PATIENCE, trail.wait_for(|size| *size == 1)).await.unwrap().unwrap();
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
        let (sender, sizes) = watch::channel(Some(1));
        let follower = Follower::start(Arc::clone(&app), sizes);
        let alarmed = async {
            while app.ledger.health.noticed().alarms().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, alarmed).await.unwrap();
        let alarms = app.ledger.health.noticed().alarms();
        assert_eq!(alarms, ["The audit trail does not follow the ledger."]);
        app.database.write("UPDATE projection_checkpoints SET position = 0", &[]).await.unwrap();
        timeout(PATIENCE, app.ledger.trail().wait_for(|size| *size == 1)).await.unwrap().unwrap();
        drop(sender);
        follower.finish().await;
        assert!(app.ledger.health.noticed().alarms().is_empty());
    }
}
