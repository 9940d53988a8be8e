//! How agreements are at some point of the ledger, as entries change them.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::Timestamp;
use countersign_domain::agreement::Role;
use serde_json::json;

use super::people::{Memberships, People};
use super::{COVERAGE, Counted};
use crate::database::{Database, DatabaseError, Row, Step};
use crate::table::{Value, text};

/// So many agreements are looked up together.
const PAGE_AGREEMENTS: usize = if cfg!(test) { 2 } else { 1_024 };

/// How an agreement is.
#[derive(Clone, Default, Debug)]
pub(super) struct Standing {
    /// The day of its latest row; empty before there is any.
    day: String,
    members: Counted,
    superusers: Counted,
    pub(super) enforced: bool,
    pub(super) deadline: Option<Timestamp>,
    pub(super) administered_by: Option<String>,
    /// Then it requires nothing of its members, and nobody reaches them through it.
    pub(super) closed: bool,
    reached: Counted,
}

impl Standing {
    /// Counts members in a role; negative numbers are for who is so no more.
    pub(super) fn count(&mut self, role: Role, counted: Counted) {
        self.members += counted;
        match role {
            Role::Superuser => self.superusers += counted,
            Role::User => {}
        }
    }

    /// Whether the people of the agreement `of`, which stands so, are reached by `id`.
    fn is_reached_by(&self, of: &str, id: &str) -> bool {
        !self.closed && (of == id || self.administered_by.as_deref() == Some(id))
    }

    fn read(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            day: row.get("day")?,
            members: Counted::read(row, "members", "with_two_factor")?,
            superusers: Counted::read(row, "superusers", "superusers_with_two_factor")?,
            enforced: row.get("enforced")?,
            deadline: row.get("deadline")?,
            administered_by: row.get("administered_by")?,
            closed: row.get("closed")?,
            reached: Counted::read(row, "reached", "reached_with_two_factor")?,
        })
    }

    fn row(&self, agreement_id: &str) -> Vec<Value> {
        vec![
            agreement_id.into(),
            self.day.clone().into(),
            self.members.people.into(),
            self.members.with_two_factor.into(),
            self.superusers.people.into(),
            self.superusers.with_two_factor.into(),
            self.enforced.into(),
            self.deadline.into(),
            self.administered_by.clone().into(),
            self.closed.into(),
            self.reached.people.into(),
            self.reached.with_two_factor.into(),
        ]
    }
}

/// The agreements that reach the people of another no more, and those that do since.
pub(super) struct Moved {
    pub(super) from: BTreeSet<String>,
    pub(super) to: BTreeSet<String>,
}

impl Moved {
    pub(super) fn nowhere(&self) -> bool {
        self.from.is_empty() && self.to.is_empty()
    }
}

/// The standings of some agreements. Whatever is changed was looked up.
#[derive(Default)]
pub(super) struct Standings {
    known: BTreeMap<String, Standing>,
    /// The rows of those that changed, by agreement and day.
    rows: BTreeMap<(String, String), Vec<Value>>,
}

impl Standings {
    /// Looks up these agreements, and those that administer them.
    pub(super) async fn look_up(
        &mut self,
        own: &Database,
        agreements: impl Iterator<Item = &String>,
    ) -> Result<(), DatabaseError> {
        let administrators = self.read(own, agreements.collect()).await?;
        self.read(own, administrators.iter().collect()).await?;
        Ok(())
    }

    /// Reads those that are not known; who administers them.
    async fn read(
        &mut self,
        own: &Database,
        mut agreements: BTreeSet<&String>,
    ) -> Result<BTreeSet<String>, DatabaseError> {
        let table = COVERAGE.name;
        // An outer join, so that each is looked up by its key.
        let sql = format!(
            "SELECT c.agreement_id, c.day, c.members, c.with_two_factor, c.superusers, c.superusers_with_two_factor, \
             c.enforced, c.deadline, c.administered_by, c.closed, c.reached, c.reached_with_two_factor FROM {} \
             LEFT JOIN {table} c ON c.agreement_id = given.agreement_id AND c.day = \
             (SELECT max(d.day) FROM {table} d WHERE d.agreement_id = given.agreement_id) \
             WHERE coalesce(c.agreement_id, '') <> ''",
            own.given(1, &[text("agreement_id")])
        );
        agreements.retain(|id| !self.known.contains_key(*id));
        let ids: Vec<_> = agreements.iter().map(|id| json!({ "agreement_id": id })).collect();
        let mut administrators = BTreeSet::new();
        for ids in ids.chunks(PAGE_AGREEMENTS) {
            for row in own.read_bulk(&sql, &[json!(ids).to_string().into()]).await? {
                let standing = Standing::read(&row)?;
                administrators.extend(standing.administered_by.clone());
                self.known.insert(row.get("agreement_id")?, standing);
            }
        }
        Ok(administrators)
    }

    /// Changes how an agreement is, and its row of the day. Days never go back, whatever clocks did.
    pub(super) fn change(&mut self, id: &str, day: &str, change: impl FnOnce(&mut Standing)) {
        let standing = self.known.entry(id.to_owned()).or_default();
        change(standing);
        if day > standing.day.as_str() {
            day.clone_into(&mut standing.day);
        }
        self.rows.insert((id.to_owned(), standing.day.clone()), standing.row(id));
    }

    /// The agreements that reach the members of this one.
    pub(super) fn reaching(&self, of: &str) -> BTreeSet<String> {
        let administrator = self.known.get(of).and_then(|standing| standing.administered_by.clone());
        let ids = [Some(of.to_owned()), administrator];
        ids.into_iter().flatten().filter(|id| self.is_reached_by(of, id)).collect()
    }

    fn is_reached_by(&self, of: &str, id: &str) -> bool {
        self.known.get(of).map_or(of == id, |standing| standing.is_reached_by(of, id))
    }

    /// Counts people with an agreement that reaches them.
    pub(super) fn count_reached(&mut self, id: &str, day: &str, counted: Counted) {
        self.change(id, day, |standing| standing.reached += counted);
    }

    /// Counts somebody with those of `reaching` that reach them through an agreement, and through no other.
    pub(super) fn count_person(
        &mut self,
        reaching: &BTreeSet<String>,
        (through, memberships): (&str, &Memberships),
        day: &str,
        counted: Counted,
    ) {
        for id in reaching {
            let mut others = memberships.keys().filter(|other| other.as_str() != through);
            if !others.any(|other| self.is_reached_by(other, id)) {
                self.count_reached(id, day, counted);
            }
        }
    }

    /// Takes the people of an agreement from those that reach them no more, and counts them with those that do
    /// since.
    pub(super) fn move_people(&mut self, id: &str, day: &str, Moved { from, to }: &Moved, people: &People) {
        for (user_id, memberships) in people.memberships.iter().filter(|(_, of)| of.contains_key(id)) {
            let one = Counted::one(people.with_two_factor.contains(user_id));
            self.count_person(from, (id, memberships), day, -one);
            self.count_person(to, (id, memberships), day, one);
        }
    }

    /// The statement that makes it so.
    pub(super) fn step(self) -> Option<Step> {
        (!self.rows.is_empty()).then(|| Step::upsert(&COVERAGE, self.rows.into_values().collect()))
    }
}
