//! Whom each agreement reaches: its own people, and those of the open agreements that it administers, each
//! counted once.
//!
//! It is counted along, person by person. Where an agreement comes or goes with all its people, these are gone
//! through, a page at a time, since they may be any number.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::agreement::{AgreementEventKind, Role};
use countersign_domain::ids::AgreementId;
use countersign_domain::user::UserEventKind;
use serde_json::json;
use strum::IntoEnumIterator;

use super::taking::{People, two_factor_after};
use super::{COVERAGE_MEMBERS, COVERAGE_REACH, Coverage};
use crate::catch_up::Projection;
use crate::database::{Database, DatabaseError, Row, Step};
use crate::table::text;

/// The agreements that a person is linked to, and the role in each.
pub(super) type Memberships = BTreeMap<String, Role>;

/// So many people of an agreement are looked at together.
const PAGE_PEOPLE: i64 = if cfg!(test) { 2 } else { 2_048 };

/// Coverage may be so many entries behind and still be asked, since what these say is looked at.
const BEHIND_MAX: i64 = 4_096;

/// How many people, and how many of them have two-factor.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counted {
    /// All of them.
    pub people: i64,
    /// Those with two-factor.
    pub with_two_factor: i64,
}

/// Whom an agreement reaches at this moment, where coverage knows that it is more than so many people. It does
/// not if something that may change it was recorded since, or if coverage is far behind: then they have
/// to be counted.
///
/// # Errors
/// When the database does not answer.
pub async fn reach_of(
    database: &Database,
    id: AgreementId,
    more_than: i64,
) -> Result<Option<Counted>, DatabaseError> {
    let (reach, changes) = (COVERAGE_REACH.name, changes_a_reach());
    // One statement, so that an event is either counted, or in the ledger behind that, or waiting for its place.
    let sql = format!(
        "SELECT r.people, r.with_two_factor FROM {reach} r \
         JOIN projection_checkpoints c ON c.projection = $2 AND c.version = $3 \
         JOIN ledger_state s ON s.size <= c.position + {BEHIND_MAX} \
         WHERE r.agreement_id = $1 AND r.people > $4 \
         AND NOT EXISTS (SELECT 1 FROM ledger_entries k JOIN events e ON e.aggregate_type = k.aggregate_type \
         AND e.aggregate_id = k.aggregate_id AND e.sequence = k.sequence WHERE k.position >= c.position AND {changes}) \
         AND NOT EXISTS (SELECT 1 FROM ledger_pending k JOIN events e ON e.aggregate_type = k.aggregate_type \
         AND e.aggregate_id = k.aggregate_id AND e.sequence = k.sequence WHERE {changes})"
    );
    let params = [id.to_string().into(), Coverage::NAME.into(), Coverage::VERSION.into(), more_than.into()];
    database.scan(&sql, &params).await?.first().map(counted).transpose()
}

