//! Second factors a second: the sign-in's second step over HTTP, durable and recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{ceiling, ceiling_work, clients_text};
use crate::base::TABLES;
use crate::client::request;
use crate::cluster::run_sql;
use crate::load::{self, Work};
use crate::people::{People, Target, verify};
use crate::pgbench::{PLANS, Script, selects_by_key, single_inserts};
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::served::{Served, cpu_s, own};
use crate::statements::{copies, last_logged, script};
use crate::statistics::ratios;
use crate::verifying::Verifying;
use crate::work::round_and_round;

const CLIENTS: [usize; 4] = [1, 8, 32, 64];

/// What is measured beside each other, in this order within a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Arm {
    Ours,
    Inserts,
    OwnSql,
    Selects,
    Base,
    Ceiling,
}

impl Arm {
    const ALL: [Self; 6] =
        [Self::Ours, Self::Inserts, Self::OwnSql, Self::Selects, Self::Base, Self::Ceiling];

    const fn name(self) -> &'static str {
        match self {
            Self::Ours => "countersign, second factors over HTTP",
            Self::Inserts => "pgbench, durable insert of one 400-byte event",
            Self::OwnSql => "pgbench, the statements of one second factor",
            Self::Selects => "pgbench, select by key",
            Self::Base => "plain cqrs-es and postgres-es behind axum",
            Self::Ceiling => "axum answering a constant",
        }
    }

    /// Processor time of the program, and of the database server.
    fn cpu_series(self) -> (Series, Series) {
        let of = |whose: &str| format!("processor time of the {whose}, 64 clients: {}", self.name());
        (Series::new(of("program"), "µs each"), Series::new(of("server"), "µs each"))
    }
}

/// Everything that runs while this is measured.
struct Stage<'b> {
    bench: &'b Bench,
    ours: Served,
    verifying: Verifying,
    base: Served,
    /// Goes on from round to round: as many streams as people, so that none grows long.
    base_work: Arc<dyn Work>,
    ceiling: Served,
    inserts: Script,
    selects: Script,
    own_sql: Script,
    /// Processor time that each took at 64 clients, in microseconds: of the program, and of the server.
    cpu_us: BTreeMap<Arm, (Series, Series)>,
    pending: u64,
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let mut stage = Stage::set(bench).await?;
    let mut measured: BTreeMap<(usize, Arm), Series> = BTreeMap::new();
    for round in 0..=bench.rounds() {
        say(&format!("verify, round {round} of {}", bench.rounds()));
        for clients in CLIENTS {
            for arm in Arm::ALL {
                let what = format!("{}, {}", arm.name(), clients_text(clients));
                let series =
                    measured.entry((clients, arm)).or_insert_with(|| Series::new(what, "per second"));
                // The first round warms up.
                let mut discarded = Series::empty();
                let series = if round == 0 { &mut discarded } else { series };
                stage.measure(arm, clients, series).await?;
            }
        }
        if round == 0 {
            stage.cpu_us = Arm::ALL.map(|arm| (arm, arm.cpu_series())).into();
        }
    }
    Ok(stage.section(measured))
}

impl<'b> Stage<'b> {
    async fn set(bench: &'b Bench) -> anyhow::Result<Self> {
        let own_sql = own_statements(bench).await?;
        let limit = bench.cluster.create("bench_limit").await?;
        let (inserts, selects) = (single_inserts(&limit).await?, selects_by_key(&limit, 100_000).await?);
        let base_url = bench.cluster.create("bench_base").await?;
        run_sql(&base_url, &TABLES).await?;
        let logs = bench.directory("logs")?;
        let base = own(&["base", &base_url], logs.join("base")).await?;
        let ceiling = ceiling(bench).await?;
        let installation = bench.on_postgres("bench_verify").await?;
        let ours = installation.serve().await?;
        let target = Target::new(ours.address, installation.api_key()?);
        say("verify: preparing people");
        let verifying = Verifying::prepare(target, bench.size(20_000, 2_000)).await?;
        let cpu_us = Arm::ALL.map(|arm| (arm, arm.cpu_series())).into();
        Ok(Self {
            bench,
            ours,
            verifying,
            base,
            ceiling,
            inserts,
            selects,
            own_sql,
            cpu_us,
            pending: 0,
            base_work: base_work(),
        })
    }

    async fn measure(&mut self, arm: Arm, clients: usize, series: &mut Series) -> anyhow::Result<()> {
        let seconds = self.bench.size(3, 1);
        let time = Duration::from_secs(seconds);
        let challenged = match arm {
            Arm::Ours => self.verifying.open(clients, time).await?,
            Arm::Inserts | Arm::OwnSql | Arm::Selects | Arm::Base | Arm::Ceiling => Vec::new(),
        };
        let before = self.cpu_s(arm)?;
        let count = match arm {
            Arm::Ours => {
                let round = self.verifying.give(clients, time, &challenged).await?;
                self.pending = self.pending.max(self.verifying.target.pending().await?);
                // What the ledger has still to do belongs to what these took.
                self.verifying.target.settle().await?;
                series.push(&round)
            }
            Arm::Base => series
                .push(&load::run(&[self.base.address], clients, time, Arc::clone(&self.base_work)).await?),
            Arm::Ceiling => {
                series.push(&load::run(&[self.ceiling.address], clients, time, ceiling_work()).await?)
            }
            Arm::Inserts | Arm::OwnSql | Arm::Selects => {
                let script = match arm {
                    Arm::Inserts => &self.inserts,
                    Arm::OwnSql => &self.own_sql,
                    Arm::Selects | Arm::Ours | Arm::Base | Arm::Ceiling => &self.selects,
                };
                let measured = script.measure(&self.bench.cluster, clients, seconds)?;
                series.values.push(measured.rate);
                measured.count
            }
        };
        let after = self.cpu_s(arm)?;
        if clients == 64
            && let Some((program, server)) = self.cpu_us.get_mut(&arm)
        {
            program.values.push((after.0 - before.0) * 1e6 / count);
            server.values.push((after.1 - before.1) * 1e6 / count);
        }
        Ok(())
    }

