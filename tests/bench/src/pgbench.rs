//! pgbench: the limit that PostgreSQL itself sets, on the same machine in the same run.

use std::io::Write;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::cluster::{Cluster, run_sql};

/// What the program's own loader and committer tell the server.
pub(crate) const PLANS: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off \
    -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_material=off";

/// In so many seconds connections are made and statements are planned, which is not counted.
const WARM_UP_S: u64 = 2;

/// It may end just before it would say what the last second brought.
const UNSAID_S: u64 = 1;

/// A script, with the database that it works on.
pub(crate) struct Script {
    url: String,
    text: String,
    variables: Vec<(String, String)>,
    options: &'static str,
}

/// What a script brought.
pub(crate) struct Measured {
    /// Transactions a second.
    pub(crate) rate: f64,
    /// Transactions in all, those of the warm-up too.
    pub(crate) count: f64,
}

impl Script {
    pub(crate) fn new(
        url: &str,
        text: &str,
        variables: Vec<(String, String)>,
        options: &'static str,
    ) -> Self {
        Self { url: url.to_owned(), text: text.to_owned(), variables, options }
    }

    /// Transactions a second, over prepared statements, once every connection has planned them.
    pub(crate) fn rate(&self, cluster: &Cluster, clients: usize, seconds: u64) -> anyhow::Result<f64> {
        Ok(self.measure(cluster, clients, seconds)?.rate)
    }

    /// The same, with how many there were.
    pub(crate) fn measure(
        &self,
        cluster: &Cluster,
        clients: usize,
        seconds: u64,
    ) -> anyhow::Result<Measured> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(self.text.as_bytes())?;
        let mut command = Command::new(cluster.bin.join("pgbench"));
        command.args(["-n", "-M", "prepared", "-j", "2", "-P", "1", "-c", &clients.to_string()]);
        let lasts_s = (WARM_UP_S + seconds + UNSAID_S).to_string();
        command.args(["-T", &lasts_s, "-D", &format!("clients={clients}")]);
        command.arg("-f").arg(file.path());
        for (name, value) in &self.variables {
            command.arg("-D").arg(format!("{name}={value}"));
        }
        let output = command.env("PGOPTIONS", self.options).arg(&self.url).output()?;
        let (said, progress) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "pgbench failed: {progress}");
        let failed = said.lines().find_map(|line| line.strip_prefix("number of failed transactions: "));
        ensure!(failed.is_none_or(|failed| failed.starts_with("0 ")), "transactions failed: {said}");
        let count =
            said.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
        let count = count.and_then(|count| count.parse().ok()).context("pgbench names no count")?;
        let rate = mean_rate(&progress).with_context(|| format!("pgbench names no rate: {progress}"))?;
        Ok(Measured { rate, count })
    }
}

/// The mean of what it said each second, after warming up.
fn mean_rate(progress: &str) -> Option<f64> {
    let said = progress.lines().filter_map(|line| line.strip_prefix("progress: "));
    let of_a_second = |line: &str| -> Option<(f64, f64)> {
        let (at, rest) = line.split_once(" s, ")?;
        Some((at.parse().ok()?, rest.split_once(" tps")?.0.parse().ok()?))
    };
    let seconds: Vec<(f64, f64)> = said.filter_map(of_a_second).collect();
    // What was done by a moment, less what was done while warming up.
    let (mut done, mut counted_s, mut before) = (0.0, 0.0, 0.0);
    for (at, rate) in seconds {
        #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
        if before >= WARM_UP_S as f64 - 0.5 {
            done += rate * (at - before);
            counted_s += at - before;
        }
        before = at;
    }
    (counted_s > 0.0).then(|| done / counted_s)
}

/// A durable insert of one event of 400 bytes.
pub(crate) async fn single_inserts(url: &str) -> anyhow::Result<Script> {
    let table =
        "CREATE TABLE durable (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event text NOT NULL)";
    run_sql(url, &[table]).await?;
    let event = vec![("event".to_owned(), "e".repeat(400))];
    Ok(Script::new(url, "INSERT INTO durable (event) VALUES (:event);\n", event, ""))
}

/// Reading a row of 400 bytes by its key.
pub(crate) async fn selects_by_key(url: &str, rows: usize) -> anyhow::Result<Script> {
    let fill = format!("INSERT INTO keyed SELECT n, repeat('e', 400) FROM generate_series(1, {rows}) AS n");
    let table = "CREATE TABLE keyed (id bigint PRIMARY KEY, event text NOT NULL)";
    run_sql(url, &[table, &fill, "VACUUM ANALYZE keyed"]).await?;
    let script = format!("\\set id random(1, {rows})\nSELECT event FROM keyed WHERE id = :id;\n");
    Ok(Script::new(url, &script, Vec::new(), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seconds_in_which_it_warms_up_do_not_count() {
        let line = |at: f64, rate: f64| {
            format!("progress: {at:.1} s, {rate:.1} tps, lat 1.0 ms stddev 0.1, 0 failed\n")
        };
        let progress = [line(1.0, 10.0), line(2.0, 50.0), line(3.0, 100.0), line(5.0, 400.0)].concat();
        assert_eq!(mean_rate(&progress), Some(300.0));
        assert_eq!(mean_rate("starting vacuum...end.\n"), None);
    }
}