/// Whether an event `e` may change whom the agreement `$1` reaches.
fn changes_a_reach() -> String {
    let of_people = UserEventKind::iter().filter(|kind| two_factor_after(*kind).is_some());
    let of_people: Vec<&str> = of_people.map(Into::into).collect();
    let (mut of_agreements, mut of_links) = (Vec::<&str>::new(), Vec::<&str>::new());
    for kind in AgreementEventKind::iter() {
        match kind {
            AgreementEventKind::AdministrationChanged | AgreementEventKind::AgreementClosed => {
                of_agreements.push(kind.into());
            }
            // A changed role links whoever was not linked.
            AgreementEventKind::UserLinked
            | AgreementEventKind::UserRoleChanged
            | AgreementEventKind::UserUnlinked => of_links.push(kind.into()),
            AgreementEventKind::AgreementOpened | AgreementEventKind::EnforcementToggled => {}
        }
    }
    let administered = "EXISTS (SELECT 1 FROM login_check_agreements a WHERE a.administered_by = $1 AND";
    format!(
        "(e.event_type IN ({}) \
         OR e.event_type IN ({}) AND (e.aggregate_id = $1 OR {administered} a.agreement_id = e.aggregate_id)) \
         OR e.event_type IN ({}) AND EXISTS (SELECT 1 FROM login_check_links m WHERE m.user_id = e.aggregate_id \
         AND (m.agreement_id = $1 OR {administered} a.agreement_id = m.agreement_id))))",
        listed(&of_agreements),
        listed(&of_links),
        listed(&of_people),
    )
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

fn counted(row: &Row) -> Result<Counted, DatabaseError> {
    Ok(Counted { people: row.get("people")?, with_two_factor: row.get("with_two_factor")? })
}

/// Whom an agreement reaches at some point of the ledger, and whom it makes others reach.
#[derive(Clone, Default, Debug)]
struct Reach {
    standing: Standing,
    counted: Counted,
}

/// Through what the people of an agreement are reached.
#[derive(Clone, Default, Debug)]
pub(super) struct Standing {
    pub(super) administered_by: Option<String>,
    /// Then they are not reached through it.
    pub(super) closed: bool,
}

/// The reaches of some agreements as they become while entries are taken in.
#[derive(Default)]
pub(super) struct Reaches {
    known: BTreeMap<String, Reach>,
    changed: BTreeSet<String>,
}

impl Reaches {
    /// Looks up what changes of these agreements, and of people who are linked to them, may change.
    pub(super) async fn look_up(
        &mut self,
        own: &Database,
        agreements: impl Iterator<Item = &String>,
    ) -> Result<(), DatabaseError> {
        let of_agreements = self.read(own, agreements).await?;
        self.read(own, of_agreements.iter()).await?;
        Ok(())
    }

    /// Reads those that are not known; who administers them.
    async fn read(
        &mut self,
        own: &Database,
        agreements: impl Iterator<Item = &String>,
    ) -> Result<BTreeSet<String>, DatabaseError> {
        let unknown = agreements.filter(|id| !self.known.contains_key(*id));
        let ids: Vec<_> = unknown.map(|id| json!({ "agreement_id": id })).collect();
        let mut administrators = BTreeSet::new();
        if ids.is_empty() {
            return Ok(administrators);
        }
        // An outer join, so that each is looked up by its key.
        let sql = format!(
            "SELECT r.agreement_id, r.administered_by, r.closed, r.people, r.with_two_factor FROM {} \
             LEFT JOIN {} r ON r.agreement_id = given.agreement_id WHERE coalesce(r.agreement_id, '') <> ''",
            own.given(1, &[text("agreement_id")]),
            COVERAGE_REACH.name
        );
        for row in own.read_bulk(&sql, &[json!(ids).to_string().into()]).await? {
            let administered_by: Option<String> = row.get("administered_by")?;
            administrators.extend(administered_by.clone());
            let standing = Standing { administered_by, closed: row.get("closed")? };
            let reach = Reach { standing, counted: counted(&row)? };
            self.known.insert(row.get("agreement_id")?, reach);
        }
        Ok(administrators)
    }

    /// An agreement that reaches nobody yet.
    pub(super) fn open(&mut self, id: &str) {
        self.count(id, |_| {});
    }

    /// Somebody is linked to other agreements than before.
    pub(super) fn count_person(&mut self, before: &Memberships, after: &Memberships, with_two_factor: bool) {
        let (before, after) = (self.reaching(before), self.reaching(after));
        self.count_moved(&before, &after, with_two_factor);
    }

    /// Somebody who is linked to these has two-factor from now on, or has it no more.
    pub(super) fn count_two_factor(&mut self, memberships: &Memberships, step: i64) {
        for id in self.reaching(memberships) {
            self.count(&id, |counted| counted.with_two_factor += step);
        }
    }

    /// An agreement changes how its people are reached. They are gone through: those that an entry of this batch
    /// names as they are by now, all others as they are stored.
    pub(super) async fn stand(
        &mut self,
        own: &Database,
        id: &str,
        people: &People,
        change: impl FnOnce(&mut Standing),
    ) -> Result<(), DatabaseError> {
        self.open(id);
        let before = self.known.get(id).map(|reach| reach.standing.clone()).unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        let sides = [before, after];
        self.move_people(id, &sides, people);
        let sql = format!(
            "SELECT user_id FROM {} WHERE agreement_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3",
            COVERAGE_MEMBERS.name
        );
        let mut last = Some(String::new());
        while let Some(after) = last {
            let rows = own.read_bulk(&sql, &[id.into(), after.into(), PAGE_PEOPLE.into()]).await?;
            let ids: Vec<String> = rows.iter().map(|row| row.get("user_id")).collect::<Result<_, _>>()?;
            last = ids.last().cloned();
            let others = ids.iter().map(String::as_str).filter(|id| !people.memberships.contains_key(*id));
            let others = People::look_up(own, others).await?;
            self.look_up(own, others.memberships.values().flat_map(BTreeMap::keys)).await?;
            self.move_people(id, &sides, &others);
        }
        let [_, after] = sides;
        self.known.entry(id.to_owned()).or_default().standing = after;
        Ok(())
    }

    /// Counts the people of an agreement whose standing changes.
    fn move_people(&mut self, id: &str, sides: &[Standing; 2], people: &People) {
        for (user_id, memberships) in people.memberships.iter().filter(|(_, of)| of.contains_key(id)) {
            let [before, after] = sides.clone().map(|standing| {
                self.known.entry(id.to_owned()).or_default().standing = standing;
                self.reaching(memberships)
            });
            self.count_moved(&before, &after, people.with_two_factor.contains(user_id));
        }
    }

    fn count_moved(&mut self, before: &BTreeSet<String>, after: &BTreeSet<String>, with_two_factor: bool) {
        for (ids, step) in [(before.difference(after), -1), (after.difference(before), 1)] {
            for id in ids {
                self.count(id, |counted| {
                    counted.people += step;
                    counted.with_two_factor += if with_two_factor { step } else { 0 };
                });
            }
        }
    }

    fn count(&mut self, id: &str, change: impl FnOnce(&mut Counted)) {
        self.changed.insert(id.to_owned());
        change(&mut self.known.entry(id.to_owned()).or_default().counted);
    }

    /// The agreements that reach somebody who is linked to these.
    fn reaching(&self, memberships: &Memberships) -> BTreeSet<String> {
        let mut reaching = BTreeSet::new();
        for id in memberships.keys() {
            let standing = self.known.get(id).map(|reach| &reach.standing);
            if standing.is_none_or(|standing| !standing.closed) {
                reaching.insert(id.clone());
                reaching.extend(standing.and_then(|standing| standing.administered_by.clone()));
            }
        }
        reaching
    }

    /// The statement that makes it so.
    pub(super) fn step(self) -> Option<Step> {
        let row = |id: String| {
            let Reach { standing, counted } = self.known.get(&id).cloned().unwrap_or_default();
            vec![
                id.into(),
                standing.administered_by.into(),
                standing.closed.into(),
                counted.people.into(),
                counted.with_two_factor.into(),
            ]
        };
        let rows: Vec<_> = self.changed.into_iter().map(row).collect();
        (!rows.is_empty()).then(|| Step::upsert(&COVERAGE_REACH, rows))
    }
}

#[cfg(test)]
mod tests;
