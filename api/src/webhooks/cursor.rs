//! How far each webhook was served, and which are due.
//!
//! A cursor moves only from where it was read. So of two nodes that served a webhook at once only one
//! goes on, and one that was deleted is served no more.

use countersign_domain::Timestamp;
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up::Projection;
use countersign_projections::database::{Database, DatabaseError, Row};

/// A webhook for which there are entries that it has not been asked about, and whose wait is over.
pub(super) struct Due {
    pub(super) id: String,
    /// Sealed.
    pub(super) url: String,
    pub(super) types: Vec<String>,
    /// Names the row of the vault.
    pub(super) secret_row: String,
    /// Sealed.
    pub(super) secret: String,
    pub(super) position: i64,
    /// How often the entry there has failed.
    pub(super) attempts: i64,
    delivered_at: Option<Timestamp>,
    /// Entries before this one are signed, and the trail has taken them in.
    pub(super) end: i64,
}

/// Makes cursors anew that were lost: each webhook begins again after its own registration.
pub(super) async fn restore(database: &Database) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO webhook_cursors (webhook_id, position) SELECT w.webhook_id, l.position + 1 \
               FROM webhooks w JOIN events e ON e.aggregate_type = 'instance' AND e.aggregate_id = w.webhook_id \
               AND e.sequence = 1 JOIN ledger_entries l ON {entry_of_event} WHERE NOT EXISTS \
               (SELECT 1 FROM webhook_cursors c WHERE c.webhook_id = w.webhook_id) \
               ON CONFLICT (webhook_id) DO NOTHING";
    database.write(sql, &[]).await.map(drop)
}

/// All that are due: first those that do not fail, and of these first whoever has waited longest.
pub(super) async fn due(database: &Database, now: Timestamp) -> Result<Vec<Due>, DatabaseError> {
    let sql = "SELECT w.webhook_id, w.url, w.types, w.secret_row, v.sealed, c.position, c.attempts, \
               c.delivered_at, s.signed_size, p.position AS trail_size \
               FROM webhooks w JOIN webhook_cursors c ON c.webhook_id = w.webhook_id \
               JOIN vault v ON v.row_id = w.secret_row CROSS JOIN ledger_state s \
               JOIN projection_checkpoints p ON p.projection = $1 AND p.version = $2 \
               WHERE c.position < s.signed_size AND c.position < p.position \
               AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= $3)";
    let params = [AuditTrail::NAME.into(), AuditTrail::VERSION.into(), now.into()];
    let rows = database.read(sql, &params).await?;
    let mut due = rows.iter().map(Due::read).collect::<Result<Vec<_>, _>>()?;
    due.sort_by_key(|due| (due.attempts > 0, due.delivered_at));
    Ok(due)
}

impl Due {
    fn read(row: &Row) -> Result<Self, DatabaseError> {
        let types: String = row.get("types")?;
        let (signed, taken_in): (i64, i64) = (row.get("signed_size")?, row.get("trail_size")?);
        Ok(Self {
            id: row.get("webhook_id")?,
            url: row.get("url")?,
            types: types.split_ascii_whitespace().map(str::to_owned).collect(),
            secret_row: row.get("secret_row")?,
            secret: row.get("sealed")?,
            position: row.get("position")?,
            attempts: row.get("attempts")?,
            delivered_at: row.get("delivered_at")?,
            end: signed.min(taken_in),
        })
    }
}

/// A cursor as it was last read or moved.
pub(super) struct Cursor<'w> {
    pub(super) database: &'w Database,
    pub(super) webhook_id: &'w str,
    pub(super) position: i64,
}

