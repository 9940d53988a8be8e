//! A connection that one task owns, made anew when it breaks.

use std::time::Duration;

use countersign_projections::database::{DatabaseError, connection_lost};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

/// A connection that one task owns.
pub(super) struct OwnConnection {
    options: PgConnectOptions,
    live: Option<PgConnection>,
    /// The last attempts all failed, so that the next caller is not made to wait for several.
    down: bool,
}

/// What became of a statement that brought no answer.
pub(super) enum Failure {
    /// The server refused it: it took no effect, and the connection lives.
    Refused(DatabaseError),
    /// The server gave it up for the sake of another transaction: it took no effect, and may later.
    Collided(DatabaseError),
    /// It was sent and the connection broke: nobody knows whether it took effect.
    Lost(DatabaseError),
    /// There was no connection to send it on.
    Unreachable(DatabaseError),
}

impl OwnConnection {
    /// Connects; `name` is what administrators see in the list of connections.
    pub(super) async fn open(options: &PgConnectOptions, name: &str) -> Result<Self, DatabaseError> {
        let options = options
            .clone()
            .application_name(name)
            .statement_cache_capacity(256)
            .options(PLAN_ONCE_BY_KEY)
            .options([("statement_timeout", SERVER_STATEMENT_TIMEOUT)]);
        let mut connection = OwnConnection { options, live: None, down: false };
        connection.get().await?;
        Ok(connection)
    }

    /// Sends a statement and waits for its rows, for a bounded time.
    pub(super) async fn fetch(&mut self, sql: &str, arguments: PgArguments) -> Result<Vec<PgRow>, Failure> {
        let connection = self.get().await.map_err(Failure::Unreachable)?;
        let answer = timeout(ANSWER_WAIT_MAX, sqlx::query_with(sql, arguments).fetch_all(connection)).await;
        let error = match answer {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) if connection_lost(&error) => error.into(),
            Ok(Err(error)) if is_collision(&error) => return Err(Failure::Collided(error.into())),
            Ok(Err(error)) => return Err(Failure::Refused(error.into())),
            Err(_) => DatabaseError::Unavailable("no answer came in time".to_owned()),
        };
        self.live = None;
        Err(Failure::Lost(error))
    }

    async fn get(&mut self) -> Result<&mut PgConnection, DatabaseError> {
        if self.live.is_none() {
            let patience = if self.down { Duration::ZERO } else { RECONNECT_MAX };
            let connected = connect(&self.options, patience).await;
            self.down = connected.is_err();
            self.live = Some(connected?);
        }
        self.live.as_mut().ok_or_else(|| DatabaseError::Unavailable("there is no connection".to_owned()))
    }
}

/// The few statements that are sent here are the same at any batch size, so one generic plan serves them all.
/// It is kept until the tables are next analysed, and they look rows up by key whatever a table looked like
/// when it was made: on a new installation it was empty.
const PLAN_ONCE_BY_KEY: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
];

/// How long the server may work on one statement.
const SERVER_STATEMENT_TIMEOUT: &str = "10s";

/// How long to wait for an answer: longer than the server may take, so that silence means that it
/// cannot be reached.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(15);

/// How long one attempt to connect may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// For how long a broken connection is tried again before callers are told.
const RECONNECT_MAX: Duration = Duration::from_secs(5);

const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A serialization failure or a deadlock.
fn is_collision(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "40001" || code == "40P01")
}

async fn connect(options: &PgConnectOptions, patience: Duration) -> Result<PgConnection, DatabaseError> {
    let give_up_at = Instant::now() + patience;
    let mut backoff = BACKOFF_MIN;
    loop {
        let error = match timeout(CONNECT_MAX, PgConnection::connect_with(options)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => DatabaseError::from(error),
            Err(_) => DatabaseError::Unavailable("the server does not accept connections".to_owned()),
        };
        if Instant::now() + backoff > give_up_at {
            return Err(error);
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}
