//! The trail read forwards, a page after the other, for whoever takes all of it.

use countersign_domain::Timestamp;
use countersign_domain::ids::AgreementId;
use countersign_projections::audit_trail::AUDIT_TRAIL;
use countersign_projections::database::Row;

use super::entry::{EntryView, StoredEntry};
use super::query::{Conditions, Reader};
use crate::app::App;
use crate::problem::Problem;

/// So many entries are read at once; no more of them are in memory.
const PAGE: i64 = 500;

/// A reading by time, of what lies below a position.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    below: u64,
    types: Vec<&'static str>,
    concerning: Option<AgreementId>,
    /// Where the latest page ended.
    at: Option<(Timestamp, i64)>,
}

impl Reading {
    /// From the oldest entry to the newest, of those recorded in a period.
    pub(crate) const fn of(from: Option<Timestamp>, to: Option<Timestamp>, below: u64) -> Self {
        Self { from, to, below, types: Vec::new(), concerning: None, at: None }
    }

    /// Only entries of these types; of any, if none is named.
    pub(crate) fn of_types(self, types: Vec<&'static str>) -> Self {
        Self { types, ..self }
    }

    /// Only entries about an agreement, or about people who were linked to it when they were recorded.
    pub(crate) fn concerning(self, agreement: Option<AgreementId>) -> Self {
        Self { concerning: agreement, ..self }
    }

    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.compare("t.position", "<", natural(self.below));
        conditions.between(self.from, self.to);
        conditions.of_types(&self.types);
        if let Some(agreement) = self.concerning {
            conditions.concerning(agreement);
        }
        if let Some((recorded_at, position)) = self.at {
            let (recorded_at, position) = (conditions.param(recorded_at), conditions.param(position));
            conditions.texts.push(format!("(t.recorded_at, t.position) > ({recorded_at}, {position})"));
        }
        conditions
    }
}

/// Entries in their order, as far as they can be shown.
pub(super) struct Shown {
    pub(super) entries: Vec<EntryView>,
    /// What ends them before their time.
    pub(super) obstacle: Option<Obstacle>,
}

/// The first entry that cannot be shown.
pub(crate) struct Obstacle {
    pub(crate) position: i64,
    pub(crate) problem: Problem,
}

impl App {
    /// The next page of a reading; empty at its end.
    pub(super) async fn next_page(&self, reading: &mut Reading) -> Result<Vec<EntryView>, Problem> {
        let stored = self.next_stored(reading).await?;
        self.views(stored).await
    }

    /// The same, as it is stored.
    pub(crate) async fn next_stored(&self, reading: &mut Reading) -> Result<Vec<StoredEntry>, Problem> {
        let conditions = reading.conditions();
        let sql = forwards(&conditions, &["recorded_at", "position"], PAGE);
        let rows = self.database.scan(&sql, &conditions.params).await?;
        let stored = rows.iter().map(StoredEntry::read).collect::<Result<Vec<_>, _>>()?;
        reading.at = stored.last().map(|last| (last.recorded_at, last.position));
        Ok(stored)
    }

    /// How many entries a reading has from where it is to its end.
    pub(super) async fn count_entries(&self, reading: &Reading) -> Result<u64, Problem> {
        let Conditions { mut texts, params, types, .. } = reading.conditions();
        if !types.is_empty() {
            texts.push(format!("t.event_type IN ({})", types.join(", ")));
        }
        let sql = format!("SELECT count(*) AS entries FROM {AUDIT_TRAIL} t WHERE {}", texts.join(" AND "));
        let rows = self.database.scan(&sql, &params).await?;
        let entries: Option<i64> = rows.first().map(|row| row.get("entries")).transpose()?;
        Ok(entries.unwrap_or_default().unsigned_abs())
    }

