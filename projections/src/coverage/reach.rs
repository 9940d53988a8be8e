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

/// So many people of an agreement are looked at together, and so many agreements looked up.
const PAGE_PEOPLE: i64 = if cfg!(test) { 2 } else { 512 };
const PAGE_AGREEMENTS: usize = if cfg!(test) { 2 } else { 1_024 };

/// Coverage may be so many entries behind, and so many events may wait, and it is still asked.
const UNFOLLOWED_MAX: i64 = 4_096;

/// How many people, and how many of them have two-factor.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counted {
    /// All of them.
    pub people: i64,
    /// Those with two-factor.
    pub with_two_factor: i64,
}

/// Whom an agreement reaches at this moment, if coverage knows. It does not if something that may change it was
/// recorded since, or if much was: then they have to be counted.
///
/// While `countersign ledger adopt` fills the queue anew, an event may be nowhere for a moment, and not be counted.
///
/// # Errors
/// When the database does not answer.
pub async fn reach_of(database: &Database, id: AgreementId) -> Result<Option<Counted>, DatabaseError> {
    // One statement, so that an event is either counted, or in the ledger behind that, or waiting for its place.
    // The bounds are in it as numbers, so that the planner knows how little is looked at.
    let (reach, changes, more) = (COVERAGE_REACH.name, changes_a_reach(), UNFOLLOWED_MAX + 1);
    let place = "SELECT position FROM projection_checkpoints WHERE projection = $2 AND version = $3";
    let event = "LEFT JOIN events e ON e.aggregate_type = k.aggregate_type AND e.aggregate_id = k.aggregate_id \
                 AND e.sequence = k.sequence";
    let sql = format!(
        "SELECT r.people, r.with_two_factor, \
         (SELECT count(*) FROM (SELECT 1 FROM ledger_entries WHERE position >= ({place}) ORDER BY position LIMIT {more}) AS k) \
         + (SELECT count(*) FROM (SELECT 1 FROM ledger_pending ORDER BY pending_id LIMIT {more}) AS k) AS unfollowed, \
         (SELECT count(*) FROM (SELECT aggregate_type, aggregate_id, sequence FROM ledger_entries \
         WHERE position >= ({place}) ORDER BY position LIMIT {more}) AS k {event} WHERE {changes}) \
         + (SELECT count(*) FROM (SELECT aggregate_type, aggregate_id, sequence FROM ledger_pending \
         ORDER BY pending_id LIMIT {more}) AS k {event} WHERE {changes}) AS changes \
         FROM {reach} r WHERE r.agreement_id = $1"
    );
    let params = [id.to_string().into(), Coverage::NAME.into(), Coverage::VERSION.into()];
    for row in database.scan(&sql, &params).await? {
        if row.get::<i64>("unfollowed")? <= UNFOLLOWED_MAX && row.get::<i64>("changes")? == 0 {
            return counted(&row).map(Some);
        }
    }
    Ok(None)
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

/// Whom an agreement reaches at some point of the ledger, and who else reaches its own people.
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

impl Standing {
    /// Whether the people of the agreement `of`, which stands so, are reached by `id`.
    fn is_reached_by(&self, of: &str, id: &str) -> bool {
        !self.closed && (of == id || self.administered_by.as_deref() == Some(id))
    }
}

/// The reaches of some agreements as they become while entries are taken in. Whatever is changed was looked up.
#[derive(Default)]
pub(super) struct Reaches {
    known: BTreeMap<String, Reach>,
    changed: BTreeSet<String>,
}

impl Reaches {
    /// Looks up what changes of these agreements, and of people who are linked to them, may change: their own
    /// reaches, and those of who administers them.
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
        agreements: BTreeSet<&String>,
    ) -> Result<BTreeSet<String>, DatabaseError> {
        // An outer join, so that each is looked up by its key.
        let sql = format!(
            "SELECT r.agreement_id, r.administered_by, r.closed, r.people, r.with_two_factor FROM {} \
             LEFT JOIN {} r ON r.agreement_id = given.agreement_id WHERE coalesce(r.agreement_id, '') <> ''",
            own.given(1, &[text("agreement_id")]),
            COVERAGE_REACH.name
        );
        let mut unknown = agreements;
        unknown.retain(|id| !self.known.contains_key(*id));
        let ids: Vec<_> = unknown.iter().map(|id| json!({ "agreement_id": id })).collect();
        let mut administrators = BTreeSet::new();
        for ids in ids.chunks(PAGE_AGREEMENTS) {
            for row in own.read_bulk(&sql, &[json!(ids).to_string().into()]).await? {
                let administered_by: Option<String> = row.get("administered_by")?;
                administrators.extend(administered_by.clone());
                let standing = Standing { administered_by, closed: row.get("closed")? };
                let reach = Reach { standing, counted: counted(&row)? };
                self.known.insert(row.get("agreement_id")?, reach);
            }
        }
        Ok(administrators)
    }

    /// An agreement that reaches nobody yet.
    pub(super) fn open(&mut self, id: &str) {
        self.count(id, |_| {});
    }

    /// Somebody with these other links is linked to an agreement from now on, or is no more.
    pub(super) fn count_link(&mut self, id: &str, others: &Memberships, step: i64, with_two_factor: bool) {
        let reaching = self.reaching(id);
        self.count_person(&reaching, (id, others), step, with_two_factor);
    }

    /// Somebody who is linked to these has two-factor from now on, or has it no more.
    pub(super) fn count_two_factor(&mut self, memberships: &Memberships, step: i64) {
        let reaching: BTreeSet<String> = memberships.keys().flat_map(|id| self.reaching(id)).collect();
        for id in reaching {
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
        let before = self.reaching(id);
        change(&mut self.known.entry(id.to_owned()).or_default().standing);
        let after = self.reaching(id);
        let only = |these: &BTreeSet<String>, those| these.difference(those).cloned().collect();
        let moved: [BTreeSet<String>; 2] = [only(&before, &after), only(&after, &before)];
        if moved.iter().all(BTreeSet::is_empty) {
            return Ok(());
        }
        self.move_people(id, &moved, people);
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
            self.move_people(id, &moved, &others);
        }
        Ok(())
    }

    /// Takes the people of an agreement from those that reach them no more, and counts them with those that now do.
    fn move_people(&mut self, id: &str, [gone, come]: &[BTreeSet<String>; 2], people: &People) {
        for (user_id, memberships) in people.memberships.iter().filter(|(_, of)| of.contains_key(id)) {
            let with_two_factor = people.with_two_factor.contains(user_id);
            self.count_person(gone, (id, memberships), -1, with_two_factor);
            self.count_person(come, (id, memberships), 1, with_two_factor);
        }
    }

    /// Counts somebody with those of `reaching` that reach them through an agreement, and through no other.
    fn count_person(
        &mut self,
        reaching: &BTreeSet<String>,
        (through, memberships): (&str, &Memberships),
        step: i64,
        with_two_factor: bool,
    ) {
        for id in reaching {
            let others = memberships.keys().filter(|other| other.as_str() != through);
            if !others.clone().any(|other| self.standing(other).is_reached_by(other, id)) {
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

    fn standing(&self, id: &str) -> &Standing {
        const UNKNOWN: &Standing = &Standing { administered_by: None, closed: false };
        self.known.get(id).map_or(UNKNOWN, |reach| &reach.standing)
    }

    /// The agreements that reach the people of this one.
    fn reaching(&self, of: &str) -> BTreeSet<String> {
        let standing = self.standing(of);
        let ids = [Some(of.to_owned()), standing.administered_by.clone()];
        ids.into_iter().flatten().filter(|id| standing.is_reached_by(of, id)).collect()
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
