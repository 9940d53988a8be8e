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
    let tenth = history.entries / 10;
    let until = recorded_at(history, tenth).await?;
    for format in ["ndjson", "csv", "ocsf", "cef"] {
        let little = trail(history, format, &["--to", &until])?;
        let everything = trail(history, format, &[])?;
        section.add(&format!("countersign trail --format {format}"), history, &everything, Some(&little));
    }
    over_http(history, section).await?;
    let first = bundle(bench, history, "tenth", &["--to", &tenth.to_string()])?;
    let whole = bundle(bench, history, "whole", &[])?;
    section.add("countersign export", history, &whole.written, Some(&first.written));
    section.add("countersign verify, of a bundle", history, &whole.verified, Some(&first.verified));
    let mut verify = history.installation.command()?;
    verify.arg("verify");
    section.add("countersign verify, of the database", history, &run(verify, "verify")?, None);
    Ok(())
}

/// What a program took.
struct Taken {
    time: Duration,
    peak_mib: f64,
}

impl Section {
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    fn add(&mut self, what: &str, history: &History, everything: &Taken, little: Option<&Taken>) {
        let rate = history.entries as f64 / everything.time.as_secs_f64();
        self.series.push(one(what.to_owned(), "entries per second", rate));
        self.series.push(one(format!("{what}: memory at its peak"), "MiB", everything.peak_mib));
        if let Some(little) = little {
            self.ratios.push(Ratio {
                what: format!("{what}: memory for everything to that for a tenth"),
                values: vec![everything.peak_mib / little.peak_mib],
                goals: vec![CONSTANT],
            });
        }
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
fn run(mut command: Command, what: &str) -> anyhow::Result<Taken> {
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
        std::thread::sleep(LOOK_EVERY);
    };
    ensure!(status.success(), "{what} failed: {status}");
    Ok(Taken { time: began.elapsed(), peak_mib: peak })
}

fn trail(history: &History, format: &str, more: &[&str]) -> anyhow::Result<Taken> {
    let mut command = history.installation.command()?;
    command.args(["trail", "--format", format]).args(more);
    run(command, &format!("trail as {format}"))
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
    let what = "GET /v1/audit/export?format=ndjson";
    section.add(what, history, &Taken { time, peak_mib: peak_mib(history.served.pid())? }, None);
    section.ratios.push(Ratio {
        what: format!("{what}: memory of the server after it to before it"),
        values: vec![peak_mib(history.served.pid())? / before],
        goals: vec![CONSTANT],
    });
    Ok(())
}

struct Bundle {
    written: Taken,
    verified: Taken,
}

fn bundle(bench: &Bench, history: &History, name: &str, more: &[&str]) -> anyhow::Result<Bundle> {
    let directory = bench.directory("bundles")?.join(name);
    let mut export = history.installation.command()?;
    export.arg("export").arg("--out").arg(&directory).args(more);
    let written = run(export, &format!("a bundle, {name}"))?;
    let verified = run(verify_bundle(history, &directory)?, &format!("verify a bundle, {name}"))?;
    Ok(Bundle { written, verified })
}

fn verify_bundle(history: &History, directory: &Path) -> anyhow::Result<Command> {
    let mut verify = history.installation.command()?;
    // An auditor has the policy from elsewhere.
    verify.arg("verify").arg("--bundle").arg(directory).arg("--policy").arg(directory.join("policy.txt"));
    Ok(verify)
}
