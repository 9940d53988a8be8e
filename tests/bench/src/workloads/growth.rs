//! Whether sign-ins stay as fast when there are more people.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::run_sql;
use crate::load::{self, Work};
use crate::people::{Target, login_check};
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::served::Served;
use crate::statements::{copies_between, copy_id};
use crate::statistics::ratios;
use crate::verifying::Verifying;

const CLIENTS: usize = 8;
/// So many people are real: they are the ones whose second factors are measured.
const REAL: usize = 1_000;
/// Copies that one statement makes.
const PART: usize = 100_000;
/// More people than all rounds ask about.
const ASKED: usize = 200_000;

/// An installation of some size.
struct Installed {
    people: usize,
    _served: Served,
    verifying: Verifying,
    /// Login checks about people spread over everybody, others in each round.
    asked: Arc<dyn Work>,
    checks: Series,
    factors: Series,
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let mut sizes = Vec::new();
    for people in [REAL, bench.size(100_000, 2_000), bench.size(2_000_000, 4_000)] {
        sizes.push(Installed::of(bench, people).await?);
    }
    let time = Duration::from_secs(bench.size(3, 1));
    for round in 0..=bench.rounds() {
        say(&format!("growth, round {round} of {}", bench.rounds()));
        for size in &mut sizes {
            size.measure(time, round > 0).await?;
        }
    }
    Ok(section(sizes))
}

impl Installed {
    async fn of(bench: &Bench, people: usize) -> anyhow::Result<Self> {
        say(&format!("growth: preparing {people} people"));
        let installation = bench.on_postgres(&format!("bench_growth_{people}")).await?;
        let served = installation.serve().await?;
        let target = Target::new(served.address, installation.api_key()?);
        let verifying = Verifying::prepare(target, REAL).await?;
        let ids: Vec<String> = verifying.people.all.iter().map(|person| person.id().to_owned()).collect();
        let first = ids.first().cloned().unwrap_or_default();
        let copied = people - REAL;
        for from in (1..=copied).step_by(PART) {
            let statements = copies_between(&first, from, copied.min(from + PART - 1));
            let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
            run_sql(&installation.database, &statements).await?;
        }
        run_sql(&installation.database, &["VACUUM ANALYZE"]).await?;
        let asked = if copied == 0 {
            ids
        } else {
            // Far apart, and in no order.
            (0..ASKED).map(|which| copy_id(1 + which.wrapping_mul(2_654_435_761) % copied)).collect()
        };
        let asked = login_check(&verifying.target.key, asked);
        let named =
            |what: &str| Series::new(format!("{what}, {people} people, {CLIENTS} clients"), "per second");
        let (checks, factors) = (named("login checks"), named("second factors"));
        Ok(Self { people, _served: served, verifying, asked, checks, factors })
    }

    async fn measure(&mut self, time: Duration, keep: bool) -> anyhow::Result<()> {
        let target = &self.verifying.target;
        let checks = load::run(&target.addresses, CLIENTS, time, Arc::clone(&self.asked)).await?;
        let factors = self.verifying.round(CLIENTS, time).await?;
        // The first round warms up.
        if keep {
            self.checks.push(&checks);
            self.factors.push(&factors);
        }
        Ok(())
    }
}

fn section(sizes: Vec<Installed>) -> Section {
    let flat = vec![Goal::AtMost(1.3)];
    let mut compared = Vec::new();
    if let Some((smallest, larger)) = sizes.split_first() {
        for size in larger {
            for (what, few, many) in [
                ("login checks", &smallest.checks, &size.checks),
                ("second factors", &smallest.factors, &size.factors),
            ] {
                let what = format!(
                    "{what}: time of one among {} people to one among {}",
                    size.people, smallest.people
                );
                compared.push(Ratio { what, values: ratios(&few.values, &many.values), goals: flat.clone() });
            }
        }
    }
    let series = sizes.into_iter().flat_map(|size| [size.checks, size.factors]).collect();
    Section {
        name: "growth",
        title: "Growth",
        text: format!(
            "Three installations on one server, measured in turn. In each {REAL} people were prepared through the API, and give \
             their second factors; the others are copies of one of them by SQL: snapshot, keys, vault, login-check row and one \
             event each. Login checks are about people all over, as far as there are so many each time about others."
        ),
        series,
        ratios: compared,
        notes: Vec::new(),
    }
}
