//! The harness of the suites: the product in-process or as its built program, on either database,
//! with a clock that a test sets, a small HTTP client, and `oathtool` as the authenticator app.
//!
//! A test is a function that takes a [`TestApp`] and is named in [`on_both_databases!`], or takes a
//! [`Place`] and is named in [`program_on_both_databases!`]. A function that is written and not
//! named is dead code, which the lints refuse.
//!
//! Reading order: [`app`], [`people`], [`agreements`], [`trail`], then what they stand on.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::return_self_not_must_use,
    reason = "a harness fails by panicking: that is how a test says what went wrong"
)]

pub mod agreements;
pub mod answer;
pub mod app;
pub mod authenticator;
pub mod browser;
pub mod client;
pub mod clock;
pub mod mix;
pub mod pages;
pub mod people;
pub mod place;
#[cfg(feature = "postgres")]
pub mod postgres;
mod product;
pub mod program;
pub mod receiver;
pub mod running;
pub mod stored;
pub mod trail;

pub use agreements::Agreement;
pub use answer::Answer;
pub use app::TestApp;
pub use authenticator::wrong_code;
pub use browser::Browser;
pub use client::{Client, NOBODY};
pub use mix::Mixed;
pub use pages::{Shown, Visitor};
pub use people::{Enrolment, Person, Session, TwoFactor};
pub use place::{Database, Place, fixture};
pub use program::{Ran, Serving};
pub use receiver::Receiver;
pub use running::{run_in_place, run_left_by, run_with_app};
