//! Everything that the trail holds, exported and verified: how fast, and in how much memory beside that of a tenth.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::{Connection as _, Executor, PgConnection, Row};

use crate::client::{Connection, request};
use crate::history::History;
use crate::report::{Goal, Ratio, Section, Series};
use crate::run::{Bench, say};
use crate::served::peak_mib;

/// How often a process is asked for its greatest memory. What it takes in the last of these alone is missed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Memory that grows with the ledger would be ten times as much.
const CONSTANT: Goal = Goal::AtMost(1.5);

/// Adds what it measures to the section.
pub(super) async fn measure(bench: &Bench, history: &History, section: &mut Section) -> anyhow::Result<()> {
    let (entries, tenth) = (history.entries, history.entries / 10);
    let until = recorded_at(history, tenth).await?;
    for format in ["csv", "ocsf", "cef"] {
        let taken = trail(history, format, &["--to", &until]).await?;
        section.add(&format!("countersign trail --format {format}, a tenth"), tenth, &taken);
    }
    let little = trail(history, "ndjson", &["--to", &until]).await?;
    let everything = trail(history, "ndjson", &[]).await?;
    section.add("countersign trail --format ndjson", entries, &everything);
    section.compare("countersign trail --format ndjson", everything.peak_mib, little.peak_mib);
    over_http(history, section).await?;
    let first = bundle(bench, history, "tenth", &["--to", &tenth.to_string()]).await?;
    let whole = bundle(bench, history, "whole", &[]).await?;
    for (what, taken, of_a_tenth) in [
        ("countersign export", &whole.written, &first.written),
        ("countersign verify, of a bundle", &whole.verified, &first.verified),
    ] {
        section.add(what, entries, taken);
        section.compare(what, taken.peak_mib, of_a_tenth.peak_mib);
    }
    Ok(())
}

/// What a program took.
struct Taken {
    time: Duration,
    peak_mib: f64,
}

impl Section {
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    fn add(&mut self, what: &str, entries: u64, taken: &Taken) {
        let rate = entries as f64 / taken.time.as_secs_f64();
        self.series.push(one(what.to_owned(), "entries per second", rate));
        self.series.push(one(format!("{what}: memory at its peak"), "MiB", taken.peak_mib));
    }

    fn compare(&mut self, what: &str, everything_mib: f64, tenth_mib: f64) {
        self.ratios.push(Ratio {
            what: format!("{what}: memory for everything to that for a tenth"),
            values: vec![everything_mib / tenth_mib],
            goals: vec![CONSTANT],
        });
    }
}

/// Measured once: it takes minutes.
fn one(what: String, unit: &'static str, value: f64) -> Series {
    Series { values: vec![value], ..Series::new(what, unit) }
}

/// The moment before which so many entries were recorded.
async fn recorded_at(history: &History, entries: u64) -> anyhow::Result<String> {
    let mut database = PgConnection::connect(&history.installation.database).await?;
    let sql = format!(
        "SELECT to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM audit_trail_v1 \
         ORDER BY recorded_at, position OFFSET {entries} LIMIT 1"
    );
    Ok(database.fetch_one(sql.as_str()).await?.try_get(0)?)
}

/// Runs it to its end.
async fn run(mut command: Command, what: &str) -> anyhow::Result<Taken> {
    say(&format!("audit: {what}"));
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut peak = 0_f64;
    let status = loop {
        // It is gone from the table, or has no memory any more, once it has ended.
        peak = peak.max(peak_mib(child.id()).unwrap_or_default());
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    ensure!(status.success(), "{what} failed: {status}");
    Ok(Taken { time: began.elapsed(), peak_mib: peak })
}

async fn trail(history: &History, format: &str, more: &[&str]) -> anyhow::Result<Taken> {
    let mut command = history.installation.command()?;
    command.args(["trail", "--format", format]).args(more);
    run(command, &format!("trail as {format}")).await
}

/// One client reads it as fast as it comes, from the server that has answered all the searches.
async fn over_http(history: &History, section: &mut Section) -> anyhow::Result<()> {
    say("audit: over HTTP");
    let before = peak_mib(history.served.pid())?;
    let mut asked = Vec::new();
    request(&mut asked, "GET /v1/audit/export?format=ndjson", &history.target.key, "");
    let began = Instant::now();
    let connection = Connection::open(history.served.address).await?;
    let lines = connection.count_lines(&asked).await?;
    let time = began.elapsed();
    // Since then it may have been recorded that the trail was read.
    ensure!(lines >= history.entries, "{lines} entries of {} came", history.entries);
    let (what, peak_mib) = ("GET /v1/audit/export?format=ndjson", peak_mib(history.served.pid())?);
    section.add(what, history.entries, &Taken { time, peak_mib });
    section.ratios.push(Ratio {
        what: format!("{what}: memory of the server at its peak, after it to before it"),
        values: vec![peak_mib / before],
        goals: vec![CONSTANT],
    });
    Ok(())
}

struct Bundle {
    written: Taken,
    verified: Taken,
}

async fn bundle(bench: &Bench, history: &History, name: &str, more: &[&str]) -> anyhow::Result<Bundle> {
    let directory = bench.directory("bundles")?.join(name);
    let mut export = history.installation.command()?;
    export.arg("export").arg("--out").arg(&directory).args(more);
    let written = run(export, &format!("a bundle, {name}")).await?;
    let verified = run(verify_bundle(history, &directory)?, &format!("verify a bundle, {name}")).await?;
    Ok(Bundle { written, verified })
}

fn verify_bundle(history: &History, directory: &Path) -> anyhow::Result<Command> {
    let mut verify = history.installation.command()?;
    // An auditor has the policy from elsewhere.
    verify.arg("verify").arg("--bundle").arg(directory).arg("--policy").arg(directory.join("policy.txt"));
    Ok(verify)
}
