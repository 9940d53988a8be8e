//! The tree of the published test vector, at any size; and the trees of other leaves.

pub(super) mod history;

use std::collections::HashMap;
use std::convert::Infallible;

use zeroize::Zeroizing;

use super::checkpoint::Signer;
use super::tree::{Hash, Plan, Subtree, empty_root, leaf_hash, node_hash};

pub(super) const VKEY: &str = "audit.example.com/log1+cf18fe2a+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";

/// The key of the test vector, or another one of the same log.
pub(super) fn signer(seed_start: u8) -> Signer {
    let seed = std::array::from_fn(|place| seed_start + u8::try_from(place).unwrap());
    Signer::from_seed("audit.example.com/log1".parse().unwrap(), &Zeroizing::new(seed))
}

/// Leaf `index` of the test vector.
pub(super) fn test_leaf(index: u64) -> Vec<u8> {
    format!(r#"{{"pos":{index},"type":"test.event"}}"#).into_bytes()
}

/// The hash of every full subtree, computed straight from the definition.
pub(super) struct Stored(HashMap<Subtree, Hash>);

impl Stored {
    pub(super) fn of(size: u64) -> Self {
        Self::of_leaves((0..size).map(|index| leaf_hash(&test_leaf(index))).collect())
    }

    pub(super) fn of_leaves(mut row: Vec<Hash>) -> Self {
        let (mut stored, mut level) = (HashMap::new(), 0);
        while !row.is_empty() {
            stored.extend((0..).zip(&row).map(|(index, hash)| (Subtree { level, index }, *hash)));
            row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(*left, *right)).collect();
            level += 1;
        }
        Self(stored)
    }

    pub(super) fn subtree(&self, subtree: Subtree) -> Hash {
        self.0[&subtree]
    }

    pub(super) fn hashes(&self, plan: &Plan) -> Vec<Hash> {
        plan.hashes(|subtree| Ok::<_, Infallible>(self.0[&subtree])).unwrap()
    }

    pub(super) fn root(&self, size: u64) -> Hash {
        self.hashes(&Plan::root(size).unwrap()).pop().unwrap_or_else(empty_root)
    }
}
