//! The trail read forwards, a page after the other, for whoever takes all of it.

use countersign_domain::Timestamp;
use countersign_projections::audit_trail::{AUDIT_TRAIL, AuditTrail};
use countersign_projections::catch_up;
use countersign_projections::database::DatabaseError;

use super::entry::{EntryView, StoredEntry};
use super::query::{Conditions, Reader};
use crate::app::App;
use crate::problem::Problem;

/// So many entries are read at once; no more of them are in memory.
const PAGE: i64 = 500;

/// A way through the trail. Everything below `below` is there to be read.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    pub(crate) below: u64,
    at: Option<Place>,
}

/// Where a page ended.
#[derive(Clone, Copy, Debug)]
struct Place {
    recorded_at: Timestamp,
    position: i64,
}

impl Way {
    /// From the oldest entry to the newest, of those recorded in a period.
    pub(crate) const fn of(from: Option<Timestamp>, to: Option<Timestamp>, below: u64) -> Self {
        Self { from, to, below, at: None }
    }
}

impl App {
    /// How much of the ledger the trail has taken in.
    pub(crate) async fn trail_size(&self) -> Result<u64, DatabaseError> {
        catch_up::position::<AuditTrail>(&self.database).await
    }

    /// The next page of a way, by time; empty at its end.
    pub(crate) async fn next_page(&self, way: &mut Way) -> Result<Vec<EntryView>, Problem> {
        let mut conditions = Conditions::default();
        let below = conditions.param(i64::try_from(way.below).unwrap_or(i64::MAX));
        conditions.texts.push(format!("t.position < {below}"));
        for (comparison, at) in [(">=", way.from), ("<", way.to)] {
            if let Some(at) = at {
                let at = conditions.param(at);
                conditions.texts.push(format!("t.recorded_at {comparison} {at}"));
            }
        }
        if let Some(Place { recorded_at, position }) = way.at {
            let (recorded_at, position) = (conditions.param(recorded_at), conditions.param(position));
            conditions.texts.push(format!("(t.recorded_at, t.position) > ({recorded_at}, {position})"));
        }
        let stored = self.forwards(conditions, &["recorded_at", "position"]).await?;
        if let Some(last) = stored.last() {
            way.at = Some(Place { recorded_at: last.recorded_at, position: last.position });
        }
        self.views(stored).await
    }

    /// The entries from a position on, in the ledger's order, as far as the trail has taken them in.
    pub(crate) async fn entries_from(&self, position: u64, below: u64) -> Result<Vec<EntryView>, Problem> {
        let mut conditions = Conditions::default();
        for (comparison, position) in [(">=", position), ("<", below)] {
            let position = conditions.param(i64::try_from(position).unwrap_or(i64::MAX));
            conditions.texts.push(format!("t.position {comparison} {position}"));
        }
        let stored = self.forwards(conditions, &["position"]).await?;
        self.views(stored).await
    }

    async fn forwards(
        &self,
        mut conditions: Conditions,
        order: &[&str],
    ) -> Result<Vec<StoredEntry>, Problem> {
        let inner = order.join(", ");
        let (asked, page) = (conditions.texts.join(" AND "), conditions.param(PAGE));
        let sql = format!(
            "SELECT p.position, p.recorded_at, p.aggregate_type, p.user_id, p.agreement_id, e.event_id, e.event_type, \
             CAST(e.payload AS text) AS payload, CAST(e.metadata AS text) AS metadata \
             FROM (SELECT * FROM {AUDIT_TRAIL} t WHERE {asked} ORDER BY {inner} LIMIT {page}) AS p \
             JOIN events e ON e.aggregate_type = p.aggregate_type AND e.aggregate_id = p.aggregate_id \
             AND e.sequence = p.sequence ORDER BY p.{}",
            order.join(", p.")
        );
        let rows = self.database.scan(&sql, &conditions.params).await?;
        rows.iter().map(StoredEntry::read).collect()
    }

    async fn views(&self, stored: Vec<StoredEntry>) -> Result<Vec<EntryView>, Problem> {
        let names = self.names_in(&stored).await?;
        Ok(stored.into_iter().map(|entry| entry.view(self, &names, Reader::Auditor)).collect())
    }
}
