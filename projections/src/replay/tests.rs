//! What a replay does that is cut short, or that meets what it cannot fold, on real databases.

mod matching;
mod respelled;
mod trail;

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::rebuild::beside::{Fate, Run};
use super::rebuild::streams::tables_of;
use super::*;
use crate::audit_trail::AuditTrail;
use crate::catch_up::{Batch, CaughtUp, Projection, catch_up, outdate};
use crate::coverage::Coverage;
use crate::database::testing::{cut_short, fill_ledger, fresh_databases, plan, unlock};
use crate::database::{Database, Engine, Step, Transacted};
use crate::replay::model::STREAM_TABLES;
use crate::table::{Change, LOGIN_CHECK_USERS};

const AT: &str = "2030-03-17T17:46:40.000000Z";

fn user(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn event_id(user_id: &str, sequence: i64) -> String {
    format!("{sequence:08}{}", &user_id[8..])
}

/// People who registered and turned two-factor on, in a ledger with two entries for each.
async fn history(database: &Database, people: u32) {
    for number in 0..people {
        let id = user(number);
        for sequence in [1, 2] {
            event(database, &id, sequence, AT).await;
            entry_of(database, i64::from(number) * 2 + sequence - 1, &id, sequence).await;
        }
    }
    let size = i64::from(people) * 2;
    let hash = crate::ledger::tree::Hash::from_bytes([0; 32]).to_string();
    let edge = vec![hash; usize::try_from(size.count_ones()).unwrap()].join(" ");
    let state = "INSERT INTO ledger_state (origin, verifier_key, size, frontier, checkpoint, signed_size, \
                 sequenced_at, reconciled_to) VALUES ('o', 'k', $1, $2, '', 0, $3, $3)";
    let at: countersign_domain::Timestamp = AT.parse().unwrap();
    database.write(state, &[size.into(), edge.into(), at.into()]).await.unwrap();
}

/// The first one registers the person, the others turn two-factor on.
async fn event(database: &Database, user_id: &str, sequence: i64, at: &str) {
    let (name, payload) = if sequence == 1 {
        let registered = json!({ "user_id": user_id, "email": "e", "display_name": "n", "at": AT });
        ("UserRegistered", json!({ "UserRegistered": registered }))
    } else {
        ("TwoFactorEnabled", json!({ "TwoFactorEnabled": { "at": AT } }))
    };
    let event = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, \
                 payload, metadata, recorded_at, user_id, event_id) \
                 SELECT 'user', $1, $2, $3, '1', CAST($4 AS json), '{}', CAST($5 AS timestamptz), $1, $6";
    // SQLite keeps both as text, and has no such types.
    let event = match database.engine() {
        Engine::Postgres(_) => event.to_owned(),
        Engine::Sqlite(_) => event.replace("CAST($4 AS json)", "$4").replace("CAST($5 AS timestamptz)", "$5"),
    };
    let (payload, event_id) = (payload.to_string(), event_id(user_id, sequence));
    let params = [user_id.into(), sequence.into(), name.into(), payload.into(), at.into(), event_id.into()];
    database.write(&event, &params).await.unwrap();
}

/// Gives an event its place.
async fn entry_of(database: &Database, position: i64, user_id: &str, sequence: i64) {
    let entry = "INSERT INTO ledger_entries SELECT $1, aggregate_type, aggregate_id, sequence, \
                 '{\"event_id\":\"' || event_id || '\"}', 'hash' FROM events WHERE aggregate_id = $2 AND sequence = $3";
    database.write(entry, &[position.into(), user_id.into(), sequence.into()]).await.unwrap();
}

async fn login_check_users(database: &Database) -> Vec<(String, bool)> {
    let sql = "SELECT user_id, two_factor_enabled FROM login_check_users ORDER BY user_id";
    let rows = database.read(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get("user_id").unwrap(), row.get("two_factor_enabled").unwrap())).collect()
}

/// What a rebuild leaves that was cut short after the first of three people, of whom it says something by which that is
/// told from a new beginning.
async fn folded_as_far_as_the_first(database: &Database) {
    let tables: StreamTables =
        STREAM_TABLES.iter().filter(|table| table.model == Model::LoginCheck).collect();
    let mut run = Run::begin(database, "streams", &tables_of(&tables), Fate::Copied, 6).await.unwrap();
    let folded =
        FoldedStream::read(database, ("user", &user(0)), streams::Extent::Everything).await.unwrap().unwrap();
    let State::User(id, mut state) = folded.state else { panic!("a person") };
    state.apply(&countersign_domain::user::UserEvent::TwoFactorDisabled { at: AT.parse().unwrap() });
    let Some(Change::Upsert(_, row)) = crate::login_check::user_row(id, &state) else { panic!("a row") };
    let users = tables.iter().find(|table| table.table.name == LOGIN_CHECK_USERS.name).unwrap();
    let step = Step::insert(users.beside, vec![row]);
    let advanced = run.advance(database, vec![step], 2, ("user".to_owned(), user(0))).await.unwrap();
    assert_eq!(advanced, Transacted::Committed);
}

