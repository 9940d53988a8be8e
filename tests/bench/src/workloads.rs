//! What is measured: one file for each workload.

mod audit;
mod enforcement;
mod growth;
mod ledger;
mod login_check;
mod nodes;
mod password;
mod replay;
mod start;
mod streams;
mod verify;
mod verify_sqlite;

use std::sync::Arc;

use anyhow::bail;

use crate::client::request;
use crate::load::Work;
use crate::report::Section;
use crate::run::Bench;
use crate::served::{Served, own};
use crate::work::round_and_round;

/// Every workload, in the order of the document.
pub(crate) const WORKLOADS: [&str; 12] = [
    "verify",
    "verify-sqlite",
    "login-check",
    "ledger",
    "enforcement",
    "password",
    "start",
    "replay",
    "audit",
    "nodes",
    "growth",
    "streams",
];

pub(crate) async fn run(bench: &Bench, name: &str) -> anyhow::Result<Section> {
    match name {
        "verify" => verify::run(bench).await,
        "verify-sqlite" => verify_sqlite::run(bench).await,
        "login-check" => login_check::run(bench).await,
        "ledger" => ledger::run(bench).await,
        "enforcement" => enforcement::run(bench).await,
        "password" => password::run(bench).await,
        "start" => start::run(bench).await,
        "replay" => replay::run(bench).await,
        "audit" => audit::run(bench).await,
        "nodes" => nodes::run(bench).await,
        "growth" => growth::run(bench).await,
        "streams" => streams::run(bench).await,
        _ => bail!("there is no workload {name}"),
    }
}

/// The ceiling of HTTP, as a process of its own.
async fn ceiling(bench: &Bench) -> anyhow::Result<Served> {
    own(&["ceiling"], bench.directory("logs")?.join("ceiling")).await
}

fn ceiling_work() -> Arc<dyn Work> {
    let make = |_: usize, into: &mut Vec<u8>| request(into, "POST /constant", "", r#"{"code":"123456"}"#);
    round_and_round(1, make, |_, answer| answer.expect(200).map(drop))
}

fn clients_text(clients: usize) -> String {
    if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") }
}
