//! Databases on the cluster that `tests/run` starts.

use std::{
    ffi::OsString,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{clock::TestClock, product};

/// The URL of the cluster's own database, from `COUNTERSIGN_TEST_POSTGRES`.
pub fn cluster_url() -> String {
    std::env::var("COUNTERSIGN_TEST_POSTGRES")
        .expect("the PostgreSQL suites need COUNTERSIGN_TEST_POSTGRES: run them with tests/run")
}

/// A connection to the cluster's own database.
pub async fn cluster() -> PgConnection {
    connect(&cluster_url()).await
}

/// A connection to any database.
pub async fn connect(url: &str) -> PgConnection {
    match PgConnection::connect(url).await {
        Ok(connection) => connection,
        Err(error) => panic!("no connection to PostgreSQL: {error}"),
    }
}

/// Runs statements, of the test's own making only.
pub async fn run(connection: &mut PgConnection, sql: &str) {
    if let Err(error) = connection.execute(sql).await {
        panic!("{sql}: {error}");
    }
}

/// A PostgreSQL program that stands beside the server, `pg_dump` for example.
pub fn program(name: &str) -> Command {
    let dir = std::env::var("COUNTERSIGN_TEST_POSTGRES_BIN").map(PathBuf::from).unwrap_or_default();
    Command::new(dir.join(name))
}

/// Fills an empty database with what `pg_dump` wrote.
pub(crate) fn restore(dump: &Path, url: &str) {
    let mut psql = program("psql");
    psql.args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--output", "/dev/null", "--file"]);
    let restored = psql.arg(dump).arg(url).status().expect("psql");
    assert!(restored.success(), "psql: {restored}");
}

/// Creates an empty database with these options of `CREATE DATABASE`, and returns its URL.
pub async fn create_database(options: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{number}", std::process::id());
    let mut cluster = cluster().await;
    // Only a run that was cut short on a cluster that outlived it left one behind.
    run(&mut cluster, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    run(&mut cluster, &format!("CREATE DATABASE {name} {options}")).await;
    let (server, _) = cluster_url_parts();
    format!("{server}/{name}")
}

/// Drops a database with whoever is still connected.
pub async fn drop_database(url: &str) {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", name_of(url));
    run(&mut cluster().await, &sql).await;
}

/// Puts a copy of one database in the place of another.
pub async fn copy(from: &str, to: &str) {
    drop_database(to).await;
    let sql = format!("CREATE DATABASE {} TEMPLATE {}", name_of(to), name_of(from));
    run(&mut cluster().await, &sql).await;
}

/// Takes a database away from under its nodes: connections are cut and no new ones are let in.
pub async fn take_away(url: &str) {
    let name = name_of(url);
    let mut cluster = cluster().await;
    run(&mut cluster, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    run(&mut cluster, &cut).await;
}

/// Gives back what [`take_away`] took.
pub async fn give_back(url: &str) {
    let name = name_of(url);
    run(&mut cluster().await, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
}

/// A copy of the template: the database's URL, and a directory with its data directory.
pub(crate) async fn copy_of_template() -> (String, TempDir) {
    static TEMPLATE: OnceCell<Template> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(Template::make).await;
    let url = create_database(&format!("TEMPLATE {}", template.name)).await;
    let dir = temporary_directory();
    let data_dir = dir.path().join("data");
    std::fs::create_dir(&data_dir).expect("a data directory");
    for (name, bytes) in &template.files {
        let path = data_dir.join(name);
        std::fs::write(&path, bytes).expect("a copy");
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, owner_only).expect("keys are for their owner only");
    }
    (url, dir)
}

/// An instance that was started once: its database stays until the cluster is removed.
struct Template {
    name: String,
    /// The files of its data directory, its keys among them.
    files: Vec<(OsString, Vec<u8>)>,
}

impl Template {
    async fn make() -> Self {
        let url = create_database("").await;
        let dir = temporary_directory();
        let clock = TestClock::manual();
        let targets = product::WebhookTargets::default();
        product::start(&url, dir.path(), clock.product(), targets).await.stop().await;
        let entries = std::fs::read_dir(dir.path()).expect("a data directory");
        let files = entries.map(|entry| entry.expect("an entry")).map(|entry| {
            let bytes = std::fs::read(entry.path()).expect("a file");
            (entry.file_name(), bytes)
        });
        Self { name: name_of(&url).to_owned(), files: files.collect() }
    }
}

fn temporary_directory() -> TempDir {
    let mut builder = tempfile::Builder::new();
    let made = builder.prefix("countersign-test.").tempdir();
    made.expect("a directory for the test")
}

fn cluster_url_parts() -> (String, String) {
    let url = cluster_url();
    let (server, name) = url.rsplit_once('/').expect("a URL that names a database");
    (server.to_owned(), name.to_owned())
}

/// The database that a URL names.
pub fn name_of(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

/// Calls of one statement in one database, as `pg_stat_statements` counts them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Statement {
    /// The statement, with its constants taken out.
    pub query: String,
    /// How often it ran.
    pub calls: i64,
}

/// Every statement that ran in a database so far.
pub async fn statements(url: &str) -> Vec<Statement> {
    let mut connection = cluster().await;
    // Tests race for it; the loser of the race finds it there.
    let _ = connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    let rows = sqlx::query(
        "SELECT query, sum(calls)::bigint AS calls FROM pg_stat_statements \
         WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1) GROUP BY query",
    )
    .bind(name_of(url))
    .fetch_all(&mut connection)
    .await
    .expect("pg_stat_statements is loaded (tests/run does that)");
    rows.iter().map(|row| Statement { query: row.get("query"), calls: row.get("calls") }).collect()
}
