//! Folding all events anew.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use countersign_projections::database::Database;
use countersign_projections::replay::{Model, Rebuilt, rebuild, verify_replay};
use serde_json::json;

use super::print;
use super::progress::Progress;
use crate::config::Config;

/// Options of `replay`.
#[derive(Args)]
pub(super) struct Replay {
    /// Which read models: snapshots, login_check, api_keys, webhooks, audit_trail, coverage; all of them if none is named
    #[arg(value_name = "READ-MODEL")]
    models: Vec<Model>,
    /// Change nothing: compare what is stored with a replay, and exit with 1 on any difference
    #[arg(long)]
    verify: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Replay {
    /// Rebuilds or compares.
    pub(super) async fn run(&self, config: &Config) -> anyhow::Result<ExitCode> {
        super::require_ledger(config).await?;
        let database = Database::connect(&config.database).await?;
        let models = if self.models.is_empty() { Model::ALL.to_vec() } else { self.models.clone() };
        if self.verify {
            self.compare(&database, &models).await
        } else {
            self.rebuild(&database, &models).await
        }
    }

    async fn compare(&self, database: &Database, models: &[Model]) -> anyhow::Result<ExitCode> {
        let mut progress = Progress::of("replaying");
        let report = verify_replay(database, models, |done, total| progress.tell(done, total)).await;
        progress.end();
        let report = report?;
        if self.json {
            print::result(&serde_json::to_string_pretty(&report)?)?;
        } else {
            print::result(report.to_string().trim_end())?;
        }
        Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn rebuild(&self, database: &Database, models: &[Model]) -> anyhow::Result<ExitCode> {
        let mut progress = Progress::of("replaying");
        let rebuilt = rebuild(database, models, |_, done, total| progress.tell(done, total)).await;
        progress.end();
        let Rebuilt { size, replaced } = rebuilt.context("replay")?;
        if self.json {
            let rows: serde_json::Map<String, serde_json::Value> =
                replaced.iter().map(|(model, rows)| (model.name().to_owned(), (*rows).into())).collect();
            print::result(&json!({ "size": size, "replaced_rows": rows }).to_string())?;
        } else {
            ensure!(!replaced.is_empty(), "nothing was asked for");
            print::result(&format!("rebuilt from {size} entries"))?;
            for (model, rows) in replaced {
                print::result(&format!("  {:<12} {rows} rows replaced", model.name()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
