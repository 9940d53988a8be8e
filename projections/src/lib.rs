//! What Countersign derives from its events, and the databases that hold both.
//!
//! Reading order: [`table`] describes the rows that an append may write, [`database`] reaches
//! them, [`login_check`] derives them and answers the one question asked at sign-in. [`ledger`]
//! makes the whole history provable.

pub mod database;
pub mod ledger;
pub mod login_check;
pub mod table;
