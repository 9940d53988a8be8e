//! One append at a time.

use chrono::{DateTime, Utc};
use countersign_projections::database::DatabaseError;
use countersign_projections::ledger::tree::leaf_hash;
use countersign_projections::table::{
    Change, Column, EMAIL_CLAIMS, EVENTS, LOGIN_CHECK_LINKS, Value, to_microseconds,
};
use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use super::super::{AppendError, LoadedRow};
use super::{LOAD_USER, ODD, append, assert_whole, claim, journals, moment, rows_of_every_table, sizes};

#[tokio::test]
async fn what_was_appended_is_loaded() {
    for (fresh, journal) in journals().await {
        let nothing = journal.load(&LOAD_USER, "u1", None).await.unwrap();
        let facts = |row: &LoadedRow| row.facts.as_deref().unwrap().replace(' ', "");
        assert_eq!((nothing.sequence, nothing.snapshot.as_deref()), (None, None));
        assert_eq!((nothing.tail.as_deref(), facts(&nothing).as_str()), (Some("[]"), r#"{"links":0}"#));

        let mut first = append("u1", 0, "me");
        let link = vec!["friend".into(), "a1".into(), "user".into(), moment().into()];
        first.changes.push(Change::Upsert(&LOGIN_CHECK_LINKS, link));
        journal.append(first).await.unwrap();
        journal.append(append("u1", 2, "me")).await.unwrap();

        let loaded = journal.load(&LOAD_USER, "u1", Some("friend")).await.unwrap();
        assert_eq!(loaded.sequence, Some(4));
        assert_eq!(loaded.snapshot.as_deref(), Some(r#"{"events":4}"#));
        assert_eq!(loaded.leaf_hash, Some(leaf_hash(b"u1").to_base64()));
        assert_eq!((loaded.tail.as_deref(), facts(&loaded).as_str()), (Some("[]"), r#"{"links":1}"#));
        assert_whole(&fresh.database).await;
    }
}

#[tokio::test]
async fn what_was_decided_from_a_snapshot_that_was_replaced_since_is_a_conflict() {
    for (fresh, journal) in journals().await {
        journal.append(append("u1", 0, "me")).await.unwrap();
        let loaded = journal.load(&LOAD_USER, "u1", None).await.unwrap();
        assert_eq!(loaded.snapshot_number, Some(1));
        // As a replay does in the place of a snapshot that was wrong, with the same sequence.
        let replace = "UPDATE snapshots SET current_snapshot = current_snapshot + 1";
        fresh.database.write(replace, &[]).await.unwrap();
        let stale = append("u1", 2, "me");
        assert_eq!(journal.append(stale.clone()).await.unwrap_err(), AppendError::Conflict);
        journal.append(super::Append { expected_snapshot: 2, ..stale }).await.unwrap();
        let loaded = journal.load(&LOAD_USER, "u1", None).await.unwrap();
        assert_eq!((loaded.sequence, loaded.snapshot_number), (Some(4), Some(3)));
        assert_whole(&fresh.database).await;
    }
}

#[tokio::test]
async fn events_come_back_as_they_were_stored() {
    for (fresh, journal) in journals().await {
        journal.append(append("u1", 0, "me")).await.unwrap();
        let sql = "SELECT sequence, event_type, event_version, payload, metadata, event_id, recorded_at, user_id, \
            agreement_id, actor_id FROM events ORDER BY sequence";
        let row = &fresh.database.read(sql, &[]).await.unwrap()[0];
        let stored = append("u1", 0, "me").events.remove(0);
        assert_eq!(row.get::<i64>("sequence").unwrap(), 1);
        assert_eq!(row.get::<String>("event_type").unwrap(), stored.event_type);
        assert_eq!(row.get::<String>("payload").unwrap(), stored.payload);
        assert_eq!(row.get::<String>("metadata").unwrap(), stored.metadata);
        assert_eq!(row.get::<String>("event_id").unwrap(), stored.event_id);
        assert_eq!(row.get::<DateTime<Utc>>("recorded_at").unwrap(), to_microseconds(moment()));
        assert_eq!(row.get::<Option<String>>("user_id").unwrap(), stored.user_id);
        assert_eq!(row.get::<Option<String>>("agreement_id").unwrap(), None);
    }
}

#[tokio::test]
async fn a_conflict_stores_nothing_at_all() {
    for (fresh, journal) in journals().await {
        journal.append(append("u1", 0, "me")).await.unwrap();
        let insert = |(table, row)| Change::Insert(table, row);
        let mut first = append("u2", 0, "me");
        first.changes = rows_of_every_table("there", None).into_iter().map(insert).collect();
        journal.append(first).await.unwrap();
        let before = sizes(&fresh.database).await;
        for expected in [0, 1, 3] {
            let mut stale = append("u1", expected, "somebody else");
            stale.changes = rows_of_every_table("new", None).into_iter().map(insert).collect();
            let delete = |(table, mut row): (&'static super::Table, Vec<Value>)| {
                row.truncate(table.key.len());
                Change::Delete(table, row)
            };
            stale.changes.extend(rows_of_every_table("there", None).into_iter().map(delete));
            assert_eq!(journal.append(stale).await, Err(AppendError::Conflict), "{expected}");
            assert_eq!(sizes(&fresh.database).await, before, "{expected}");
        }
        let loaded = journal.load(&LOAD_USER, "u1", None).await.unwrap();
        assert_eq!(loaded.snapshot.as_deref(), Some(r#"{"events":2}"#));
    }
}

#[tokio::test]
async fn events_refuse_a_conflict_even_without_a_snapshot() {
    for (fresh, journal) in journals().await {
        journal.append(append("u1", 0, "me")).await.unwrap();
        fresh.database.write("DELETE FROM snapshots", &[]).await.unwrap();
        let before = sizes(&fresh.database).await;
        assert_eq!(journal.append(append("u1", 1, "somebody else")).await, Err(AppendError::Conflict));
        assert_eq!(sizes(&fresh.database).await, before);

        let loaded = journal.load(&LOAD_USER, "u1", None).await.unwrap();
        let tail: serde_json::Value = serde_json::from_str(loaded.tail.as_deref().unwrap()).unwrap();
        assert_eq!((tail[0]["sequence"].as_i64(), tail[1]["payload"]["odd"].as_str()), (Some(1), Some(ODD)));
        journal.append(append("u1", 2, "me")).await.unwrap();
        assert_whole(&fresh.database).await;
    }
}

#[tokio::test]
async fn rows_of_every_table_are_inserted_replaced_and_removed() {
    for (fresh, journal) in journals().await {
        let stored = async |rows: &[(&'static super::Table, Vec<Value>)]| {
            for (table, row) in rows {
                // The database itself compares every column, null with null.
                let same = |(column, number): (&Column, usize)| {
                    format!("{} IS NOT DISTINCT FROM ${number}", column.name)
                };
                let conditions: Vec<String> = table.columns.iter().zip(1..).map(same).collect();
                let sql = format!(
                    "SELECT count(*) AS found FROM {} WHERE {}",
                    table.name,
                    conditions.join(" AND ")
                );
                let found = fresh.database.read(&sql, row).await.unwrap();
                assert_eq!(found[0].get::<i64>("found").unwrap(), 1, "{}", table.name);
            }
        };
        let rows = rows_of_every_table(ODD, None);
        let mut inserting = append("u1", 0, "me");
        inserting.changes = rows.iter().cloned().map(|(table, row)| Change::Insert(table, row)).collect();
        journal.append(inserting).await.unwrap();
        stored(&rows).await;

        let rows = rows_of_every_table(ODD, Some(moment()));
        let mut upserting = append("u1", 2, "me");
        upserting.changes = rows.iter().cloned().map(|(table, row)| Change::Upsert(table, row)).collect();
        journal.append(upserting).await.unwrap();
        stored(&rows).await;

        let mut deleting = append("u1", 4, "me");
        for (table, mut row) in rows {
            row.truncate(table.key.len());
            deleting.changes.push(Change::Delete(table, row));
        }
        journal.append(deleting).await.unwrap();
        assert!(sizes(&fresh.database).await[..8].iter().all(|(_, size)| *size == 0));
        assert_whole(&fresh.database).await;
    }
}

#[tokio::test]
async fn a_row_that_exists_is_named_and_nothing_is_stored() {
    for (fresh, journal) in journals().await {
        let mut first = append("u1", 0, "me");
        first.changes.push(claim("digest", "u1"));
        journal.append(first).await.unwrap();
        let before = sizes(&fresh.database).await;
        let mut second = append("u2", 0, "me");
        second.changes.push(claim("digest", "u2"));
        let taken = AppendError::Taken { constraint: "email_claims_pkey".to_owned() };
        assert_eq!(journal.append(second).await, Err(taken));
        assert_eq!(sizes(&fresh.database).await, before);
    }
}

#[tokio::test]
async fn a_mistaken_append_is_refused_before_it_meets_others() {
    for (fresh, journal) in journals().await {
        let good = append("u1", 0, "me");
        let mut without_events = good.clone();
        without_events.events.clear();
        let mut with_gap = good.clone();
        with_gap.events[1].sequence = 3;
        let mut with_nul = good.clone();
        with_nul.events[0].payload = "{\"a\":\"\0\"}".to_owned();
        let mut same_row_twice = good.clone();
        same_row_twice.changes = vec![claim("d", "u1"), Change::Delete(&EMAIL_CLAIMS, vec!["d".into()])];
        let mut too_few_values = good.clone();
        too_few_values.changes = vec![Change::Insert(&EMAIL_CLAIMS, vec!["d".into()])];
        let mut wrong_kind = good.clone();
        wrong_kind.changes = vec![Change::Insert(&EMAIL_CLAIMS, vec!["d".into(), true.into()])];
        let mut wrong_table = good.clone();
        wrong_table.changes = vec![Change::Delete(&EVENTS, vec!["user".into(), "u1".into(), 1.into()])];
        for mistaken in
            [without_events, with_gap, with_nul, same_row_twice, too_few_values, wrong_kind, wrong_table]
        {
            let refused = journal.append(mistaken).await;
            assert!(matches!(refused, Err(AppendError::Database(DatabaseError::Query(_)))), "{refused:?}");
        }
        let mut not_json = good;
        not_json.events[0].payload = "not json".to_owned();
        assert!(matches!(journal.append(not_json).await, Err(AppendError::Database(_))));
        assert!(sizes(&fresh.database).await.iter().all(|(_, size)| *size == 0));
    }
}

#[derive(Default, Serialize, Deserialize)]
struct User;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AnyEvent;

impl DomainEvent for AnyEvent {
    fn event_type(&self) -> String {
        String::new()
    }

    fn event_version(&self) -> String {
        String::new()
    }
}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    type Command = ();
    type Event = AnyEvent;
    type Error = std::fmt::Error;
    type Services = ();

    async fn handle(&mut self, (): (), (): &(), _sink: &EventSink<Self>) -> Result<(), std::fmt::Error> {
        Ok(())
    }

    fn apply(&mut self, _event: AnyEvent) {}
}

#[tokio::test]
async fn a_stream_is_listed_for_folding_it_anew() {
    for (_fresh, journal) in journals().await {
        let mut first = append("u1", 0, "me");
        // PostgreSQL keeps this escape as text, though it could not store the character itself.
        first.events[0].payload = r#"{"nul":"\u0000"}"#.to_owned();
        journal.append(first).await.unwrap();
        journal.append(append("u2", 0, "me")).await.unwrap();
        journal.append(append("u1", 2, "me")).await.unwrap();
        let events = journal.events_of::<User>("u1").await.unwrap();
        let places: Vec<_> =
            events.iter().map(|event| (event.aggregate_id.as_str(), event.sequence)).collect();
        assert_eq!(places, [("u1", 1), ("u1", 2), ("u1", 3), ("u1", 4)]);
        assert_eq!(events[0].payload, serde_json::json!({ "nul": "\0" }));
        assert_eq!(events[1].payload, serde_json::json!({ "n": 2, "odd": ODD }));
        assert_eq!(
            (events[3].aggregate_type.as_str(), events[3].event_type.as_str()),
            ("user", "LoginSucceeded")
        );
        assert!(journal.events_of::<User>("nobody").await.unwrap().is_empty());
    }
}
