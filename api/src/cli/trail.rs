//! The audit trail on standard output, for other programs.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use countersign_domain::Timestamp;
use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up::{self, Projection};
use tokio::time::timeout;

use super::print;
use super::progress::Progress;
use crate::app::App;
use crate::config::Config;
use crate::operator::{self, OperatorError};
use crate::rest::audit::export::{Exporting, Format};

/// What only the progress needs is not waited for any longer.
const COUNT_TIMEOUT: Duration = Duration::from_secs(3);

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
        let (_, signed) = app.ledger.sequence_all(app.clock.now()).await?;
        refuse_what_stops(&app, signed.size).await?;
        let request = operator::request(&app)?;
        let exporting = app.begin_export(&request, self.format, self.from, self.to).await;
        let mut exporting = exporting.map_err(OperatorError::from)?;
        let total = total(&exporting, &app).await;
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

/// Refuses a trail that stops before the ledger's end: what it lacks would be missing.
async fn refuse_what_stops(app: &App, size: u64) -> anyhow::Result<()> {
    let position = catch_up::position::<AuditTrail>(&app.database).await?;
    ensure!(
        position >= size,
        "{} stops before entry {position}, which it cannot take, so that one and all that follow would be \
         missing; run `countersign verify`",
        AuditTrail::TITLE
    );
    Ok(())
}

/// Of how many entries the progress tells: of those in the period, or of the ledger's where they cannot be counted
/// in time, which is no reason not to write them.
async fn total(exporting: &Exporting, app: &App) -> u64 {
    match timeout(COUNT_TIMEOUT, exporting.left(app)).await {
        Ok(Ok(left)) => left,
        Ok(Err(_)) | Err(_) => exporting.size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::app_in;

    #[tokio::test]
    async fn what_cannot_be_counted_is_written_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        operator::issue_api_key(&app, "test", &["login"], None).await.unwrap();
        app.ledger.sequence_all(app.clock.now()).await.unwrap();
        let (request, long_ago) = (operator::request(&app).unwrap(), Timestamp::default());
        let exporting = app.begin_export(&request, Format::Ndjson, None, Some(long_ago)).await.unwrap();
        assert_eq!((total(&exporting, &app).await, exporting.size), (0, 1));
        app.database.write("ALTER TABLE audit_trail_v1 RENAME TO elsewhere", &[]).await.unwrap();
        assert_eq!(total(&exporting, &app).await, 1);
    }
}
