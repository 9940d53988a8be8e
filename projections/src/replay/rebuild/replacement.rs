//! Putting a whole table in the place of a live one, where most of its rows differ.
//!
//! PostgreSQL makes an index of all rows at once in a fraction of the time that it takes row by row, and the
//! live table is then gone in an instant, so nobody waits while rows are written. SQLite cannot rename an index,
//! and migrations find indexes by their names; there rows are always replaced one by one.

use super::beside::Pair;
use super::flip::differing_rows;
use crate::database::{Database, DatabaseError, Engine, Exclusive};

/// Of so many differing rows each is replaced by itself; of more, the table is.
const DIFFERING_MAX: u64 = if cfg!(test) { 2 } else { 10_000 };

/// A table beside a live one that is ready to take its place.
pub(super) struct Replacement {
    /// How many rows of the live table are not as they will be.
    pub(super) differing: u64,
    /// What gives the new table the names and the permissions of the old one.
    statements: Vec<String>,
}

impl Replacement {
    /// Makes the filled table beside ready, while everybody reads and writes the live one; none where that
    /// does not pay.
    pub(super) async fn prepare(database: &Database, pair: Pair) -> Result<Option<Self>, DatabaseError> {
        match database.engine() {
            Engine::Sqlite(_) => return Ok(None),
            Engine::Postgres(_) => {}
        }
        let (live, beside) = pair;
        // A view of somebody's own would be lost with the table that it shows.
        if !database.read(&shown_by(live.name), &[]).await?.is_empty() {
            return Ok(None);
        }
        // The bound on the time of a request's statements does not hold in it.
        let mut exclusive = database.exclusive(&[beside.name]).await?;
        exclusive.join_whole_tables().await?;
        let differing = exclusive.execute(&differing_rows(pair), Vec::new()).await?;
        if differing <= DIFFERING_MAX {
            return Ok(None);
        }
        let (live, beside) = (live.name, beside.name);
        for sql in written(database, &indexes(live, beside)).await? {
            exclusive.execute(&sql, Vec::new()).await?;
        }
        exclusive.commit().await?;
        let mut statements = vec![
            format!("DROP TABLE {live}"),
            format!("ALTER TABLE {beside} RENAME TO {live}"),
            format!("ALTER TABLE {live} ADD CONSTRAINT {live}_pkey PRIMARY KEY USING INDEX {beside}_pkey"),
        ];
        for statement in [index_names(live), owner(live), revokes(live, beside), grants(live)] {
            statements.extend(written(database, &statement).await?);
        }
        Ok(Some(Self { differing, statements }))
    }

    /// Within the transaction that keeps writers and readers of the live table out; how many rows were not as they
    /// are now.
    pub(super) async fn put_in_place(&self, exclusive: &mut Exclusive) -> Result<u64, DatabaseError> {
        for sql in &self.statements {
            exclusive.execute(sql, Vec::new()).await?;
        }
        Ok(self.differing)
    }
}

/// What the answer to a question about a table says to do.
async fn written(database: &Database, question: &str) -> Result<Vec<String>, DatabaseError> {
    database.read(question, &[]).await?.iter().map(|row| row.get("statement")).collect()
}

/// The indexes of the live table, for the one beside it. That of its key is there already.
fn indexes(live: &str, beside: &str) -> String {
    format!(
        "SELECT replace(replace(indexdef, ' INDEX ' || indexname || ' ON ', \
         ' INDEX IF NOT EXISTS replay_' || indexname || ' ON '), '.{live} ', '.{beside} ') AS statement \
         FROM pg_indexes WHERE {} ORDER BY indexname",
        other_than_key(live)
    )
}

fn index_names(live: &str) -> String {
    format!(
        "SELECT format('ALTER INDEX %I RENAME TO %I', 'replay_' || indexname, indexname) AS statement \
         FROM pg_indexes WHERE {} ORDER BY indexname",
        other_than_key(live)
    )
}

fn other_than_key(live: &str) -> String {
    format!("schemaname = current_schema() AND tablename = '{live}' AND indexname <> '{live}_pkey'")
}

fn owner(live: &str) -> String {
    format!(
        "SELECT format('ALTER TABLE %I OWNER TO %I', '{live}', pg_get_userbyid(relowner)) AS statement \
         FROM pg_class WHERE oid = '{live}'::regclass AND pg_get_userbyid(relowner) <> current_user"
    )
}

fn shown_by(live: &str) -> String {
    format!(
        "SELECT 1 AS one FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid \
         WHERE d.refobjid = '{live}'::regclass LIMIT 1"
    )
}

/// What new tables are granted to by default is not what the live one is.
fn revokes(live: &str, beside: &str) -> String {
    format!(
        "SELECT DISTINCT format('REVOKE ALL ON %I FROM %s', '{live}', \
         CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END) AS statement \
         FROM pg_class, aclexplode(relacl) WHERE oid = '{beside}'::regclass AND grantee <> relowner"
    )
}

fn grants(live: &str) -> String {
    format!(
        "SELECT format('GRANT %s ON %I TO %s', string_agg(privilege_type, ', '), '{live}', \
         CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END) \
         || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS statement \
         FROM pg_class, aclexplode(relacl) WHERE oid = '{live}'::regclass AND grantee <> relowner \
         GROUP BY grantee, is_grantable ORDER BY grantee"
    )
}
