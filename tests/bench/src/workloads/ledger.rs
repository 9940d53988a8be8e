//! What the ledger costs: second factors with the sequencer, the trail and coverage running, and without.

use std::time::Duration;

use crate::people::Target;
use crate::report::{Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::sequencer::ask;
use crate::served::own;
use crate::statistics::ratios;
use crate::verifying::Verifying;

const CLIENTS: usize = 32;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let installation = bench.on_postgres("bench_ledger").await?;
    // Makes the keys of the installation.
    installation.serve().await?.stop()?;
    let key = installation.api_key()?;
    let data_dir = installation.data_dir.display().to_string();
    let words = ["sequencer", &installation.database, &data_dir];
    let served = own(&words, bench.directory("logs")?.join("sequencer")).await?;
    ask(served.address, "on").await?;
    say("ledger: preparing people");
    let mut verifying =
        Verifying::prepare(Target::new(served.address, key), bench.size(20_000, 2_000)).await?;
    let time = Duration::from_secs(bench.size(2, 1));
    let mut without = Series::new(format!("without the sequencer, {CLIENTS} clients"), "per second");
    let mut with = Series::new(format!("with it, {CLIENTS} clients"), "per second");
    // Many short rounds: other work on the machine changes more slowly than they do.
    for round in 0..=bench.size(12, 2) {
        // Which of the two comes first alternates: whatever grows or tires within a round then favours neither.
        let arms = if round % 2 == 0 { [true, false] } else { [false, true] };
        for is_on in arms {
            let challenged = verifying.open(CLIENTS, time).await?;
            verifying.target.settle().await?;
            if !is_on {
                ask(served.address, "off").await?;
            }
            let given = verifying.give(CLIENTS, time, &challenged).await?;
            if !is_on {
                ask(served.address, "on").await?;
            }
            verifying.target.settle().await?;
            // The first round warms up.
            if round > 0 {
                let series = if is_on { &mut with } else { &mut without };
                series.push(&given);
            }
        }
    }
    let values = ratios(&with.values, &without.values);
    let ratio = Ratio { what: "with the ledger to without".to_owned(), values, goals: Vec::new() };
    Ok(Section {
        name: "ledger",
        title: "What the ledger costs",
        text: "Second factors over HTTP, by the program's own routes in one process of the benchmark, in which the tasks that \
               make the ledger, sign it, and fill the trail and coverage were started and stopped in turn. With them, events \
               get their place while more are appended; without, they wait, and get it between the rounds. Which comes first \
               in a round alternates."
            .to_owned(),
        series: vec![without, with],
        ratios: vec![ratio],
        notes: Vec::new(),
    })
}
