//! The ledger's formats: what is hashed, what is signed, and what a stranger's tools can check.
//!
//! Everything is a pure function: no I/O, no clock, no randomness.

pub mod canonical;
pub mod checkpoint;
pub mod leaf;
#[cfg(test)]
mod testing;
pub mod tile;
pub mod tree;
