//! What the ledger costs: second factors without it, with the sequencer, and with the trail and coverage too.

use std::time::Duration;

use crate::people::Target;
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::sequencer::{Beside, ask};
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
    ask(served.address, Beside::On).await?;
    say("ledger: preparing people");
    let mut verifying =
        Verifying::prepare(Target::new(served.address, key), bench.size(20_000, 2_000)).await?;
    let time = Duration::from_secs(bench.size(2, 1));
    let mut arms = [
        (Beside::Off, "without the ledger"),
        (Beside::Sequencer, "with the sequencer"),
        (Beside::On, "with trail and coverage too"),
    ]
    .map(|(beside, what)| (beside, Series::new(format!("{what}, {CLIENTS} clients"), "per second")));
    // Many short rounds: other work on the machine changes more slowly than they do.
    for round in 0..=bench.size(10, 2) {
        // Whatever grows or tires within a round, or comes after another, then favours none.
        arms.rotate_left(1);
        if round % 3 == 0 {
            arms.reverse();
        }
        for (beside, series) in &mut arms {
            // Whoever gives the second factors their place has given it to the challenges before.
            let challenged = verifying.open(CLIENTS, time).await?;
            ask(served.address, *beside).await?;
            let given = verifying.give(CLIENTS, time, &challenged).await?;
            ask(served.address, Beside::On).await?;
            // The first round warms up.
            if round > 0 {
                series.push(&given);
            }
        }
    }
    arms.sort_by_key(|(beside, _)| *beside);
    let [without, sequencer, everything] = arms.map(|(_, series)| series);
    let ratios = vec![
        Ratio {
            what: "with the sequencer to without".to_owned(),
            values: ratios(&sequencer.values, &without.values),
            goals: vec![Goal::AtLeast(0.9)],
        },
        Ratio {
            what: "with trail and coverage too to without".to_owned(),
            values: ratios(&everything.values, &without.values),
            goals: Vec::new(),
        },
    ];
    Ok(Section {
        name: "ledger",
        title: "What the ledger costs",
        text: "Second factors over HTTP, by the program's own routes in one process of the benchmark, beside which nothing \
               was running, or the tasks that make the ledger and sign it, or those that fill the trail and coverage too. \
               With them, events get their place while more are appended; without, they wait, and get it between the \
               measurements. Which comes first goes round."
            .to_owned(),
        series: vec![without, sequencer, everything],
        ratios,
        notes: Vec::new(),
    })
}
