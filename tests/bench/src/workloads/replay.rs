//! Whether sign-ins notice that read models are rebuilt beside them.

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::ensure;

use crate::history::History;
use crate::load::{self, Round};
use crate::people::login_check;
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::statistics::ratios;

const CLIENTS: usize = 8;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let history = History::make(bench, "bench_replay", bench.size(1_000_000, 20_000)).await?;
    let time = Duration::from_secs(bench.size(6, 1));
    let mut alone = Series::new(format!("login checks, {CLIENTS} clients, alone"), "per second");
    let mut beside = Series::new(format!("login checks, {CLIENTS} clients, during a replay"), "per second");
    for round in 0..=bench.rounds() {
        say(&format!("replay, round {round} of {}", bench.rounds()));
        let first = ask(&history, time).await?;
        let mut replay = replay(&history)?;
        // Connected and reading.
        tokio::time::sleep(Duration::from_millis(bench.size(1_000, 50))).await;
        let second = ask(&history, time).await?;
        let ended = replay.try_wait()?;
        ensure!(
            bench.quick || ended.is_none(),
            "the replay ended before the round did: fill in more entries"
        );
        ensure!(replay.wait()?.success(), "the replay failed");
        history.target.settle().await?;
        // The first round warms up.
        if round > 0 {
            alone.push(&first);
            beside.push(&second);
        }
    }
    let ratio = Ratio {
        what: format!("p99 of a login check during a replay to alone, {CLIENTS} clients"),
        values: ratios(&beside.p99_ms, &alone.p99_ms),
        goals: vec![Goal::AtMost(2.0)],
    };
    Ok(Section {
        name: "replay",
        title: "Replay beside sign-ins",
        text: format!(
            "`POST /v1/login-checks` while `countersign replay` rebuilds every read model from {} entries on the same machine and \
             database, and without it.",
            history.entries
        ),
        series: vec![alone, beside],
        ratios: vec![ratio],
        notes: Vec::new(),
    })
}

async fn ask(history: &History, time: Duration) -> anyhow::Result<Round> {
    let ids = history.people.all.iter().map(|person| person.id().to_owned()).collect();
    load::run(&history.target.addresses, CLIENTS, time, login_check(&history.target.key, ids)).await
}

fn replay(history: &History) -> anyhow::Result<Child> {
    let mut command = history.installation.command()?;
    command.arg("replay").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn()?)
}
