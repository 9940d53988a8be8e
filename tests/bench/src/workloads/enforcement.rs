//! Turning enforcement on and off for a hundred thousand people, beside the same for ten.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::client::{Answer, Connection, request};
use crate::load::run_all;
use crate::people::Target;
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::statistics::{ratios, spread};
use crate::work::each;

const CLIENTS: usize = 64;
const FEW: usize = 10;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let many = bench.size(100_000, 2_000);
    let installation = bench.on_postgres("bench_enforcement").await?;
    let served = installation.serve().await?;
    let target = Target::new(served.address, installation.api_key()?);
    let [small, large] = [open(&target, "few").await?, open(&target, "many").await?];
    say("enforcement: registering and linking people");
    let started = Instant::now();
    let ids = register(&target, many).await?;
    link(&target, &large, &ids).await?;
    link(&target, &small, ids.get(..FEW).unwrap_or_default()).await?;
    target.settle().await?;
    let prepared_s = started.elapsed().as_secs();
    let name = |people: usize| format!("enforcement turned on or off, {people} people");
    let (mut few_ms, mut many_ms) =
        (Series::new(name(FEW), "ms, median"), Series::new(name(many), "ms, median"));
    let mut connection = Connection::open(served.address).await?;
    for round in 0..=bench.rounds() {
        let (mut few, mut all) = (Vec::new(), Vec::new());
        for turn in 0..bench.size(50, 6) {
            let enforced = turn % 2 == 0;
            few.push(toggle(&mut connection, &target.key, &small, enforced, FEW).await?);
            all.push(toggle(&mut connection, &target.key, &large, enforced, many).await?);
        }
        if round > 0 {
            few_ms.values.push(spread(&few).median);
            many_ms.values.push(spread(&all).median);
        }
        target.settle().await?;
    }
    let ratio = Ratio {
        what: format!("time for {many} people to time for {FEW}"),
        values: ratios(&many_ms.values, &few_ms.values),
        goals: vec![Goal::AtMost(2.0)],
    };
    Ok(Section {
        name: "enforcement",
        title: "Enforcement",
        text: format!(
            "`PUT /v1/agreements/{{id}}/enforcement` with an API key, on one connection, on and off in turn for an administrator \
             agreement with {many} linked people and for one with {FEW}. The answer counts everybody whom it affects. \
             Everybody was registered and linked through the API, which took {prepared_s} s at {CLIENTS} clients."
        ),
        series: vec![few_ms, many_ms],
        ratios: vec![ratio],
        notes: Vec::new(),
    })
}

async fn open(target: &Target, name: &str) -> anyhow::Result<String> {
    let body = format!(r#"{{"number":"{name}","name":"{name}","kind":"administrator"}}"#);
    let agreement = target.post("/v1/agreements", &body, 201).await?;
    let id = agreement.get("id").and_then(serde_json::Value::as_str);
    Ok(id.context("an agreement without an id")?.to_owned())
}

async fn register(target: &Target, count: usize) -> anyhow::Result<Vec<String>> {
    let ids = Arc::new(Mutex::new(Vec::with_capacity(count)));
    let (key, kept) = (target.key.clone(), Arc::clone(&ids));
    let make = move |which: usize, into: &mut Vec<u8>| {
        let body = format!(r#"{{"email":"member-{which}@example.com","display_name":"Member {which}"}}"#);
        request(into, "POST /v1/users", &key, &body);
    };
    let take = move |_: usize, answer: &Answer<'_>| {
        answer.expect(201)?;
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(answer.text("id")?);
        Ok(())
    };
    run_all(&target.addresses, CLIENTS, each(count, make, take)).await?;
    Ok(std::mem::take(&mut *ids.lock().unwrap_or_else(PoisonError::into_inner)))
}

async fn link(target: &Target, agreement: &str, ids: &[String]) -> anyhow::Result<()> {
    let (key, agreement, ids, count) = (target.key.clone(), agreement.to_owned(), ids.to_vec(), ids.len());
    let make = move |which: usize, into: &mut Vec<u8>| {
        let id = ids.get(which).map(String::as_str).unwrap_or_default();
        request(into, &format!("PUT /v1/agreements/{agreement}/users/{id}"), &key, r#"{"role":"user"}"#);
    };
    run_all(&target.addresses, CLIENTS, each(count, make, |_, answer| answer.expect(204).map(drop))).await?;
    Ok(())
}

/// How long it took, in milliseconds.
async fn toggle(
    connection: &mut Connection,
    key: &str,
    agreement: &str,
    enforced: bool,
    affected: usize,
) -> anyhow::Result<f64> {
    let mut bytes = Vec::new();
    let line = format!("PUT /v1/agreements/{agreement}/enforcement");
    request(&mut bytes, &line, key, &format!(r#"{{"enforced":{enforced}}}"#));
    let started = Instant::now();
    let answer = connection.send(&bytes).await?;
    let took = started.elapsed();
    let body: serde_json::Value = serde_json::from_slice(answer.expect(200)?)?;
    let told = body.get("affected_users").and_then(serde_json::Value::as_u64);
    ensure!(told == Some(affected as u64), "{told:?} people are affected instead of {affected}");
    Ok(took.as_secs_f64() * 1_000.0)
}
