//! Taking entries in: what they change is worked out in memory, from the rows that they touch.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::Timestamp;
use countersign_domain::agreement::{AgreementEvent, AgreementEventKind, Role};
use countersign_domain::user::{UserEvent, UserEventKind};
use serde_json::json;
use strum::IntoEnumIterator;

use super::people::{People, members_after};
use super::standing::{Moved, Standing, Standings};
use super::{COVERAGE_MEMBERS, COVERAGE_TWO_FACTOR, Counted, day_of};
use crate::database::{Database, DatabaseError, Row, Step};
use crate::stored_event::{event_of, listed};
use crate::table::text;

/// Whether somebody has two-factor after an event of this kind, if that is what it tells.
pub(crate) const fn two_factor_after(kind: UserEventKind) -> Option<bool> {
    match kind {
        UserEventKind::TwoFactorEnabled => Some(true),
        UserEventKind::TwoFactorDisabled | UserEventKind::TwoFactorReset | UserEventKind::UserErased => {
            Some(false)
        }
        UserEventKind::UserRegistered
        | UserEventKind::PasswordSet
        | UserEventKind::PasswordFailed
        | UserEventKind::EnrolmentDemanded
        | UserEventKind::TwoFactorEnrolmentStarted
        | UserEventKind::TwoFactorEnrolmentFailed
        | UserEventKind::AuthenticatorAdded
        | UserEventKind::RecoveryCodeIssued
        | UserEventKind::RecoveryCodeSaved
        | UserEventKind::RecoveryCodeUsed
        | UserEventKind::SecondFactorPassed
        | UserEventKind::SecondFactorFailed
        | UserEventKind::SecondFactorRefused
        | UserEventKind::SecondFactorLocked
        | UserEventKind::AuthenticatorDisabled
        | UserEventKind::AuthenticatorRemoved
        | UserEventKind::LoginChallenged
        | UserEventKind::LoginSucceeded
        | UserEventKind::SessionStarted
        | UserEventKind::SessionEnded
        | UserEventKind::RoleGranted
        | UserEventKind::RoleRevoked => None,
    }
}

/// The types of the events that change coverage; everything else is passed over unread.
fn types() -> Vec<&'static str> {
    let people = UserEventKind::iter().filter(|kind| two_factor_after(*kind).is_some()).map(Into::into);
    people.chain(AgreementEventKind::iter().map(Into::into)).collect()
}

/// An event that changes coverage.
pub(super) struct Change {
    day: String,
    what: What,
}

impl Change {
    /// Who administers an agreement from then on, if that is what it tells.
    fn administrator(&self) -> Option<String> {
        match &self.what {
            What::Agreement {
                event: AgreementEvent::AdministrationChanged { administered_by, .. }, ..
            } => administered_by.map(|id| id.to_string()),
            What::Agreement { .. } | What::TwoFactor { .. } => None,
        }
    }
}

enum What {
    TwoFactor { user_id: String, enabled: bool },
    Agreement { agreement_id: String, event: AgreementEvent },
}

/// The events of some entries.
pub(super) struct Read {
    pub(super) events: Vec<Change>,
    /// The first entry that cannot be taken: it or its event is gone, or does not read.
    pub(super) poison: Option<i64>,
}

/// Reads the entries from `from` to before `to`, of which none may be missing. Most change nothing here and stay in
/// the database: it hands over those that do, those that cannot be taken, and the last one, which says how many
/// were there.
pub(super) async fn read_events(ledger: &Database, from: i64, to: i64) -> Result<Read, DatabaseError> {
    let counts = format!("e.event_type IN ({})", listed(types()));
    let sql = format!(
        "SELECT l.position, l.place, l.aggregate_type, l.aggregate_id, e.event_type, e.event_version, e.recorded_at, \
         CASE WHEN {counts} THEN CAST(e.payload AS text) END AS payload \
         FROM (SELECT position, aggregate_type, aggregate_id, sequence, \
         row_number() OVER (ORDER BY position) AS place, count(*) OVER () AS places FROM ledger_entries \
         WHERE position >= $1 AND position < $2) AS l \
         LEFT JOIN events e ON e.aggregate_type = l.aggregate_type AND e.aggregate_id = l.aggregate_id \
         AND e.sequence = l.sequence \
         WHERE {counts} OR e.event_type IS NULL OR l.position <> $1 + l.place - 1 OR l.place = l.places \
         ORDER BY l.position"
    );
    let rows = ledger.read_bulk(&sql, &[from.into(), to.into()]).await?;
    let mut read = Read { events: Vec::new(), poison: None };
    let mut next = from;
    for row in &rows {
        let expected = from + row.get::<i64>("place")? - 1;
        if row.get::<i64>("position")? != expected {
            read.poison = Some(expected);
            return Ok(read);
        }
        match read_change(row)? {
            Readable::Change(change) => read.events.push(change),
            Readable::Nothing => {}
            Readable::No => {
                read.poison = Some(expected);
                return Ok(read);
            }
        }
        next = expected + 1;
    }
    read.poison = (next < to).then_some(next);
    Ok(read)
}

