//! The ledger on the command line: verified, handed to an auditor, and adopted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use countersign_projections::ledger::bundle::{Policy, verify_bundle};
use countersign_projections::ledger::verify::{Report, Source};
use serde_json::json;

use super::progress::Progress;
use super::{confirm, print};
use crate::app::App;
use crate::bundle::Extent;
use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::LedgerTrust;
use crate::ledger::adopt::{Adopted, adopt};
use crate::operator;
use crate::verify::verify_database;

/// Options of `verify`.
#[derive(Args)]
pub(super) struct Verify {
    /// An auditor's bundle; without it, the ledger of the database
    #[arg(long, value_name = "DIR", requires = "policy")]
    bundle: Option<PathBuf>,
    /// The auditor's own policy: the only keys that are believed
    #[arg(long, value_name = "FILE", requires = "bundle")]
    policy: Option<PathBuf>,
    /// The auditor's earlier checkpoint, which the ledger must have grown from
    #[arg(long, value_name = "FILE", requires = "bundle")]
    checkpoint: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Options of `export`.
#[derive(Args)]
pub(super) struct Export {
    /// A directory that is not there yet, or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The size of the checkpoint that the auditor holds: only what came since is handed over, with the
    /// proof that it was only added
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// The size to hand over, if not all there is
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What can be done with the ledger itself.
#[derive(Subcommand)]
pub(super) enum Ledger {
    /// Goes on from a restored database, or one whose queue lost events, on the record
    Adopt {
        /// Why, for the record
        #[arg(long)]
        reason: String,
    },
}

impl Verify {
    /// Whether it needs no database and no settings.
    pub(super) const fn is_offline(&self) -> bool {
        self.bundle.is_some()
    }

    /// Checks a bundle with nothing but the policy to believe.
    pub(super) fn run_offline(&self) -> anyhow::Result<ExitCode> {
        let (Some(bundle), Some(policy)) = (&self.bundle, &self.policy) else {
            bail!("--bundle and --policy go together");
        };
        let policy: Policy = read(policy)?.parse().with_context(|| policy.display().to_string())?;
        let previous = self.checkpoint.as_deref().map(read).transpose()?;
        let mut progress = Progress::of("verifying");
        let report =
            verify_bundle(bundle, &policy, previous.as_deref(), |done, total| progress.tell(done, total));
        progress.end();
        self.tell(&report?)
    }

    /// Checks the ledger of the database.
    pub(super) async fn run(&self, config: &Config) -> anyhow::Result<ExitCode> {
        let mut progress = Progress::of("verifying");
        let report = verify_database(config, |done, total| progress.tell(done, total)).await;
        progress.end();
        self.tell(&report?)
    }

    /// Prints what was found; the exit status says whether everything holds.
    fn tell<S: Source>(&self, report: &Report<S>) -> anyhow::Result<ExitCode> {
        if self.json {
            print::result(&serde_json::to_string_pretty(report)?)?;
        } else {
            print::result(report.to_string().trim_end())?;
        }
        Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

impl Export {
    /// Writes the bundle.
    pub(super) async fn run(&self, config: Config) -> anyhow::Result<()> {
        super::require_ledger(&config).await?;
        let app = super::open(config).await?;
        let request = operator::request(&app)?;
        let mut progress = Progress::of("exporting");
        let extent = Extent { from: self.from, to: self.to };
        let written =
            app.export_bundle(&request, &self.out, extent, |done, total| progress.tell(done, total)).await;
        progress.end();
        let written = written?;
        if self.json {
            let json = json!({ "directory": self.out, "size": written.size, "entries": written.entries });
            print::result(&json.to_string())?;
        } else {
            let (entries, size) = (written.entries, written.size);
            print::result(&format!("{}: {entries} of the ledger's {size} entries", self.out.display()))?;
            print::note(&format!(
                "Give the auditor the verifier key by another way than this directory:\n{}",
                app.ledger.verifier()
            ));
        }
        Ok(())
    }
}

impl Ledger {
    /// Does it.
    pub(super) async fn run(&self, config: Config) -> anyhow::Result<()> {
        let Self::Adopt { reason } = self;
        let reason = operator::reason(reason)?;
        confirm("Go on from the ledger of this database, whatever was signed before?")?;
        super::require_ledger(&config).await?;
        let app = App::open_on(config, Clock::system(), LedgerTrust::Database).await?;
        let request = operator::request(&app)?;
        match adopt(&app, &request, &reason).await? {
            Adopted::NothingToAdopt => {
                print::result("nothing to adopt: the ledger has grown from what was signed")?;
            }
            Adopted::GoesOn { lost, kept, requeued, strays, size } => {
                let lost = lost.map_or(String::new(), |lost| format!(" in place of one of {lost}"));
                print::result(&format!(
                    "the ledger of {kept} entries goes on{lost}; {requeued} events were put back into its queue; \
                     it has {size} entries now, and LedgerAdopted is among them"
                ))?;
                for event in strays {
                    print::note(&format!("taken out of the queue, since it stands for nothing: {event}"));
                }
            }
        }
        Ok(())
    }
}
