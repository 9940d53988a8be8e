//! Tables described once, so that both databases' statements are derived from one place.
//!
//! An append writes events, a snapshot and pending rows; anything else it writes is a [`Change`] of
//! one of the [`APPEND_TABLES`]. There is no other way.

mod value;

pub use value::{Value, timestamp_text, to_microseconds};

/// A table, as far as statements that write it need to know it.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name in both databases.
    pub name: &'static str,
    /// Every column that is written, in the order in which a row lists its values.
    pub columns: &'static [Column],
    /// The columns of the primary key, in the order in which a key lists its values.
    pub key: &'static [&'static str],
}

/// A column and what it holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in both databases.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

/// What a column holds; each database spells the type its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Any text without a NUL character.
    Text,
    /// A signed 64-bit integer.
    Integer,
    /// True or false; 0 or 1 on SQLite.
    Boolean,
    /// A moment in UTC, to the microsecond; RFC 3339 text on SQLite.
    Timestamp,
    /// A JSON document, handed over as text and kept as it was written.
    Json,
}

/// One row that an append writes or removes beside its events, in the same transaction.
///
/// The changes of one append take effect together and in no order, so no two of them may name the
/// same row: an upsert and a delete of one row have no defined outcome, and such an append is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new row, all columns in order; the append is refused if the key exists already.
    Insert(&'static Table, Vec<Value>),
    /// A row that replaces whatever the key holds, all columns in order.
    Upsert(&'static Table, Vec<Value>),
    /// The row with this key goes, if there is one; the key columns in order.
    Delete(&'static Table, Vec<Value>),
}

/// Why a change does not fit its table: a mistake in the program, never in what a person sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MisfitChange {
    /// The table is not one that appends may write.
    #[error("appends do not write the table {0}")]
    NotAnAppendTable(&'static str),
    /// There are more or fewer values than columns.
    #[error("a change of {0} has the wrong number of values")]
    WrongCount(&'static str),
    /// A value is not what its column holds.
    #[error("a change of {table} has a value of the wrong kind for {column}")]
    WrongKind {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A text holds a NUL character, which PostgreSQL cannot store.
    #[error("a change of {table} has a NUL character in {column}")]
    NulCharacter {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
}

/// Which user holds an e-mail address, by its digest.
pub const EMAIL_CLAIMS: Table =
    Table { name: "email_claims", columns: &[text("digest"), text("user_id")], key: &["digest"] };

/// Which agreement holds an agreement number.
pub const AGREEMENT_NUMBER_CLAIMS: Table = Table {
    name: "agreement_number_claims",
    columns: &[text("number"), text("agreement_id")],
    key: &["number"],
};

/// The wrapped data key of each owner.
pub const DATA_KEYS: Table = Table {
    name: "data_keys",
    columns: &[
        text("key_id"),
        text("owner_id"),
        text("wrapped"),
        text("master_key_id"),
        timestamp("created_at"),
    ],
    key: &["key_id"],
};

/// Sealed secrets, which events name by id.
pub const VAULT: Table = Table {
    name: "vault",
    columns: &[
        text("row_id"),
        text("user_id"),
        text("kind"),
        text("key_id"),
        text("sealed"),
        timestamp("created_at"),
    ],
    key: &["row_id"],
};

/// What the question at sign-in needs to know of a user.
pub const LOGIN_CHECK_USERS: Table = Table {
    name: "login_check_users",
    columns: &[
        text("user_id"),
        text("email"),
        text("display_name"),
        boolean("two_factor_enabled"),
        boolean("totp_usable"),
        boolean("recovery_code_usable"),
        timestamp("codes_locked_until"),
        timestamp("recovery_code_locked_until"),
        timestamp("registered_at"),
    ],
    key: &["user_id"],
};

/// Who is linked to which agreement, and in which role.
pub const LOGIN_CHECK_LINKS: Table = Table {
    name: "login_check_links",
    columns: &[text("user_id"), text("agreement_id"), text("role"), timestamp("linked_at")],
    key: &["user_id", "agreement_id"],
};

/// What each agreement requires, and which one administers it.
pub const LOGIN_CHECK_AGREEMENTS: Table = Table {
    name: "login_check_agreements",
    columns: &[
        text("agreement_id"),
        text("number"),
        text("name"),
        text("kind"),
        text("administered_by"),
        timestamp("administered_since"),
        boolean("enforced"),
        timestamp("enforced_since"),
        text("enforced_by"),
        timestamp("deadline"),
        text("reason"),
        boolean("closed"),
        timestamp("opened_at"),
    ],
    key: &["agreement_id"],
};

/// The keys that applications present, by the digest of their token.
pub const API_KEYS: Table = Table {
    name: "api_keys",
    columns: &[
        text("key_id"),
        text("name"),
        text("token_sha256"),
        text("scopes"),
        timestamp("created_at"),
        timestamp("expires_at"),
        timestamp("revoked_at"),
    ],
    key: &["key_id"],
};

/// Where entries of the audit trail are sent, and which types of them.
pub const WEBHOOKS: Table = Table {
    name: "webhooks",
    columns: &[
        text("webhook_id"),
        text("url"),
        text("types"),
        text("secret_row"),
        timestamp("registered_at"),
    ],
    key: &["webhook_id"],
};

/// How far each webhook was served. An append makes the row and takes it away; all that happens in
/// between is written by deliveries.
pub const WEBHOOK_CURSORS: Table = Table {
    name: "webhook_cursors",
    columns: &[text("webhook_id"), integer("position")],
    key: &["webhook_id"],
};

/// The events in the ledger's order; only the sequencer writes it.
pub const LEDGER_ENTRIES: Table = Table {
    name: "ledger_entries",
    columns: &[
        integer("position"),
        text("aggregate_type"),
        text("aggregate_id"),
        integer("sequence"),
        text("leaf"),
        text("leaf_hash"),
    ],
    key: &["position"],
};

/// The hashes of the ledger's tree; only the sequencer writes it.
pub const LEDGER_TILES: Table = Table {
    name: "ledger_tiles",
    columns: &[integer("level"), integer("tile_index"), text("hashes")],
    key: &["level", "tile_index"],
};

/// Every table that an append may write beside events, snapshots and pending rows.
pub const APPEND_TABLES: &[&Table] = &[
    &EMAIL_CLAIMS,
    &AGREEMENT_NUMBER_CLAIMS,
    &DATA_KEYS,
    &VAULT,
    &LOGIN_CHECK_USERS,
    &LOGIN_CHECK_LINKS,
    &LOGIN_CHECK_AGREEMENTS,
    &API_KEYS,
    &WEBHOOKS,
    &WEBHOOK_CURSORS,
];

/// The events themselves; only the event store writes them.
pub const EVENTS: Table = Table {
    name: "events",
    columns: &[
        text("aggregate_type"),
        text("aggregate_id"),
        integer("sequence"),
        text("event_type"),
        text("event_version"),
        json("payload"),
        json("metadata"),
        text("event_id"),
        timestamp("recorded_at"),
        text("user_id"),
        text("agreement_id"),
        text("actor_id"),
    ],
    key: &["aggregate_type", "aggregate_id", "sequence"],
};

/// The state of each stream after its last event; only the event store writes it.
pub const SNAPSHOTS: Table = Table {
    name: "snapshots",
    columns: &[
        text("aggregate_type"),
        text("aggregate_id"),
        integer("last_sequence"),
        integer("previous_sequence"),
        json("payload"),
        integer("leaf_sequence"),
        text("leaf_hash"),
        integer("current_snapshot"),
    ],
    key: &["aggregate_type", "aggregate_id"],
};

impl ColumnKind {
    /// What PostgreSQL calls the type.
    #[must_use]
    pub const fn postgres(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "bigint",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamptz",
            Self::Json => "json",
        }
    }
}

impl Table {
    /// The statement that writes one row, all columns in order as `$1`, `$2`, ….
    #[must_use]
    pub fn insert(&self) -> String {
        let places: Vec<String> = (1..=self.columns.len()).map(|number| format!("${number}")).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.name, self.column_names(), places.join(", "))
    }

    /// The names of all columns, as a statement lists them.
    #[must_use]
    pub fn column_names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        names.join(", ")
    }

    /// The columns of the key, described.
    pub fn key_columns(&self) -> impl Iterator<Item = &'static Column> + '_ {
        self.key.iter().filter_map(|name| self.columns.iter().find(|column| column.name == *name))
    }

    /// What an upsert does with a row that is there: every column outside the key is replaced.
    ///
    /// A table that is all key keeps its row as it is, by the assignment that changes nothing.
    #[must_use]
    pub fn on_conflict_replace(&self) -> String {
        let replaced = |name: &str| format!("{name} = excluded.{name}");
        let outside_key = self.columns.iter().map(|column| column.name);
        let mut assignments: Vec<String> =
            outside_key.filter(|name| !self.key.contains(name)).map(replaced).collect();
        if assignments.is_empty() {
            assignments = self.key.iter().copied().map(replaced).collect();
        }
        format!("ON CONFLICT ({}) DO UPDATE SET {}", self.key.join(", "), assignments.join(", "))
    }
}

impl Change {
    /// The table that it changes.
    #[must_use]
    pub fn table(&self) -> &'static Table {
        match self {
            Change::Insert(table, _) | Change::Upsert(table, _) | Change::Delete(table, _) => table,
        }
    }

    /// The values: a row for an insert or an upsert, a key for a delete.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        match self {
            Change::Insert(_, values) | Change::Upsert(_, values) | Change::Delete(_, values) => values,
        }
    }

    /// The columns that the values fill, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<&'static Column> {
        match self {
            Change::Insert(table, _) | Change::Upsert(table, _) => table.columns.iter().collect(),
            Change::Delete(table, _) => table.key_columns().collect(),
        }
    }

    /// The values of the key, by which two changes of one row are recognised.
    #[must_use]
    pub fn key(&self) -> Vec<&Value> {
        let columns = self.columns();
        let position = |name: &&str| columns.iter().position(|column| column.name == *name);
        let key = self.table().key.iter();
        key.filter_map(position).filter_map(|index| self.values().get(index)).collect()
    }

    /// Whether the values fit the table, asked before any database sees them.
    ///
    /// # Errors
    /// Names the table and the column that do not fit, and never a value.
    pub fn check(&self) -> Result<(), MisfitChange> {
        let table = self.table().name;
        if !APPEND_TABLES.iter().any(|known| known.name == table) {
            return Err(MisfitChange::NotAnAppendTable(table));
        }
        let columns = self.columns();
        if columns.len() != self.values().len() {
            return Err(MisfitChange::WrongCount(table));
        }
        for (column, value) in columns.iter().zip(self.values()) {
            let column_name = column.name;
            if !value.fits(column.kind) {
                return Err(MisfitChange::WrongKind { table, column: column_name });
            }
            if value.has_nul() {
                return Err(MisfitChange::NulCharacter { table, column: column_name });
            }
        }
        Ok(())
    }
}

pub(crate) const fn text(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Text }
}

pub(crate) const fn integer(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Integer }
}

pub(crate) const fn boolean(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Boolean }
}

pub(crate) const fn timestamp(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Timestamp }
}

pub(crate) const fn json(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Json }
}