enum Readable {
    Change(Change),
    /// It changes nothing here.
    Nothing,
    /// It is gone, or does not read.
    No,
}

fn read_change(row: &Row) -> Result<Readable, DatabaseError> {
    if row.get::<Option<String>>("event_type")?.is_none() {
        return Ok(Readable::No);
    }
    if row.get::<Option<String>>("payload")?.is_none() {
        return Ok(Readable::Nothing);
    }
    let id: String = row.get("aggregate_id")?;
    let what = match row.get::<String>("aggregate_type")?.as_str() {
        "user" => {
            let kind = event_of::<UserEvent>(row)?.map(|event| UserEventKind::from(&event));
            let enabled = kind.and_then(two_factor_after);
            enabled.map(|enabled| What::TwoFactor { user_id: id, enabled })
        }
        _ => event_of(row)?.map(|event| What::Agreement { agreement_id: id, event }),
    };
    // On SQLite a time may have been respelled.
    let day = row.get::<Timestamp>("recorded_at").ok().map(day_of);
    Ok(what.zip(day).map_or(Readable::No, |(what, day)| Readable::Change(Change { day, what })))
}

/// Rows as they become while entries are taken in.
#[derive(Default)]
pub(super) struct Taking {
    standings: Standings,
    /// Those that an entry names, and some of those who were gone through.
    people: People,
    /// Who is linked to what from now on, in which role; nobody any more without one.
    linked: BTreeMap<(String, String), Option<Role>>,
    enabled: BTreeMap<String, bool>,
}

impl Taking {
    /// Looks up what these events may change.
    pub(super) async fn of(own: &Database, events: &[Change]) -> Result<Self, DatabaseError> {
        let mut taking = Self::default();
        let (mut people, mut agreements) = (BTreeSet::new(), BTreeSet::new());
        for Change { what, .. } in events {
            match what {
                What::TwoFactor { user_id, .. } => drop(people.insert(user_id.clone())),
                What::Agreement { agreement_id, event } => {
                    agreements.insert(agreement_id.clone());
                    people.extend(event.user_id().map(|id| id.to_string()));
                }
            }
        }
        taking.people = People::look_up(own, people.iter().map(String::as_str)).await?;
        agreements.extend(taking.people.memberships.values().flat_map(BTreeMap::keys).cloned());
        agreements.extend(events.iter().filter_map(Change::administrator));
        taking.standings.look_up(own, agreements.iter()).await?;
        Ok(taking)
    }

    /// Takes one event in.
    pub(super) async fn apply(
        &mut self,
        own: &Database,
        Change { day, what }: &Change,
    ) -> Result<(), DatabaseError> {
        match what {
            What::TwoFactor { user_id, enabled } => self.set_two_factor(user_id, *enabled, day),
            What::Agreement { agreement_id, event } => {
                self.change_agreement(own, agreement_id, event, day).await?;
            }
        }
        Ok(())
    }

    fn set_two_factor(&mut self, user_id: &str, enabled: bool, day: &str) {
        let changed = if enabled {
            self.people.with_two_factor.insert(user_id.to_owned())
        } else {
            self.people.with_two_factor.remove(user_id)
        };
        if !changed {
            return;
        }
        self.enabled.insert(user_id.to_owned(), enabled);
        let counted = Counted { people: 0, with_two_factor: if enabled { 1 } else { -1 } };
        let memberships = self.people.memberships.get(user_id).cloned().unwrap_or_default();
        let reaching: BTreeSet<String> =
            memberships.keys().flat_map(|id| self.standings.reaching(id)).collect();
        for id in reaching {
            self.standings.count_reached(&id, day, counted);
        }
        for (agreement_id, role) in memberships {
            self.standings.change(&agreement_id, day, |standing| standing.count(role, counted));
        }
    }

    async fn change_agreement(
        &mut self,
        own: &Database,
        agreement_id: &str,
        event: &AgreementEvent,
        day: &str,
    ) -> Result<(), DatabaseError> {
        match event {
            AgreementEvent::AgreementOpened { .. } => self.standings.change(agreement_id, day, |_| {}),
            AgreementEvent::AdministrationChanged { administered_by, .. } => {
                let by = administered_by.map(|id| id.to_string());
                self.change_reach(own, agreement_id, day, |standing| standing.administered_by = by).await?;
            }
            AgreementEvent::UserLinked { user_id, role, .. }
            | AgreementEvent::UserRoleChanged { user_id, role, .. } => {
                self.link(agreement_id, &user_id.to_string(), Some(*role), day);
            }
            AgreementEvent::UserUnlinked { user_id, .. } => {
                self.link(agreement_id, &user_id.to_string(), None, day);
            }
            AgreementEvent::EnforcementToggled { enforced, deadline, .. } => {
                self.standings.change(agreement_id, day, |standing| {
                    (standing.enforced, standing.deadline) = (*enforced, *deadline);
                });
            }
            AgreementEvent::AgreementClosed { .. } => {
                self.change_reach(own, agreement_id, day, |standing| standing.closed = true).await?;
            }
        }
        Ok(())
    }

