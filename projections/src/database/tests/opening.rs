//! How a database is found and opened.

use super::*;

#[tokio::test]
async fn a_sqlite_file_is_private_and_durable() {
    use std::os::unix::fs::PermissionsExt;

    let fresh = empty_sqlite().await.unwrap();
    fresh.database.migrate(at(NOW)).await.unwrap();
    let path = fresh.url.strip_prefix("sqlite:").unwrap();
    for file in [path.to_owned(), format!("{path}-wal")] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let Engine::Sqlite(sqlite) = fresh.database.engine() else { panic!("opened SQLite") };
    let (journal, synchronous) = sqlite
        .submit(|writer| {
            let journal: String = writer.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            let synchronous: i64 = writer.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
            Ok::<_, DatabaseError>((journal, synchronous))
        })
        .await
        .unwrap();
    assert_eq!((journal.as_str(), synchronous), ("wal", 2));
    let changed = fresh.database.read("DELETE FROM countersign_migrations", &[]).await;
    assert!(changed.is_err(), "readers change nothing");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for url in ["", "mysql://localhost/x", "/var/lib/countersign.db", "postgres://[::bad", "sqlite::memory:"]
    {
        assert!(matches!(Database::connect(url).await, Err(DatabaseError::Query(_))), "{url}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_made_by_whoever_only_looks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    let urls = ["sqlite:", "sqlite://"].map(|scheme| format!("{scheme}{}", path.display()));
    for url in &urls {
        let refused = Database::connect_existing(url).await.map(drop).unwrap_err().to_string();
        assert!(refused.contains(&format!("there is no database at {}", path.display())), "{refused}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    Database::connect(&urls[0]).await.unwrap();
    for url in &urls {
        assert!(Database::connect_existing(url).await.is_ok(), "{url}");
    }
    for other in ["sqlite::memory:", "mysql://localhost/x"] {
        let refused = Database::connect_existing(other).await.map(drop).unwrap_err();
        assert!(matches!(refused, DatabaseError::Query(_)), "{other}: {refused:?}");
    }
}
