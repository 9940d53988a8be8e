//! What an upgrade begins with, while nodes of the release before still serve.

use countersign_projections::audit_trail::AuditTrail;
use countersign_projections::catch_up::{self, BATCH_MAX, CaughtUp, Projection};
use countersign_projections::coverage::Coverage;
use countersign_projections::database::Database;
use countersign_projections::ledger::store::LedgerStore;

use super::print;
use super::progress::Progress;
use crate::app::connect;
use crate::clock::Clock;
use crate::config::Config;

/// Applies migrations, and fills the read models whose version is new.
pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let database = connect(config).await?;
    let applied = database.migrate(Clock::system().now()).await?;
    match applied.as_slice() {
        [] => print::note("nothing to migrate"),
        names => {
            for name in names {
                print::result(name)?;
            }
        }
    }
    // One that stops keeps the other from nothing.
    let filled = (fill(&AuditTrail, &database).await, fill(&Coverage, &database).await);
    filled.0.and(filled.1)
}

/// Fills the tables of a read model's version while nodes of the version before answer from their own.
async fn fill<P: Projection>(projection: &P, database: &Database) -> anyhow::Result<()> {
    let Some(state) = LedgerStore::new(database.clone()).state().await? else { return Ok(()) };
    let (size, mut taken) = (state.size(), catch_up::position::<P>(database).await?);
    if taken >= size {
        return Ok(());
    }
    let mut progress = Progress::of(P::NAME);
    while taken < size {
        let to = size.min(taken + BATCH_MAX);
        match catch_up::catch_up(projection, database, to).await? {
            CaughtUp::To(position) => taken = position,
            CaughtUp::Poisoned(position) => {
                progress.end();
                let title = P::TITLE;
                anyhow::bail!(
                    "{title} stops before entry {position}, which it cannot take; run `countersign verify`"
                );
            }
        }
        progress.tell(taken, size);
    }
    progress.end();
    print::result(&format!("{} version {} holds {size} entries", P::NAME, P::VERSION))?;
    Ok(())
}
