//! PostgreSQL connections that break while appends are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign_projections::database::testing::{FreshDatabase, empty_postgres};
use countersign_projections::database::{Database, DatabaseError, Engine, Postgres};
use sqlx::Executor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::super::{Append, AppendError, Journal};
use super::{LOAD_USER, append, assert_whole, claim, count, moment};

async fn postgres() -> Option<FreshDatabase> {
    let fresh = empty_postgres().await.unwrap()?;
    fresh.database.migrate(moment()).await.unwrap();
    Some(fresh)
}

fn server(database: &Database) -> &Postgres {
    match database.engine() {
        Engine::Postgres(postgres) => postgres,
        Engine::Sqlite(_) => panic!("opened PostgreSQL"),
    }
}

async fn terminate(database: &Database, name: &str) -> bool {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE application_name = $1 AND datname = current_database()";
    let ended = sqlx::query(sql).bind(name).fetch_all(server(database).pool()).await.unwrap();
    !ended.is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_backend_loses_and_doubles_nothing() {
    let Some(fresh) = postgres().await else { return };
    let journal = Journal::open(fresh.database.clone()).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for number in 0..32 {
        let (journal, done) = (journal.clone(), Arc::clone(&done));
        writers.spawn(async move {
            let stream = format!("u{number}");
            let (mut seen, mut acknowledged) = (0, Vec::new());
            while !done.load(Ordering::Relaxed) {
                let append = append(&stream, seen, "me");
                let ids: Vec<String> = append.events.iter().map(|event| event.event_id.clone()).collect();
                match journal.append(append).await {
                    Ok(()) => {
                        acknowledged.extend(ids);
                        seen += 2;
                    }
                    // It may have taken place, which only a load can tell.
                    Err(AppendError::Unavailable(_)) => {
                        seen = load_at_last(&journal, &stream).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            acknowledged
        });
    }
    let mut kills = 0;
    for _ in 0..25 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        kills += i32::from(terminate(&fresh.database, "countersign committer").await);
        terminate(&fresh.database, "countersign loader").await;
    }
    done.store(true, Ordering::Relaxed);
    let acknowledged = writers.join_all().await.concat();
    assert!(kills >= 10, "only {kills} kills");
    assert!(acknowledged.len() > 100);
    let sql = "SELECT count(*) AS found FROM events WHERE event_id = ANY(string_to_array($1, ','))";
    let found = fresh.database.read(sql, &[acknowledged.join(",").into()]).await.unwrap();
    assert_eq!(found[0].get::<i64>("found").unwrap(), i64::try_from(acknowledged.len()).unwrap());
    assert_whole(&fresh.database).await;
}

#[tokio::test]
async fn an_append_that_was_not_stored_is_tried_again() {
    let Some(fresh) = postgres().await else { return };
    let journal = Journal::open(fresh.database.clone()).await.unwrap();
    journal.append(append("u1", 0, "me")).await.unwrap();
    // Another transaction keeps the append from committing until its connection is gone.
    let mut blocker = server(&fresh.database).begin().await.unwrap();
    blocker.execute("SELECT 1 FROM snapshots FOR UPDATE").await.unwrap();
    let appending = tokio::spawn({
        let journal = journal.clone();
        async move { journal.append(append("u1", 2, "me")).await }
    });
    wait_until(
        &fresh.database,
        "SELECT count(*) AS found FROM pg_stat_activity \
        WHERE application_name = 'countersign committer' AND wait_event_type = 'Lock' \
        AND datname = current_database()",
    )
    .await;
    assert!(terminate(&fresh.database, "countersign committer").await);
    blocker.rollback().await.unwrap();
    appending.await.unwrap().unwrap();
    assert_eq!(count(&fresh.database, "events").await, 4);
    assert_whole(&fresh.database).await;
}

/// Whoever registers with a taken address is told so, although the first try was lost.
#[tokio::test]
async fn an_append_that_is_refused_when_it_is_tried_again_is_told_why() {
    let Some(fresh) = postgres().await else { return };
    let journal = Journal::open(fresh.database.clone()).await.unwrap();
    let claiming = |user: &str| Append { changes: vec![claim("d", user)], ..append(user, 0, "me") };
    journal.append(claiming("u1")).await.unwrap();
    assert!(terminate(&fresh.database, "countersign committer").await);
    wait_until(
        &fresh.database,
        "SELECT 1 - count(*) AS found FROM pg_stat_activity \
        WHERE application_name = 'countersign committer' AND datname = current_database()",
    )
    .await;
    let (refused, stored) =
        tokio::join!(journal.append(claiming("u2")), journal.append(append("u3", 0, "me")));
    assert!(
        matches!(&refused, Err(AppendError::Taken { constraint }) if constraint == "email_claims_pkey"),
        "{refused:?}"
    );
    stored.unwrap();
    assert_eq!(count(&fresh.database, "events").await, 4);
    assert_whole(&fresh.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_was_stored_is_acknowledged_though_its_answer_was_lost() {
    let Some(fresh) = postgres().await else { return };
    let line = CutLine::to(&fresh).await;
    let database = Database::connect(&line.url).await.unwrap();
    let journal = Journal::open(database.clone()).await.unwrap();
    journal.append(append("u1", 0, "me")).await.unwrap();
    let before = database.counters();
    line.swallow_next_answer();
    journal.append(append("u1", 2, "me")).await.unwrap();
    let after = database.counters();
    assert_eq!((after.append - before.append, after.read - before.read), (1, 1), "sent once, looked up once");
    assert_eq!(count(&fresh.database, "events").await, 4);
    assert_whole(&fresh.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_server_is_said_to_be_unavailable_and_found_again() {
    let Some(fresh) = postgres().await else { return };
    let line = CutLine::to(&fresh).await;
    let journal = Journal::open(Database::connect(&line.url).await.unwrap()).await.unwrap();
    journal.append(append("u1", 0, "me")).await.unwrap();
    line.set_down(true);
    let (appended, loaded) =
        tokio::join!(journal.append(append("u1", 2, "me")), journal.load(&LOAD_USER, "u1", None));
    assert!(matches!(appended, Err(AppendError::Unavailable(_))), "{appended:?}");
    assert!(loaded.is_err());
    line.set_down(false);
    let loaded = journal.load(&LOAD_USER, "u1", None).await.unwrap();
    journal.append(append("u1", loaded.sequence.unwrap(), "me")).await.unwrap();
    assert_whole(&fresh.database).await;
}

/// The sequence of a stream. The loader's connection is killed as well, perhaps twice in one load.
async fn load_at_last(journal: &Journal, stream: &str) -> i64 {
    for _ in 0..100 {
        match journal.load(&LOAD_USER, stream, None).await {
            Ok(loaded) => return loaded.sequence.unwrap_or(0),
            Err(error) => assert!(matches!(error, DatabaseError::Unavailable(_)), "{error}"),
        }
    }
    panic!("{stream} could not be loaded");
}

async fn wait_until(database: &Database, count: &str) {
    for _ in 0..200 {
        if database.read(count, &[]).await.unwrap()[0].get::<i64>("found").unwrap() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited for nothing: {count}");
}

/// A line to the server that can be cut where it hurts.
struct CutLine {
    url: String,
    swallow: Arc<AtomicBool>,
    down: Arc<AtomicBool>,
}

impl CutLine {
    async fn to(fresh: &FreshDatabase) -> CutLine {
        let Engine::Postgres(postgres) = fresh.database.engine() else { panic!("opened PostgreSQL") };
        let (host, port) = (postgres.options().get_host().to_owned(), postgres.options().get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let url = fresh.url.replace(&format!("{host}:{port}"), &here.to_string());
        assert_ne!(url, fresh.url, "the server's address must name host and port");
        let (swallow, down) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let line = CutLine { url, swallow: Arc::clone(&swallow), down: Arc::clone(&down) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&swallow), Arc::clone(&down)));
            }
        });
        line
    }

    /// The server's next answer is thrown away and its connection cut; the server has done its work.
    fn swallow_next_answer(&self) {
        self.swallow.store(true, Ordering::Relaxed);
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    swallow: Arc<AtomicBool>,
    down: Arc<AtomicBool>,
) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    while !down.load(Ordering::Relaxed) {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(length @ 1..) if !down.load(Ordering::Relaxed) => {
                    server.write_all(&asked[..length]).await.unwrap();
                }
                _ => return,
            },
            read = server.read(&mut answered) => match read {
                Ok(length @ 1..) if !swallow.swap(false, Ordering::Relaxed) => {
                    if client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
