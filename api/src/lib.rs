//! The countersign program: event store, vault, REST and command line.
//!
//! Reading order:
//! 1. [`app`]: what a running program consists of; [`server`]: how it answers;
//! 2. [`router`] and [`auth`]: every route, and who may call it;
//! 3. [`rest`]: the routes themselves;
//! 4. [`execute`]: one command, from its turn to its committed events;
//! 5. [`event_store`], [`vault`]: where events and secrets are kept;
//! 6. [`ledger`]: how events get their place in the order that is proved;
//! 7. [`evidence`]: signed reports for auditors;
//! 8. [`webhooks`]: entries of the audit trail on their way to other programs;
//! 9. [`cli`]: the command line, and [`cli::demo`], which walks the whole journey.

pub mod app;
mod audit_reads;
pub mod auth;
pub mod bundle;
mod caught;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod doctor;
pub mod email;
pub mod entropy;
pub mod erasure;
pub mod event_store;
pub mod evidence;
pub mod execute;
pub mod housekeeping;
pub mod key_file;
pub mod ledger;
pub mod operator;
pub mod pages;
pub mod passwords;
pub mod problem;
pub mod queue;
pub mod request;
pub mod rest;
pub mod router;
pub mod second_factor;
pub mod server;
#[cfg(test)]
mod testing;
pub mod text;
pub mod throttle;
pub mod time;
pub mod tls;
pub mod to_the_end;
pub mod token;
pub mod vault;
pub mod verify;
pub mod webhooks;

pub use clock::Clock;
pub use config::Config;
pub use server::Server;
