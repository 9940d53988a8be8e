//! The tables beside the live ones, and how far they were filled.

use crate::database::{Database, DatabaseError, Engine, Row, Step, Transacted};
use crate::replay::ReplayError;
use crate::table::{Table, Value};

/// A live table, and the one beside it.
pub(in crate::replay) type Pair = (&'static Table, &'static Table);

const CREATE_RUNS: &str = "CREATE TABLE IF NOT EXISTS replay_runs (model text NOT NULL PRIMARY KEY, \
    shape text NOT NULL, size bigint NOT NULL, seen bigint NOT NULL, after_type text NOT NULL, after_id text NOT NULL)";

/// A rebuild, as far as it came.
#[derive(Clone, Debug)]
pub(in crate::replay) struct Run {
    pub(super) name: &'static str,
    /// Up to where streams are folded before what came meanwhile is taken in.
    pub(super) size: u64,
    /// How many entries were taken in.
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
        size: u64,
    ) -> Result<Self, ReplayError> {
        database.write(CREATE_RUNS, &[]).await?;
        let find = "SELECT shape, size, seen, after_type, after_id FROM replay_runs WHERE model = $1";
        let found = database.read_bulk(find, &[name.into()]).await?;
        if let Some(row) = found.first()
            && row.get::<String>("shape")? == shape(pairs)
        {
            return Ok(Self::read(name, row)?);
        }
        for (live, beside) in pairs {
            database.write(&format!("DROP TABLE IF EXISTS {}", beside.name), &[]).await?;
            for sql in create_like(database, live, beside) {
                database.write(&sql, &[]).await?;
            }
        }
        let begin = "INSERT INTO replay_runs (model, shape, size, seen, after_type, after_id) \
                     VALUES ($1, $2, $3, 0, '', '') ON CONFLICT (model) DO UPDATE SET shape = excluded.shape, \
                     size = excluded.size, seen = 0, after_type = '', after_id = ''";
        let params = [name.into(), shape(pairs).into(), number(size)];
        database.write(begin, &params).await?;
        Ok(Self { name, size, seen: 0, after: (String::new(), String::new()) })
    }

    fn read(name: &'static str, row: &Row) -> Result<Self, DatabaseError> {
        let natural = |column| row.get::<i64>(column).map(|number| u64::try_from(number).unwrap_or_default());
        Ok(Self {
            name,
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
                     WHERE model = $4 AND seen = $5 AND after_type = $6 AND after_id = $7";
        let params = vec![
            number(seen),
            after.0.clone().into(),
            after.1.clone().into(),
            self.name.into(),
            number(self.seen),
            self.after.0.clone().into(),
            self.after.1.clone().into(),
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

    /// Leaves nothing of the rebuild behind.
    pub(super) async fn clear(&self, database: &Database, pairs: &[Pair]) -> Result<(), ReplayError> {
        database.write("DELETE FROM replay_runs WHERE model = $1", &[self.name.into()]).await?;
        for (_, beside) in pairs {
            database.write(&format!("DROP TABLE IF EXISTS {}", beside.name), &[]).await?;
        }
        Ok(())
    }
}

/// What a program of another version would not go on with.
fn shape(pairs: &[Pair]) -> String {
    let of = |(_, beside): &Pair| format!("{} ({})", beside.name, beside.column_names());
    let tables: Vec<String> = pairs.iter().map(of).collect();
    format!("{} {}", env!("CARGO_PKG_VERSION"), tables.join("; "))
}

fn create_like(database: &Database, live: &Table, beside: &Table) -> Vec<String> {
    let name = beside.name;
    match database.engine() {
        Engine::Postgres(_) => vec![format!("CREATE TABLE {name} (LIKE {} INCLUDING DEFAULTS)", live.name)],
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

pub(super) fn number(natural: u64) -> Value {
    i64::try_from(natural).unwrap_or(i64::MAX).into()
}
