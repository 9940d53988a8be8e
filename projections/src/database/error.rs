//! Why the database did not do what was asked, in words for whoever runs the installation.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Why the database did not do what was asked.
///
/// No message holds a bound value or a stored one, since either may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// It is down, unreachable, full, or the connection broke: whether a write took place is unknown.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Too much is waiting for it already, so nothing was attempted.
    #[error("too many requests are waiting for the database")]
    Busy,
    /// A named constraint refused the statement; primary keys have the same names on both databases.
    #[error("the database refused the change: {name}")]
    Constraint {
        /// The constraint, such as `email_claims_pkey`.
        name: String,
    },
    /// It cannot hold every character, or does not know what one is.
    #[error(
        "the database has the encoding {found}, and names need UTF8: see \"Another encoding\" in docs/operations.md"
    )]
    Encoding {
        /// The encoding that it has.
        found: String,
    },
    /// A newer program migrated the database; this one cannot know what that meant.
    #[error(
        "a newer program has migrated this database: it is at migration {found}, and this program knows none after {known}"
    )]
    Newer {
        /// The newest migration in the database.
        found: i64,
        /// The newest migration in the program.
        known: i64,
    },
    /// A migration could not be applied, or is not the one that was applied.
    #[error("migration {name}: {reason}")]
    Migration {
        /// The migration, by number and name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something stored is not what the program wrote.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(String),
    /// The statement itself failed: a mistake in the program.
    #[error("a statement failed: {0}")]
    Query(String),
}

/// Whether the connection is gone, so that nobody knows what became of the statement.
///
/// Anything else is the server's answer to the statement: it took no effect, and the connection lives.
#[must_use]
pub fn connection_lost(error: &sqlx::Error) -> bool {
    let broken = matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed
    );
    broken || postgres(error).is_some_and(|answer| is_fatal(answer.severity()))
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let Some(answer) = postgres(&error) else {
            return without_answer(&error);
        };
        if let Some(name) = answer.constraint() {
            return DatabaseError::Constraint { name: name.to_owned() };
        }
        let code = answer.code();
        if is_fatal(answer.severity()) || SERVER_TROUBLE.iter().any(|class| code.starts_with(class)) {
            return DatabaseError::Unavailable(format!("{} ({code})", answer.message()));
        }
        if code == LOCK_NOT_AVAILABLE || code == DEADLOCK {
            return DatabaseError::Busy;
        }
        // Messages of other classes may quote a value ("invalid input syntax: …").
        if code.starts_with("42") {
            return DatabaseError::Query(format!("{} ({code})", answer.message()));
        }
        DatabaseError::Query(format!("SQLSTATE {code}"))
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;

        let (Some(code), message) = (error.sqlite_error_code(), sqlite_message(&error)) else {
            return DatabaseError::Query(error.to_string());
        };
        if code == ErrorCode::ConstraintViolation {
            return DatabaseError::Constraint { name: constraint_name(&message) };
        }
        if matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) {
            return DatabaseError::Corrupt(message);
        }
        let unavailable = [
            ErrorCode::DatabaseBusy,
            ErrorCode::DatabaseLocked,
            ErrorCode::DiskFull,
            ErrorCode::SystemIoFailure,
            ErrorCode::CannotOpen,
            ErrorCode::ReadOnly,
            ErrorCode::PermissionDenied,
            ErrorCode::OutOfMemory,
            ErrorCode::OperationInterrupted,
        ];
        if unavailable.contains(&code) {
            return DatabaseError::Unavailable(message);
        }
        DatabaseError::Query(message)
    }
}

/// SQLSTATE classes and codes by which the server says that it is in trouble, not the statement:
/// connection, authorisation, no such database, resources, operator intervention, system error, and
/// a standby that was asked to write.
const SERVER_TROUBLE: [&str; 7] = ["08", "28", "3D", "53", "57", "58", "25006"];

/// A lock was not to be had in the time that was given for it.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Of two transactions that waited for each other, this one was given up.
const DEADLOCK: &str = "40P01";

fn postgres(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

fn is_fatal(severity: PgSeverity) -> bool {
    matches!(severity, PgSeverity::Fatal | PgSeverity::Panic)
}

fn without_answer(error: &sqlx::Error) -> DatabaseError {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return DatabaseError::Unavailable("no connection became free in time".to_owned());
    }
    if matches!(error, sqlx::Error::PoolClosed) || connection_lost(error) {
        return DatabaseError::Unavailable(error.to_string());
    }
    DatabaseError::Query(error.to_string())
}

/// What SQLite said, without the statement that rusqlite would add.
fn sqlite_message(error: &rusqlite::Error) -> String {
    if let rusqlite::Error::SqliteFailure(_, Some(message)) = error {
        return message.clone();
    }
    error.to_string()
}

/// The name that PostgreSQL would give: SQLite says "UNIQUE constraint failed: table.column, …", and
/// only primary keys are unique here. Checks and the triggers on events say their own name.
fn constraint_name(message: &str) -> String {
    let Some((kind, what)) = message.split_once(" constraint failed: ") else {
        return message.to_owned();
    };
    match (kind, what.split_once('.')) {
        ("UNIQUE", Some((table, _))) => format!("{table}_pkey"),
        _ => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::constraint_name;

    #[test]
    fn sqlite_constraints_have_the_names_that_postgresql_uses() {
        assert_eq!(constraint_name("UNIQUE constraint failed: email_claims.digest"), "email_claims_pkey");
        assert_eq!(
            constraint_name("UNIQUE constraint failed: events.aggregate_type, events.sequence"),
            "events_pkey"
        );
        assert_eq!(
            constraint_name("CHECK constraint failed: events_sequence_check"),
            "events_sequence_check"
        );
        assert_eq!(constraint_name("events_append_only"), "events_append_only");
    }
}