impl Cursor<'_> {
    /// Moves past an entry that the receiver has; whether the cursor was where it was thought to be.
    pub(super) async fn delivered(&mut self, to: i64, now: Timestamp) -> Result<bool, DatabaseError> {
        let sql = "UPDATE webhook_cursors SET position = $1, attempts = 0, next_attempt_at = NULL, \
                   last_error = NULL, delivered_at = $4 WHERE webhook_id = $2 AND position = $3 \
                   RETURNING position";
        let params = [to.into(), self.webhook_id.into(), self.position.into(), now.into()];
        let moved = !self.database.write(sql, &params).await?.is_empty();
        self.position = to;
        Ok(moved)
    }

    /// Moves past entries that are of no type that the webhook wants. Whatever failed there has not failed
    /// where it is now.
    pub(super) async fn skipped(&mut self, to: i64) -> Result<(), DatabaseError> {
        let sql = "UPDATE webhook_cursors SET position = $1, attempts = 0, next_attempt_at = NULL, \
                   last_error = NULL WHERE webhook_id = $2 AND position = $3";
        let params = [to.into(), self.webhook_id.into(), self.position.into()];
        self.database.write(sql, &params).await?;
        self.position = to;
        Ok(())
    }

    /// Stays, until an attempt at this time.
    pub(super) async fn failed(&self, error: &str, next_attempt_at: Timestamp) -> Result<(), DatabaseError> {
        let sql = "UPDATE webhook_cursors SET attempts = attempts + 1, next_attempt_at = $1, last_error = $2 \
                   WHERE webhook_id = $3 AND position = $4";
        let params = [next_attempt_at.into(), error.into(), self.webhook_id.into(), self.position.into()];
        self.database.write(sql, &params).await.map(drop)
    }
}

/// How all webhooks together fare.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    /// How many webhooks fail.
    pub(super) failing: i64,
    /// How many of the entries that are signed the one furthest behind has not been asked about.
    pub(super) lag_entries_max: i64,
}

/// How they fare now.
pub(super) async fn standing(database: &Database) -> Result<Standing, DatabaseError> {
    let sql = "SELECT count(CASE WHEN c.attempts > 0 THEN 1 END) AS failing, \
               max(s.signed_size - c.position) AS lag FROM webhook_cursors c CROSS JOIN ledger_state s";
    let rows = database.read(sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Standing::default()) };
    // No lag where there are no webhooks; a cursor may be ahead of the signature that its own entry waits for.
    let lag: Option<i64> = row.get("lag")?;
    Ok(Standing { failing: row.get("failing")?, lag_entries_max: lag.unwrap_or_default().max(0) })
}

#[cfg(test)]
pub(super) mod tests {
    use countersign_domain::ids::WebhookId;
    use countersign_domain::instance::{Instance, InstanceCommand, RegisterWebhook};
    use countersign_projections::table::{Change, WEBHOOK_CURSORS};
    use uuid::Uuid;

    use super::*;
    use crate::app::App;
    use crate::execute::Plan;
    use crate::operator::issue_api_key;
    use crate::request::Request;
    use crate::testing::app_in;
    use crate::vault::Purpose;

    const WEBHOOK: Uuid = Uuid::from_u128(1);
    const SECRET: Uuid = Uuid::from_u128(2);

    /// An app with a webhook, whose registration is the first entry of the ledger.
    pub(in crate::webhooks) async fn app(directory: &tempfile::TempDir) -> std::sync::Arc<App> {
        app_that_sends_to("https://siem.example/in", directory).await
    }

    /// The same, with this address.
    pub(in crate::webhooks) async fn app_that_sends_to(
        url: &str,
        directory: &tempfile::TempDir,
    ) -> std::sync::Arc<App> {
        let app = app_in(directory.path()).await;
        let id = WebhookId::from_uuid(WEBHOOK);
        let request = Request::operator("test".to_owned());
        let registered = app.execute::<Instance>(&request, id.into(), None, |_, moment| {
            let (key, at) = (app.vault.instance_key(), moment.at);
            let url = key.seal(Purpose::WebhookUrl, "", url.as_bytes())?;
            let command = RegisterWebhook { id, url, types: Vec::new(), secret: SECRET, at };
            let mut plan = Plan::new(InstanceCommand::RegisterWebhook(command), key.clone());
            plan.secrets.push((SECRET, key.vault_row(Purpose::WebhookSecret, SECRET, b"secret", at)?));
            plan.changes.push(Change::Insert(&WEBHOOK_CURSORS, vec![id.to_string().into(), 0.into()]));
            Ok(plan)
        });
        registered.await.map(drop).unwrap();
        app.ledger.sequence_all(app.clock.now()).await.unwrap();
        app
    }

