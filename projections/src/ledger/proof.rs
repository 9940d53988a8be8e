//! Proofs (RFC 9162): that a leaf is in a tree, and that a tree has only grown. And the receipt
//! that carries the first of them to a stranger: a C2SP tlog-proof.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{Checkpoint, CheckpointError, Verifier, parse_number};
use super::tree::{Hash, Plan, TreeError, check_size, empty_root, leaf_hash, node_hash};

/// A proof of a tree of the largest size has this many hashes, and one of consistency one more.
const HASHES_MAX: usize = 64;

/// The first line of a receipt.
const RECEIPT: &str = "c2sp.org/tlog-proof@v1";

/// Why a proof does not prove.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// What is to be proved cannot be true of any tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The proof has too few or too many hashes for the tree.
    #[error("the proof does not have the length that it must have")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root than the tree has")]
    Root,
    /// The hashes lead to another root of the earlier tree.
    #[error("the proof leads to another root than the earlier tree has")]
    EarlierRoot,
    /// The text is not a tlog-proof.
    #[error("not a tlog-proof: {0}")]
    Malformed(&'static str),
    /// The checkpoint below the proof is not what its key signed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// What to read for the proof that leaf `index` is in the tree of `size` leaves.
///
/// # Errors
/// The leaf is not in the tree, or the size is beyond any ledger.
pub fn inclusion(index: u64, size: u64) -> Result<Plan, ProofError> {
    check_leaf(index, size)?;
    let (mut start, mut end, mut ranges) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + left_size(end - start);
        if index < middle {
            ranges.push((middle, end));
            end = middle;
        } else {
            ranges.push((start, middle));
            start = middle;
        }
    }
    ranges.reverse();
    Ok(Plan::of(ranges))
}

/// What to read for the proof that the tree of `to` leaves has grown from that of `from`.
///
/// # Errors
/// The tree would have shrunk, or the size is beyond any ledger.
pub fn consistency(from: u64, to: u64) -> Result<Plan, ProofError> {
    check_growth(from, to)?;
    let (mut start, mut end, mut ranges) = (0, to, Vec::new());
    // From nothing anything may grow, and a tree is consistent with itself: neither needs a hash.
    while from != 0 && from < end {
        let middle = start + left_size(end - start);
        if from <= middle {
            ranges.push((middle, end));
            end = middle;
        } else {
            ranges.push((start, middle));
            start = middle;
        }
    }
    // The verifier knows the earlier root, so it is named only where it is a part of a larger left side.
    if start > 0 {
        ranges.push((start, end));
    }
    ranges.reverse();
    Ok(Plan::of(ranges))
}

/// Checks that a leaf with this hash is leaf `index` of the tree with this size and root.
///
/// # Errors
/// The proof does not prove that.
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    check_leaf(index, size)?;
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        (hash, place, last) = climb(hash, *sibling, place, last);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree with the second size and root has grown from the one with the first.
///
/// # Errors
/// The proof does not prove that.
pub fn verify_consistency(
    (from, from_root): (u64, Hash),
    (to, to_root): (u64, Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    check_growth(from, to)?;
    if from == 0 || from == to {
        if !proof.is_empty() {
            return Err(ProofError::Length);
        }
        // A tree without leaves has one root only, whichever side it stands on.
        for (size, root) in [(from, from_root), (to, to_root)] {
            if size == 0 && root != empty_root() {
                return Err(ProofError::EarlierRoot);
            }
        }
        return if from == to && from_root != to_root { Err(ProofError::Root) } else { Ok(()) };
    }
    // Up to the root of the earlier tree's last full subtree both trees are the same.
    let shared = (from - 1).trailing_ones();
    let (mut place, mut last) = ((from - 1) >> shared, (to - 1) >> shared);
    let (first, rest) = if from.is_power_of_two() {
        (from_root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofError::Length)?;
        (*first, rest)
    };
    let (mut earlier, mut later) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            earlier = node_hash(*sibling, earlier);
        }
        (later, place, last) = climb(later, *sibling, place, last);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if earlier != from_root {
        return Err(ProofError::EarlierRoot);
    }
    if later == to_root { Ok(()) } else { Err(ProofError::Root) }
}

/// Joins a node with its sibling, and goes on to the next level at which there is one.
fn climb(hash: Hash, sibling: Hash, place: u64, last: u64) -> (Hash, u64, u64) {
    let (mut place, mut last) = (place, last);
    let joined = if place & 1 == 1 || place == last {
        // The last node of a level without a right sibling moves up unchanged.
        while place & 1 == 0 && place != 0 {
            (place, last) = (place >> 1, last >> 1);
        }
        node_hash(sibling, hash)
    } else {
        node_hash(hash, sibling)
    };
    (joined, place >> 1, last >> 1)
}

/// How many of a node's leaves are on its left: the largest power of two below their number.
fn left_size(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

fn check_leaf(index: u64, size: u64) -> Result<(), TreeError> {
    check_size(size)?;
    if index >= size { Err(TreeError::BeyondTree { index, size }) } else { Ok(()) }
}

fn check_growth(from: u64, to: u64) -> Result<(), TreeError> {
    check_size(to)?;
    if from > to { Err(TreeError::Shrunk { from, to }) } else { Ok(()) }
}

/// A C2SP tlog-proof: that some leaf is in the tree of the signed checkpoint below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// What the log adds for whoever reads the leaf; nothing that is proved.
    pub extra: Option<Vec<u8>>,
    /// The leaf's index.
    pub index: u64,
    /// The inclusion proof.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, as it was signed.
    pub checkpoint: String,
}

impl Receipt {
    /// Checks the signature, and that these bytes are the leaf. Answers what was signed.
    ///
    /// # Errors
    /// The checkpoint is not signed by that key, or the leaf is not in its tree at that index.
    pub fn verify(&self, verifier: &Verifier, leaf: &[u8]) -> Result<Checkpoint, ProofError> {
        let checkpoint = verifier.verify(self.checkpoint.as_bytes())?;
        verify_inclusion(leaf_hash(leaf), self.index, checkpoint.size, checkpoint.root, &self.hashes)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{RECEIPT}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        f.write_char('\n')?;
        f.write_str(&self.checkpoint)
    }
}

impl FromStr for Receipt {
    type Err = ProofError;

    /// Reads a receipt; nothing in it is believed before [`Receipt::verify`].
    fn from_str(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(ProofError::Malformed("no empty line before a checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(RECEIPT) {
            return Err(ProofError::Malformed("the first line names another format"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra.and_then(|line| line.strip_prefix("extra ")).map(|text| STANDARD.decode(text));
        let extra = extra.transpose().map_err(|_| ProofError::Malformed("the extra line is not base64"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(parse_number);
        let index = index.ok_or(ProofError::Malformed("no line with the index"))?;
        let hashes = lines.take(HASHES_MAX + 1).map(Hash::from_base64).collect::<Result<Vec<_>, _>>();
        let hashes = hashes.map_err(|_| ProofError::Malformed("a line of the proof is not a hash"))?;
        if hashes.len() > HASHES_MAX {
            return Err(ProofError::Malformed("more hashes than any proof has"));
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }
}

#[cfg(test)]
mod tests;
