//! What the ledger costs: second factors without it, with the sequencer, and with the trail and coverage too.

use std::time::Duration;

use crate::people::Target;
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::sequencer::Beside;
use crate::served::{Served, own};
use crate::statistics::ratios;
use crate::verifying::Verifying;

const CLIENTS: usize = 32;

/// An installation, and what it does.
struct Arm {
    beside: Beside,
    _served: Served,
    verifying: Verifying,
    series: Series,
}

impl Arm {
    async fn set(bench: &Bench, beside: Beside) -> anyhow::Result<Self> {
        let what = match beside {
            Beside::Nothing => "without the ledger",
            Beside::Sequencer => "with the sequencer",
            Beside::Everything => "with trail and coverage too",
        };
        say(&format!("ledger: preparing people, {what}"));
        let name = format!("bench_ledger_{}", beside.word());
        let installation = bench.on_postgres(&name).await?;
        // Makes the keys of the installation.
        installation.serve().await?.stop()?;
        let key = installation.api_key()?;
        let data_dir = installation.data_dir.display().to_string();
        let words = ["sequencer", &installation.database, &data_dir, beside.word()];
        let served = own(&words, bench.directory("logs")?.join(name)).await?;
        let target = Target { beside, ..Target::new(served.address, key) };
        let verifying = Verifying::prepare(target, bench.size(30_000, 2_000)).await?;
        let series = Series::new(format!("{what}, {CLIENTS} clients"), "per second");
        Ok(Self { beside, _served: served, verifying, series })
    }
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let mut arms = Vec::new();
    for beside in Beside::ALL {
        arms.push(Arm::set(bench, beside).await?);
    }
    // Far longer than a turn rests, so that little of a round's work is left for after it; and many rounds, since
    // they scatter by more than the ledger costs.
    let time = Duration::from_secs(bench.size(4, 1));
    for round in 0..=bench.size(24, 2) {
        // Whatever comes after another then favours none.
        arms.rotate_left(1);
        if round % 3 == 0 {
            arms.reverse();
        }
        for arm in &mut arms {
            let given = arm.verifying.round(CLIENTS, time).await?;
            // The first round warms up.
            if round > 0 {
                arm.series.push(&given);
            }
        }
    }
    arms.sort_by_key(|arm| arm.beside);
    let series: Vec<Series> = arms.into_iter().map(|arm| arm.series).collect();
    let [without, sequencer, everything] = series.as_slice() else { anyhow::bail!("an arm is missing") };
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
        text: "Second factors over HTTP in three installations on one server, each with its own database and people, measured \
               in turn; which comes first goes round. They are served by the program's own routes, in processes of the \
               benchmark beside which nothing runs, or the tasks that make the ledger and sign it, or those that fill the \
               trail and coverage too. All run from the beginning to the end, as in life: with them, events get their \
               place while more are appended; without, they wait for ever. The next is measured once all that the one \
               before was given is done with."
            .to_owned(),
        series,
        ratios,
        notes: Vec::new(),
    })
}