    async fn positions(app: &App) -> Vec<i64> {
        let rows = app.database.read("SELECT position FROM webhook_cursors", &[]).await.unwrap();
        rows.iter().map(|row| row.get("position").unwrap()).collect()
    }

    #[tokio::test]
    async fn a_cursor_moves_only_from_where_it_was_read() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let (database, now, webhook_id) = (&app.database, app.clock.now(), WEBHOOK.to_string());
        let cursor = || Cursor { database, webhook_id: &webhook_id, position: 0 };
        let (mut one, mut other) = (cursor(), cursor());
        assert!(one.delivered(1, now).await.unwrap());
        assert!(!other.delivered(1, now).await.unwrap());
        let mut late = cursor();
        late.failed("too late", now).await.unwrap();
        late.skipped(9).await.unwrap();
        assert_eq!(positions(&app).await, [1]);
        let failing = async || standing(database).await.unwrap().failing;
        assert_eq!(failing().await, 0);
        one.failed("in time", now).await.unwrap();
        assert_eq!(failing().await, 1);
        one.skipped(2).await.unwrap();
        assert_eq!(positions(&app).await, [2]);
        assert_eq!(failing().await, 0);
    }

    #[tokio::test]
    async fn the_one_furthest_behind_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let (database, webhook_id) = (&app.database, WEBHOOK.to_string());
        let lag = async || standing(database).await.unwrap().lag_entries_max;
        assert_eq!(lag().await, 1);
        for _ in 0..2 {
            issue_api_key(&app, "test", &["login"], None).await.unwrap();
        }
        app.ledger.sequence_all(app.clock.now()).await.unwrap();
        assert_eq!(lag().await, 3);
        let mut cursor = Cursor { database, webhook_id: &webhook_id, position: 0 };
        cursor.skipped(2).await.unwrap();
        assert_eq!(lag().await, 1);
        let ahead = "INSERT INTO webhook_cursors (webhook_id, position) VALUES ('another', 4)";
        database.write(ahead, &[]).await.unwrap();
        assert_eq!(lag().await, 1);
        database.write("DELETE FROM webhook_cursors WHERE position < 4", &[]).await.unwrap();
        assert_eq!(lag().await, 0);
        database.write("DELETE FROM webhook_cursors", &[]).await.unwrap();
        assert_eq!(standing(database).await.unwrap(), Standing::default());
    }

    #[tokio::test]
    async fn a_webhook_is_due_while_there_are_entries_and_its_wait_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let (database, now, webhook_id) = (&app.database, app.clock.now(), WEBHOOK.to_string());
        let due_at = async |at| {
            let found = due(database, at).await.unwrap();
            found.iter().map(|due| (due.position, due.end, due.attempts)).collect::<Vec<_>>()
        };
        assert_eq!(due_at(now).await, [(0, 1, 0)]);
        let mut cursor = Cursor { database, webhook_id: &webhook_id, position: 0 };
        let later = now + chrono::TimeDelta::seconds(5);
        cursor.failed("not there", later).await.unwrap();
        assert_eq!(due_at(later - chrono::TimeDelta::microseconds(1)).await, []);
        assert_eq!(due_at(later).await, [(0, 1, 1)]);
        assert!(cursor.delivered(1, later).await.unwrap());
        assert_eq!(due_at(later).await, []);
    }

    #[tokio::test]
    async fn a_lost_cursor_begins_again_after_the_registration() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        restore(&app.database).await.unwrap();
        assert_eq!(positions(&app).await, [0]);
        app.database.write("DELETE FROM webhook_cursors", &[]).await.unwrap();
        restore(&app.database).await.unwrap();
        assert_eq!(positions(&app).await, [1]);
    }
}
