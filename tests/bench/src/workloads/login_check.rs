//! The question at sign-in, beside reading one row by its key.

use std::time::Duration;

use super::{ceiling, ceiling_work};
use crate::load;
use crate::people::{People, Target, login_check};
use crate::pgbench::selects_by_key;
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::statistics::ratios;

const CLIENTS: usize = 32;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let installation = bench.on_postgres("bench_login_check").await?;
    let served = installation.serve().await?;
    let target = Target::new(served.address, installation.api_key()?);
    say("login-check: preparing people");
    let people = People::prepare(&target, bench.size(5_000, 500)).await?;
    let ids: Vec<String> = people.all.iter().map(|person| person.id().to_owned()).collect();
    let selects = selects_by_key(&bench.cluster.create("bench_keyed").await?, 100_000).await?;
    let ceiling = ceiling(bench).await?;
    let seconds = bench.size(3, 1);
    let time = Duration::from_secs(seconds);
    let what = ["countersign, login checks over HTTP", "pgbench, select by key", "axum answering a constant"];
    let mut series = what.map(|what| Series::new(format!("{what}, {CLIENTS} clients"), "per second"));
    for round in 0..=bench.rounds() {
        let mut discarded = [const { Series::empty() }; 3];
        // The first round warms up.
        let [ours, keyed, constant] = if round == 0 { &mut discarded } else { &mut series };
        ours.push(&load::run(&target.addresses, CLIENTS, time, login_check(&target.key, ids.clone())).await?);
        keyed.values.push(selects.rate(&bench.cluster, CLIENTS, seconds)?);
        constant.push(&load::run(&[ceiling.address], CLIENTS, time, ceiling_work()).await?);
    }
    let [ours, keyed, constant] = &series;
    let compared = [
        ("pgbench, select by key", keyed, vec![Goal::AtLeast(0.8)]),
        ("the ceiling of HTTP", constant, vec![]),
    ];
    let ratios = compared.map(|(to, other, goals)| Ratio {
        what: format!("countersign to {to}, {CLIENTS} clients"),
        values: ratios(&ours.values, &other.values),
        goals,
    });
    Ok(Section {
        name: "login-check",
        title: "Login checks",
        text: format!(
            "`POST /v1/login-checks` about each of {} people with two-factor, who belong to no agreement, in turn. Each is two reads: the API key and the \
             person with what requires two-factor of them; neither is kept in the program. Beside it pgbench reading one row of \
             400 bytes by its key, without HTTP, and the ceiling of HTTP.",
            ids.len()
        ),
        series: series.into(),
        ratios: ratios.into(),
        notes: Vec::new(),
    })
}
