//! One webhook's turn: some of its entries, one by one, up to the first that its receiver does not take.

use std::sync::Arc;
use std::time::Duration;
use std::vec;

use countersign_domain::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::backoff;
use super::cursor::{Cursor, Due};
use super::figures::Outcome;
use super::sender::{Connection, Failure, Sender};
use super::signature::Secret;
use crate::app::App;
use crate::problem::Problem;
use crate::rest::audit::feed::{Feed, Message};
use crate::rest::audit::pages::Obstacle;
use crate::vault::Purpose;

/// So many entries are sent before other webhooks have their turn.
const BATCH: i64 = 64;
/// After this nothing more is sent before other webhooks have their turn.
pub(super) const LASTS: Duration = Duration::from_secs(15);
/// So many positions are looked at in search of entries.
const POSITIONS_MAX: i64 = 4_096;
/// What was read longer ago is read anew before it is sent: whom it names may have been erased since.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// What a webhook's reader is told when the fault is not the receiver's.
const OWN_FAILURE: &str = "the entry could not be prepared; the program's log says why";
/// Where not even that can be stored, so that it would be tried again at once.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Turn {
    pub(super) app: Arc<App>,
    pub(super) sender: Arc<Sender>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) due: Due,
    /// Some time after this it ends, and has sent one entry at least.
    pub(super) lasts: Duration,
}

/// Where a turn sends.
struct Receiver {
    url: String,
    secret: Secret,
    connection: Connection,
}

/// The next entries, read and opened at one moment.
struct Page {
    messages: vec::IntoIter<Message>,
    obstacle: Option<Obstacle>,
    read_at: Instant,
}

impl Turn {
    pub(super) async fn run(mut self) {
        let mut cursor = self.cursor();
        let Err(problem) = self.serve(&mut cursor).await else { return };
        let before = self.failures_before(&cursor);
        let (webhook_id, position, failure) = (&self.due.id, cursor.position, problem.for_operator());
        if before == 0 {
            tracing::warn!(webhook_id, position, failure, "a webhook is not served; this is tried again");
        }
        let next_attempt_at = self.app.clock.now() + backoff::wait(before.saturating_add(1));
        if cursor.failed(OWN_FAILURE, next_attempt_at).await.is_err() {
            tokio::select! {
                () = sleep(PAUSE) => {}
                _ = self.stopping.changed() => {}
            }
        }
    }

    /// Moves the cursor past what was sent, and past what is not wanted, up to what cannot be sent.
    async fn serve(&self, cursor: &mut Cursor<'_>) -> Result<(), Problem> {
        let (app, ends) = (&self.app, Instant::now() + self.lasts);
        let mut receiver = self.receiver()?;
        let mut page = self.page(cursor).await?;
        for _ in 0..BATCH {
            if page.read_at.elapsed() >= FRESH {
                page = self.page(cursor).await?;
            }
            let Some(message) = page.messages.next() else { return self.skip(page.obstacle, cursor).await };
            if *self.stopping.borrow() || !app.ledger.health.noticed().leads {
                return Ok(());
            }
            if let Err(failure) = receiver.send(&message, app.clock.now()).await {
                return self.failed(cursor, failure).await;
            }
            app.webhooks.count(Outcome::Delivered);
            let (next, now) = (message.position.saturating_add(1), app.clock.now());
            if !cursor.delivered(next, now).await? {
                tracing::debug!(webhook_id = self.due.id, "another node served it, or it was deleted");
                return Ok(());
            }
            if Instant::now() >= ends {
                return Ok(());
            }
        }
        Ok(())
    }

    /// As many entries as a turn may send: where there are fewer, there are no more.
    async fn page(&self, cursor: &Cursor<'_>) -> Result<Page, Problem> {
        let read_at = Instant::now();
        let feed = self.app.messages(&self.due.types, cursor.position, self.end(), BATCH).await?;
        let Feed { messages, obstacle } = feed;
        Ok(Page { messages: messages.into_iter(), obstacle, read_at })
    }

    /// Moves the cursor past what is not wanted, once everything else was sent.
    async fn skip(&self, obstacle: Option<Obstacle>, cursor: &mut Cursor<'_>) -> Result<(), Problem> {
        let up_to = obstacle.as_ref().map_or(self.end(), |obstacle| obstacle.position);
        if cursor.position < up_to {
            cursor.skipped(up_to).await?;
        }
        obstacle.map_or(Ok(()), |obstacle| Err(obstacle.problem))
    }

