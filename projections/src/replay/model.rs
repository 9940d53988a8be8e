//! The read models that can be replayed, and the tables of those that are folds of single streams.

use std::str::FromStr;

use countersign_domain::Timestamp;
use serde::{Serialize, Serializer};

use super::folded::State;
use crate::database::{DatabaseError, Row};
use crate::table::{
    API_KEYS, Column, ColumnKind, LOGIN_CHECK_AGREEMENTS, LOGIN_CHECK_LINKS, LOGIN_CHECK_USERS, SNAPSHOTS,
    Table, Value, WEBHOOKS,
};

/// A read model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Model {
    /// The state of each stream after its last event.
    Snapshots,
    /// What the question at sign-in is answered from.
    LoginCheck,
    /// The keys that applications present.
    ApiKeys,
    /// Where entries are sent.
    Webhooks,
    /// What people search.
    AuditTrail,
    /// How many people had two-factor, day by day.
    Coverage,
}

impl Model {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Snapshots, Self::LoginCheck, Self::ApiKeys, Self::Webhooks, Self::AuditTrail, Self::Coverage];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::LoginCheck => "login_check",
            Self::ApiKeys => "api_keys",
            Self::Webhooks => "webhooks",
            Self::AuditTrail => "audit_trail",
            Self::Coverage => "coverage",
        }
    }
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// No read model has that name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no read model {name}; there are {}", Model::ALL.map(Model::name).join(", "))]
pub struct UnknownModel {
    name: String,
}

impl FromStr for Model {
    type Err = UnknownModel;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|model| model.name() == name)
            .ok_or_else(|| UnknownModel { name: name.to_owned() })
    }
}

/// A table of which each row belongs to one stream of one kind.
#[derive(Debug)]
pub(super) struct StreamTable {
    pub(super) model: Model,
    pub(super) table: &'static Table,
    /// Beside which it is filled anew.
    pub(super) beside: &'static Table,
    /// The kind of the streams.
    pub(super) stream_type: &'static str,
    /// The column that names the stream.
    pub(super) stream_column: &'static str,
    /// Which of the table's rows they are.
    pub(super) only: &'static str,
    /// So many columns, from the first on, say something of the state; the others are the append's own.
    pub(super) columns: usize,
}

const fn whole(
    model: Model,
    (table, beside): (&'static Table, &'static Table),
    stream_type: &'static str,
    stream_column: &'static str,
) -> StreamTable {
    StreamTable {
        model,
        table,
        beside,
        stream_type,
        stream_column,
        only: "1 = 1",
        columns: table.columns.len(),
    }
}

const fn snapshots(stream_type: &'static str, only: &'static str) -> StreamTable {
    StreamTable {
        model: Model::Snapshots,
        table: &STATES,
        beside: &REPLAYED_STATES,
        stream_type,
        stream_column: "aggregate_id",
        only,
        columns: 5,
    }
}

/// Where the table of snapshots lists what is in a snapshot, and which sequence its append found.
const SNAPSHOT: usize = 4;
const PREVIOUS_SEQUENCE: usize = 3;

const fn beside(name: &'static str, table: &Table) -> Table {
    Table { name, columns: table.columns, key: table.key }
}

/// Snapshots without the last column, by which an append sees that one was written, or replaced, since.
static STATES: Table =
    Table { name: SNAPSHOTS.name, columns: SNAPSHOTS.columns.split_at(7).0, key: SNAPSHOTS.key };

static REPLAYED_STATES: Table = beside("replay_snapshots", &STATES);
static REPLAYED_AGREEMENTS: Table = beside("replay_login_check_agreements", &LOGIN_CHECK_AGREEMENTS);
static REPLAYED_LINKS: Table = beside("replay_login_check_links", &LOGIN_CHECK_LINKS);
static REPLAYED_USERS: Table = beside("replay_login_check_users", &LOGIN_CHECK_USERS);
static REPLAYED_API_KEYS: Table = beside("replay_api_keys", &API_KEYS);
static REPLAYED_WEBHOOKS: Table = beside("replay_webhooks", &WEBHOOKS);