#[tokio::test]
async fn a_rebuild_that_was_cut_short_is_gone_on_with() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 3).await;
        folded_as_far_as_the_first(&database).await;
        let rebuilt = rebuild(&database, &[Model::LoginCheck], |_, _| {}).await.unwrap();
        assert_eq!(rebuilt.replaced, [(Model::LoginCheck, 3)]);
        assert_eq!(login_check_users(&database).await, [(user(0), false), (user(1), true), (user(2), true)]);
        // The next one begins anew, and finds that.
        let rebuilt = rebuild(&database, &[Model::LoginCheck], |_, _| {}).await.unwrap();
        assert_eq!(rebuilt.replaced, [(Model::LoginCheck, 1)]);
        assert_eq!(login_check_users(&database).await, [(user(0), true), (user(1), true), (user(2), true)]);
    }
}

#[tokio::test]
async fn one_that_is_refused_is_begun_anew() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 3).await;
        unlock(&database).await.unwrap();
        folded_as_far_as_the_first(&database).await;
        let version = "UPDATE events SET event_version = $1 WHERE aggregate_id = $2 AND sequence = 2";
        database.write(version, &["9".into(), user(2).into()]).await.unwrap();
        let refused = rebuild(&database, &[Model::LoginCheck], |_, _| {}).await;
        assert!(matches!(refused, Err(ReplayError::Unreadable(_))), "{refused:?}");
        database.write(version, &["1".into(), user(2).into()]).await.unwrap();
        rebuild(&database, &[Model::LoginCheck], |_, _| {}).await.unwrap();
        assert_eq!(login_check_users(&database).await, [(user(0), true), (user(1), true), (user(2), true)]);
    }
}

#[tokio::test]
async fn only_what_was_replaced_must_be_read_again_before_anybody_decides() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 3).await;
        rebuild(&database, &Model::ALL, |_, _| {}).await.unwrap();
        let numbers = async || {
            let sql = "SELECT current_snapshot FROM snapshots ORDER BY aggregate_id";
            let rows = database.read(sql, &[]).await.unwrap();
            rows.iter().map(|row| row.get::<i64>("current_snapshot").unwrap()).collect::<Vec<_>>()
        };
        let made = numbers().await;
        let wrong = "UPDATE snapshots SET payload = '{}' WHERE aggregate_id = $1";
        database.write(wrong, &[user(1).into()]).await.unwrap();
        rebuild(&database, &[Model::Snapshots], |_, _| {}).await.unwrap();
        assert_eq!(numbers().await, [made[0], made[1] + 1, made[2]]);
        // Another row of the stream counts as much: what was looked up with the stream may have been it.
        let wrong = "UPDATE login_check_users SET display_name = 'other' WHERE user_id = $1";
        database.write(wrong, &[user(2).into()]).await.unwrap();
        rebuild(&database, &[Model::LoginCheck], |_, _| {}).await.unwrap();
        assert_eq!(numbers().await, [made[0], made[1] + 1, made[2] + 1]);
        // One, and more than are replaced one by one.
        let wrong = "UPDATE login_check_users SET display_name = 'other'";
        database.write(wrong, &[]).await.unwrap();
        let rebuilt = rebuild(&database, &[Model::LoginCheck], |_, _| {}).await.unwrap();
        assert_eq!(rebuilt.replaced, [(Model::LoginCheck, 3)]);
        assert_eq!(numbers().await, [made[0] + 1, made[1] + 2, made[2] + 2]);
        let models = [Model::Snapshots, Model::LoginCheck];
        assert!(verify_replay(&database, &models, |_, _| {}).await.unwrap().holds());
    }
}

/// Coverage whose rows a replay replaces right after they were read for the first time.
struct Interrupted(AtomicU32);

impl Projection for Interrupted {
    const NAME: &'static str = Coverage::NAME;
    const TITLE: &'static str = Coverage::TITLE;
    const VERSION: i64 = Coverage::VERSION;

