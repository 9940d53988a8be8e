//! Second factors a second on SQLite, beside one connection that inserts durably.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::people::Target;
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::statistics::ratios;
use crate::verifying::Verifying;

const CLIENTS: usize = 32;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let installation = bench.on_sqlite("sqlite-verify")?;
    let served = installation.serve().await?;
    say("verify-sqlite: preparing people");
    let target = Target::new(served.address, installation.api_key()?);
    let mut verifying = Verifying::prepare(target, bench.size(20_000, 2_000)).await?;
    let bare = bare(&bench.directory("sqlite-bare")?)?;
    let time = Duration::from_secs(bench.size(3, 1));
    let mut ours =
        Series::new(format!("countersign on SQLite, second factors, {CLIENTS} clients"), "per second");
    let mut inserts =
        Series::new("rusqlite, durable insert of one 400-byte event, one connection", "per second");
    for round in 0..=bench.rounds() {
        let (mut first, mut second) = (Series::empty(), Series::empty());
        // The first round warms up.
        let (ours, inserts) = if round == 0 { (&mut first, &mut second) } else { (&mut ours, &mut inserts) };
        ours.push(&verifying.round(CLIENTS, time).await?);
        inserts.values.push(inserted(&bare, time)?);
    }
    let ratio = Ratio {
        what: format!("countersign to single inserts, {CLIENTS} clients"),
        values: ratios(&ours.values, &inserts.values),
        goals: vec![Goal::AtLeast(1.2)],
    };
    Ok(Section {
        name: "verify-sqlite",
        title: "Second factors on SQLite",
        text: "The same as above on the embedded database (WAL, `synchronous=FULL`). Beside it one connection with the same \
               settings, in a program that does nothing else, inserting rows of 400 bytes with a primary key, each in a \
               transaction of its own."
            .to_owned(),
        series: vec![ours, inserts],
        ratios: vec![ratio],
        notes: Vec::new(),
    })
}

fn bare(directory: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(directory.join("bare.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute("CREATE TABLE durable (id INTEGER PRIMARY KEY, event TEXT NOT NULL)", [])?;
    Ok(connection)
}

/// Inserts a second.
fn inserted(connection: &Connection, time: Duration) -> anyhow::Result<f64> {
    let event = "e".repeat(400);
    let mut insert = connection.prepare("INSERT INTO durable (event) VALUES (?1)")?;
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < time {
        insert.execute([&event])?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}