    /// Processor time so far, of the program that serves and of the database server.
    fn cpu_s(&self, arm: Arm) -> anyhow::Result<(f64, f64)> {
        let program = match arm {
            Arm::Ours => cpu_s(self.ours.pid())?,
            Arm::Base => cpu_s(self.base.pid())?,
            Arm::Ceiling => cpu_s(self.ceiling.pid())?,
            Arm::Inserts | Arm::OwnSql | Arm::Selects => 0.0,
        };
        Ok((program, self.bench.cluster.cpu_s()?))
    }

    fn section(&self, measured: BTreeMap<(usize, Arm), Series>) -> Section {
        let values = |clients, arm| measured.get(&(clients, arm)).map_or(&[][..], |series| &series.values);
        let mut compared = Vec::new();
        for (arm, goals) in [
            (Arm::Inserts, vec![Goal::AtLeast(0.6), Goal::AtLeast(1.0)]),
            (Arm::Base, vec![Goal::AtLeast(3.0)]),
            (Arm::OwnSql, Vec::new()),
            (Arm::Ceiling, Vec::new()),
        ] {
            for clients in CLIENTS {
                // What is asked for is asked at 64 clients; the others are context.
                let goals = if clients == 64 { goals.clone() } else { Vec::new() };
                let what = format!("countersign to {}, {}", arm.name(), clients_text(clients));
                let values = ratios(values(clients, Arm::Ours), values(clients, arm));
                compared.push(Ratio { what, values, goals });
            }
        }
        let mut series: Vec<Series> = measured.into_values().collect();
        for (program, server) in self.cpu_us.values() {
            series.extend(
                [program, server]
                    .into_iter()
                    .filter(|taken| taken.values.iter().any(|us| *us > 1.0))
                    .cloned(),
            );
        }
        let people = self.verifying.people.all.len();
        Section {
            name: "verify",
            title: "Second factors",
            text: format!(
                "`POST /v1/logins/{{challenge_id}}/verify` with a right code, each by somebody else of {people} people whose \
                 challenges are open; loading, judging and two durable events each, with the sequencer, the trail and \
                 coverage running. Beside it pgbench (prepared, two threads, its first seconds not counted) on the same server, a trivial aggregate with one \
                 view on plain cqrs-es and postgres-es with its pool of ten, and an axum route that reads JSON and answers a \
                 constant. What loads the others is the same closed loop."
            ),
            series,
            ratios: compared,
            notes: vec![format!(
                "After a round at most {} events waited for their place in the ledger: the rest was given theirs meanwhile.",
                self.pending
            )],
        }
    }
}

/// The two statements of a second factor, caught in the server's log, on copies of whoever gave it.
async fn own_statements(bench: &Bench) -> anyhow::Result<Script> {
    say("verify: catching the program's statements");
    let installation = bench.on_postgres("bench_own_sql").await?;
    let url = installation.database.clone();
    let set = |value: &str| format!("ALTER DATABASE bench_own_sql SET log_statement = '{value}'");
    let served = installation.serve().await?;
    let target = Target::new(served.address, installation.api_key()?);
    let mut people = People::prepare(&target, 1).await?;
    run_sql(&url, &[&set("all")]).await?;
    served.stop()?;
    let served = installation.serve_as("caught").await?;
    let target = Target { addresses: vec![served.address], ..target };
    let challenged = people.challenge(&target, 1).await?;
    load::run(&target.addresses, 1, Duration::from_secs(10), verify(&target.key, &challenged)).await?;
    run_sql(&url, &[&set("none")]).await?;
    served.stop()?;
    let log = bench.cluster.read_log()?;
    let load = last_logged(&log, "SELECT wanted.id AS id, wanted.subject AS subject, s.last_sequence")?;
    let append = last_logged(&log, "WITH moved AS (INSERT INTO snapshots")?;
    let id = challenged.first().map(|person| person.id().to_owned()).unwrap_or_default();
    let count = bench.size(20_000, 2_000);
    for statement in copies(&id, count) {
        run_sql(&url, &[&statement]).await?;
    }
    let (text, variables) = script(&load, &append, count)?;
    Ok(Script::new(&url, &text, variables, PLANS))
}

fn base_work() -> Arc<dyn Work> {
    let make = |which: usize, into: &mut Vec<u8>| {
        request(into, &format!("POST /people/person-{which}/verify"), "", r#"{"code":"123456"}"#);
    };
    round_and_round(20_000, make, |_, answer| answer.expect(200).map(drop))
}
