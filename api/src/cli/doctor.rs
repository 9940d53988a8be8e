//! `countersign doctor`: a line for each thing that was looked at.

use std::process::ExitCode;

use super::print;
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{Check, State, examine, is_well};

/// Prints what was found; the exit status says whether something is wrong.
pub(super) async fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let checks = examine(config, &Clock::system()).await;
    if json {
        print::result(&serde_json::to_string_pretty(&checks)?)?;
    } else {
        for check in &checks {
            print::result(&line(check))?;
        }
    }
    Ok(if is_well(&checks) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(check: &Check) -> String {
    let state = match check.state {
        State::Ok => "ok",
        State::Warning => "note",
        State::Wrong => "WRONG",
    };
    format!("{state:<6} {:<15} {}", check.name, check.says)
}
