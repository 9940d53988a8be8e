//! What Countersign derives from its events, and the databases that hold both.
//!
//! Reading order: [`table`] describes the rows that an append may write, [`database`] reaches
//! them, [`login_check`] derives them and answers the one question asked at sign-in. [`ledger`]
//! puts the whole history in one order and makes it provable, [`catch_up`] lets read models follow it,
//! and [`audit_trail`] is the one that people search, [`coverage`] counts two-factor day by day. [`replay`] folds everything anew.

pub mod audit_trail;
pub mod catch_up;
pub mod coverage;
pub mod database;
pub mod instance_rows;
pub mod ledger;
pub mod login_check;
pub mod replay;
mod stored_event;
pub mod table;
