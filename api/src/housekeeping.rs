//! Forgetting what no decision looks at any more, so that tables without events stay bounded.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use countersign_projections::database::DatabaseError;
use countersign_projections::table::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;

/// How often. Every node does it; doing it twice does no harm.
const EVERY: Duration = Duration::from_mins(10);
/// A throttle's window is 15 minutes; what it has not recorded yet may wait for a day.
const THROTTLE_KEPT: TimeDelta = TimeDelta::days(1);
/// No session lives longer than a day.
const SESSION_USES_KEPT: TimeDelta = TimeDelta::days(2);

/// Forgets from time to time, for as long as it is polled.
pub async fn keep_house(app: Arc<App>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = forget(&app).await {
            tracing::warn!(%error, "old rows were not removed; this is tried again");
        }
    }
}

async fn forget(app: &App) -> Result<(), DatabaseError> {
    let now = app.clock.now();
    let old = |kept: TimeDelta| [Value::from(now - kept)];
    app.database.write("DELETE FROM throttle WHERE window_started_at < $1", &old(THROTTLE_KEPT)).await?;
    app.database.write("DELETE FROM session_uses WHERE last_used_at < $1", &old(SESSION_USES_KEPT)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::app_in;

    #[tokio::test]
    async fn what_is_older_than_any_decision_is_forgotten_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        app.count_password_attempt("old", None).await.unwrap();
        use_session(&app, "old").await;
        app.clock.advance(TimeDelta::days(1));
        app.count_password_attempt("new", None).await.unwrap();
        use_session(&app, "new").await;
        app.clock.advance(TimeDelta::microseconds(1));
        forget(&app).await.unwrap();
        let new = app.vault.throttle_bucket(&["pair", "new", ""]);
        assert_eq!(column(&app, "SELECT bucket AS found FROM throttle").await, [new]);
        assert_eq!(column(&app, "SELECT session_id AS found FROM session_uses").await, ["new", "old"]);
        app.clock.advance(TimeDelta::days(1));
        forget(&app).await.unwrap();
        assert_eq!(column(&app, "SELECT session_id AS found FROM session_uses").await, ["new"]);
    }

    async fn use_session(app: &App, session_id: &str) {
        let sql = "INSERT INTO session_uses (session_id, user_id, last_used_at) VALUES ($1, 'somebody', $2)";
        app.database.write(sql, &[session_id.into(), app.clock.now().into()]).await.unwrap();
    }

    async fn column(app: &App, sql: &str) -> Vec<String> {
        let rows = app.database.read(&format!("{sql} ORDER BY found"), &[]).await.unwrap();
        rows.iter().map(|row| row.get("found").unwrap()).collect()
    }
}