    async fn take(
        &self,
        ledger: &Database,
        own: &Database,
        from: i64,
        to: i64,
    ) -> Result<Batch, DatabaseError> {
        let batch = Coverage.take(ledger, own, from, to).await?;
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            let mut exclusive = own.exclusive(&["projection_checkpoints"]).await?;
            outdate::<Coverage>(&mut exclusive, 0).await?;
            exclusive.commit().await?;
        }
        Ok(batch)
    }
}

#[tokio::test]
async fn what_a_follower_worked_out_from_rows_that_were_replaced_since_is_worked_out_again() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 3).await;
        let interrupted = Interrupted(AtomicU32::new(0));
        let caught_up = catch_up(&interrupted, &database, 6).await.unwrap();
        assert_eq!(caught_up, CaughtUp::To(6));
        assert_eq!(interrupted.0.into_inner(), 2);
    }
}

#[tokio::test]
async fn wherever_a_rebuild_is_cut_short_all_rows_are_as_before_or_as_they_should_be() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 3).await;
        catch_up(&AuditTrail, &database, 6).await.unwrap();
        catch_up(&Coverage, &database, 6).await.unwrap();
        rebuild(&database, &Model::ALL, |_, _| {}).await.unwrap();
        let right = login_check_users(&database).await;
        let wrong: Vec<_> = right.iter().map(|(id, enabled)| (id.clone(), !enabled)).collect();
        let (mut steps, mut cut) = (1, 0);
        loop {
            let turn = "UPDATE login_check_users SET two_factor_enabled = NOT two_factor_enabled";
            database.write(turn, &[]).await.unwrap();
            assert_eq!(login_check_users(&database).await, wrong);
            // One row, and more than are replaced one by one.
            let gone = if cut % 2 == 0 { "position = 4" } else { "position > 2" };
            database.write(&format!("DELETE FROM audit_trail_v1 WHERE {gone}"), &[]).await.unwrap();
            let done = cut_short(rebuild(&database, &Model::ALL, |_, _| {}), steps).await;
            let now = login_check_users(&database).await;
            assert!(now == wrong || now == right, "after {steps} steps: {now:?}");
            if let Some(done) = done {
                assert_eq!(now, right);
                done.unwrap();
                break;
            }
            // Whatever is left behind, the next one goes through.
            rebuild(&database, &Model::ALL, |_, _| {}).await.unwrap();
            assert_eq!(login_check_users(&database).await, right);
            let report = verify_replay(&database, &Model::ALL, |_, _| {}).await.unwrap();
            assert!(report.holds(), "after {steps} steps: {report}");
            (steps, cut) = (steps + 5, cut + 1);
        }
        assert!(cut > 5, "it was cut short {cut} times");
    }
}

#[tokio::test]
async fn of_two_rebuilds_at_once_one_gives_up() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 1).await;
        let pairs = tables_of(&STREAM_TABLES.iter().collect());
        let mut one = Run::begin(&database, "streams", &pairs, Fate::Copied, 2).await.unwrap();
        let mut other = Run::begin(&database, "streams", &pairs, Fate::Copied, 2).await.unwrap();
        let after = ("user".to_owned(), user(0));
        let advanced = one.advance(&database, Vec::new(), 2, after.clone()).await.unwrap();
        assert_eq!(advanced, Transacted::Undone, "it was taken over");
        let advanced = other.advance(&database, Vec::new(), 2, after).await.unwrap();
        assert_eq!(advanced, Transacted::Committed);
        // One of fewer read models takes over too: of what it emptied nothing comes in place.
        Run::begin(&database, "streams", &pairs[..1], Fate::Copied, 2).await.unwrap();
        let mut exclusive = database.exclusive(&["snapshots"]).await.unwrap();
        let ended = other.end(&mut exclusive, &pairs).await;
        assert!(matches!(ended, Err(ReplayError::TakenOver)), "{ended:?}");
    }
}

#[tokio::test]
async fn a_crash_of_postgresql_empties_what_says_how_far_it_came_with_the_rows() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 1).await;
        let pairs = tables_of(&STREAM_TABLES.iter().collect());
        let mut before = Run::begin(&database, "streams", &pairs, Fate::Copied, 2).await.unwrap();
        match database.engine() {
            // Its transactions are all flushed.
            Engine::Sqlite(_) => continue,
            Engine::Postgres(_) => {
                let sql = "SELECT count(*) AS made, count(*) FILTER (WHERE relpersistence = 'u') AS unlogged \
                           FROM pg_class WHERE relname LIKE 'replay%' AND relkind = 'r'";
                let rows = database.read(sql, &[]).await.unwrap();
                let tables = i64::try_from(pairs.len()).unwrap() + 1;
                assert_eq!(rows[0].get::<i64>("made").unwrap(), tables);
                assert_eq!(rows[0].get::<i64>("unlogged").unwrap(), tables);
            }
        }
        database.write("TRUNCATE replay_runs", &[]).await.unwrap();
        // Neither alone nor beside the next one does it go on with tables that are empty now.
        let after = ("user".to_owned(), user(0));
        let advanced = before.advance(&database, Vec::new(), 2, after.clone()).await.unwrap();
        assert_eq!(advanced, Transacted::Undone);
        Run::begin(&database, "streams", &pairs, Fate::Copied, 2).await.unwrap();
        let advanced = before.advance(&database, Vec::new(), 2, after).await.unwrap();
        assert_eq!(advanced, Transacted::Undone);
    }
}

