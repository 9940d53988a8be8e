//! Turning enforcement on and off for a hundred thousand people, beside the same for ten.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::client::{Answer, Connection, request};
use crate::load::run_all;
use crate::people::Target;
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::served::Served;
use crate::statistics::{ratios, spread};
use crate::work::each;

const CLIENTS: usize = 64;
const FEW: usize = 10;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let many = bench.size(100_000, 2_000);
    say("enforcement: registering and linking people");
    let started = Instant::now();
    let large = Installed::make(bench, "bench_enforcement_many", many).await?;
    let prepared_s = started.elapsed().as_secs();
    // A statement may be slow for ten people because there are a hundred thousand others: then it is no measure.
    let alone = Installed::make(bench, "bench_enforcement_few", FEW).await?;
    let among = Installed { agreement: open(&large.target, "few").await?, people: FEW, ..large.clone() };
    link(&among.target, &among.agreement, large.ids.get(..FEW).unwrap_or_default()).await?;
    large.target.settle().await?;
    let series = |what: String| Series::new(format!("enforcement turned on or off, {what}"), "ms, median");
    let mut measured = [
        (&large, series(format!("{many} people"))),
        (&among, series(format!("{FEW} people among {many}"))),
        (&alone, series(format!("{FEW} people in an installation of their own"))),
    ];
    for round in 0..=bench.rounds() {
        let mut taken = [const { Vec::new() }; 3];
        for turn in 0..bench.size(50, 6) {
            for ((installed, _), taken) in measured.iter().zip(&mut taken) {
                taken.push(installed.toggle(turn % 2 == 0).await?);
            }
        }
        // The first round warms up.
        for ((installed, series), taken) in measured.iter_mut().zip(&taken) {
            if round > 0 {
                series.values.push(spread(taken).median);
            }
            installed.target.settle().await?;
        }
    }
    let [large, among, alone] = measured.map(|(_, series)| series);
    let compared = [("among them", &among), ("in an installation of their own", &alone)];
    let ratios = compared.map(|(where_, few)| Ratio {
        what: format!("time for {many} people to time for {FEW} {where_}"),
        values: ratios(&large.values, &few.values),
        goals: vec![Goal::AtMost(2.0)],
    });
    Ok(Section {
        name: "enforcement",
        title: "Enforcement",
        text: format!(
            "`PUT /v1/agreements/{{id}}/enforcement` with an API key, on and off in turn for an administrator \
             agreement with {many} linked people, for one with {FEW} in the same installation, and for one with {FEW} in an \
             installation where nobody else is. The answer counts everybody whom it affects, which coverage has \
             ready since nothing else is written meanwhile. Everybody was registered and \
             linked through the API, which took {prepared_s} s at {CLIENTS} clients."
        ),
        series: vec![large, among, alone],
        ratios: ratios.into(),
        notes: Vec::new(),
    })
}

/// An administrator agreement, and the installation that it is in.
#[derive(Clone)]
struct Installed {
    _served: Arc<Served>,
    target: Target,
    ids: Vec<String>,
    agreement: String,
    people: usize,
}

impl Installed {
    /// So many people, all linked to it.
    async fn make(bench: &Bench, name: &str, people: usize) -> anyhow::Result<Self> {
        let installation = bench.on_postgres(name).await?;
        let served = installation.serve().await?;
        let target = Target::new(served.address, installation.api_key()?);
        let agreement = open(&target, "all").await?;
        let ids = register(&target, people).await?;
        link(&target, &agreement, &ids).await?;
        target.settle().await?;
        Ok(Self { _served: Arc::new(served), target, ids, agreement, people })
    }

    /// How long it took, in milliseconds.
    async fn toggle(&self, enforced: bool) -> anyhow::Result<f64> {
        let mut bytes = Vec::new();
        let line = format!("PUT /v1/agreements/{}/enforcement", self.agreement);
        request(&mut bytes, &line, &self.target.key, &format!(r#"{{"enforced":{enforced}}}"#));
        let mut connection = Connection::open(*self.target.addresses.first().context("no address")?).await?;
        let started = Instant::now();
        let answer = connection.send(&bytes).await?;
        let took = started.elapsed();
        let body: serde_json::Value = serde_json::from_slice(answer.expect(200)?)?;
        let told = body.get("affected_users").and_then(serde_json::Value::as_u64);
        ensure!(told == Some(self.people as u64), "{told:?} people are affected instead of {}", self.people);
        Ok(took.as_secs_f64() * 1_000.0)
    }
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
