//! Several statements that take effect together or not at all.

use super::migrate::Flavour;
use super::sql::spell;
use super::{Database, DatabaseError, Engine, StatementKind, postgres, refuse_nul, sqlite};
use crate::table::{Column, Table, Value};

/// One statement of a transaction, or one for each of many rows.
#[derive(Clone, Debug)]
pub struct Step {
    statement: Statement,
    rows: Option<u64>,
}

#[derive(Clone, Debug)]
enum Statement {
    One {
        sql: String,
        params: Vec<Value>,
    },
    /// Rows of a table, which replace those that have the same key if they are to.
    Rows {
        table: &'static Table,
        replace: bool,
        rows: Vec<Vec<Value>>,
    },
}

impl Step {
    /// A statement that may change any number of rows.
    #[must_use]
    pub fn new(sql: impl Into<String>, params: Vec<Value>) -> Self {
        Self { statement: Statement::One { sql: sql.into(), params }, rows: None }
    }

    /// New rows of a table, all columns in order.
    #[must_use]
    pub fn insert(table: &'static Table, rows: Vec<Vec<Value>>) -> Self {
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        Self { statement: Statement::Rows { table, replace: false, rows }, rows: Some(count) }
    }

    /// Rows that replace whatever their keys hold, all columns in order.
    #[must_use]
    pub fn upsert(table: &'static Table, rows: Vec<Vec<Value>>) -> Self {
        Self { statement: Statement::Rows { table, replace: true, rows }, rows: None }
    }

    /// The transaction holds only if the statement changes so many rows: this is how a step says
    /// that it found what the caller had read before.
    #[must_use]
    pub const fn changing(mut self, rows: u64) -> Self {
        self.rows = Some(rows);
        self
    }
}

/// When a transaction is on disk.
#[derive(Clone, Copy)]
enum Durability {
    /// When it is committed.
    Flushed,
    /// At the latest with the next one that waits for it; SQLite knows no difference.
    WithTheNext,
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
        self.run(steps, Durability::Flushed).await
    }

    /// The same for what can be derived again: PostgreSQL does not wait until it is on disk, and after a
    /// crash either all of it is there or nothing. Appends then need not wait for it either.
    ///
    /// # Errors
    /// As for [`Database::write`].
    pub async fn transact_derived(&self, steps: Vec<Step>) -> Result<Transacted, DatabaseError> {
        self.run(steps, Durability::WithTheNext).await
    }

    async fn run(&self, steps: Vec<Step>, durability: Durability) -> Result<Transacted, DatabaseError> {
        for step in &steps {
            match &step.statement {
                Statement::One { params, .. } => refuse_nul(params)?,
                Statement::Rows { rows, .. } => rows.iter().try_for_each(|row| refuse_nul(row))?,
            }
            self.count(StatementKind::Write);
        }
        match self.engine() {
            Engine::Postgres(postgres) => {
                let mut transaction = postgres.begin().await?;
                match durability {
                    Durability::Flushed => {}
                    Durability::WithTheNext => {
                        postgres::execute(&mut transaction, "SET LOCAL synchronous_commit = off", &[])
                            .await?;
                    }
                }
                for Step { statement, rows } in &steps {
                    let changed = match statement {
                        Statement::One { sql, params } => {
                            postgres::execute(&mut transaction, &self.sql(sql), params).await?
                        }
                        Statement::Rows { table, replace, rows } => {
                            postgres::execute_rows(&mut transaction, &unnesting(table, *replace), table, rows)
                                .await?
                        }
                    };
                    if rows.is_some_and(|expected| expected != changed) {
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

    /// A condition: one of the numbers that are given as one JSON array, with the parameter's number. Each is
    /// looked up by itself, where a join might go through the whole table instead.
    #[must_use]
    pub fn any_of(&self, column: &str, parameter: u8) -> String {
        match self.engine() {
            Engine::Postgres(_) => format!(
                "{column} = ANY (ARRAY(SELECT CAST(value AS bigint) FROM json_array_elements_text(${parameter}::json)))"
            ),
            Engine::Sqlite(_) => format!("{column} IN (SELECT value FROM json_each(${parameter}))"),
        }
    }

    /// An expression: the piece at this place, from zero, of a text that is given as one, with the parameter's
    /// number. It is ASCII, and each piece has so many characters.
    #[must_use]
    pub fn piece(&self, parameter: u8, characters: u8, place: &str) -> String {
        // In bytes a piece is found at once, in a text it would be looked for from the beginning.
        match self.engine() {
            Engine::Postgres(_) => format!(
                "convert_from(substring((SELECT convert_to(${parameter}, 'UTF8')) \
                 FROM {characters} * CAST({place} AS integer) + 1 FOR {characters}), 'UTF8')"
            ),
            Engine::Sqlite(_) => format!(
                "CAST(substr(CAST(${parameter} AS BLOB), {characters} * ({place}) + 1, {characters}) AS TEXT)"
            ),
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
    format!("{name} {}", kind.postgres())
}

/// The statement that writes rows which are given as one array of text for each column.
pub(super) fn unnesting(table: &Table, replace: bool) -> String {
    let arrays: Vec<String> = (1..=table.columns.len()).map(|number| format!("${number}::text[]")).collect();
    let cast = |Column { name, kind }: &Column| format!("given.{name}::{}", kind.postgres());
    let casts: Vec<String> = table.columns.iter().map(cast).collect();
    let (names, on_conflict) = (table.column_names(), on_conflict(table, replace));
    format!(
        "INSERT INTO {} ({names}) SELECT {} FROM unnest({}) AS given({names}){on_conflict}",
        table.name,
        casts.join(", "),
        arrays.join(", ")
    )
}

fn on_conflict(table: &Table, replace: bool) -> String {
    if replace { format!(" {}", table.on_conflict_replace()) } else { String::new() }
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
    for Step { statement, rows } in steps {
        let changed = match statement {
            Statement::One { sql, params } => sqlite::execute(writer, &spell(sql, Flavour::Sqlite), params)?,
            Statement::Rows { table, replace, rows } => {
                let sql = table.insert() + &on_conflict(table, *replace);
                let mut changed = 0;
                for row in rows {
                    changed += sqlite::execute(writer, &sql, row)?;
                }
                changed
            }
        };
        if rows.is_some_and(|expected| expected != changed) {
            return Err(Stopped::Undone);
        }
    }
    Ok(())
}
