//! Coverage: how many people of each agreement had two-factor, day by day.
//!
//! A row tells how an agreement was at the end of a day on which something changed it, or whom it reaches; a day
//! without a row is like the one before. Whether two-factor was required, and due, is worked out when it is asked
//! for: see [`CoverageDay`]. How many people enforcement reaches now is counted along: see [`reach_of`].

mod day;
mod people;
mod reach;
mod standing;
mod taking;

use std::ops::{AddAssign, Neg};

use countersign_domain::Timestamp;

pub use day::{CoverageDay, days};
pub use reach::reach_of;

use crate::catch_up::{Batch, Projection};
use crate::database::{Database, DatabaseError, Row};
use crate::table::{Table, boolean, integer, text, timestamp};
use taking::Taking;
pub(crate) use taking::two_factor_after;

/// The read model behind coverage.
#[derive(Clone, Copy, Debug)]
pub struct Coverage;

/// How agreements were, by day.
pub static COVERAGE: Table = Table {
    name: "coverage_v2",
    columns: &[
        text("agreement_id"),
        text("day"),
        integer("members"),
        integer("with_two_factor"),
        integer("superusers"),
        integer("superusers_with_two_factor"),
        boolean("enforced"),
        timestamp("deadline"),
        text("administered_by"),
        boolean("closed"),
        integer("reached"),
        integer("reached_with_two_factor"),
    ],
    key: &["agreement_id", "day"],
};

/// Who is linked to what.
pub static COVERAGE_MEMBERS: Table = Table {
    name: "coverage_members_v2",
    columns: &[text("user_id"), text("agreement_id"), boolean("superuser")],
    key: &["user_id", "agreement_id"],
};

/// Who has two-factor.
pub static COVERAGE_TWO_FACTOR: Table =
    Table { name: "coverage_two_factor_v2", columns: &[text("user_id")], key: &["user_id"] };

/// All of its tables.
pub const COVERAGE_TABLES: [&Table; 3] = [&COVERAGE, &COVERAGE_MEMBERS, &COVERAGE_TWO_FACTOR];

/// How many people, and how many of them have two-factor.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counted {
    /// All of them.
    pub people: i64,
    /// Those with two-factor.
    pub with_two_factor: i64,
}

impl Counted {
    /// Out of two columns.
    fn read(row: &Row, people: &str, with_two_factor: &str) -> Result<Self, DatabaseError> {
        Ok(Self { people: row.get(people)?, with_two_factor: row.get(with_two_factor)? })
    }

    fn one(with_two_factor: bool) -> Self {
        Self { people: 1, with_two_factor: i64::from(with_two_factor) }
    }
}

impl AddAssign for Counted {
    fn add_assign(&mut self, more: Self) {
        self.people += more.people;
        self.with_two_factor += more.with_two_factor;
    }
}

impl Neg for Counted {
    type Output = Self;

    fn neg(self) -> Self {
        Self { people: -self.people, with_two_factor: -self.with_two_factor }
    }
}

impl Projection for Coverage {
    const NAME: &'static str = "coverage";
    const TITLE: &'static str = "Coverage";
    const VERSION: i64 = 2;

    async fn take(
        &self,
        ledger: &Database,
        own: &Database,
        from: i64,
        to: i64,
    ) -> Result<Batch, DatabaseError> {
        let read = taking::read_events(ledger, from, to).await?;
        if let Some(poison) = read.poison {
            return Ok(Batch::Poison(poison));
        }
        let mut taking = Taking::of(own, &read.events).await?;
        for event in &read.events {
            taking.apply(own, event).await?;
        }
        Ok(Batch::Steps(taking.steps(own)))
    }
}

/// The day of a moment, in UTC.
#[must_use]
pub fn day_of(at: Timestamp) -> String {
    at.format("%Y-%m-%d").to_string()
}