    /// The first entries from one position to before another, in the ledger's order and up to one that cannot
    /// be shown; where that is the first, why not. The trail must have taken in all of these positions.
    pub(super) async fn entries_from(&self, from: u64, to: u64) -> Result<Vec<EntryView>, Problem> {
        let mut conditions = Conditions::default();
        conditions.compare("t.position", ">=", natural(from));
        conditions.compare("t.position", "<", natural(to));
        let sql = forwards(&conditions, &["position"], PAGE);
        let rows = self.database.scan(&sql, &conditions.params).await?;
        let Shown { entries, obstacle } = self.shown_entries(&rows, StoredEntry::read).await?;
        match obstacle {
            Some(obstacle) if entries.is_empty() => Err(obstacle.problem),
            Some(_) | None => Ok(entries),
        }
    }

    /// What rows hold, as those see it who may see everything, up to the first that does not read or open.
    pub(super) async fn shown_entries(
        &self,
        rows: &[Row],
        read: fn(&Row) -> Result<StoredEntry, Problem>,
    ) -> Result<Shown, Problem> {
        let mut stored = Vec::with_capacity(rows.len());
        let mut unread = None;
        for row in rows {
            match read(row) {
                Ok(entry) => stored.push(entry),
                Err(problem) => {
                    unread = Some(Obstacle { position: row.get("position")?, problem });
                    break;
                }
            }
        }
        let (entries, unopened) = self.views_that_open(stored).await;
        Ok(Shown { entries, obstacle: unopened.or(unread) })
    }

    /// As those see them who may see everything, up to the first whose names do not open.
    async fn views_that_open(&self, stored: Vec<StoredEntry>) -> (Vec<EntryView>, Option<Obstacle>) {
        let mut views = Vec::with_capacity(stored.len());
        let names = self.names_in(&stored).await;
        if let Ok(names) = names {
            views.extend(stored.into_iter().map(|entry| entry.view(self, &names, Reader::Auditor)));
            return (views, None);
        }
        // One by one, which tells whose they are.
        for entry in stored {
            let position = entry.position;
            match self.views(vec![entry]).await {
                Ok(view) => views.extend(view),
                Err(problem) => return (views, Some(Obstacle { position, problem })),
            }
        }
        (views, None)
    }

    /// As those see them who may see everything.
    async fn views(&self, stored: Vec<StoredEntry>) -> Result<Vec<EntryView>, Problem> {
        let names = self.names_in(&stored).await?;
        Ok(stored.into_iter().map(|entry| entry.view(self, &names, Reader::Auditor)).collect())
    }
}

/// The statement that reads so many entries in an order. An entry whose event is gone is there too.
pub(super) fn forwards(conditions: &Conditions, order: &[&str], limit: i64) -> String {
    let order_of =
        |table: &str| order.iter().map(|name| format!("{table}.{name}")).collect::<Vec<_>>().join(", ");
    // The number itself and no parameter, so that the planner knows how little is asked for.
    let asked = conditions.texts.join(" AND ");
    let first = |only: &str| {
        format!("SELECT * FROM {AUDIT_TRAIL} t WHERE {only}{asked} ORDER BY {} LIMIT {limit}", order_of("t"))
    };
    // Each type is looked for through the index by types.
    let of_type = |(index, name): (usize, &String)| {
        format!("SELECT * FROM ({}) AS part_{index}", first(&format!("t.event_type = {name} AND ")))
    };
    let entries = match conditions.types.as_slice() {
        [] => first(""),
        types => {
            let parts: Vec<String> = types.iter().enumerate().map(of_type).collect();
            format!(
                "SELECT * FROM ({}) AS t ORDER BY {} LIMIT {limit}",
                parts.join(" UNION ALL "),
                order_of("t")
            )
        }
    };
    format!(
        "SELECT p.position, p.recorded_at, p.event_type, p.aggregate_type, p.user_id, p.agreement_id, e.event_id, \
         e.event_version, CAST(e.payload AS text) AS payload, CAST(e.metadata AS text) AS metadata \
         FROM ({entries}) AS p \
         LEFT JOIN events e ON e.aggregate_type = p.aggregate_type AND e.aggregate_id = p.aggregate_id \
         AND e.sequence = p.sequence ORDER BY {}",
        order_of("p")
    )
}

fn natural(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
