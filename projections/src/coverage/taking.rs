//! Taking entries in: what they change is worked out in memory, from the rows that they touch.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::Timestamp;
use countersign_domain::agreement::{AgreementEvent, AgreementEventKind, Role};
use countersign_domain::user::{UserEvent, UserEventKind};
use serde_json::json;
use strum::IntoEnumIterator;

use super::reach::{self, Memberships, Reaches};
use super::{COVERAGE, COVERAGE_MEMBERS, COVERAGE_TWO_FACTOR, day_of};
use crate::database::{Database, DatabaseError, Row, Step};
use crate::stored_event::event_of;
use crate::table::{Value, text};

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
    let types: Vec<String> = types().iter().map(|name| format!("'{name}'")).collect();
    let counts = format!("e.event_type IN ({})", types.join(", "));
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
    let day = day_of(row.get::<Timestamp>("recorded_at")?);
    Ok(what.map_or(Readable::No, |what| Readable::Change(Change { day, what })))
}

/// How an agreement is at some point of the ledger.
#[derive(Clone, Default, Debug)]
struct Standing {
    /// The day of its latest row; empty before there is any.
    day: String,
    members: Counted,
    superusers: Counted,
    enforced: bool,
    deadline: Option<Timestamp>,
    administered_by: Option<String>,
    closed: bool,
}

/// How many people, and how many of them have two-factor.
#[derive(Clone, Copy, Default, Debug)]
struct Counted {
    all: i64,
    with_two_factor: i64,
}

impl Standing {
    /// Counts people in a role, and those of them who have two-factor; negative numbers are for who is so no more.
    fn count(&mut self, role: Role, all: i64, with_two_factor: i64) {
        let superusers = match role {
            Role::Superuser => Some(&mut self.superusers),
            Role::User => None,
        };
        for counted in [&mut self.members].into_iter().chain(superusers) {
            counted.all += all;
            counted.with_two_factor += with_two_factor;
        }
    }
}

/// What some people are linked to, and who of them has two-factor.
#[derive(Default)]
pub(super) struct People {
    pub(super) memberships: BTreeMap<String, Memberships>,
    pub(super) with_two_factor: BTreeSet<String>,
}

impl People {
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

/// Rows as they become while entries are taken in.
#[derive(Default)]
pub(super) struct Taking {
    standings: BTreeMap<String, Standing>,
    reaches: Reaches,
    /// Those that an entry names.
    people: People,
    rows: BTreeMap<(String, String), Vec<Value>>,
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
        if !agreements.is_empty() {
            taking.look_up_agreements(own, &agreements).await?;
            agreements.extend(events.iter().filter_map(Change::administrator));
            taking.reaches.look_up(own, agreements.iter()).await?;
        }
        Ok(taking)
    }

    async fn look_up_agreements(
        &mut self,
        own: &Database,
        agreements: &BTreeSet<String>,
    ) -> Result<(), DatabaseError> {
        let given = own.given(1, &[text("agreement_id")]);
        let ids: Vec<_> = agreements.iter().map(|id| json!({ "agreement_id": id })).collect();
        let table = COVERAGE.name;
        let sql = format!(
            "SELECT c.agreement_id, c.day, c.members, c.with_two_factor, c.superusers, c.superusers_with_two_factor, \
             c.enforced, c.deadline, c.administered_by, c.closed FROM {given} LEFT JOIN {table} c ON c.agreement_id = given.agreement_id AND c.day = \
             (SELECT max(d.day) FROM {table} d WHERE d.agreement_id = given.agreement_id) \
             WHERE coalesce(c.agreement_id, '') <> ''"
        );
        for row in own.read_bulk(&sql, &[json!(ids).to_string().into()]).await? {
            let standing = Standing {
                day: row.get("day")?,
                members: Counted { all: row.get("members")?, with_two_factor: row.get("with_two_factor")? },
                superusers: Counted {
                    all: row.get("superusers")?,
                    with_two_factor: row.get("superusers_with_two_factor")?,
                },
                enforced: row.get("enforced")?,
                deadline: row.get("deadline")?,
                administered_by: row.get("administered_by")?,
                closed: row.get("closed")?,
            };
            self.standings.insert(row.get("agreement_id")?, standing);
        }
        Ok(())
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
        let step = if enabled { 1 } else { -1 };
        let memberships = self.people.memberships.get(user_id).cloned().unwrap_or_default();
        self.reaches.count_two_factor(&memberships, step);
        for (agreement_id, role) in memberships {
            self.standing(&agreement_id, day, |standing| standing.count(role, 0, step));
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
            AgreementEvent::AgreementOpened { .. } => {
                self.reaches.open(agreement_id);
                self.standing(agreement_id, day, |_| {});
            }
            AgreementEvent::AdministrationChanged { administered_by, .. } => {
                let by = administered_by.map(|id| id.to_string());
                let change = |standing: &mut reach::Standing| standing.administered_by.clone_from(&by);
                self.reaches.stand(own, agreement_id, &self.people, change).await?;
                self.standing(agreement_id, day, |standing| standing.administered_by = by);
            }
            AgreementEvent::UserLinked { user_id, role, .. }
            | AgreementEvent::UserRoleChanged { user_id, role, .. } => {
                self.link(agreement_id, &user_id.to_string(), Some(*role), day);
            }
            AgreementEvent::UserUnlinked { user_id, .. } => {
                self.link(agreement_id, &user_id.to_string(), None, day);
            }
            AgreementEvent::EnforcementToggled { enforced, deadline, .. } => {
                self.standing(agreement_id, day, |standing| {
                    (standing.enforced, standing.deadline) = (*enforced, *deadline);
                });
            }
            AgreementEvent::AgreementClosed { .. } => {
                self.reaches
                    .stand(own, agreement_id, &self.people, |standing| standing.closed = true)
                    .await?;
                self.standing(agreement_id, day, |standing| standing.closed = true);
            }
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
        let has_two_factor = self.people.with_two_factor.contains(user_id);
        match (before, role) {
            (None, Some(_)) => self.reaches.count_link(agreement_id, memberships, 1, has_two_factor),
            (Some(_), None) => self.reaches.count_link(agreement_id, memberships, -1, has_two_factor),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let with = i64::from(has_two_factor);
        self.linked.insert((user_id.to_owned(), agreement_id.to_owned()), role);
        self.standing(agreement_id, day, |standing| {
            if let Some(before) = before {
                standing.count(before, -1, -with);
            }
            if let Some(role) = role {
                standing.count(role, 1, with);
            }
        });
    }

    /// Changes how an agreement is, and its row of the day. Days never go back, whatever clocks did.
    fn standing(&mut self, agreement_id: &str, day: &str, change: impl FnOnce(&mut Standing)) {
        let standing = self.standings.entry(agreement_id.to_owned()).or_default();
        change(standing);
        if day > standing.day.as_str() {
            day.clone_into(&mut standing.day);
        }
        let row = vec![
            agreement_id.into(),
            standing.day.clone().into(),
            standing.members.all.into(),
            standing.members.with_two_factor.into(),
            standing.superusers.all.into(),
            standing.superusers.with_two_factor.into(),
            standing.enforced.into(),
            standing.deadline.into(),
            standing.administered_by.clone().into(),
            standing.closed.into(),
        ];
        self.rows.insert((agreement_id.to_owned(), standing.day.clone()), row);
    }

    /// The statements that make it so.
    pub(super) fn steps(self, own: &Database) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.rows.is_empty() {
            steps.push(Step::upsert(&COVERAGE, self.rows.into_values().collect()));
        }
        steps.extend(self.reaches.step());
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
