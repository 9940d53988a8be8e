//! The tables beside the live ones, and how far they were filled.

use crate::database::{Database, DatabaseError, Engine, Exclusive, Row, Step, Transacted};
use crate::replay::{ReplayError, number};
use crate::table::Table;

/// A live table, and the one beside it.
pub(in crate::replay) type Pair = (&'static Table, &'static Table);

/// What becomes of the tables beside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::replay) enum Fate {
    /// Rows are taken from them.
    Copied,
    /// They take the place of the live ones, where the database has tables change places.
    PutInPlace,
}

/// A rebuild is gone on with if no more entries came since it began, or no more than a quarter of those before.
const SINCE_MAX: u64 = 100_000;

const RUNS: &str = "TABLE IF NOT EXISTS replay_runs (model text NOT NULL PRIMARY KEY, shape text NOT NULL, \
    token bigint NOT NULL, size bigint NOT NULL, seen bigint NOT NULL, after_type text NOT NULL, \
    after_id text NOT NULL)";

/// The row stays, so that no token is ever given twice.
const END: &str = "UPDATE replay_runs SET shape = '', token = token + 1 WHERE model = $1 AND token = $2";

/// A rebuild, as far as it came.
#[derive(Clone, Debug)]
pub(in crate::replay) struct Run {
    pub(super) name: &'static str,
    /// Whoever takes the rebuild over has another.
    token: i64,
    /// So many entries there were when it began; what moved since is folded anew at its end.
    pub(super) size: u64,
    /// How many entries were taken in, or events folded.
    pub(super) seen: u64,
    /// The last stream that was.
    pub(super) after: (String, String),
}

impl Run {
    /// Goes on with what was begun, or begins.
    pub(in crate::replay) async fn begin(
        database: &Database,
        name: &'static str,
        pairs: &[Pair],
        fate: Fate,
        size: u64,
    ) -> Result<Self, ReplayError> {
        for sql in create_runs(database) {
            database.write(&sql, &[]).await?;
        }
        // From here on whoever was at work on it before finds another token, and gives up.
        let go_on = "UPDATE replay_runs SET token = token + 1 WHERE model = $1 AND shape = $2 \
                     RETURNING token, size, seen, after_type, after_id";
        let found = database.write(go_on, &[name.into(), shape(pairs, fate).into()]).await?;
        if let Some(row) = found.first() {
            let run = Self::read(name, row)?;
            if run.is_recent(size) && are_there(database, pairs).await? {
                return Ok(run);
            }
        }
        // Without a shape nobody goes on with it: its tables are not there yet.
        let begin = format!(
            "INSERT INTO replay_runs (model, shape, token, size, seen, after_type, after_id) \
             VALUES ($1, '', {}, $2, 0, '', '') ON CONFLICT (model) DO UPDATE SET shape = '', \
             token = replay_runs.token + 1, size = excluded.size, seen = 0, after_type = '', after_id = '' \
             RETURNING token, size, seen, after_type, after_id",
            first_token(database)
        );
        let answer = database.write(&begin, &[name.into(), number(size)]).await?;
        let row = answer.first().ok_or_else(|| DatabaseError::Query("no run was begun".to_owned()))?;
        let run = Self::read(name, row)?;
        run.make_tables(database, pairs, fate).await?;
        Ok(run)
    }

    /// All of them or none, and only while nobody has taken the rebuild over: what the database still does for one
    /// that was cut short then takes no table from under the next one.
    async fn make_tables(&self, database: &Database, pairs: &[Pair], fate: Fate) -> Result<(), ReplayError> {
        let made = "UPDATE replay_runs SET shape = $1 WHERE model = $2 AND token = $3";
        let params = vec![shape(pairs, fate).into(), self.name.into(), self.token.into()];
        let mut steps = vec![Step::new(made, params).changing(1)];
        for (live, beside) in pairs {
            steps.push(Step::new(format!("DROP TABLE IF EXISTS {}", beside.name), Vec::new()));
            let created = create_like(database, live, beside, fate).into_iter();
            steps.extend(created.map(|sql| Step::new(sql, Vec::new())));
        }
        match database.transact(steps).await? {
            Transacted::Committed => Ok(()),
            Transacted::Undone => Err(ReplayError::TakenOver),
        }
    }

    /// What moved since it began is folded stream by stream: of too much, it is faster to begin anew.
    const fn is_recent(&self, size: u64) -> bool {
        let since = size.saturating_sub(self.size);
        since <= SINCE_MAX || since <= self.size / 4
    }

    fn read(name: &'static str, row: &Row) -> Result<Self, DatabaseError> {
        let natural = |column| row.get::<i64>(column).map(|number| u64::try_from(number).unwrap_or_default());
        Ok(Self {
            name,
            token: row.get("token")?,
            size: natural("size")?,
            seen: natural("seen")?,
            after: (row.get("after_type")?, row.get("after_id")?),
        })
    }