    /// Changes an agreement in a way that may change who reaches its people. Then these are gone through, a page at
    /// a time: those that an entry names as they are by now, all others as they are stored.
    async fn change_reach(
        &mut self,
        own: &Database,
        id: &str,
        day: &str,
        change: impl FnOnce(&mut Standing),
    ) -> Result<(), DatabaseError> {
        let before = self.standings.reaching(id);
        self.standings.change(id, day, change);
        let after = self.standings.reaching(id);
        let moved = Moved { from: &before - &after, to: &after - &before };
        if moved.nowhere() {
            return Ok(());
        }
        self.standings.move_people(id, day, &moved, &self.people);
        let mut page = members_after(own, id, "").await?;
        while let Some(last) = page.last().cloned() {
            let others = page.iter().map(String::as_str);
            let others = others.filter(|user_id| !self.people.memberships.contains_key(*user_id));
            let others = People::look_up(own, others).await?;
            self.standings.look_up(own, others.memberships.values().flat_map(BTreeMap::keys)).await?;
            self.standings.move_people(id, day, &moved, &others);
            self.people.keep(others);
            page = members_after(own, id, &last).await?;
        }
        Ok(())
    }

    /// Links somebody in a role, or to nothing without one.
    fn link(&mut self, agreement_id: &str, user_id: &str, role: Option<Role>, day: &str) {
        let memberships = self.people.memberships.entry(user_id.to_owned()).or_default();
        let before = match role {
            Some(role) => memberships.insert(agreement_id.to_owned(), role),
            None => memberships.remove(agreement_id),
        };
        if before == role {
            return;
        }
        let one = Counted::one(self.people.with_two_factor.contains(user_id));
        let reached = match (before, role) {
            (None, Some(_)) => Some(one),
            (Some(_), None) => Some(-one),
            (None, None) | (Some(_), Some(_)) => None,
        };
        if let Some(counted) = reached {
            let reaching = self.standings.reaching(agreement_id);
            self.standings.count_person(&reaching, (agreement_id, memberships), day, counted);
        }
        self.linked.insert((user_id.to_owned(), agreement_id.to_owned()), role);
        self.standings.change(agreement_id, day, |standing| {
            if let Some(before) = before {
                standing.count(before, -one);
            }
            if let Some(role) = role {
                standing.count(role, one);
            }
        });
    }

    /// The statements that make it so.
    pub(super) fn steps(self, own: &Database) -> Vec<Step> {
        let mut steps = Vec::from_iter(self.standings.step());
        let (mut linked, mut unlinked) = (Vec::new(), Vec::new());
        for ((user_id, agreement_id), role) in self.linked {
            match role {
                Some(role) => {
                    linked.push(vec![user_id.into(), agreement_id.into(), (role == Role::Superuser).into()]);
                }
                None => unlinked.push(json!({ "user_id": user_id, "agreement_id": agreement_id })),
            }
        }
        if !linked.is_empty() {
            steps.push(Step::upsert(&COVERAGE_MEMBERS, linked));
        }
        if !unlinked.is_empty() {
            let sql = format!(
                "DELETE FROM {} WHERE (user_id, agreement_id) IN (SELECT given.user_id, given.agreement_id FROM {})",
                COVERAGE_MEMBERS.name,
                own.given(1, &[text("user_id"), text("agreement_id")])
            );
            steps.push(Step::new(sql, vec![json!(unlinked).to_string().into()]));
        }
        let (enabled, disabled): (Vec<_>, Vec<_>) =
            self.enabled.into_iter().partition(|(_, enabled)| *enabled);
        if !enabled.is_empty() {
            let rows = enabled.into_iter().map(|(user_id, _)| vec![user_id.into()]).collect();
            steps.push(Step::upsert(&COVERAGE_TWO_FACTOR, rows));
        }
        if !disabled.is_empty() {
            let keys: Vec<_> =
                disabled.into_iter().map(|(user_id, _)| json!({ "user_id": user_id })).collect();
            let sql = format!(
                "DELETE FROM {} WHERE user_id IN (SELECT given.user_id FROM {})",
                COVERAGE_TWO_FACTOR.name,
                own.given(1, &[text("user_id")])
            );
            steps.push(Step::new(sql, vec![json!(keys).to_string().into()]));
        }
        steps
    }
}
