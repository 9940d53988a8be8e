//! An installation with a long ledger: real people, and copies of one of them until there are so many entries.
//!
//! Copies are made by SQL, as rows of events that wait for their place; the program's own sequencer makes their
//! leaves and gives them their place. They go back in time, half a minute from one stream to the next. What the first
//! page of any search shows is of real people.

use sqlx::{Connection, Executor, PgConnection, Row};

use crate::client::request;
use crate::load::run_all;
use crate::people::{People, Target};
use crate::run::{Bench, say};
use crate::served::{Installation, Served};
use crate::verifying::Verifying;
use crate::work::each;

/// Statements of this many streams at a time.
const PART: i64 = 20_000;

/// So long one copied stream begins before the next, so that ten million entries are more than a year.
const APART_S: i64 = 30;

/// Everything about it.
pub(crate) struct History {
    pub(crate) installation: Installation,
    pub(crate) served: Served,
    pub(crate) target: Target,
    pub(crate) people: People,
    pub(crate) entries: u64,
    /// An agreement with a hundred members.
    pub(crate) agreement: String,
}

/// An agreement with so many entries of its own.
const MEMBERS: usize = 100;

impl History {
    pub(crate) async fn make(bench: &Bench, name: &str, wanted: i64) -> anyhow::Result<Self> {
        let installation = bench.on_postgres(name).await?;
        let served = installation.serve().await?;
        let target = Target::new(served.address, installation.api_key()?);
        let mut verifying = Verifying::prepare(target.clone(), 300).await?;
        say(&format!("{name}: filling the ledger with {wanted} entries"));
        let first = verifying.people.all.first().map(|person| person.id().to_owned()).unwrap_or_default();
        copy(&installation.database, &first, wanted).await?;
        target.settle().await?;
        let agreement = agreement(&target, &verifying.people).await?;
        many_challenges(&target, &first).await?;
        // The newest entries are of everybody.
        let everybody = verifying.people.challenge(&target, usize::MAX).await?;
        verifying.give(8, std::time::Duration::from_mins(1), &everybody).await?;
        target.settle().await?;
        let mut database = PgConnection::connect(&installation.database).await?;
        for table in ["events", "ledger_entries", "audit_trail_v1"] {
            database.execute(format!("VACUUM ANALYZE {table}").as_str()).await?;
        }
        let entries: i64 = database.fetch_one("SELECT size FROM ledger_state").await?.try_get(0)?;
        let people = verifying.people;
        Ok(Self { installation, served, target, people, entries: entries.unsigned_abs(), agreement })
    }
}

/// Copies of this person's stream, under other ids.
async fn copy(url: &str, id: &str, wanted: i64) -> anyhow::Result<()> {
    let mut database = PgConnection::connect(url).await?;
    let events = format!("SELECT count(*) FROM events WHERE aggregate_id = '{id}'");
    let events: i64 = database.fetch_one(events.as_str()).await?.try_get(0)?;
    let streams = wanted / events.max(1);
    let hex = "lpad(to_hex(n), 8, '0')";
    let at = format!("(e.recorded_at - ({streams} + 1 - n) * interval '{APART_S} seconds')");
    let spelled = r#"'"\"recorded_at\":\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'"#;
    let stream = format!("{hex} || '-0000-4000-8000-000000000000'");
    for from in (1..=streams).step_by(usize::try_from(PART)?) {
        let to = streams.min(from + PART - 1);
        // Each event has an id and a moment of its own, which its metadata names too.
        let sql = format!(
            "WITH copied AS (INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, \
             payload, metadata, event_id, recorded_at, user_id, agreement_id, actor_id) \
             SELECT e.aggregate_type, {stream}, e.sequence, e.event_type, e.event_version, \
             replace(e.payload::text, '{id}', {stream})::json, \
             regexp_replace(replace(e.metadata::text, e.event_id, {hex} || substr(e.event_id, 9)), \
             '\"recorded_at\":\"[^\"]*\"', to_char({at} AT TIME ZONE 'UTC', {spelled}))::json, \
             {hex} || substr(e.event_id, 9), {at}, {stream}, e.agreement_id, e.actor_id \
             FROM generate_series({from}, {to}) AS n, events e WHERE e.aggregate_id = '{id}' ORDER BY n, e.sequence \
             RETURNING event_id, aggregate_type, aggregate_id, sequence), \
             snapshots_of_them AS (INSERT INTO snapshots (aggregate_type, aggregate_id, last_sequence, previous_sequence, payload) \
             SELECT s.aggregate_type, {stream}, s.last_sequence, s.previous_sequence, replace(s.payload::text, '{id}', {stream})::json \
             FROM generate_series({from}, {to}) AS n, snapshots s WHERE s.aggregate_id = '{id}') \
             INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
             SELECT event_id, aggregate_type, aggregate_id, sequence FROM copied ORDER BY aggregate_id, sequence"
        );
        database.execute(sql.as_str()).await?;
    }
    Ok(())
}

/// Some of the people are linked to it.
async fn agreement(target: &Target, people: &People) -> anyhow::Result<String> {
    let agreement =
        target.post("/v1/agreements", r#"{"number":"1","name":"Nordlys","kind":"standard"}"#, 201).await?;
    let agreement = agreement.get("id").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let ids: Vec<String> = people.all.iter().take(MEMBERS).map(|person| person.id().to_owned()).collect();
    let (key, linked, count) = (target.key.clone(), agreement.clone(), ids.len());
    let make = move |which: usize, into: &mut Vec<u8>| {
        let id = ids.get(which).map(String::as_str).unwrap_or_default();
        request(into, &format!("PUT /v1/agreements/{linked}/users/{id}"), &key, r#"{"role":"user"}"#);
    };
    run_all(&target.addresses, 1, each(count, make, |_, answer| answer.expect(204).map(drop))).await?;
    Ok(agreement)
}

/// One person with more than a page of entries.
async fn many_challenges(target: &Target, id: &str) -> anyhow::Result<()> {
    let body = format!(r#"{{"user_id":"{id}"}}"#);
    for _ in 0..MEMBERS {
        target.post("/v1/challenges", &body, 201).await?;
    }
    Ok(())
}
