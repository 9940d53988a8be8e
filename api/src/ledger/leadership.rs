//! Who takes the sequencer's turns. Being two at once does no harm, since a turn that another was faster
//! with changes nothing; it would only be work for nothing.

use std::time::Duration;

use countersign_projections::database::{Database, DatabaseError, Engine};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::time::{Instant, timeout};

/// Any number will do, as long as nothing else in the database locks it.
const SEQUENCER_LOCK: i64 = 0x0063_7367_6e73_6571;

/// A node that does not lead asks again after so long; one that does looks whether it still does.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// So long the database may take to say who leads.
const PATIENCE: Duration = Duration::from_secs(3);

const KEEPALIVES: &str =
    "SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// Whether this node leads.
pub(super) enum Leadership {
    /// The only process that serves the database.
    Alone,
    /// Nodes on PostgreSQL: whoever holds the lock, for as long as its connection lives.
    Elected(Box<Election>),
}

pub(super) struct Election {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    leads: bool,
    asked_at: Option<Instant>,
}

impl Leadership {
    pub(super) fn of(database: &Database) -> Self {
        match database.engine() {
            Engine::Sqlite(_) => Self::Alone,
            Engine::Postgres(postgres) => Self::Elected(Box::new(Election {
                options: postgres.options().clone(),
                connection: None,
                leads: false,
                asked_at: None,
            })),
        }
    }

    /// Whether this node leads now.
    pub(super) async fn held(&mut self) -> Result<bool, DatabaseError> {
        match self {
            Self::Alone => Ok(true),
            Self::Elected(election) => election.held().await,
        }
    }

    /// Lets another node lead at once.
    pub(super) async fn release(self) {
        let Self::Elected(election) = self else { return };
        if let Some(connection) = election.connection
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the sequencer's lock goes with its connection");
        }
    }
}

impl Election {
    async fn held(&mut self) -> Result<bool, DatabaseError> {
        if self.asked_at.is_some_and(|at| at.elapsed() < ASK_EVERY) {
            return Ok(self.leads);
        }
        self.asked_at = Some(Instant::now());
        let asked = match timeout(PATIENCE, self.ask()).await {
            Ok(asked) => asked,
            Err(_) => Err(DatabaseError::Unavailable("the database does not answer".to_owned())),
        };
        self.leads = matches!(asked, Ok(true));
        if asked.is_err() {
            self.connection = None;
        }
        asked
    }

    async fn ask(&mut self) -> Result<bool, DatabaseError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            missing => {
                let mut connection = self.options.connect().await?;
                // A leader that is cut off silently must lose the lock within a minute, not in hours.
                connection.execute(KEEPALIVES).await?;
                missing.insert(connection)
            }
        };
        if self.leads {
            connection.ping().await?;
            return Ok(true);
        }
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)");
        Ok(locked.bind(SEQUENCER_LOCK).fetch_one(connection).await?)
    }
}
