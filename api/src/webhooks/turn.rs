//! One webhook's turn: some of its entries, one by one, up to the first that its receiver does not take.

use std::sync::Arc;
use std::time::Duration;

use countersign_domain::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

use super::backoff;
use super::cursor::{Cursor, Due};
use super::figures::Outcome;
use super::sender::{Failure, Sender};
use super::signature::Secret;
use crate::app::App;
use crate::problem::Problem;
use crate::rest::audit::feed::Feed;
use crate::vault::Purpose;

/// So many entries are read at once, and sent before other webhooks have their turn.
const BATCH: i64 = 64;
/// So many positions are looked at in search of them.
const POSITIONS_MAX: i64 = 4_096;
/// What a webhook's reader is told when the fault is not the receiver's.
const OWN_FAILURE: &str = "the entry could not be prepared; the program's log says why";
/// Where not even that can be stored, so that it would be tried again at once.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Turn {
    pub(super) app: Arc<App>,
    pub(super) sender: Arc<Sender>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) due: Due,
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
        let (app, due) = (&self.app, &self.due);
        let (url, secret) = self.open()?;
        let to = due.end.min(due.position.saturating_add(POSITIONS_MAX));
        let Feed { messages, obstacle } = app.messages(&due.types, due.position, to, BATCH).await?;
        let all = i64::try_from(messages.len()).is_ok_and(|count| count < BATCH);
        for message in messages {
            if *self.stopping.borrow() || !app.ledger.health.noticed().leads {
                return Ok(());
            }
            if let Err(failure) = self.sender.send(&url, &secret, &message, app.clock.now()).await {
                return self.failed(cursor, failure).await;
            }
            app.webhooks.count(Outcome::Delivered);
            let (next, now) = (message.position.saturating_add(1), app.clock.now());
            if !cursor.delivered(next, now).await? {
                tracing::debug!(webhook_id = due.id, "another node served it, or it was deleted");
                return Ok(());
            }
        }
        let up_to = obstacle.as_ref().map_or(to, |obstacle| obstacle.position);
        if all && cursor.position < up_to {
            cursor.skipped(up_to).await?;
        }
        obstacle.map_or(Ok(()), |obstacle| Err(obstacle.problem))
    }

    fn cursor(&self) -> Cursor<'_> {
        let due = &self.due;
        Cursor { database: &self.app.database, webhook_id: &due.id, position: due.position }
    }

    fn open(&self) -> Result<(String, Secret), Problem> {
        let (key, due) = (self.app.vault.instance_key(), &self.due);
        let url = key.open_text(Purpose::WebhookUrl, "", &due.url)?;
        let secret = key.open(Purpose::WebhookSecret, &due.secret_row, &due.secret)?;
        Ok((url, Secret::from_bytes(secret)))
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
    use crate::webhooks::cursor::{self, tests::app};
    use crate::webhooks::target::Reach;

    #[tokio::test]
    async fn what_cannot_be_prepared_is_told_and_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        app.database.write("UPDATE vault SET sealed = 'altered'", &[]).await.unwrap();
        let sender = Arc::new(Sender::new(Reach::Public).await.unwrap());
        let (_stop, stopping) = watch::channel(false);
        let due = cursor::due(&app.database, app.clock.now()).await.unwrap().pop().unwrap();
        Turn { app: Arc::clone(&app), sender, stopping, due }.run().await;
        assert!(cursor::due(&app.database, app.clock.now()).await.unwrap().is_empty());
        let sql = "SELECT last_error FROM webhook_cursors WHERE attempts = 1 AND position = 0";
        let rows = app.database.read(sql, &[]).await.unwrap();
        assert_eq!(rows[0].get::<String>("last_error").unwrap(), OWN_FAILURE);
    }
}
