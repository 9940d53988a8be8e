//! The ledger's formats: what is hashed, what is signed, and what a stranger's tools can check.
//!
//! Reading order:
//! 1. [`canonical`]: the one spelling of a JSON text, so that its digest survives a JSON column;
//! 2. [`leaf`]: one event as the bytes that are hashed;
//! 3. [`tree`]: the Merkle tree of RFC 6962 over those bytes, and its frontier, which grows it;
//! 4. [`tile`]: how C2SP tlog-tiles cuts the tree into files or rows of at most 256 hashes;
//! 5. [`checkpoint`]: a signed size and root, as a C2SP signed note;
//! 6. [`proof`]: that a leaf is in a tree, and that a tree has only grown;
//! 7. [`store`]: the ledger as a database holds it;
//! 8. [`sequencer`]: gives events their place in it;
//! 9. [`verify`]: whether a whole ledger is what it claims to be;
//! 10. [`bundle`]: a ledger as a directory of files, for an auditor who believes nothing.
//!
//! The formats are pure functions: no I/O, no clock, no randomness. Reading stored hashes is left
//! to closures, and a [`tree::Plan`] says beforehand which hashes they will be asked for.
//! Verification reads what it is given and writes temporary files; nothing else here touches files.

pub mod bundle;
pub mod canonical;
pub mod checkpoint;
pub mod leaf;
pub mod proof;
pub mod sequencer;
pub mod store;
#[cfg(test)]
mod testing;
pub mod tile;
pub mod tree;
pub mod verify;
mod waiting;
