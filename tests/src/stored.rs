//! What is stored, read and changed behind the product's back, as somebody could who has the database.

use crate::{Database, Place};

impl Place {
    /// The first column of what a query returns, as text.
    pub async fn column(&self, sql: &str) -> Vec<String> {
        match self.database {
            Database::Sqlite => {
                let connection = rusqlite::Connection::open(self.sqlite_file()).expect("the database");
                let mut statement = connection.prepare(sql).expect("a statement");
                let rows = statement.query_map([], |row| {
                    Ok(match row.get_ref(0)? {
                        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                        other => other.as_str()?.to_owned(),
                    })
                });
                rows.expect("rows").map(|row| row.expect("a row")).collect()
            }
            #[cfg(feature = "postgres")]
            Database::Postgres => {
                let mut connection = crate::postgres::connect(self.url()).await;
                let sql = format!("SELECT asked.one::text FROM ({sql}) AS asked(one)");
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
