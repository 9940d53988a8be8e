//! Whether second factors stay as fast when streams grow long.

use std::time::Duration;

use crate::cluster::run_sql;
use crate::people::{People, Target};
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::statements::longer_streams;
use crate::statistics::ratios;
use crate::verifying::Verifying;

/// Everybody gives one code in a round, and may give the next half a minute later.
const TIME: Duration = Duration::from_mins(1);

/// People, and how long the code of one of them takes.
struct Arm {
    verifying: Verifying,
    median_ms: Series,
}

impl Arm {
    fn new(target: &Target, people: People, events: &str) -> Self {
        let what = format!("second factor, {events} events in the stream, 1 client");
        Self { verifying: Verifying::of(target.clone(), people), median_ms: Series::new(what, "ms, median") }
    }

    async fn measure(&mut self, keep: bool) -> anyhow::Result<()> {
        let given = self.verifying.round(1, TIME).await?;
        if keep {
            self.median_ms.values.push(given.percentile_ms(50));
        }
        Ok(())
    }
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let (people, events) = (bench.size(100, 20), bench.size(10_000, 200));
    say(&format!("streams: preparing streams of {events} events"));
    let installation = bench.on_postgres("bench_streams").await?;
    let served = installation.serve().await?;
    let target = Target::new(served.address, installation.api_key()?);
    let everybody = Verifying::prepare(target.clone(), 2 * people).await?;
    let (short, long) = everybody.people.split(people);
    for person in &long.all {
        let statements = longer_streams(person.id(), events);
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        run_sql(&installation.database, &statements).await?;
    }
    target.settle().await?;
    run_sql(&installation.database, &["VACUUM ANALYZE"]).await?;
    let mut short = Arm::new(&target, short, "fewer than 60");
    let mut long = Arm::new(&target, long, &events.to_string());
    for round in 0..=bench.size(12, 2) {
        say(&format!("streams, round {round}"));
        // Whatever comes first favours neither, and the first round warms up.
        let arms = if round % 2 == 0 { [&mut short, &mut long] } else { [&mut long, &mut short] };
        for arm in arms {
            arm.measure(round > 0).await?;
        }
    }
    let [short, long] = [short.median_ms, long.median_ms];
    Ok(Section {
        name: "streams",
        title: "Long streams",
        text: format!(
            "Second factors of {people} people whose streams were lengthened by SQL with copies of their last event, which the \
             sequencer gave their place before anything was measured, and of {people} others of the same installation; one \
             client, and in turn which of the two comes first."
        ),
        ratios: vec![Ratio {
            what: "second factor: time with a long stream to a short one".to_owned(),
            values: ratios(&long.values, &short.values),
            goals: vec![Goal::AtMost(1.3)],
        }],
        series: vec![short, long],
        notes: Vec::new(),
    })
}