    fn end(&self) -> i64 {
        self.due.end.min(self.due.position.saturating_add(POSITIONS_MAX))
    }

    fn cursor(&self) -> Cursor<'_> {
        let due = &self.due;
        Cursor { database: &self.app.database, webhook_id: &due.id, position: due.position }
    }

    fn receiver(&self) -> Result<Receiver, Problem> {
        let (key, due) = (self.app.vault.instance_key(), &self.due);
        let url = key.open_text(Purpose::WebhookUrl, "", &due.url)?;
        let secret = key.open(Purpose::WebhookSecret, &due.secret_row, &due.secret)?;
        let connection = self.sender.connection();
        let connection = connection.map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Receiver { url, secret: Secret::from_bytes(secret), connection })
    }

    async fn failed(&self, cursor: &Cursor<'_>, failure: Failure) -> Result<(), Problem> {
        let app = &self.app;
        app.webhooks.count(failure.outcome());
        let before = self.failures_before(cursor);
        let next_attempt_at = next_attempt_at(&failure, before, app.clock.now());
        let (webhook_id, error) = (&self.due.id, failure.to_string());
        if before == 0 {
            tracing::warn!(webhook_id, error, "an entry was not delivered to a webhook; this is tried again");
        }
        Ok(cursor.failed(&error, next_attempt_at).await?)
    }

    /// The entry that failed before is the first one still; another that fails has not failed before.
    fn failures_before(&self, cursor: &Cursor<'_>) -> i64 {
        if cursor.position == self.due.position { self.due.attempts } else { 0 }
    }
}

impl Receiver {
    async fn send(&mut self, message: &Message, now: Timestamp) -> Result<(), Failure> {
        self.connection.send(&self.url, &self.secret, message, now).await
    }
}

fn next_attempt_at(failure: &Failure, failures_before: i64, now: Timestamp) -> Timestamp {
    let wait = match failure {
        Failure::Gone => backoff::longest(),
        Failure::Refused(_) | Failure::TimedOut | Failure::Unreachable(_) | Failure::NotAllowed(_) => {
            backoff::wait(failures_before.saturating_add(1))
        }
    };
    now + wait
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Keeper;
    use crate::operator::issue_api_key;
    use crate::webhooks::cursor::{
        self,
        tests::{app, app_that_sends_to},
    };
    use crate::webhooks::sender::tests::receiver;
    use crate::webhooks::target::Reach;

    /// A turn of the one webhook, if it is due.
    async fn turn(app: &Arc<App>, reach: Reach, lasts: Duration) {
        let sender = Arc::new(Sender::new(reach).await.unwrap());
        let (_stop, stopping) = watch::channel(false);
        let due = cursor::due(&app.database, app.clock.now()).await.unwrap().pop().unwrap();
        Turn { app: Arc::clone(app), sender, stopping, due, lasts }.run().await;
    }

    #[tokio::test]
    async fn what_cannot_be_prepared_is_told_and_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        app.database.write("UPDATE vault SET sealed = 'altered'", &[]).await.unwrap();
        turn(&app, Reach::Public, LASTS).await;
        assert!(cursor::due(&app.database, app.clock.now()).await.unwrap().is_empty());
        let sql = "SELECT last_error FROM webhook_cursors WHERE attempts = 1 AND position = 0";
        let rows = app.database.read(sql, &[]).await.unwrap();
        assert_eq!(rows[0].get::<String>("last_error").unwrap(), OWN_FAILURE);
    }

    #[tokio::test]
    async fn a_turn_whose_time_is_over_ends_after_the_entry_under_way_and_the_next_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let (url, peers) = receiver().await;
        let app = app_that_sends_to(&url, &directory).await;
        for _ in 0..2 {
            issue_api_key(&app, "test", &["login"], None).await.unwrap();
        }
        app.ledger.sequence_all(app.clock.now()).await.unwrap();
        let keeper = Keeper::start(Arc::clone(&app));
        keeper.sizes().wait_for(Option::is_some).await.unwrap();
        let sent = || peers.lock().unwrap().len();
        turn(&app, Reach::Anywhere, Duration::ZERO).await;
        assert_eq!(sent(), 1);
        turn(&app, Reach::Anywhere, LASTS).await;
        assert_eq!(sent(), 3);
        assert!(cursor::due(&app.database, app.clock.now()).await.unwrap().is_empty());
        keeper.stop().await;
    }
}
