//! People: what they are linked to, and whether they have two-factor.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::agreement::Role;
use serde_json::json;

use super::{COVERAGE_MEMBERS, COVERAGE_TWO_FACTOR};
use crate::database::{Database, DatabaseError};
use crate::table::text;

/// So many people of an agreement are looked at together.
const PAGE_PEOPLE: i64 = if cfg!(test) { 2 } else { 128 };

/// So many memberships are kept of people whom no entry names: where a company's agreements get another
/// administrator, mostly the same people are gone through for each of them.
const KEPT_MAX: usize = if cfg!(test) { 3 } else { 100_000 };

/// The agreements that a person is linked to, and the role in each.
pub(super) type Memberships = BTreeMap<String, Role>;

/// What some people are linked to, and who of them has two-factor.
#[derive(Default)]
pub(super) struct People {
    pub(super) memberships: BTreeMap<String, Memberships>,
    pub(super) with_two_factor: BTreeSet<String>,
    kept: usize,
}

impl People {
    /// Keeps people whom no entry names, so that they stay as they are stored, unless many are kept already.
    pub(super) fn keep(&mut self, others: Self) {
        self.kept += others.memberships.values().map(BTreeMap::len).sum::<usize>();
        if self.kept <= KEPT_MAX {
            self.memberships.extend(others.memberships);
            self.with_two_factor.extend(others.with_two_factor);
        }
    }

    pub(super) async fn look_up(
        own: &Database,
        ids: impl Iterator<Item = &str>,
    ) -> Result<Self, DatabaseError> {
        let mut people = Self::default();
        let given = own.given(1, &[text("user_id")]);
        let ids: Vec<_> = ids.map(|id| json!({ "user_id": id })).collect();
        if ids.is_empty() {
            return Ok(people);
        }
        let ids = [json!(ids).to_string().into()];
        // Outer joins, so that each is looked up by its key.
        let members = format!(
            "SELECT m.user_id, m.agreement_id, m.superuser FROM {given} LEFT JOIN {} m ON m.user_id = given.user_id \
             WHERE coalesce(m.user_id, '') <> ''",
            COVERAGE_MEMBERS.name
        );
        for row in own.read_bulk(&members, &ids).await? {
            let role = if row.get("superuser")? { Role::Superuser } else { Role::User };
            people.memberships.entry(row.get("user_id")?).or_default().insert(row.get("agreement_id")?, role);
        }
        let enabled = format!(
            "SELECT t.user_id FROM {given} LEFT JOIN {} t ON t.user_id = given.user_id \
             WHERE coalesce(t.user_id, '') <> ''",
            COVERAGE_TWO_FACTOR.name
        );
        for row in own.read_bulk(&enabled, &ids).await? {
            people.with_two_factor.insert(row.get("user_id")?);
        }
        Ok(people)
    }
}

/// The next people of an agreement in the order of their ids, as they are stored; nobody after the last.
pub(super) async fn members_after(
    own: &Database,
    agreement_id: &str,
    after: &str,
) -> Result<Vec<String>, DatabaseError> {
    let sql = format!(
        "SELECT user_id FROM {} WHERE agreement_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3",
        COVERAGE_MEMBERS.name
    );
    let rows = own.read_bulk(&sql, &[agreement_id.into(), after.into(), PAGE_PEOPLE.into()]).await?;
    rows.iter().map(|row| row.get("user_id")).collect()
}
