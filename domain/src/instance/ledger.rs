//! The ledger's own stream: what befell the ledger as a whole.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::instance::InstanceEvent;

/// A tree of the ledger, by its size and its root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AdoptedTree {
    /// How many entries it has.
    pub size: u64,
    /// The hash at its root, in base64.
    pub root: String,
}

/// Going on from a restored database. It is recorded, so that nobody takes the fork for tampering,
/// and nobody passes tampering off as a restored backup.
#[derive(Clone, Debug)]
pub struct AdoptLedger {
    /// The tree that was signed last, if it is known.
    pub lost: Option<AdoptedTree>,
    /// The tree that the restored database has.
    pub kept: AdoptedTree,
    /// How many events are given a new place in the ledger.
    pub requeued: u64,
    /// Why, as the operator says.
    pub reason: String,
    /// Now.
    pub at: Timestamp,
}

impl From<AdoptLedger> for InstanceEvent {
    fn from(command: AdoptLedger) -> Self {
        let AdoptLedger { lost, kept, requeued, reason, at } = command;
        Self::LedgerAdopted { lost, kept, requeued, reason, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceCommand;
    use crate::testing::*;

    fn tree(size: u64) -> AdoptedTree {
        AdoptedTree { size, root: format!("root of {size}") }
    }

    fn adopt(lost: Option<AdoptedTree>, kept: AdoptedTree, minute: i64) -> InstanceCommand {
        let (requeued, reason) = (3, "disk failed".to_owned());
        InstanceCommand::AdoptLedger(AdoptLedger { lost, kept, requeued, reason, at: at_minute(minute) })
    }

    fn adopted(lost: Option<AdoptedTree>, kept: AdoptedTree, minute: i64) -> InstanceEvent {
        let (requeued, reason) = (3, "disk failed".to_owned());
        InstanceEvent::LedgerAdopted { lost, kept, requeued, reason, at: at_minute(minute) }
    }

    #[test]
    fn going_on_from_a_restored_database_is_recorded_with_both_trees_each_time() {
        let (lost, kept) = (Some(tree(100)), tree(80));
        let first = adopted(lost.clone(), kept.clone(), 0);
        let after = given_instance([]).when(adopt(lost, kept.clone(), 0)).then([first]);
        assert_eq!(after.latest_at(), Some(at_minute(0)));
        assert_eq!(after.decide(adopt(None, kept.clone(), 5)), Ok(vec![adopted(None, kept, 5)]));
    }
}
