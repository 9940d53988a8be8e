//! How soon a stopped program answers again, and what it holds in memory when nobody asks it anything.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::client::{Connection, request};
use crate::people::{People, Target};
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::served::{Installation, resident_mib};

/// Between two attempts to connect; how exactly the time is taken.
const KNOCK_EVERY: Duration = Duration::from_micros(500);
const START_MAX: Duration = Duration::from_secs(30);

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let installation = bench.on_sqlite("sqlite-start")?;
    let people = bench.size(1_000, 100);
    say("start: preparing people");
    let served = installation.serve().await?;
    let target = Target::new(served.address, installation.api_key()?);
    let prepared = People::prepare(&target, people).await?;
    served.stop()?;
    let id = prepared.all.first().map(|person| person.id().to_owned()).unwrap_or_default();
    let mut question = Vec::new();
    request(&mut question, "POST /v1/login-checks", &target.key, &format!(r#"{{"user_id":"{id}"}}"#));
    let mut answered = Series::new("from the start of the process to the first login check", "ms");
    let mut first = Series::new("memory after the first answer", "MiB");
    let mut idle = Series::new("memory after five seconds without a request", "MiB");
    for _ in 0..bench.size(9, 2) {
        let address = free_address()?;
        let started = Instant::now();
        let mut child = start(&installation, address)?;
        first_answer(address, &question, started).await?;
        answered.values.push(started.elapsed().as_secs_f64() * 1_000.0);
        first.values.push(resident_mib(child.id())?);
        tokio::time::sleep(Duration::from_secs(5)).await;
        idle.values.push(resident_mib(child.id())?);
        ensure!(child.try_wait()?.is_none(), "it ended");
        child.kill()?;
        child.wait()?;
    }
    let ratio = |what: &str, series: &Series, bound: f64| Ratio {
        what: what.to_owned(),
        values: series.values.iter().map(|value| value / bound).collect(),
        goals: vec![Goal::AtMost(1.0)],
    };
    let ratios = vec![
        ratio("time to the first answer, to 300 ms", &answered, 300.0),
        ratio("memory when idle, to 64 MiB", &idle, 64.0),
    ];
    Ok(Section {
        name: "start",
        title: "Starting",
        text: format!(
            "The program is killed and started again on a SQLite database with {people} people with two-factor; it migrates, \
             opens its vault and its ledger and listens. A client knocks every half millisecond, and asks a login check as \
             soon as it can connect. The files are in the page cache. These two are bounds, not comparisons."
        ),
        series: vec![answered, first, idle],
        ratios,
        notes: Vec::new(),
    })
}

/// Nobody else is likely to take it in the next moment.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn start(installation: &Installation, address: SocketAddr) -> anyhow::Result<Child> {
    let mut command = installation.command()?;
    command.args(["serve", "--listen", &address.to_string()]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

async fn first_answer(address: SocketAddr, question: &[u8], started: Instant) -> anyhow::Result<()> {
    while started.elapsed() < START_MAX {
        match Connection::open(address).await {
            Ok(mut connection) => return connection.send(question).await?.expect(200).map(drop),
            Err(_) => tokio::time::sleep(KNOCK_EVERY).await,
        }
    }
    anyhow::bail!("it does not listen")
}
