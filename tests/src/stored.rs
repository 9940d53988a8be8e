//! What is stored, read and changed behind the product's back, as somebody could who has the database.

use crate::{Database, Place};

impl Place {
    /// The first column of what a query returns, as text.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unused_async, reason = "only PostgreSQL is asked over the network")
    )]
    pub async fn column(&self, sql: &str) -> Vec<String> {
        let sql = format!("WITH asked(one) AS ({sql}) SELECT CAST(one AS text) FROM asked");
        match self.database {
            Database::Sqlite => {
                let connection = rusqlite::Connection::open(self.sqlite_file()).expect("the database");
                let mut statement = connection.prepare(&sql).expect("a statement");
                let rows = statement.query_map([], |row| row.get(0)).expect("rows");
                rows.map(|row| row.expect("a row")).collect()
            }
            #[cfg(feature = "postgres")]
            Database::Postgres => {
                let mut connection = crate::postgres::connect(self.url()).await;
                sqlx::query_scalar(&sql).fetch_all(&mut connection).await.expect("rows")
            }
        }
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> i64 {
        let column = self.column(sql).await;
        let [number] = column.as_slice() else { panic!("{sql}: {column:?}") };
        number.parse().expect("a number")
    }

    /// Changes what is stored, with everything that stands in the way taken away first.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unused_async, reason = "only PostgreSQL is asked over the network")
    )]
    pub async fn tamper(&self, sql: &str) {
        match self.database {
            Database::Sqlite => {
                let connection = rusqlite::Connection::open(self.sqlite_file()).expect("the database");
                let triggers = "SELECT group_concat('DROP TRIGGER ' || name || ';', '') FROM sqlite_schema \
                                WHERE type = 'trigger'";
                let drop: Option<String> =
                    connection.query_row(triggers, [], |row| row.get(0)).expect("the triggers");
                connection.execute_batch(&drop.unwrap_or_default()).expect("no trigger");
                connection.execute_batch(sql).expect("a change");
            }
            #[cfg(feature = "postgres")]
            Database::Postgres => {
                let mut connection = crate::postgres::connect(self.url()).await;
                let sql = format!("SET session_replication_role = replica; {sql}");
                crate::postgres::run(&mut connection, &sql).await;
            }
        }
    }

    fn sqlite_file(&self) -> &str {
        self.url().trim_start_matches("sqlite://")
    }
}

/// A copy of a database, made while nothing ran on it.
pub struct Backup(Vec<(std::path::PathBuf, Vec<u8>)>);

impl Place {
    /// Copies the database.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "only PostgreSQL waits"))]
    pub async fn back_up(&self) -> Backup {
        match self.database {
            Database::Sqlite => {
                let files = ["", "-wal", "-shm"].map(|side| format!("{}{side}", self.sqlite_file()).into());
                let copies = files.into_iter().filter_map(|file: std::path::PathBuf| {
                    let bytes = std::fs::read(&file).ok()?;
                    Some((file, bytes))
                });
                Backup(copies.collect())
            }
            #[cfg(feature = "postgres")]
            Database::Postgres => {
                crate::postgres::copy(self.url(), &format!("{}_copy", self.url())).await;
                Backup(Vec::new())
            }
        }
    }

    /// Puts the copy in the place of the database.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "only PostgreSQL waits"))]
    pub async fn restore(&self, Backup(files): Backup) {
        match self.database {
            Database::Sqlite => {
                for side in ["", "-wal", "-shm"] {
                    // Side files are there or not, as it happens.
                    let _ = std::fs::remove_file(format!("{}{side}", self.sqlite_file()));
                }
                for (file, bytes) in files {
                    std::fs::write(file, bytes).expect("a file");
                }
            }
            #[cfg(feature = "postgres")]
            Database::Postgres => crate::postgres::copy(&format!("{}_copy", self.url()), self.url()).await,
        }
    }
}
