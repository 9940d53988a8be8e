//! Programs that run beside the measuring one, each a process of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// What every one of them says when it is ready.
pub(crate) const LISTENING: &str = "listening on http://";

/// Far above what any of them takes to start.
const START_MAX: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A process that serves; dropping it ends it.
pub(crate) struct Served {
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Served {
    /// Starts it and waits until it says where it listens. Its log goes to a file, which costs least.
    pub(crate) async fn start(mut command: Command, log: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&log)?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn()?;
        let mut served = Self { child, log, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let started = Instant::now();
        while started.elapsed() < START_MAX {
            if let Some(address) = served.said()? {
                served.address = address;
                return Ok(served);
            }
            ensure!(served.child.try_wait()?.is_none(), "it ended: {}", served.read_log()?);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("it does not listen: {}", served.read_log()?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn read_log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    fn said(&self) -> anyhow::Result<Option<SocketAddr>> {
        let log = self.read_log()?;
        let said = log.lines().find_map(|line| line.split_once(LISTENING));
        Ok(said.map(|(_, address)| address.trim().parse()).transpose()?)
    }

    /// Asks it to stop, as a service manager does, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let told = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(told.success(), "it had ended: {}", self.read_log()?);
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program under test, on one database.
pub(crate) struct Installation {
    pub(crate) database: String,
    pub(crate) data_dir: PathBuf,
}

impl Installation {
    /// The built program with nothing set but its database and directory: whatever it does by default, it does.
    pub(crate) fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(beside("countersign")?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("COUNTERSIGN_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.arg("--database").arg(&self.database).arg("--data-dir").arg(&self.data_dir);
        Ok(command)
    }

    pub(crate) async fn serve(&self) -> anyhow::Result<Served> {
        self.serve_as("serve").await
    }

    /// The same, with a name of its own for the log: several nodes serve one database.
    pub(crate) async fn serve_as(&self, name: &str) -> anyhow::Result<Served> {
        let mut command = self.command()?;
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        std::fs::create_dir_all(&self.data_dir)?;
        Served::start(command, self.data_dir.join(format!("{name}.log"))).await
    }

    /// An API key with every scope that workloads need.
    pub(crate) fn api_key(&self) -> anyhow::Result<String> {
        let mut command = self.command()?;
        command.args(["api-key", "create", "--name", "benchmarks", "--scope", "login"]);
        for scope in ["users:read", "users:write", "agreements:read", "agreements:write", "audit:read"] {
            command.args(["--scope", scope]);
        }
        let output = command.stderr(Stdio::null()).output()?;
        ensure!(output.status.success(), "no API key was made");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// A program that stands beside this one.
pub(crate) fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let path = this.parent().unwrap_or(Path::new(".")).join(name);
    ensure!(path.is_file(), "{name} is missing beside this program: build it with the same profile");
    Ok(path)
}

/// One of the other things this program does, as a process of its own.
pub(crate) async fn own(words: &[&str], log: PathBuf) -> anyhow::Result<Served> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words);
    Served::start(command, log).await
}

/// Processor time that a process has used, and its children that have ended, in seconds.
pub(crate) fn cpu_s(pid: u32) -> anyhow::Result<f64> {
    // Hundredths of a second on every Linux.
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no process name")?;
    let times = fields.split_whitespace().skip(11).take(4);
    let ticks: Vec<f64> = times.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_S)
}

/// The same with its children that live.
pub(crate) fn family_cpu_s(pid: u32) -> anyhow::Result<f64> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let living = children.split_whitespace().filter_map(|child| child.parse().ok());
    // One that ends just now is counted with the parent the next time.
    Ok(cpu_s(pid)? + living.map(|child| cpu_s(child).unwrap_or_default()).sum::<f64>())
}

/// What a process holds in memory, in MiB.
pub(crate) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    memory_mib(pid, "VmRSS:")
}

/// The most that a process ever held in memory, in MiB.
pub(crate) fn peak_mib(pid: u32) -> anyhow::Result<f64> {
    memory_mib(pid, "VmHWM:")
}

fn memory_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
