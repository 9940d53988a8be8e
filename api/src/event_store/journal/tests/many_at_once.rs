//! Many appends and loads at once.

use std::future::{Future, poll_fn};
use std::task::Poll;

use countersign_projections::database::Engine;
use countersign_projections::table::{Change, LOGIN_CHECK_LINKS, Value};
use tokio::task::JoinSet;

use super::super::{AppendError, Journal};
use super::{LOAD_USER, append, assert_whole, claim, count, journals, moment};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_to_many_streams_all_take_place_and_share_statements() {
    for (fresh, journal) in journals().await {
        let mut appends = JoinSet::new();
        let before = fresh.database.counters();
        for number in 0..64 {
            let journal = journal.clone();
            appends.spawn(async move {
                for expected in [0, 2, 4, 6] {
                    journal.append(append(&format!("u{number}"), expected, "me")).await.unwrap();
                }
            });
        }
        appends.join_all().await;
        assert_eq!(count(&fresh.database, "events").await, 64 * 4 * 2);
        assert_whole(&fresh.database).await;
        if matches!(fresh.database.engine(), Engine::Postgres(_)) {
            let statements = fresh.database.counters().append - before.append;
            assert!(statements < 64 * 4 / 2, "{statements} statements for 256 appends");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_appends_to_one_stream_one_wins_at_each_sequence() {
    for (fresh, journal) in journals().await {
        // The other node makes conflicts that no queue inside this one can prevent.
        let other_node = Journal::open(fresh.database.clone()).await.unwrap();
        for expected in [0, 2, 4, 6, 8] {
            let mut appends = JoinSet::new();
            for number in 0..64 {
                let journal = if number % 2 == 0 { journal.clone() } else { other_node.clone() };
                appends
                    .spawn(async move { journal.append(append("u1", expected, &number.to_string())).await });
            }
            let outcomes = appends.join_all().await;
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            let conflicts = outcomes.iter().filter(|outcome| **outcome == Err(AppendError::Conflict));
            assert_eq!(conflicts.count(), 63);
        }
        assert_eq!(count(&fresh.database, "events").await, 10);
        assert_whole(&fresh.database).await;
    }
}

#[tokio::test]
async fn appends_to_one_stream_take_place_in_the_order_they_came() {
    for (fresh, journal) in journals().await {
        // All are waiting before the first is stored, and each builds on the one before.
        let appends = [0, 2, 4, 6].map(|expected| journal.append(append("u1", expected, "me")));
        for outcome in futures::future::join_all(appends).await {
            outcome.unwrap();
        }
        assert_whole(&fresh.database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_violation_fails_only_its_own_command() {
    for (fresh, journal) in journals().await {
        let mut first = append("first", 0, "me");
        first.changes.push(claim("taken", "first"));
        journal.append(first).await.unwrap();
        let mut appends = JoinSet::new();
        for number in 0..64 {
            let journal = journal.clone();
            appends.spawn(async move {
                let mut append = append(&format!("u{number}"), 0, "me");
                let digest = if number % 8 == 0 { "taken".to_owned() } else { format!("digest {number}") };
                append.changes.push(claim(&digest, "me"));
                (number, journal.append(append).await)
            });
        }
        for (number, outcome) in appends.join_all().await {
            let taken = AppendError::Taken { constraint: "email_claims_pkey".to_owned() };
            assert_eq!(outcome, if number % 8 == 0 { Err(taken) } else { Ok(()) }, "{number}");
        }
        assert_eq!(count(&fresh.database, "email_claims").await, 1 + 56);
        assert_eq!(count(&fresh.database, "events").await, 2 * (1 + 56));
        assert_whole(&fresh.database).await;
    }
}

#[tokio::test]
async fn changes_of_one_row_by_two_commands_happen_one_after_the_other() {
    let row: Vec<Value> = vec!["u1".into(), "a1".into(), "user".into(), moment().into()];
    for (fresh, journal) in journals().await {
        let mut linking = append("a1", 0, "me");
        linking.changes.push(Change::Upsert(&LOGIN_CHECK_LINKS, row.clone()));
        let mut unlinking = append("u1", 0, "me");
        unlinking.changes.push(Change::Delete(&LOGIN_CHECK_LINKS, row[..2].to_vec()));
        // Waiting together, in this order; in one statement the delete would not see the new row.
        let (linked, unlinked) = tokio::join!(journal.append(linking), journal.append(unlinking));
        linked.and(unlinked).unwrap();
        assert_eq!(count(&fresh.database, "login_check_links").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_load_sees_every_append_that_was_acknowledged() {
    for (fresh, journal) in journals().await {
        let mut users = JoinSet::new();
        let before = fresh.database.counters();
        for number in 0..32 {
            let journal = journal.clone();
            users.spawn(async move {
                // Four share each stream, so that loads of one stream are often under way already.
                let stream = format!("u{}", number / 4);
                for _ in 0..20 {
                    let seen = journal.load(&LOAD_USER, &stream, None).await.unwrap().sequence.unwrap_or(0);
                    match journal.append(append(&stream, seen, &number.to_string())).await {
                        Ok(()) => {
                            let again = journal.load(&LOAD_USER, &stream, Some("x")).await.unwrap();
                            assert!(again.sequence.unwrap() >= seen + 2);
                        }
                        Err(error) => assert_eq!(error, AppendError::Conflict),
                    }
                }
            });
        }
        users.join_all().await;
        assert_whole(&fresh.database).await;
        if matches!(fresh.database.engine(), Engine::Postgres(_)) {
            assert!(fresh.database.counters().load - before.load < 32 * 20);
        }
    }
}

#[tokio::test]
async fn an_append_whose_caller_went_away_takes_place() {
    for (fresh, journal) in journals().await {
        {
            let mut appending = Box::pin(journal.append(append("u1", 0, "me")));
            let polled = poll_fn(|context| Poll::Ready(appending.as_mut().poll(context).is_pending())).await;
            assert!(polled);
        }
        // It stood in the queue before this one.
        journal.append(append("u1", 2, "me")).await.unwrap();
        assert_whole(&fresh.database).await;
    }
}
