//! The thread that writes SQLite: what shares a commit, and what becomes of it when something goes wrong.

use tokio::task::JoinHandle;

use super::*;
use crate::database::Sqlite;
use crate::database::testing::FreshDatabase;

/// A database whose writer is held in its first job, so that those that must share a batch can wait together.
struct Held {
    fresh: FreshDatabase,
    sqlite: Sqlite,
    release: std::sync::mpsc::Sender<()>,
    first: JoinHandle<Result<(), DatabaseError>>,
}

async fn held() -> Held {
    let fresh = empty_sqlite().await.unwrap();
    fresh.database.migrate(at(NOW)).await.unwrap();
    let Engine::Sqlite(sqlite) = fresh.database.engine().clone() else { panic!("opened SQLite") };
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (started, holding) = tokio::sync::oneshot::channel();
    let holder = sqlite.clone();
    let first = tokio::spawn(async move {
        let wait = move |_: &rusqlite::Connection| {
            started.send(()).ok();
            held.recv().ok();
            Ok::<_, DatabaseError>(())
        };
        holder.submit(wait).await
    });
    holding.await.unwrap();
    Held { fresh, sqlite, release, first }
}

/// A job that claims this address.
fn claim(email: &'static str) -> impl FnOnce(&rusqlite::Connection) -> Result<(), DatabaseError> + Send {
    move |writer| {
        writer.execute("INSERT INTO email_claims VALUES (?1, 'u1')", [email])?;
        Ok(())
    }
}

#[tokio::test]
async fn work_that_panics_is_taken_back_and_takes_nobody_with_it() {
    let Held { fresh, sqlite, release, first } = held().await;
    let panics = sqlite.submit(|writer| {
        claim("panics")(writer)?;
        assert!(writer.is_autocommit(), "it is within a transaction, so this panics");
        Ok::<_, DatabaseError>(())
    });
    let releasing = async { release.send(()).unwrap() };
    let (before, panicked, after, ()) =
        tokio::join!(sqlite.submit(claim("before")), panics, sqlite.submit(claim("after")), releasing);
    first.await.unwrap().unwrap();
    assert_eq!((before, after), (Ok(()), Ok(())));
    assert!(matches!(panicked, Err(DatabaseError::Query(_))), "{panicked:?}");
    sqlite.submit(claim("later")).await.unwrap();
    let claims =
        fresh.database.read("SELECT digest AS found FROM email_claims ORDER BY digest", &[]).await.unwrap();
    let claims: Vec<String> = claims.iter().map(|row| row.get("found").unwrap()).collect();
    assert_eq!(claims, ["after", "before", "later"]);
}

#[tokio::test]
async fn a_batch_that_sqlite_rolled_back_fails_whole() {
    let Held { fresh, sqlite, release, first } = held().await;
    let stored = sqlite.submit(claim("lost"));
    // What SQLite does by itself when the disk is full.
    let rolled_back = sqlite.submit(|writer| {
        writer.execute_batch("ROLLBACK")?;
        Ok::<_, DatabaseError>(())
    });
    let releasing = async { release.send(()).unwrap() };
    let (stored, rolled_back, ()) = tokio::join!(stored, rolled_back, releasing);
    first.await.unwrap().unwrap();
    assert!(matches!(stored, Err(DatabaseError::Unavailable(_))));
    assert!(matches!(rolled_back, Err(DatabaseError::Unavailable(_))));
    let count = fresh.database.read("SELECT count(*) AS found FROM email_claims", &[]).await.unwrap();
    assert_eq!(count[0].get::<i64>("found").unwrap(), 0);
    insert_event(&fresh.database, 1).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_answers_busy() {
    // What holds the writer has no place in the queue itself any more.
    let Held { fresh: _fresh, sqlite, release, first } = held().await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..2_000 {
        let sqlite = sqlite.clone();
        waiting.spawn(async move { sqlite.submit(|_| Ok::<_, DatabaseError>(())).await });
    }
    // The first to answer can only be one that was turned away.
    assert_eq!(waiting.join_next().await.unwrap().unwrap(), Err(DatabaseError::Busy));
    release.send(()).unwrap();
    first.await.unwrap().unwrap();
    let outcomes = waiting.join_all().await;
    assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() >= 1_024);
}
