//! Evidence reports on standard output.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use countersign_domain::Timestamp;
use countersign_domain::ids::AgreementId;
use strum::IntoEnumIterator;

use super::print;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::evidence::question::{Asked, Question, ReportName};
use crate::evidence::report::Evidence as Signed;
use crate::operator::{self, OperatorError};

/// Options of `evidence`.
#[derive(Args)]
pub(super) struct Evidence {
    /// Which report; without a name, those there are
    #[arg(value_name = "NAME", value_parser = ReportName::find)]
    report: Option<ReportName>,
    /// About this agreement, and people who were linked to it
    #[arg(long, value_name = "ID")]
    agreement: Option<AgreementId>,
    /// As things were at this moment (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
    as_of: Option<Timestamp>,
    /// Recorded at this time or later
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
    from: Option<Timestamp>,
    /// Recorded before this time
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
    to: Option<Timestamp>,
    /// How it is written
    #[arg(long, value_enum, default_value = "note")]
    format: Format,
}

/// How a report is written.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The signed note, for any program that verifies such notes
    Note,
    /// A page to read and print
    Html,
    /// The report for programs, with the signed note beside it
    Json,
}

impl Evidence {
    /// Whether only the list of reports is asked for, which needs no database and no settings.
    pub(super) const fn is_a_list(&self) -> bool {
        self.report.is_none()
    }

    /// Prints which reports there are.
    pub(super) fn list() -> anyhow::Result<ExitCode> {
        for report in ReportName::iter() {
            print::result(&format!("{:<31} {}", report.name(), report.title()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Prints a report; the exit status says whether it holds.
    pub(super) async fn run(&self, config: Config) -> anyhow::Result<ExitCode> {
        let Some(report) = self.report else { return Self::list() };
        let &Self { agreement, as_of, from, to, .. } = self;
        let clock = Clock::system();
        let question = match Question::of(report, Asked { agreement, as_of, from, to }, clock.now()) {
            Ok(question) => question,
            Err(problem) => {
                print::error(&format!("countersign: {}", problem.for_operator()));
                return Ok(ExitCode::from(2));
            }
        };
        super::require_ledger(&config).await?;
        let app = App::open(config, clock).await?;
        app.record_question(&operator::request(&app)?, &question).await.map_err(OperatorError::from)?;
        // No server may be running that gives everything its place.
        app.ledger.sequence_all(app.clock.now()).await?;
        let evidence = app.evidence(&question).await.map_err(OperatorError::from)?;
        print::result(self.written(&app, &evidence)?.trim_end())?;
        Ok(verdict(&evidence))
    }

    fn written(&self, app: &App, evidence: &Signed) -> anyhow::Result<String> {
        Ok(match self.format {
            Format::Note => evidence.note.clone(),
            Format::Html => evidence.to_html(app.ledger.verifier()),
            Format::Json => evidence.to_json().map_err(OperatorError::from)?,
        })
    }
}

fn verdict(evidence: &Signed) -> ExitCode {
    let report = &evidence.report;
    match report.holds {
        Some(false) => {
            print::note(&format!("{} does not hold: {}", report.report, report.summary));
            ExitCode::FAILURE
        }
        Some(true) | None => ExitCode::SUCCESS,
    }
}