    /// Takes rows in and says how far that came, together. Two replays at once cannot both do that.
    pub(in crate::replay) async fn advance(
        &mut self,
        database: &Database,
        mut steps: Vec<Step>,
        seen: u64,
        after: (String, String),
    ) -> Result<Transacted, ReplayError> {
        let moved = "UPDATE replay_runs SET seen = $1, after_type = $2, after_id = $3 \
                     WHERE model = $4 AND seen = $5 AND after_type = $6 AND after_id = $7 AND token = $8";
        let params = vec![
            number(seen),
            after.0.clone().into(),
            after.1.clone().into(),
            self.name.into(),
            number(self.seen),
            self.after.0.clone().into(),
            self.after.1.clone().into(),
            self.token.into(),
        ];
        steps.insert(0, Step::new(moved, params).changing(1));
        let outcome = database.transact_derived(steps).await?;
        if outcome == Transacted::Committed {
            (self.seen, self.after) = (seen, after);
        }
        Ok(outcome)
    }

    /// Makes what the filled tables are searched by: PostgreSQL does that faster afterwards.
    pub(super) async fn index(&self, database: &Database, pairs: &[Pair]) -> Result<(), ReplayError> {
        match database.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(_) => {
                for (_, beside) in pairs {
                    // Without the bound on the time of a request's statements.
                    let mut exclusive = database.exclusive(&[beside.name]).await?;
                    for sql in indexes(beside) {
                        exclusive.execute(&sql, Vec::new()).await?;
                    }
                    exclusive.execute(&format!("ANALYZE {}", beside.name), Vec::new()).await?;
                    exclusive.commit().await?;
                }
            }
        }
        Ok(())
    }

    /// The step by which a transaction takes effect only while nobody has taken the rebuild over.
    pub(super) fn still_ours(&self) -> Step {
        let sql = "UPDATE replay_runs SET token = token WHERE model = $1 AND token = $2";
        Step::new(sql, vec![self.name.into(), self.token.into()]).changing(1)
    }

    /// Lets the next one begin anew.
    pub(super) async fn give_up(&self, database: &Database) -> Result<(), ReplayError> {
        database.write(END, &[self.name.into(), self.token.into()]).await?;
        Ok(())
    }

    /// Ends it within the transaction that puts the rows in place, of which nothing is left beside.
    pub(in crate::replay) async fn end(
        &self,
        exclusive: &mut Exclusive,
        pairs: &[Pair],
    ) -> Result<(), ReplayError> {
        if exclusive.execute(END, vec![self.name.into(), self.token.into()]).await? != 1 {
            return Err(ReplayError::TakenOver);
        }
        for (_, beside) in pairs {
            exclusive.execute(&format!("DROP TABLE {}", beside.name), Vec::new()).await?;
        }
        Ok(())
    }
}

/// PostgreSQL keeps tables from which rows are copied, and how far all were filled, out of its write-ahead log:
/// that is half of what filling them costs. After a crash nothing is known of any, and a rebuild begins anew.
fn create_runs(database: &Database) -> Vec<String> {
    match database.engine() {
        Engine::Sqlite(_) => vec![format!("CREATE {RUNS}")],
        // One that an earlier program made is in the log.
        Engine::Postgres(_) => {
            vec![format!("CREATE UNLOGGED {RUNS}"), "ALTER TABLE replay_runs SET UNLOGGED".to_owned()]
        }
    }
}

/// Where a crash has emptied the table of tokens, whoever was at work before must not be taken for the next one.
fn first_token(database: &Database) -> &'static str {
    match database.engine() {
        Engine::Sqlite(_) => "1",
        Engine::Postgres(_) => "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)",
    }
}

/// Whether the tables of a rebuild are there: it may have been cut short before they were made.
async fn are_there(database: &Database, pairs: &[Pair]) -> Result<bool, ReplayError> {
    for (_, beside) in pairs {
        match database.read_bulk(&format!("SELECT 1 AS one FROM {} LIMIT 1", beside.name), &[]).await {
            Ok(_) => {}
            Err(DatabaseError::Query(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// What a program of another version would not go on with.
fn shape(pairs: &[Pair], fate: Fate) -> String {
    let of = |(_, beside): &Pair| format!("{} ({})", beside.name, beside.column_names());
    let tables: Vec<String> = pairs.iter().map(of).collect();
    format!("{} {fate:?} {}", env!("CARGO_PKG_VERSION"), tables.join("; "))
}

fn create_like(database: &Database, live: &Table, beside: &Table, fate: Fate) -> Vec<String> {
    let name = beside.name;
    match database.engine() {
        Engine::Postgres(_) => {
            let create = match fate {
                Fate::Copied => "CREATE UNLOGGED",
                // Into the log later would mean to write all of it again.
                Fate::PutInPlace => "CREATE",
            };
            vec![format!("{create} TABLE {name} (LIKE {} INCLUDING DEFAULTS)", live.name)]
        }
        // Nobody may write while SQLite makes an index, so it is made while the table is empty.
        Engine::Sqlite(_) => {
            let columns = live.column_names();
            let mut made =
                vec![format!("CREATE TABLE {name} AS SELECT {columns} FROM {} WHERE 1 = 0", live.name)];
            made.extend(indexes(beside));
            made
        }
    }
}

/// By its key, and by each column of it that streams are found by.
fn indexes(Table { name, key, .. }: &Table) -> Vec<String> {
    let whole = format!("CREATE UNIQUE INDEX IF NOT EXISTS {name}_pkey ON {name} ({})", key.join(", "));
    let others = key
        .iter()
        .skip(1)
        .map(|column| format!("CREATE INDEX IF NOT EXISTS {name}_{column} ON {name} ({column})"));
    [whole].into_iter().chain(others).collect()
}
