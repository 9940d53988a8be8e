//! The Merkle tree of RFC 6962 with SHA-256: its hashes, the frontier that grows it, and the plan
//! that says from which stored hashes a root or a proof is put together.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// No tree is larger: positions are signed 64-bit integers in the databases.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// A SHA-256 hash. Shown and stored in base64, as the C2SP formats write it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

/// Why something is not a tree, or not a part of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TreeError {
    /// A text that should be a hash is not one.
    #[error("not a SHA-256 hash")]
    NotAHash,
    /// The number of frontier hashes does not belong to the size.
    #[error("a tree of {size} leaves has {expected} frontier hashes, not {found}")]
    FrontierLength {
        /// The tree's size.
        size: u64,
        /// How many hashes that size has.
        expected: u32,
        /// How many there were.
        found: usize,
    },
    /// The size is beyond what a ledger can hold.
    #[error("a tree of {0} leaves is larger than any ledger")]
    TooLarge(u64),
    /// The leaf is not in the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    BeyondTree {
        /// The leaf's index, from zero.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// A tree cannot have grown from a larger one.
    #[error("a tree of {to} leaves has not grown from one of {from}")]
    Shrunk {
        /// The earlier size.
        from: u64,
        /// The later size.
        to: u64,
    },
}

/// The hash of a leaf: SHA-256(0x00 ‖ leaf).
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(leaf).finalize().into())
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

impl Hash {
    /// Wraps 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// In standard base64 with padding.
    #[must_use]
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// From standard base64 with padding, in the one spelling that [`Hash::to_base64`] writes.
    ///
    /// # Errors
    /// It is not that of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, TreeError> {
        let bytes = STANDARD.decode(text).map_err(|_| TreeError::NotAHash)?;
        bytes.try_into().map(Self).map_err(|_| TreeError::NotAHash)
    }

    /// In lower-case hex.
    #[must_use]
    pub fn to_hex(self) -> String {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble));
        self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(digit).collect()
    }

    /// From lower-case hex.
    ///
    /// # Errors
    /// It is not that of 32 bytes.
    pub fn from_hex(text: &str) -> Result<Self, TreeError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(TreeError::NotAHash);
        }
        let mut bytes = [0; 32];
        // Told at the end, so that the usual case is one straight run.
        let mut all = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (nibble(*high), nibble(*low));
            all |= high | low;
            *byte = (high << 4) | (low & 15);
        }
        if all > 15 { Err(TreeError::NotAHash) } else { Ok(Self(bytes)) }
    }
}

/// The value of a digit, or something larger than any.
const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => u8::MAX,
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = TreeError;

    fn from_str(text: &str) -> Result<Self, TreeError> {
        Self::from_base64(text)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_base64(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The right edge of a tree: the roots of its full subtrees, largest first. It is all that is
/// needed to append, however large the tree is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// A stored frontier.
    ///
    /// # Errors
    /// The hashes do not belong to a tree of that size.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, TreeError> {
        check_size(size)?;
        let (expected, found) = (size.count_ones(), hashes.len());
        if u32::try_from(found) != Ok(expected) {
            return Err(TreeError::FrontierLength { size, expected, found });
        }
        Ok(Self { size, hashes })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the full subtrees, largest first, for storing.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends one leaf.
    ///
    /// # Errors
    /// The tree is as large as a ledger can be.
    pub fn push(&mut self, leaf: Hash) -> Result<(), TreeError> {
        check_size(self.size + 1)?;
        let mut hash = leaf;
        // Each trailing one bit of the size is a full subtree as large as what is being added.
        for _ in 0..self.size.trailing_ones() {
            let left = self.hashes.pop().ok_or(TreeError::NotAHash)?;
            hash = node_hash(left, hash);
        }
        self.hashes.push(hash);
        self.size += 1;
        Ok(())
    }

    /// The tree's root.
    #[must_use]
    pub fn root(&self) -> Hash {
        join(&self.hashes).unwrap_or_else(empty_root)
    }
}

/// A full subtree: the 2^level leaves from index · 2^level on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Subtree {
    /// Its height; a leaf has none.
    pub level: u8,
    /// Its place among the subtrees of its height.
    pub index: u64,
}

/// Which stored hashes of full subtrees make up the hashes of a root or a proof. What they are
/// can be asked before they are read, so that they can be fetched at once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    nodes: Vec<Vec<Subtree>>,
}

impl Plan {
    /// For the root of a tree: one hash, or none when the tree is empty.
    ///
    /// # Errors
    /// The size is beyond any ledger.
    pub fn root(size: u64) -> Result<Self, TreeError> {
        check_size(size)?;
        Ok(if size == 0 { Self::default() } else { Self::of([(0, size)]) })
    }

    /// For the frontier of a tree: each full subtree by itself, largest first.
    ///
    /// # Errors
    /// The size is beyond any ledger.
    pub fn frontier(size: u64) -> Result<Self, TreeError> {
        check_size(size)?;
        Ok(Self { nodes: full_subtrees(0, size).into_iter().map(|subtree| vec![subtree]).collect() })
    }