#[tokio::test]
async fn entries_that_are_missing_keep_everything_as_it_is() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 2).await;
        rebuild(&database, &[Model::LoginCheck], |_, _| {}).await.unwrap();
        let before = login_check_users(&database).await;
        // The ledger says that it has one more entry than there are.
        let hash = crate::ledger::tree::Hash::from_bytes([0; 32]).to_string();
        let grown = "UPDATE ledger_state SET size = 5, frontier = $1";
        database.write(grown, &[format!("{hash} {hash}").into()]).await.unwrap();
        database.write("DELETE FROM login_check_users", &[]).await.unwrap();
        let refused = rebuild(&database, &[Model::LoginCheck], |_, _| {}).await;
        assert!(matches!(refused, Err(ReplayError::Incomplete { seen: 4, size: 5 })), "{refused:?}");
        assert!(login_check_users(&database).await.is_empty(), "nothing was put in place");
        let report = verify_replay(&database, &[Model::LoginCheck], |_, _| {}).await.unwrap();
        assert!(!report.holds() && report.events == 4, "{report}");
        assert_eq!(before.len(), 2);
    }
}

#[tokio::test]
async fn what_does_not_read_is_named_by_its_place_and_never_quoted() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 2).await;
        rebuild(&database, &[Model::LoginCheck], |_, _| {}).await.unwrap();
        let other = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
                     metadata, event_id) \
                     VALUES ('user', $1, 3, 'Unheard', '9', '{\"Unheard\":{\"secret\":\"word\"}}', '{}', $2)";
        database.write(other, &[user(1).into(), event_id(&user(1), 3).into()]).await.unwrap();
        entry_of(&database, 4, &user(1), 3).await;
        let hash = crate::ledger::tree::Hash::from_bytes([0; 32]).to_string();
        let grown = "UPDATE ledger_state SET size = 5, frontier = $1";
        database.write(grown, &[format!("{hash} {hash}").into()]).await.unwrap();
        let report = verify_replay(&database, &[Model::LoginCheck], |_, _| {}).await.unwrap().to_string();
        assert!(report.contains(&format!("event 3 of user/{} is of version 9", user(1))), "{report}");
        assert!(!report.contains("word") && report.contains("4 of 5"), "{report}");
        let refused = rebuild(&database, &[Model::LoginCheck], |_, _| {}).await;
        assert!(matches!(refused, Err(ReplayError::Unreadable(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn streams_are_read_through_indexes() {
    for fresh in fresh_databases().await.unwrap() {
        let Engine::Postgres(_) = fresh.database.engine() else { continue };
        fill_ledger(&fresh.database, 20_000).await.unwrap();
        let after = |(stream_type, stream_id, sequence): (&str, &str, i64)| {
            vec![stream_type.into(), stream_id.into(), sequence.into(), 10.into()]
        };
        let (none, amid) = (("", "", 0), ("user", "777", 1));
        let below = |stream| after(stream).into_iter().chain([20_000.into()]).collect();
        for (sql, params, index) in [
            (streams::NEXT, after(none), "events_pkey"),
            (streams::NEXT, after(amid), "events_pkey"),
            (streams::NEXT_WITH_PLACES, below(none), "ledger_entries_event"),
            (streams::NEXT_WITH_PLACES, below(amid), "ledger_entries_event"),
            (streams::OF_ONE_WITH_PLACES, after(amid), "ledger_entries_event"),
        ] {
            let plan = plan(&fresh.database, sql, &params).await.unwrap();
            assert!(plan.contains(&format!("Index Scan using {index}")), "{plan}");
            assert!(!plan.contains("Seq Scan") && !plan.contains("Bitmap"), "{plan}");
        }
    }
}

/// The moment at which the event of this sequence is recorded.
fn minute(sequence: i64) -> String {
    format!("2030-03-17T17:{:02}:00.000000Z", 40 + sequence)
}

/// One person with eight events, a minute between them. The last one waits for its place.
async fn eight_events(database: &Database) {
    for sequence in 1..=8 {
        event(database, &user(0), sequence, &minute(sequence)).await;
        if sequence < 8 {
            entry_of(database, sequence - 1, &user(0), sequence).await;
        }
    }
    let waits = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
                 SELECT event_id, aggregate_type, aggregate_id, sequence FROM events WHERE sequence = 8";
    database.write(waits, &[]).await.unwrap();
    let snapshot = "INSERT INTO snapshots (aggregate_type, aggregate_id, last_sequence, previous_sequence, payload) \
                    SELECT aggregate_type, aggregate_id, sequence, 7, payload FROM events WHERE sequence = 8";
    database.write(snapshot, &[]).await.unwrap();
    unlock(database).await.unwrap();
}

/// How far the person of [`eight_events`] comes.
async fn reaches(database: &Database, minutes: i64, size: u64) -> Result<i64, String> {
    let moment = streams::Moment { at: minute(minutes).parse().unwrap(), size };
    let read = FoldedStream::read(database, ("user", &user(0)), streams::Extent::At(moment)).await;
    match read {
        Ok(folded) => Ok(folded.map_or(0, |folded| folded.sequence)),
        Err(error) => Err(error.to_string().split_once(';').unwrap().0.replace(&user(0), "…")),
    }
}

#[tokio::test]
async fn a_stream_is_read_up_to_a_moment_and_a_size() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        eight_events(&database).await;
        for minutes in 0..=8 {
            assert_eq!(reaches(&database, minutes, 7).await, Ok(minutes.min(7)));
            assert_eq!(reaches(&database, 9, u64::try_from(minutes).unwrap()).await, Ok(minutes.min(7)));
        }
        database.write("DELETE FROM ledger_pending", &[]).await.unwrap();
        assert_eq!(reaches(&database, 7, 7).await, Ok(7));
        let no_place = Err("event 8 of user/… has no place in the ledger".to_owned());
        assert_eq!(reaches(&database, 8, 7).await, no_place);
    }
}

#[tokio::test]
async fn an_event_that_was_removed_is_told_as_gone_wherever_it_stood() {
    for gone in 1..=8 {
        for fresh in fresh_databases().await.unwrap() {
            let database = fresh.database;
            eight_events(&database).await;
            database.write("DELETE FROM events WHERE sequence = $1", &[gone.into()]).await.unwrap();
            assert_eq!(reaches(&database, 9, 7).await, Err(format!("event {gone} of user/… is gone")));
            // When it was recorded nobody knows any more, but that it was after the one before.
            if gone > 1 {
                assert_eq!(reaches(&database, gone - 2, 7).await, Ok(gone - 2));
            }
        }
    }
}

#[tokio::test]
async fn an_event_with_another_id_is_told_as_without_a_place() {
    for changed in [1, 3, 4, 7] {
        for fresh in fresh_databases().await.unwrap() {
            let Engine::Postgres(_) = fresh.database.engine() else { continue };
            eight_events(&fresh.database).await;
            let sql = "UPDATE events SET event_id = gen_random_uuid()::text WHERE sequence = $1";
            fresh.database.write(sql, &[changed.into()]).await.unwrap();
            let no_place = format!("event {changed} of user/… has no place in the ledger");
            assert_eq!(reaches(&fresh.database, 9, 7).await, Err(no_place));
            assert_eq!(reaches(&fresh.database, changed - 1, 7).await, Ok(changed - 1));
        }
    }
}

/// It would not follow what was read.
#[tokio::test]
async fn what_gets_its_place_between_two_pages_is_left_to_the_next_reading() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        eight_events(&database).await;
        event(&database, &user(1), 1, AT).await;
        entry_of(&database, 7, &user(1), 1).await;
        let mut reading = streams::Reading::new(&database, ("user", &user(0), 5), Some(u64::MAX));
        let sequences =
            |events: &[streams::PastEvent]| events.iter().map(|event| event.sequence).collect::<Vec<_>>();
        assert_eq!(sequences(&reading.next_page().await.unwrap()), [6, 7]);
        event(&database, &user(0), 9, AT).await;
        for sequence in [8, 9] {
            entry_of(&database, sequence, &user(0), sequence).await;
        }
        let next = reading.next_page().await.unwrap();
        assert_eq!((next[0].stream_id.clone(), sequences(&next)), (user(1), vec![1]));
        assert!(reading.next_page().await.unwrap().is_empty());
    }
}
