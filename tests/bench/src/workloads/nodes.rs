//! Second factors a second over one, two and three nodes on one database.

use std::time::Duration;

use crate::people::Target;
use crate::report::{Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::statistics::ratios;
use crate::verifying::Verifying;

const CLIENTS: usize = 64;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let installation = bench.on_postgres("bench_nodes").await?;
    let mut nodes = Vec::new();
    for name in ["first", "second", "third"] {
        nodes.push(installation.serve_as(name).await?);
    }
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let first = addresses.first().copied().unwrap_or_else(|| std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    say("nodes: preparing people");
    let target = Target::new(first, installation.api_key()?);
    let mut verifying = Verifying::prepare(target, bench.size(20_000, 2_000)).await?;
    let time = Duration::from_secs(bench.size(3, 1));
    let mut series: Vec<Series> = (1..=nodes.len())
        .map(|count| Series::new(format!("{count} serving, {CLIENTS} clients"), "per second"))
        .collect();
    for round in 0..=bench.rounds() {
        say(&format!("nodes, round {round} of {}", bench.rounds()));
        for (series, count) in series.iter_mut().zip(1..) {
            verifying.target.addresses = addresses.iter().take(count).copied().collect();
            let measured = verifying.round(CLIENTS, time).await?;
            // The first round warms up.
            if round > 0 {
                series.push(&measured);
            }
        }
    }
    let alone = series.first().map(|series| series.values.clone()).unwrap_or_default();
    let compared = series.iter().skip(1).zip(2..).map(|(series, count)| Ratio {
        what: format!("{count} nodes to one"),
        values: ratios(&series.values, &alone),
        goals: Vec::new(),
    });
    Ok(Section {
        name: "nodes",
        title: "More than one node",
        text: "Second factors by clients that are spread over one, two and three `countersign serve` on one PostgreSQL, all on \
               this machine; those that get no requests idle beside. On a machine whose processors are all in use already this \
               shows only what sharing the database costs, not what more machines would bring."
            .to_owned(),
        ratios: compared.collect(),
        series,
        notes: Vec::new(),
    })
}
