//! One run: the workloads that were named, one after the other, each with its section.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use countersign::Clock;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::report::{Section, Setting, replace_section, write_json};
use crate::served::Installation;
use crate::workloads::{self, WORKLOADS};

/// What every workload works with.
pub(crate) struct Bench {
    pub(crate) cluster: Cluster,
    /// Small sizes, to see that everything works; its figures are nobody's.
    pub(crate) quick: bool,
    directory: TempDir,
}

impl Bench {
    /// The full size, or the one that is enough to see that it works.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Rounds of everything that is measured.
    pub(crate) fn rounds(&self) -> usize {
        self.size(5, 2)
    }

    /// A directory that is gone after the run.
    pub(crate) fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// An installation on a new PostgreSQL database.
    pub(crate) async fn on_postgres(&self, name: &str) -> anyhow::Result<Installation> {
        Ok(Installation { database: self.cluster.create(name).await?, data_dir: self.directory(name)? })
    }

    /// An installation on a new SQLite database.
    pub(crate) fn on_sqlite(&self, name: &str) -> anyhow::Result<Installation> {
        let data_dir = self.directory(name)?;
        let database = format!("sqlite:{}", data_dir.join("countersign.db").display());
        Ok(Installation { database, data_dir })
    }
}

/// Says how far it is, to whoever waits.
pub(crate) fn say(text: &str) {
    // Nobody may be listening, which must not stop a run.
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}

pub(crate) async fn run(mut names: Vec<String>) -> anyhow::Result<()> {
    let quick = names.iter().any(|name| name == "quick");
    names.retain(|name| name != "quick");
    if names.is_empty() {
        names = WORKLOADS.iter().map(|name| (*name).to_owned()).collect();
    }
    for name in &names {
        ensure!(WORKLOADS.contains(&name.as_str()), "{name} is none of {}", WORKLOADS.join(", "));
    }
    let bench = Bench { cluster: Cluster::from_environment()?, quick, directory: tempfile::tempdir()? };
    let machine = machine(&bench.cluster).await?;
    for name in WORKLOADS.iter().filter(|known| names.iter().any(|name| name == *known)) {
        say(&format!("{name}{}", if quick { " (quick: the figures are nobody's)" } else { "" }));
        let load = load_average()?;
        let section = workloads::run(&bench, name).await?;
        let date = Clock::system().now().format("%Y-%m-%d %H:%M UTC").to_string();
        let setting = Setting { date, machine: format!("{machine}. {load}"), quick };
        keep(&section, &setting)?;
        bench.cluster.drop_all().await?;
    }
    Ok(())
}

fn keep(section: &Section, setting: &Setting) -> anyhow::Result<()> {
    let markdown = section.markdown(setting);
    say(&format!("\n{markdown}"));
    let results = Path::new("target/bench");
    if setting.quick {
        return write_json(&results.join("quick.json"), section, setting);
    }
    write_json(&results.join("results.json"), section, setting)?;
    let path = Path::new("docs/benchmarks.md");
    let before = std::fs::read_to_string(path).unwrap_or_default();
    Ok(std::fs::write(path, replace_section(&before, &WORKLOADS, section.name, &markdown))?)
}

/// What else the machine did: figures taken beside other work are worth less.
fn load_average() -> anyhow::Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let minute = load.split(' ').next().unwrap_or_default();
    Ok(format!("Load average of the minute before it began: {minute}"))
}

/// Processor, memory, and versions: all that somebody else needs to judge the figures.
async fn machine(cluster: &Cluster) -> anyhow::Result<String> {
    let said = |program: &str, words: &[&str]| -> anyhow::Result<String> {
        let output = Command::new(program).args(words).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let field = |path: &str, name: &str| -> anyhow::Result<String> {
        let text = std::fs::read_to_string(path)?;
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        Ok(line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default())
    };
    let processors = std::thread::available_parallelism()?;
    let model = field("/proc/cpuinfo", "model name")?;
    let kib: u64 = field("/proc/meminfo", "MemTotal")?.trim_end_matches(" kB").parse()?;
    let memory_gib = kib.div_ceil(1024 * 1024);
    let (kernel, rust) = (said("uname", &["-sr"])?, said("rustc", &["--version"])?);
    let commit = said("git", &["rev-parse", "--short=10", "HEAD"])?;
    let (server, settings) = (cluster.version().await?, cluster.settings().await?);
    let locked = include_str!("../../../Cargo.lock");
    let crates = ["cqrs-es", "postgres-es", "sqlx", "axum", "tokio", "argon2"];
    let crates = crates.map(|name| format!("{name} {}", locked_version(locked, name)));
    Ok(format!(
        "{processors} processors ({model}), {memory_gib} GiB, {kernel}; PostgreSQL {server} with locale C, \
         {settings}; SQLite {}; {}; {rust}; countersign {} at {commit}",
        rusqlite::version(),
        crates.join(", "),
        env!("CARGO_PKG_VERSION")
    ))
}

/// The version of a crate that was built in, from the lock file.
fn locked_version<'l>(locked: &'l str, name: &str) -> &'l str {
    let package = format!("name = \"{name}\"\nversion = \"");
    locked
        .split_once(&package)
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("of an unknown version")
}
