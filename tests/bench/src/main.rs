//! Benchmarks whose figures are ratios: the built program, and beside it in the same run something else that did
//! the same work. `tests/bench/run` starts it; see there.
//!
//! Reading order: [`run`], [`workloads`] and what each measures, [`load`] (the closed loop), [`people`] (who is
//! prepared), [`pgbench`] and [`statements`] (the limit), [`base`] and [`ceiling`], [`report`].

mod base;
mod ceiling;
mod client;
mod cluster;
mod history;
mod listening;
mod load;
mod people;
mod pgbench;
mod report;
mod run;
mod sequencer;
mod served;
mod statements;
mod statistics;
mod verifying;
mod work;
mod workloads;

use anyhow::{Context, bail};
use mimalloc::MiMalloc;

/// As the program under test has it, so that whatever else serves here is not slower for the lack of it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// On one thread: a load generator that spreads over all processors takes them from what it measures.
#[tokio::main(flavor = "current_thread")]
async fn measure(names: Vec<String>) -> anyhow::Result<()> {
    run::run(names).await
}

/// What serves has as many threads as the program under test.
#[tokio::main]
async fn serve(what: &str, mut words: impl Iterator<Item = String>) -> anyhow::Result<()> {
    match what {
        "ceiling" => ceiling::run().await,
        "base" => base::run(&words.next().context("the address of a database")?).await,
        "sequencer" => {
            let database = words.next().context("the address of a database")?;
            let directory = words.next().context("a directory")?.into();
            sequencer::run(database, directory, &words.next().context("what runs beside")?).await
        }
        _ => bail!("{what} is nothing that this program does"),
    }
}

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("run") => measure(words.collect()),
        Some(what) => serve(what, words),
        None => bail!("use tests/bench/run"),
    }
}
