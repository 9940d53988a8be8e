//! Several statements that take effect together or not at all.

use sqlx::Connection as _;

use super::{Database, DatabaseError, Engine, StatementKind, postgres, refuse_nul, sqlite};
use crate::table::{Column, ColumnKind, Value};

/// One statement of a transaction.
#[derive(Clone, Debug)]
pub struct Step {
    sql: String,
    params: Vec<Value>,
    rows: Option<u64>,
}

impl Step {
    /// A statement that may change any number of rows.
    #[must_use]
    pub fn new(sql: impl Into<String>, params: Vec<Value>) -> Self {
        Self { sql: sql.into(), params, rows: None }
    }

    /// The transaction holds only if the statement changes so many rows: this is how a step says
    /// that it found what the caller had read before.
    #[must_use]
    pub const fn changing(mut self, rows: u64) -> Self {
        self.rows = Some(rows);
        self
    }
}

/// What became of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transacted {
    /// It is committed.
    Committed,
    /// A step changed another number of rows than expected, so nothing took effect.
    Undone,
}

impl Database {
    /// Runs these statements in order, in one transaction.
    ///
    /// # Errors
    /// As for [`Database::write`].
    pub async fn transact(&self, steps: Vec<Step>) -> Result<Transacted, DatabaseError> {
        for step in &steps {
            refuse_nul(&step.params)?;
            self.count(StatementKind::Write);
        }
        let spelled = steps.into_iter().map(|step| Step { sql: self.sql(&step.sql).into_owned(), ..step });
        let steps: Vec<Step> = spelled.collect();
        match self.engine() {
            Engine::Postgres(postgres) => {
                let mut connection = postgres.pool().acquire().await?;
                let mut transaction = connection.begin().await?;
                for step in &steps {
                    let changed = postgres::execute(&mut transaction, &step.sql, &step.params).await?;
                    if step.rows.is_some_and(|expected| expected != changed) {
                        transaction.rollback().await?;
                        return Ok(Transacted::Undone);
                    }
                }
                transaction.commit().await?;
                Ok(Transacted::Committed)
            }
            Engine::Sqlite(sqlite) => match sqlite.submit(move |writer| run_all(writer, &steps)).await {
                Ok(()) => Ok(Transacted::Committed),
                Err(Stopped::Undone) => Ok(Transacted::Undone),
                Err(Stopped::Failed(error)) => Err(error),
            },
        }
    }

    /// Rows that are given to a statement as one JSON array of objects, as a table `given` with these
    /// columns: for `FROM`, with the parameter's number.
    #[must_use]
    pub fn given(&self, parameter: u8, columns: &[Column]) -> String {
        match self.engine() {
            Engine::Postgres(_) => {
                let columns: Vec<String> = columns.iter().map(recordset_column).collect();
                format!("json_to_recordset(${parameter}::json) AS given({})", columns.join(", "))
            }
            Engine::Sqlite(_) => {
                let columns =
                    columns.iter().map(|Column { name, .. }| format!("value ->> '{name}' AS {name}"));
                let columns: Vec<String> = columns.collect();
                format!("(SELECT {} FROM json_each(${parameter})) AS given", columns.join(", "))
            }
        }
    }
}

fn recordset_column(Column { name, kind }: &Column) -> String {
    let sql_type = match kind {
        ColumnKind::Text => "text",
        ColumnKind::Integer => "bigint",
        ColumnKind::Boolean => "boolean",
        ColumnKind::Timestamp => "timestamptz",
        ColumnKind::Json => "json",
    };
    format!("{name} {sql_type}")
}

/// Why the writer undoes the steps.
enum Stopped {
    Undone,
    Failed(DatabaseError),
}

impl From<DatabaseError> for Stopped {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error)
    }
}

fn run_all(writer: &rusqlite::Connection, steps: &[Step]) -> Result<(), Stopped> {
    for step in steps {
        let changed = sqlite::execute(writer, &step.sql, &step.params)?;
        if step.rows.is_some_and(|expected| expected != changed) {
            return Err(Stopped::Undone);
        }
    }
    Ok(())
}
