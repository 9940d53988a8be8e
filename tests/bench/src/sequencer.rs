//! The program's own routes, beside which not everything runs that makes the ledger: only here, never in the product.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use countersign::app::App;
use countersign::ledger::{Followers, Keeper};
use countersign::router::router;
use countersign::{Clock, Config};

/// What runs beside the routes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Beside {
    /// Events wait for their place for ever.
    Nothing,
    /// They get it, and the ledger is signed.
    Sequencer,
    /// The trail and coverage follow it, as in the product.
    Everything,
}

impl Beside {
    pub(crate) const ALL: [Self; 3] = [Self::Nothing, Self::Sequencer, Self::Everything];

    /// The word by which the benchmark's processes tell each other.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Sequencer => "sequencer",
            Self::Everything => "everything",
        }
    }

    fn of(word: &str) -> anyhow::Result<Self> {
        match Self::ALL.into_iter().find(|beside| beside.word() == word) {
            Some(beside) => Ok(beside),
            None => bail!("{word} is nothing that runs beside the routes"),
        }
    }

    /// The figures that are as large as the ledger once all that was written is done with.
    pub(crate) const fn followers(self) -> &'static [&'static str] {
        const ALL: &[&str] = &["ledger_signed_entries", "audit_trail_entries", "coverage_entries"];
        match self {
            Self::Nothing => &[],
            Self::Sequencer => ALL.split_at(1).0,
            Self::Everything => ALL,
        }
    }
}

/// Serves it.
pub(crate) async fn run(database: String, data_dir: PathBuf, beside: &str) -> anyhow::Result<()> {
    let beside = Beside::of(beside)?;
    let app = App::open(Config::new(database, data_dir), Clock::system()).await?;
    let keeper = (beside != Beside::Nothing).then(|| Keeper::start(Arc::clone(&app)));
    let _followers = match (&keeper, beside) {
        (Some(keeper), Beside::Everything) => Some(Followers::start(&app, &keeper.sizes())),
        (Some(_) | None, _) => None,
    };
    crate::listening::serve(router(app)).await
}
