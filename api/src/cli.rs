//! The command line. Results go to standard output, everything else to standard error; the exit
//! status is 0 when it did, 1 when it did not, and 2 when it was called wrongly.

pub mod demo;
mod doctor;
mod evidence;
mod ledger;
mod migrate;
mod print;
mod progress;
mod replay;
mod settings;
mod trail;
mod webhook;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use countersign_domain::Timestamp;
use countersign_projections::database::Database;
use countersign_projections::ledger::store::LedgerStore;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::operator::{self, RoleChange};
use crate::server::Server;

/// Two-factor authentication, enforcement, and one question at sign-in.
///
/// Every setting is an environment variable (`COUNTERSIGN_DATABASE` and so on) and a key in
/// countersign.toml; an option comes before the environment, and the environment before the file.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct CommandLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Default)]
pub(crate) struct Global {
    /// postgres://… or sqlite:PATH; without it, countersign.db in the data directory
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Where keys and the embedded database are kept [default: ./countersign-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The configuration file [default: ./countersign.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "COUNTERSIGN_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Migrates the database and serves
    Serve(settings::Serving),
    /// Walks the whole journey on a server of its own, in a temporary directory
    Demo {
        /// Stop afterwards, with exit status 0 only if every step held
        #[arg(long)]
        exit: bool,
    },
    /// Issues, lists and revokes the keys of applications
    #[command(subcommand)]
    ApiKey(ApiKey),
    /// Lists and deletes webhooks, whoever registered them
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    /// Helps people, and says who may do what
    #[command(subcommand)]
    User(User),
    /// Applies migrations, fills the read models that are new, and stops
    Migrate,
    /// Checks the ledger of the database, or an auditor's bundle without any database
    Verify(ledger::Verify),
    /// Folds all events anew: rebuilds read models while the service goes on, or only compares them
    Replay(replay::Replay),
    /// Writes a bundle for an auditor: the ledger, what is in it, and its proofs
    Export(ledger::Export),
    /// Prints the audit trail, or what was recorded in a period, for other programs
    Trail(trail::Trail),
    /// Prints an evidence report, signed; without a name, which reports there are
    Evidence(evidence::Evidence),
    /// What can be done with the ledger itself
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Looks at configuration, database, clock, keys and ledger: a line each
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum ApiKey {
    /// Issues a key and prints it, this once, alone on standard output
    Create {
        /// What to call it
        #[arg(long)]
        name: String,
        /// What it may do: users:read, users:write, agreements:read, agreements:write, login, audit:read, webhooks:write
        #[arg(long = "scope", value_name = "SCOPE", required = true, num_args = 1..)]
        scopes: Vec<String>,
        /// When it ends by itself (RFC 3339)
        #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
        expires_at: Option<Timestamp>,
    },
    /// Lists all keys
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revokes a key, and names the webhooks that it registered: they go on
    Revoke {
        /// Its id, as `list` prints it
        id: String,
    },
}

#[derive(Subcommand)]
enum User {
    /// Takes two-factor away from somebody who lost everything, and prints a one-time pass for the next enrolment
    ResetTwoFactor {
        /// The user's id
        id: String,
        /// Why, for the record
        #[arg(long)]
        reason: String,
    },
    /// Makes somebody an auditor, who reads the whole trail, or an operator, who administers people and agreements
    Grant(Role),
    /// Takes a role away
    Revoke(Role),
    /// Erases a person for good: unlinks them from every agreement and destroys the key of what is kept of them
    Erase {
        /// The user's id
        id: String,
    },
}

#[derive(Args)]
struct Role {
    /// The user's id
    id: String,
    /// Which role: auditor, operator
    #[arg(long)]
    role: String,
}

/// Runs the command line.
pub async fn run() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version are results; anything else is a wrong call.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    log_to_standard_error();
    match dispatch(line).await {
        Ok(code) => code,
        Err(error) => {
            print::error(&format!("countersign: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn log_to_standard_error() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

async fn dispatch(line: CommandLine) -> anyhow::Result<ExitCode> {
    let serving = match &line.command {
        Command::Serve(serving) => serving.clone(),
        Command::Demo { exit } => return demo::run(*exit).await.map(|()| ExitCode::SUCCESS),
        Command::Verify(verify) if verify.is_offline() => return verify.run_offline(),
        Command::Evidence(evidence) if evidence.is_a_list() => return evidence::Evidence::list(),
        Command::ApiKey(_)
        | Command::Webhook(_)
        | Command::User(_)
        | Command::Migrate
        | Command::Verify(_)
        | Command::Replay(_)
        | Command::Export(_)
        | Command::Trail(_)
        | Command::Evidence(_)
        | Command::Ledger(_)
        | Command::Doctor { .. } => settings::Serving::default(),
    };
    let config = settings::read(&line.global, serving)?;
    let done = match line.command {
        Command::Verify(verify) => return verify.run(&config).await,
        Command::Replay(replay) => return replay.run(&config).await,
        Command::Evidence(evidence) => return evidence.run(config).await,
        Command::Doctor { json } => return doctor::run(&config, json).await,
        Command::Demo { .. } => Ok(()),
        Command::Serve(_) => serve(config).await,
        Command::Export(export) => export.run(config).await,
        Command::Trail(trail) => trail.run(config).await,
        Command::Ledger(command) => command.run(config).await,
        Command::ApiKey(command) => api_key(&open(config).await?, command).await,
        Command::Webhook(command) => command.run(config).await,
        Command::User(User::ResetTwoFactor { id, reason }) => reset_two_factor(config, &id, &reason).await,
        Command::User(User::Grant(role)) => change_role(config, RoleChange::Grant, &role).await,
        Command::User(User::Revoke(role)) => change_role(config, RoleChange::Revoke, &role).await,
        Command::User(User::Erase { id }) => erase_user(config, &id).await,
        Command::Migrate => migrate::run(&config).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

async fn reset_two_factor(config: Config, id: &str, reason: &str) -> anyhow::Result<()> {
    confirm(&format!("Take two-factor away from {id} and end all their sessions?"))?;
    let pass = operator::reset_two_factor(&open(config).await?, id, reason).await?;
    print::result(&pass)?;
    print::note("Hand this pass to the person; their next enrolment must give it. It is not shown again.");
    Ok(())
}

async fn change_role(config: Config, change: RoleChange, Role { id, role }: &Role) -> anyhow::Result<()> {
    let told = operator::change_role(&open(config).await?, change, id, role).await?;
    Ok(print::result(&told)?)
}

async fn erase_user(config: Config, id: &str) -> anyhow::Result<()> {
    confirm(&format!("Erase {id} for good, also what the audit trail tells of them by name?"))?;
    let erased = operator::erase_user(&open(config).await?, id).await?;
    let agreements = match erased.unlinked_from {
        0 => String::new(),
        1 => ", unlinked from 1 agreement".to_owned(),
        many => format!(", unlinked from {many} agreements"),
    };
    print::result(&format!("erased {id}{agreements}"))?;
    print::note(
        "Backups made until now still hold the key: whoever restores one must erase the person again.",
    );
    Ok(())
}

async fn open(config: Config) -> anyhow::Result<Arc<App>> {
    Ok(App::open(config, Clock::system()).await?)
}

/// For commands about a ledger that is there: a mistyped directory must not become an installation.
async fn require_ledger(config: &Config) -> anyhow::Result<()> {
    let database = Database::connect_existing(&config.database).await?;
    let missing = database.pending_migrations().await?;
    let is_new = missing.iter().any(|name| name.starts_with("0001"));
    anyhow::ensure!(
        missing.is_empty() || is_new,
        "this database has not the migrations {}; run `countersign migrate` first",
        missing.join(", ")
    );
    anyhow::ensure!(!is_new, "this database has no ledger yet; start the server once");
    anyhow::ensure!(
        LedgerStore::new(database).state().await?.is_some(),
        "this database has no ledger yet; start the server once"
    );
    Ok(())
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut stop = ToldToStop::listen()?;
    let server = Server::start(config, Clock::system()).await?;
    print::note(&format!("listening on http://{}", server.address()));
    stop.wait().await;
    print::note("stopping");
    server.stop().await;
    Ok(())
}

/// SIGTERM and SIGINT, heard from the moment it is made.
struct ToldToStop {
    terminated: Signal,
    interrupted: Signal,
}

impl ToldToStop {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminated: signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?,
            interrupted: signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminated.recv() => {}
            _ = self.interrupted.recv() => {}
        }
    }
}

async fn api_key(app: &Arc<App>, command: ApiKey) -> anyhow::Result<()> {
    match command {
        ApiKey::Create { name, scopes, expires_at } => {
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            let key = operator::issue_api_key(app, &name, &scopes, expires_at).await?;
            print::result(&key)?;
            print::note("Keep this key; it is not shown again.");
        }
        ApiKey::List { json: true } => {
            let keys = operator::list_api_keys(app).await?;
            print::result(&serde_json::to_string_pretty(&keys)?)?;
        }
        ApiKey::List { json: false } => {
            for key in operator::list_api_keys(app).await? {
                print::result(&listed(&key, app.clock.now()))?;
            }
        }
        ApiKey::Revoke { id } => {
            operator::revoke_api_key(app, &id).await?;
            print::note("revoked");
            webhook::note_left_behind(&operator::webhooks_of_api_key(app, &id).await?);
        }
    }
    Ok(())
}

fn listed(key: &operator::ListedKey, now: Timestamp) -> String {
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", at.format("%Y-%m-%d")),
        (None, Some(at)) if at <= now => format!("expired {}", at.format("%Y-%m-%d")),
        (None, Some(at)) => format!("until {}", at.format("%Y-%m-%d")),
        (None, None) => "live".to_owned(),
    };
    format!("{}  {:<18}  {:<24}  {}", key.id, state, key.name, key.scopes.join(" "))
}

/// Asks on a terminal, and only there: a script has decided already.
fn confirm(question: &str) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Ok(());
    }
    print::note(&format!("{question} Type yes to go on:"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    anyhow::ensure!(answer.trim() == "yes", "nothing was changed");
    Ok(())
}
