//! The audit trail on standard output, for other programs.

use clap::Args;
use countersign_domain::Timestamp;

use super::print;
use super::progress::Progress;
use crate::config::Config;
use crate::operator::{self, OperatorError};
use crate::rest::audit::export::Format;

/// Options of `trail`.
#[derive(Args)]
pub(super) struct Trail {
    /// How entries are written
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// Recorded at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
    from: Option<Timestamp>,
    /// Recorded before this time
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
    to: Option<Timestamp>,
}

impl Trail {
    /// Prints the entries, the oldest first.
    pub(super) async fn run(&self, config: Config) -> anyhow::Result<()> {
        super::require_ledger(&config).await?;
        let app = super::open(config).await?;
        // No server may be running that gives everything its place.
        app.ledger.sequence_all(app.clock.now()).await?;
        let request = operator::request(&app)?;
        let exporting = app.begin_export(&request, self.format, self.from, self.to).await;
        let mut exporting = exporting.map_err(OperatorError::from)?;
        let total = exporting.left(&app).await.map_err(OperatorError::from)?;
        let mut progress = Progress::of("exporting");
        while let Some(piece) = exporting.next_piece(&app).await? {
            print::piece(&piece)?;
            progress.tell(exporting.written, total);
        }
        progress.end();
        print::note(&format!("{} of the ledger's {} entries", exporting.written, exporting.size));
        Ok(())
    }
}
