//! The ledger's own stream: what befell the ledger as a whole.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::instance::{Instance, InstanceEvent};

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

/// The latest time that an operator went on from a restored database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LedgerAdoption {
    /// The tree that was signed last, if it was known.
    pub lost: Option<AdoptedTree>,
    /// The tree from which the ledger went on.
    pub kept: AdoptedTree,
    /// When.
    pub at: Timestamp,
}

impl From<AdoptLedger> for InstanceEvent {
    fn from(command: AdoptLedger) -> Self {
        let AdoptLedger { lost, kept, requeued, reason, at } = command;
        Self::LedgerAdopted { lost, kept, requeued, reason, at }
    }
}

impl Instance {
    pub(super) fn apply_to_ledger(&mut self, event: &InstanceEvent) {
        if let InstanceEvent::LedgerAdopted { lost, kept, at, .. } = event {
            self.ledger_adoption = Some(LedgerAdoption { lost: lost.clone(), kept: kept.clone(), at: *at });
        }
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
    fn going_on_from_a_restored_database_is_recorded_with_both_trees() {
        let (lost, kept) = (Some(tree(100)), tree(80));
        let after = given_instance([]).when(adopt(lost.clone(), kept.clone(), 0)).then([adopted(
            lost.clone(),
            kept.clone(),
            0,
        )]);
        assert_eq!(after.ledger_adoption(), Some(&LedgerAdoption { lost, kept, at: at_minute(0) }));
    }

    #[test]
    fn each_time_is_recorded_and_the_latest_is_known() {
        let after = given_instance([adopted(Some(tree(100)), tree(80), 0)])
            .when(adopt(None, tree(80), 5))
            .then([adopted(None, tree(80), 5)]);
        let latest = LedgerAdoption { lost: None, kept: tree(80), at: at_minute(5) };
        assert_eq!(after.ledger_adoption(), Some(&latest));
    }
}
