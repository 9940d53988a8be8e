//! The throwaway PostgreSQL, and the databases in it.

use std::path::PathBuf;

use anyhow::Context;
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::served::family_cpu_s;

/// The server that `tests/bench/run` started.
pub(crate) struct Cluster {
    url: String,
    /// Where its programs are.
    pub(crate) bin: PathBuf,
    log: PathBuf,
}

impl Cluster {
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let variable =
            |name| std::env::var(name).with_context(|| format!("{name} is not set: use tests/bench/run"));
        Ok(Self {
            url: variable("COUNTERSIGN_TEST_POSTGRES")?,
            bin: variable("COUNTERSIGN_TEST_POSTGRES_BIN")?.into(),
            log: variable("COUNTERSIGN_BENCH_SERVER_LOG")?.into(),
        })
    }

    /// The address of a database.
    pub(crate) fn url(&self, name: &str) -> String {
        let (server, _) = self.url.rsplit_once('/').unwrap_or((&self.url, ""));
        format!("{server}/{name}")
    }

    /// A new, empty database in the place of an older one.
    pub(crate) async fn create(&self, name: &str) -> anyhow::Result<String> {
        let mut server = PgConnection::connect(&self.url).await?;
        server.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)").as_str()).await?;
        server.execute(format!("CREATE DATABASE {name}").as_str()).await?;
        Ok(self.url(name))
    }

    /// Takes away what a workload left, so that nothing is vacuumed beside the next one.
    pub(crate) async fn drop_all(&self) -> anyhow::Result<()> {
        let mut server = PgConnection::connect(&self.url).await?;
        for row in server.fetch_all("SELECT datname FROM pg_database WHERE datname LIKE 'bench\\_%'").await? {
            let name: String = row.try_get(0)?;
            server.execute(format!("DROP DATABASE {name} WITH (FORCE)").as_str()).await?;
        }
        Ok(())
    }

    /// Its version, as it says it.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let mut server = PgConnection::connect(&self.url).await?;
        Ok(server.fetch_one("SHOW server_version").await?.try_get(0)?)
    }

    /// Its settings, as far as they decide about figures or about what a crash may take.
    pub(crate) async fn settings(&self) -> anyhow::Result<String> {
        let sql = "SELECT string_agg(name || ' ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings \
                   WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', \
                   'wal_compression', 'max_connections')";
        let mut server = PgConnection::connect(&self.url).await?;
        Ok(server.fetch_one(sql).await?.try_get(0)?)
    }

    /// Processor time that the server has used for everybody, in seconds.
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        let file = self.log.with_file_name("postmaster.pid");
        let text = std::fs::read_to_string(file)?;
        family_cpu_s(text.lines().next().context("no process id")?.trim().parse()?)
    }

    pub(crate) fn read_log(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }
}

/// Runs statements on a database, one after the other.
pub(crate) async fn run_sql(url: &str, statements: &[&str]) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    for statement in statements {
        connection.execute(*statement).await.with_context(|| format!("this failed: {statement}"))?;
    }
    Ok(())
}