/// Every table that an append writes as a fold of its stream.
pub(super) const STREAM_TABLES: &[StreamTable] = &[
    snapshots("agreement", "aggregate_type = 'agreement'"),
    snapshots("instance", "aggregate_type = 'instance'"),
    snapshots("user", "aggregate_type = 'user'"),
    whole(Model::LoginCheck, (&LOGIN_CHECK_AGREEMENTS, &REPLAYED_AGREEMENTS), "agreement", "agreement_id"),
    whole(Model::LoginCheck, (&LOGIN_CHECK_LINKS, &REPLAYED_LINKS), "agreement", "agreement_id"),
    whole(Model::LoginCheck, (&LOGIN_CHECK_USERS, &REPLAYED_USERS), "user", "user_id"),
    whole(Model::ApiKeys, (&API_KEYS, &REPLAYED_API_KEYS), "instance", "key_id"),
    whole(Model::Webhooks, (&WEBHOOKS, &REPLAYED_WEBHOOKS), "instance", "webhook_id"),
];

impl StreamTable {
    /// The columns that are compared.
    pub(super) fn columns(&self) -> &'static [Column] {
        self.table.columns.get(..self.columns).unwrap_or(self.table.columns)
    }

    /// Those of them that a replay gives.
    pub(super) fn compared(&self) -> impl Iterator<Item = &'static Column> + '_ {
        let is_snapshot = self.model == Model::Snapshots;
        let given = self.columns().iter().enumerate();
        given.filter(move |(index, _)| !is_snapshot || *index != PREVIOUS_SEQUENCE).map(|(_, column)| column)
    }

    /// Those columns, as a statement selects them.
    pub(super) fn selected(&self) -> String {
        let selected = |Column { name, kind }: &Column| match kind {
            ColumnKind::Json => format!("CAST({name} AS text) AS {name}"),
            ColumnKind::Text | ColumnKind::Integer | ColumnKind::Boolean | ColumnKind::Timestamp => {
                (*name).to_owned()
            }
        };
        self.columns().iter().map(selected).collect::<Vec<_>>().join(", ")
    }

    /// A stored row, as a fold would give it.
    pub(super) fn read(&self, row: &Row) -> Result<Vec<Value>, DatabaseError> {
        let row = self.columns().iter().map(|column| value(row, column)).collect::<Result<_, _>>()?;
        let mut row = self.comparable(row);
        // An older version of the program may have spelled the same state otherwise.
        if self.model == Model::Snapshots
            && let Some(Value::Text(snapshot)) = row.get_mut(SNAPSHOT)
            && let Some(respelled) = State::respell(self.stream_type, snapshot)
        {
            *snapshot = respelled;
        }
        Ok(row)
    }

    /// A row without what only the append that wrote it knows.
    pub(super) fn comparable(&self, mut row: Vec<Value>) -> Vec<Value> {
        row.truncate(self.columns);
        if self.model == Model::Snapshots
            && let Some(previous) = row.get_mut(PREVIOUS_SEQUENCE)
        {
            *previous = Value::Null;
        }
        row
    }

    /// The stream that a row belongs to.
    pub(super) fn stream_of<'r>(&self, row: &'r [Value]) -> &'r str {
        self.text_of(row, self.stream_column)
    }

    /// The key of a row within its stream.
    pub(super) fn key_of(&self, row: &[Value]) -> String {
        let others = self.table.key.iter().filter(|name| **name != self.stream_column);
        let key: Vec<&str> =
            [self.stream_of(row)].into_iter().chain(others.map(|name| self.text_of(row, name))).collect();
        key.join("/")
    }

    fn text_of<'r>(&self, row: &'r [Value], name: &str) -> &'r str {
        let index = self.table.columns.iter().position(|column| column.name == name);
        match index.and_then(|index| row.get(index)) {
            Some(Value::Text(text)) => text,
            Some(Value::Null | Value::Integer(_) | Value::Boolean(_) | Value::Timestamp(_)) | None => "",
        }
    }
}

/// SQLite has neither booleans nor moments, so the column says what a value is.
pub(super) fn value(row: &Row, Column { name, kind }: &Column) -> Result<Value, DatabaseError> {
    Ok(match kind {
        ColumnKind::Text | ColumnKind::Json => row.get::<Option<String>>(name)?.into(),
        ColumnKind::Integer => row.get::<Option<i64>>(name)?.into(),
        ColumnKind::Boolean => row.get::<Option<bool>>(name)?.into(),
        ColumnKind::Timestamp => moment(row, name)?,
    })
}

/// A moment as it is stored. What SQLite has in another spelling than the program's stays the text that it is, and so
/// equals no moment: statements compare the texts.
pub(super) fn moment(row: &Row, column: &str) -> Result<Value, DatabaseError> {
    match row.get::<Option<Timestamp>>(column) {
        Err(DatabaseError::Corrupt(_)) => row.get::<Option<String>>(column).map(Value::from),
        read => read.map(Value::from),
    }
}
