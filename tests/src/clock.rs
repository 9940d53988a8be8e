//! The time that a test's node sees.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::product;

/// When every test with a clock of its own begins: the first second of a time step of 30 s.
pub fn beginning() -> DateTime<Utc> {
    at_unix_s(1_800_000_000)
}

/// An instant by its Unix time.
pub fn at_unix_s(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("a time that chrono can hold")
}

/// Reads an RFC 3339 time out of an answer.
pub fn parse(text: &str) -> DateTime<Utc> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.to_utc(),
        Err(error) => panic!("not an RFC 3339 time: {text:?}: {error}"),
    }
}

/// A time as it stands in a query: `+` would be a space there, so it ends in `Z`.
pub fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The clock of a node in-process, or the machine's for the built program.
#[derive(Clone)]
pub enum TestClock {
    /// Stands still until the test moves it.
    Manual {
        /// What the test last set.
        now: Arc<Mutex<DateTime<Utc>>>,
        /// What the nodes read.
        product: ProductClock,
    },
    /// Runs by itself.
    Machine,
}

/// The product's own clock, kept opaque.
#[derive(Clone)]
pub struct ProductClock(pub(crate) product::Clock);

impl TestClock {
    pub(crate) fn manual() -> Self {
        Self::Manual {
            now: Arc::new(Mutex::new(beginning())),
            product: ProductClock(product::manual_clock(beginning())),
        }
    }

    /// What the node takes for now.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::Manual { now, .. } => *now.lock().unwrap_or_else(PoisonError::into_inner),
            Self::Machine => {
                let since = UNIX_EPOCH.elapsed().expect("a machine clock after 1970");
                at_unix_s(i64::try_from(since.as_secs()).expect("a machine clock of this age"))
            }
        }
    }

    /// Sets the clock, back too.
    pub fn set(&self, to: DateTime<Utc>) {
        match self {
            Self::Manual { now, product } => {
                *now.lock().unwrap_or_else(PoisonError::into_inner) = to;
                product::set_clock(&product.0, to);
            }
            Self::Machine => panic!("the machine's clock is not a test's to set"),
        }
    }

    /// Moves the clock on, or back with a negative number.
    pub fn advance_s(&self, seconds: i64) {
        self.set(self.now() + TimeDelta::seconds(seconds));
    }

    pub(crate) fn product(&self) -> &product::Clock {
        match self {
            Self::Manual { product, .. } => &product.0,
            Self::Machine => panic!("the built program has a clock of its own"),
        }
    }
}