    /// For these ranges of leaves, each a node of one tree.
    pub(super) fn of(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self { nodes: ranges.into_iter().map(|(start, end)| full_subtrees(start, end)).collect() }
    }

    /// Every full subtree whose hash is needed.
    pub fn subtrees(&self) -> impl Iterator<Item = Subtree> + '_ {
        self.nodes.iter().flatten().copied()
    }

    /// The planned hashes, put together from what `read` returns.
    ///
    /// # Errors
    /// What `read` fails with.
    pub fn hashes<E>(&self, mut read: impl FnMut(Subtree) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
        let mut hashes = Vec::with_capacity(self.nodes.len());
        for subtrees in &self.nodes {
            let parts = subtrees.iter().map(|subtree| read(*subtree)).collect::<Result<Vec<_>, E>>()?;
            hashes.extend(join(&parts));
        }
        Ok(hashes)
    }
}

/// The root of the first `size` leaves, from the stored hashes of full subtrees.
///
/// # Errors
/// The size is beyond any ledger, or what `read` fails with.
pub fn root<E: From<TreeError>>(size: u64, read: impl FnMut(Subtree) -> Result<Hash, E>) -> Result<Hash, E> {
    Ok(Plan::root(size)?.hashes(read)?.pop().unwrap_or_else(empty_root))
}

pub(super) fn check_size(size: u64) -> Result<(), TreeError> {
    if size > MAX_SIZE { Err(TreeError::TooLarge(size)) } else { Ok(()) }
}

/// Joins subtrees of falling size, left to right, as RFC 6962 joins a tree's left and right part.
pub(super) fn join(hashes: &[Hash]) -> Option<Hash> {
    hashes.iter().copied().rev().reduce(|right, left| node_hash(left, right))
}

/// Cuts a node's leaves into full subtrees, largest first.
fn full_subtrees(start: u64, end: u64) -> Vec<Subtree> {
    let (mut start, mut subtrees) = (start, Vec::new());
    while let Some(log) = end.saturating_sub(start).checked_ilog2() {
        let level = u8::try_from(log).unwrap_or(u8::MAX);
        subtrees.push(Subtree { level, index: start >> log });
        start += 1 << log;
    }
    subtrees
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stored, test_leaf};
    use super::*;

    #[test]
    fn a_frontier_and_the_stored_subtrees_have_the_same_root() {
        let stored = Stored::of(600);
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root(), stored.root(0));
        for index in 0..600 {
            frontier.push(leaf_hash(&test_leaf(index))).unwrap();
            assert_eq!(frontier.root(), stored.root(index + 1));
            let again = Frontier::from_parts(frontier.size(), frontier.hashes().to_vec()).unwrap();
            assert_eq!(again, frontier);
        }
    }

    #[test]
    fn the_test_vector_has_its_root() {
        assert_eq!(Stored::of(7).root(7).to_base64(), "MS3Jx+ldkyhrHmBwxQnYxnZCPTHChPuL4vtoz0SaInE=");
        assert_eq!(empty_root().to_hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn roots_agree_with_ct_merkle() {
        let mut theirs = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let stored = Stored::of(300);
        for index in 0..300 {
            theirs.push(test_leaf(index));
            assert_eq!(theirs.root().as_bytes().as_slice(), stored.root(index + 1).as_bytes());
        }
    }

    #[test]
    fn a_frontier_of_another_size_or_beyond_any_ledger_is_refused() {
        let hash = empty_root();
        assert_eq!(
            Frontier::from_parts(3, vec![hash]),
            Err(TreeError::FrontierLength { size: 3, expected: 2, found: 1 })
        );
        assert_eq!(Frontier::from_parts(u64::MAX, vec![hash; 64]), Err(TreeError::TooLarge(u64::MAX)));
        let mut full = Frontier::from_parts(MAX_SIZE, vec![hash; 63]).unwrap();
        assert_eq!(full.push(hash), Err(TreeError::TooLarge(MAX_SIZE + 1)));
        assert_eq!(root::<TreeError>(u64::MAX, |_| Ok(hash)), Err(TreeError::TooLarge(u64::MAX)));
    }

    #[test]
    fn hashes_are_read_back_in_one_spelling_only() {
        let hash = leaf_hash(b"x");
        assert_eq!(hash.to_base64().parse(), Ok(hash));
        assert_eq!(Hash::from_hex(&hash.to_hex()), Ok(hash));
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
        for text in ["", "AA==", "MS3Jx+ldkyhrHmBwxQnYxnZCPTHChPuL4vtoz0SaInF=", &hash.to_hex()] {
            assert_eq!(Hash::from_base64(text), Err(TreeError::NotAHash), "{text}");
        }
        for text in ["", "0g", &hash.to_hex().to_uppercase(), &hash.to_base64()] {
            assert_eq!(Hash::from_hex(text), Err(TreeError::NotAHash), "{text}");
        }
    }
}
