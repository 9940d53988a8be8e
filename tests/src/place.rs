//! Where a product under test lives: one fresh database and one data directory.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;

use crate::product;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file of its own.
    Sqlite,
    /// A database of its own on the cluster that `tests/run` starts.
    #[cfg(feature = "postgres")]
    Postgres,
}

/// A fresh database, a data directory, and the nodes that a test started there.
pub struct Place {
    /// Which database this is.
    pub database: Database,
    url: String,
    dir: TempDir,
    nodes: Mutex<Vec<Node>>,
    node_dirs: AtomicU32,
}

/// A node that whoever comes first stops: its test, or the end of the test.
pub(crate) type Node = Arc<Mutex<Option<product::Server>>>;

impl Place {
    /// An empty database and an empty data directory, as at a first start.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unused_async, reason = "only creating a PostgreSQL database waits")
    )]
    pub async fn fresh(database: Database) -> Arc<Self> {
        let dir =
            tempfile::Builder::new().prefix("countersign-test.").tempdir().expect("a directory for the test");
        let url = match database {
            Database::Sqlite => format!("sqlite://{}", dir.path().join("data/countersign.db").display()),
            #[cfg(feature = "postgres")]
            Database::Postgres => crate::postgres::create_database("").await,
        };
        Self::at(database, url, dir)
    }

    /// A PostgreSQL database with its migrations applied and its keys made: a copy of one instance
    /// that was started once, which is faster than starting each anew.
    #[cfg(feature = "postgres")]
    pub async fn migrated() -> Arc<Self> {
        let (url, dir) = crate::postgres::copy_of_template().await;
        Self::at(Database::Postgres, url, dir)
    }

    /// What an installation of an older version left behind; see `tests/fixtures`.
    pub async fn left_by(version: &str, database: Database) -> Arc<Self> {
        let place = Self::fresh(database).await;
        for entry in std::fs::read_dir(fixture(version, database)).expect("the fixture") {
            let file = entry.expect("a file").path();
            let copy = place.data_dir().join(file.file_name().expect("a name"));
            std::fs::copy(&file, &copy).expect("a copy");
            let owner_only = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&copy, owner_only).expect("keys are for their owner only");
        }
        match database {
            Database::Sqlite => {}
            #[cfg(feature = "postgres")]
            Database::Postgres => crate::postgres::restore(&place.data_dir().join("dump.sql"), place.url()),
        }
        place
    }

    fn at(database: Database, url: String, dir: TempDir) -> Arc<Self> {
        std::fs::create_dir_all(dir.path().join("data")).expect("a data directory");
        Arc::new(Self { database, url, dir, nodes: Mutex::default(), node_dirs: AtomicU32::new(1) })
    }

    /// The database's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The first node's data directory, with its keys.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A data directory for one more node: the same keys, nothing else, as on another machine.
    pub fn data_dir_of_another_node(&self) -> PathBuf {
        let number = self.node_dirs.fetch_add(1, Ordering::Relaxed) + 1;
        let dir = self.dir.path().join(format!("data-{number}"));
        std::fs::create_dir_all(&dir).expect("a data directory");
        for key in ["master.key", "ledger.key"] {
            std::fs::copy(self.data_dir().join(key), dir.join(key)).expect("the first node's key");
        }
        dir
    }

    /// All files of the data directory, with the database's own on SQLite.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.data_dir()).expect("the data directory");
        entries.map(|entry| entry.expect("a file").path()).filter(|path| path.is_file()).collect()
    }

    pub(crate) fn keep(&self, node: Node) {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).push(node);
    }

    /// Stops what still runs and drops the database; the directory goes with the last handle.
    pub(crate) async fn remove(&self) {
        let nodes = std::mem::take(&mut *self.nodes.lock().unwrap_or_else(PoisonError::into_inner));
        for node in nodes {
            stop(&node).await;
        }
        match self.database {
            Database::Sqlite => {}
            #[cfg(feature = "postgres")]
            Database::Postgres => crate::postgres::drop_database(&self.url).await,
        }
    }
}

/// What an older version left behind on a database.
pub fn fixture(version: &str, database: Database) -> PathBuf {
    let name = match database {
        Database::Sqlite => "sqlite",
        #[cfg(feature = "postgres")]
        Database::Postgres => "postgres",
    };
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(version).join(name)
}

/// Stops a node that still runs.
pub(crate) async fn stop(node: &Node) {
    let server = node.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(server) = server {
        let stopped = tokio::time::timeout(Duration::from_mins(1), server.stop()).await;
        assert!(stopped.is_ok(), "a node did not stop within a minute");
    }
}
