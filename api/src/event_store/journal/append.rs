//! What one command stores, and how storing it can fail.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use chrono::{DateTime, Utc};
use countersign_projections::database::DatabaseError;
use countersign_projections::ledger::tree::Hash;
use countersign_projections::table::{APPEND_TABLES, Change, Value, timestamp_text};

/// Whether the row of snapshots is the one that the command saw: otherwise the append is a conflict.
pub(crate) const IS_AS_EXPECTED: &str = "snapshots.last_sequence = excluded.previous_sequence \
    AND snapshots.current_snapshot = excluded.current_snapshot - 1";

/// One event on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its own id, by which an append whose answer was lost is recognised.
    pub event_id: String,
    /// Its place in the stream, from 1.
    pub sequence: i64,
    /// What happened, such as `TwoFactorEnabled`.
    pub event_type: String,
    /// The version of the payload's shape.
    pub event_version: String,
    /// The event, as JSON.
    pub payload: String,
    /// Its circumstances, as JSON.
    pub metadata: String,
    /// When it was decided.
    pub recorded_at: DateTime<Utc>,
    /// The user that it concerns, for listings.
    pub user_id: Option<String>,
    /// The agreement that it concerns, for listings.
    pub agreement_id: Option<String>,
    /// Who did it, for listings.
    pub actor_id: Option<String>,
    /// Its leaf in the ledger; without one, the sequencer makes it.
    pub leaf: Option<String>,
}

/// What one command stores, all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The aggregate's type.
    pub stream_type: &'static str,
    /// The aggregate's id.
    pub stream_id: String,
    /// The sequence that the command saw; 0 for a stream that does not exist yet.
    pub expected_sequence: i64,
    /// The number of the snapshot that the command saw; 0 if there was none. A replay that replaced it since,
    /// or another row of the stream, has given it the next one.
    pub expected_snapshot: i64,
    /// The events, at least one, numbered on from `expected_sequence`.
    pub events: Vec<EventRow>,
    /// The aggregate's state after the last of them, as JSON.
    pub snapshot: String,
    /// The hash of the last event's leaf, if it has one.
    pub leaf_hash: Option<Hash>,
    /// Rows of other tables; no two of them name the same row.
    pub changes: Vec<Change>,
}

/// Why an append did not take place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream has moved on: load it again and decide again.
    #[error("the stream has moved on")]
    Conflict,
    /// A row that had to be new exists already, such as the claim of an e-mail address.
    #[error("a row exists already: {constraint}")]
    Taken {
        /// The primary key that says so, such as `email_claims_pkey`.
        constraint: String,
    },
    /// Too much is waiting; nothing was attempted.
    #[error("too many appends are waiting")]
    Busy,
    /// The database went away. The append may have taken place, so the answer must not say otherwise.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The append itself is wrong, or what is stored is: a mistake in the program.
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<DatabaseError> for AppendError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Busy => AppendError::Busy,
            DatabaseError::Unavailable(reason) => AppendError::Unavailable(reason),
            DatabaseError::Constraint { name } => refused_by(name),
            DatabaseError::Encoding { .. }
            | DatabaseError::Newer { .. }
            | DatabaseError::Migration { .. }
            | DatabaseError::Corrupt(_)
            | DatabaseError::Query(_) => AppendError::Database(error),
        }
    }
}

impl Append {
    /// Whether it can be stored at all, asked before it meets others in a batch.
    pub(super) fn check(&self) -> Result<(), AppendError> {
        if self.events.is_empty() {
            return Err(mistake("an append without events"));
        }
        let expected = self.expected_sequence.saturating_add(1)..;
        if self.expected_sequence < 0
            || !expected.zip(&self.events).all(|(next, event)| event.sequence == next)
        {
            return Err(mistake("the events of an append are not numbered on"));
        }
        let texts = self.events.iter().flat_map(|event| event.texts(self)).chain(self.snapshot_texts());
        if texts.flatten().any(|text| text.contains('\0')) {
            return Err(mistake("an event or a snapshot holds a NUL character"));
        }
        for change in &self.changes {
            change.check().map_err(|misfit| mistake(&misfit.to_string()))?;
        }
        let rows: HashSet<_> =
            self.changes.iter().map(|change| (change.table().name, key_texts(change))).collect();
        if rows.len() < self.changes.len() {
            return Err(mistake("two changes of an append name the same row"));
        }
        Ok(())
    }

    /// The sequence of the last event.
    pub(crate) fn last_sequence(&self) -> i64 {
        self.events.last().map_or(self.expected_sequence, |event| event.sequence)
    }

    /// The snapshot's values in the order of the table's columns.
    pub(crate) fn snapshot_texts(&self) -> [Option<Cow<'_, str>>; 8] {
        [
            Some(Cow::Borrowed(self.stream_type)),
            Some(Cow::Borrowed(&self.stream_id)),
            Some(Cow::Owned(self.last_sequence().to_string())),
            Some(Cow::Owned(self.expected_sequence.to_string())),
            Some(Cow::Borrowed(&self.snapshot)),
            self.leaf_hash.map(|_| Cow::Owned(self.last_sequence().to_string())),
            self.leaf_hash.map(|hash| Cow::Owned(hash.to_base64())),
            Some(Cow::Owned(self.expected_snapshot.saturating_add(1).to_string())),
        ]
    }

    /// The stream and the rows that it writes, as numbers: two appends that share one must not run in
    /// the same statement. Unequal rows may share a number, which costs a moment and nothing else.
    pub(crate) fn touched(&self) -> Vec<u64> {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let stream = hasher.hash_one((self.stream_type, &self.stream_id));
        let row = |change| hasher.hash_one((Change::table(change).name, key_texts(change)));
        std::iter::once(stream).chain(self.changes.iter().map(row)).collect()
    }
}

impl EventRow {
    /// The event's values in the order of the table's columns, as text that PostgreSQL casts and
    /// SQLite's columns convert.
    pub(crate) fn texts<'r>(&'r self, append: &'r Append) -> [Option<Cow<'r, str>>; 12] {
        [
            Some(Cow::Borrowed(append.stream_type)),
            Some(Cow::Borrowed(&append.stream_id)),
            Some(Cow::Owned(self.sequence.to_string())),
            Some(Cow::Borrowed(&self.event_type)),
            Some(Cow::Borrowed(&self.event_version)),
            Some(Cow::Borrowed(&self.payload)),
            Some(Cow::Borrowed(&self.metadata)),
            Some(Cow::Borrowed(&self.event_id)),
            Some(Cow::Owned(timestamp_text(self.recorded_at))),
            self.user_id.as_deref().map(Cow::Borrowed),
            self.agreement_id.as_deref().map(Cow::Borrowed),
            self.actor_id.as_deref().map(Cow::Borrowed),
        ]
    }
}

fn key_texts(change: &Change) -> Vec<Option<Cow<'_, str>>> {
    change.key().into_iter().map(Value::to_text).collect()
}

fn mistake(what: &str) -> AppendError {
    AppendError::Database(DatabaseError::Query(what.to_owned()))
}

/// The primary key of events is the second guard against a conflict: the first, the snapshot, is
/// derived and may be missing.
fn refused_by(constraint: String) -> AppendError {
    if constraint == "events_pkey" || constraint == "snapshots_pkey" {
        return AppendError::Conflict;
    }
    let table = constraint.strip_suffix("_pkey");
    if APPEND_TABLES.iter().any(|known| Some(known.name) == table) {
        return AppendError::Taken { constraint };
    }
    AppendError::Database(DatabaseError::Constraint { name: constraint })
}
