//! The tables beside the live ones, and how far they were filled.

use crate::database::{Database, DatabaseError, Engine, Row, Step, Transacted};
use crate::replay::{Model, ReplayError};
use crate::table::{Table, Value};

/// A live table, and the one beside it.
pub(super) type Pair = (&'static Table, &'static Table);

const CREATE_RUNS: &str = "CREATE TABLE IF NOT EXISTS replay_runs (model text NOT NULL PRIMARY KEY, \
    shape text NOT NULL, size bigint NOT NULL, seen bigint NOT NULL, after_type text NOT NULL, after_id text NOT NULL)";

/// A rebuild of one read model, as far as it came.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) model: Model,
    /// Up to where streams are folded before what came meanwhile is taken in.
    pub(super) size: u64,
    /// How many entries were taken in.
    pub(super) seen: u64,
    /// The last stream that was.
    pub(super) after: (String, String),
}

impl Run {
    /// Goes on with what was begun, or begins.
    pub(super) async fn begin(
        database: &Database,
        model: Model,
        pairs: &[Pair],
        size: u64,
    ) -> Result<Self, ReplayError> {
        database.write(CREATE_RUNS, &[]).await?;
        let find = "SELECT shape, size, seen, after_type, after_id FROM replay_runs WHERE model = $1";
        let found = database.read_bulk(find, &[model.name().into()]).await?;
        if let Some(row) = found.first()
            && row.get::<String>("shape")? == shape(pairs)
        {
            return Ok(Self::read(model, row)?);
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
        let params = [model.name().into(), shape(pairs).into(), number(size)];
        database.write(begin, &params).await?;
        Ok(Self { model, size, seen: 0, after: (String::new(), String::new()) })
    }

    fn read(model: Model, row: &Row) -> Result<Self, DatabaseError> {
        let natural = |column| row.get::<i64>(column).map(|number| u64::try_from(number).unwrap_or_default());
        Ok(Self {
            model,
            size: natural("size")?,
            seen: natural("seen")?,
            after: (row.get("after_type")?, row.get("after_id")?),
        })
    }

    /// Takes rows in and says how far that came, together. Two replays at once cannot both do that.
    pub(super) async fn advance(
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
            self.model.name().into(),
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

    /// Leaves nothing of the rebuild behind.
    pub(super) async fn clear(&self, database: &Database, pairs: &[Pair]) -> Result<(), ReplayError> {
        database.write("DELETE FROM replay_runs WHERE model = $1", &[self.model.name().into()]).await?;
        for (_, beside) in pairs {
            database.write(&format!("DROP TABLE IF EXISTS {}", beside.name), &[]).await?;
        }
        Ok(())
    }
}

/// What a program of another version would not go on with.
fn shape(pairs: &[Pair]) -> String {
    let of = |(_, beside): &Pair| format!("{} ({})", beside.name, beside.column_names());
    pairs.iter().map(of).collect::<Vec<_>>().join("; ")
}

fn create_like(database: &Database, live: &Table, beside: &Table) -> [String; 2] {
    let (name, key) = (beside.name, beside.key.join(", "));
    match database.engine() {
        Engine::Postgres(_) => [
            format!("CREATE TABLE {name} (LIKE {} INCLUDING DEFAULTS)", live.name),
            format!("ALTER TABLE {name} ADD CONSTRAINT {name}_pkey PRIMARY KEY ({key})"),
        ],
        Engine::Sqlite(_) => [
            format!("CREATE TABLE {name} AS SELECT {} FROM {} WHERE 1 = 0", live.column_names(), live.name),
            format!("CREATE UNIQUE INDEX {name}_pkey ON {name} ({key})"),
        ],
    }
}

pub(super) fn number(natural: u64) -> Value {
    i64::try_from(natural).unwrap_or(i64::MAX).into()
}
