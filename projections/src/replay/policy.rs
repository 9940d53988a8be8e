//! What every agreement required and who administered it, at any place of the ledger, and who was linked
//! to which: what it takes to judge a past moment by the rules that the login check follows.
//!
//! Memory holds each change of an agreement, and the links of a few people at a time.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::Timestamp;
use countersign_domain::agreement::{Agreement, AgreementEvent};
use countersign_domain::ids::{AgreementId, UserId};

use super::folded::{Member, Members};
use super::streams::Moment;
use super::{ReplayError, number};
use crate::audit_trail::AUDIT_TRAIL;
use crate::database::{Database, DatabaseError, Row};
use crate::ledger::store::natural;
use crate::login_check::Link;
use crate::stored_event::event_of;
use crate::table::Value;

/// What changes an agreement, whoever is linked to it.
const POLICY_EVENTS: [&str; 4] =
    ["AgreementOpened", "AdministrationChanged", "EnforcementToggled", "AgreementClosed"];

/// So many rows are read at once.
const PAGE_ROWS: usize = 4_096;

/// A part of the ledger, from its first entry on.
#[derive(Clone, Copy, Debug)]
pub struct LedgerPart {
    /// So many entries.
    pub size: u64,
    /// Of these, what had been recorded by then; all, if there is no such moment.
    pub recorded_by: Option<Timestamp>,
}

impl From<Moment> for LedgerPart {
    fn from(Moment { at, size }: Moment) -> Self {
        Self { size, recorded_by: Some(at) }
    }
}

impl LedgerPart {
    /// The condition on rows of the trail, and its parameters.
    pub(super) fn condition(self, params: &mut Vec<Value>) -> String {
        params.push(number(self.size));
        let below = format!("position < ${}", params.len());
        let Some(recorded_by) = self.recorded_by else { return below };
        params.push(recorded_by.into());
        format!("{below} AND recorded_at <= ${}", params.len())
    }
}

/// Every agreement after each of its changes, with the size of the ledger from which on it was so.
#[derive(Debug, Default)]
pub struct Policy(BTreeMap<AgreementId, Vec<(u64, Agreement)>>);

impl Policy {
    /// Reads what is told by this part of the ledger.
    ///
    /// # Errors
    /// When the database does not answer, or an event is gone or does not read.
    pub async fn read(database: &Database, part: LedgerPart) -> Result<Self, ReplayError> {
        let mut changes: BTreeMap<AgreementId, Vec<(u64, AgreementEvent)>> = BTreeMap::new();
        for event_type in POLICY_EVENTS {
            let mut after = (Timestamp::UNIX_EPOCH, -1);
            loop {
                let rows = page_of_type(database, event_type, part, after).await?;
                for row in &rows {
                    let told = Told::read(row)?;
                    after = (row.get("recorded_at")?, row.get("position")?);
                    changes.entry(told.agreement_id).or_default().push((told.size, told.event));
                }
                if rows.len() < PAGE_ROWS {
                    break;
                }
            }
        }
        Ok(Self(changes.into_iter().map(|(id, changes)| (id, states(changes))).collect()))
    }

    /// An agreement as so many first entries make it; none before it was opened.
    #[must_use]
    pub fn at(&self, id: AgreementId, size: u64) -> Option<&Agreement> {
        let states = self.0.get(&id)?;
        let known = states.partition_point(|(from, _)| *from <= size);
        states.get(known.checked_sub(1)?).map(|(_, agreement)| agreement)
    }

    /// The link of a member, with what it required then.
    #[must_use]
    pub fn link(&self, id: AgreementId, member: &Member, size: u64) -> Option<Link> {
        let agreement = self.at(id, size)?;
        Link::at(id, agreement, member, self.administrator(agreement, size))
    }

    /// The agreements through which somebody was required to have two-factor.
    pub fn requiring(&self, size: u64) -> impl Iterator<Item = AgreementId> + '_ {
        self.open(size).filter_map(move |(id, agreement)| {
            let inherited = self.administrator(agreement, size);
            let inherited = inherited.is_some_and(|(_, administrator)| administrator.enforcement().enforced);
            (agreement.enforcement().enforced || inherited).then_some(id)
        })
    }

    /// An agreement and those that it administered: whom its enforcement reaches.
    pub fn reached_by(&self, id: AgreementId, size: u64) -> impl Iterator<Item = AgreementId> + '_ {
        let reached = move |(other, agreement): &(AgreementId, &Agreement)| {
            *other == id || agreement.administered_by() == Some(id)
        };
        self.open(size).filter(reached).map(|(other, _)| other)
    }

    /// Whether anything was ever required. Where it was not, there is nothing to look for.
    #[must_use]
    pub fn ever_required(&self) -> bool {
        self.0.values().flatten().any(|(_, agreement)| agreement.enforcement().enforced)
    }

    fn open(&self, size: u64) -> impl Iterator<Item = (AgreementId, &Agreement)> {
        let known = self.0.keys().filter_map(move |id| Some((*id, self.at(*id, size)?)));
        known.filter(|(_, agreement)| agreement.closed_at().is_none())
    }

    fn administrator(&self, agreement: &Agreement, size: u64) -> Option<(AgreementId, &Agreement)> {
        let id = agreement.administered_by()?;
        let administrator = self.at(id, size)?;
        administrator.closed_at().is_none().then_some((id, administrator))
    }
}

/// What some people's links were, from the first on.
#[derive(Debug, Default)]
pub struct LinkHistory(BTreeMap<UserId, Vec<(u64, AgreementId, AgreementEvent)>>);

impl LinkHistory {
    /// Reads what is told of these people, of whom there must be a few hundred at most.
    ///
    /// # Errors
    /// When the database does not answer, or an event is gone or does not read.
    pub async fn of(
        database: &Database,
        people: &BTreeSet<UserId>,
        part: LedgerPart,
    ) -> Result<Self, ReplayError> {
        let mut history = Self::default();
        if people.is_empty() {
            return Ok(history);
        }
        let mut params: Vec<Value> = Vec::new();
        let (ids, within) = (placeholders(&mut params, people), part.condition(&mut params));
        let told = with_payload(&format!(
            "SELECT * FROM {AUDIT_TRAIL} WHERE user_id IN ({ids}) AND {within} \
             AND event_type IN ('UserLinked', 'UserRoleChanged', 'UserUnlinked')"
        ));
        for row in database.read_bulk(&format!("{told} ORDER BY t.position"), &params).await? {
            let told = Told::read(&row)?;
            if let Some(user_id) = told.event.user_id() {
                history.0.entry(user_id).or_default().push((told.size, told.agreement_id, told.event));
            }
        }
        Ok(history)
    }

    /// Somebody's links as so many first entries make them, by when they were made.
    #[must_use]
    pub fn links(&self, user_id: UserId, policy: &Policy, size: u64) -> Vec<Link> {
        let mut agreements: BTreeMap<AgreementId, Members> = BTreeMap::new();
        for (from, id, event) in self.0.get(&user_id).into_iter().flatten() {
            if *from <= size {
                agreements.entry(*id).or_default().apply(*id, event);
            }
        }
        let link = |(id, members): (AgreementId, Members)| policy.link(id, members.get(user_id)?, size);
        let mut links: Vec<Link> = agreements.into_iter().filter_map(link).collect();
        links.sort_by_key(|link| (link.linked_at, link.agreement_id));
        links
    }
}

/// One event of an agreement.
struct Told {
    /// So many entries there were with it.
    size: u64,
    agreement_id: AgreementId,
    event: AgreementEvent,
}

impl Told {
    fn read(row: &Row) -> Result<Self, ReplayError> {
        let position = natural(row, "position")?;
        let corrupt = || DatabaseError::Corrupt(format!("event {position} is gone or does not read"));
        let event = event_of(row)?.ok_or_else(corrupt)?;
        let id: String = row.get("aggregate_id")?;
        let agreement_id = id.parse().map_err(|_| corrupt())?;
        Ok(Self { size: position + 1, agreement_id, event })
    }
}

fn states(mut changes: Vec<(u64, AgreementEvent)>) -> Vec<(u64, Agreement)> {
    changes.sort_by_key(|(size, _)| *size);
    let mut agreement = Agreement::default();
    let after = |(size, event)| {
        agreement.apply(&event);
        (size, agreement.clone())
    };
    changes.into_iter().map(after).collect()
}

async fn page_of_type(
    database: &Database,
    event_type: &str,
    part: LedgerPart,
    (recorded_at, position): (Timestamp, i64),
) -> Result<Vec<Row>, ReplayError> {
    let mut params = vec![event_type.into(), recorded_at.into(), position.into()];
    let within = part.condition(&mut params);
    let told = with_payload(&format!(
        "SELECT * FROM {AUDIT_TRAIL} WHERE event_type = $1 AND (recorded_at, position) > ($2, $3) \
         AND {within} ORDER BY recorded_at, position LIMIT {PAGE_ROWS}"
    ));
    let sql = format!("{told} ORDER BY t.recorded_at, t.position");
    Ok(database.read_bulk(&sql, &params).await?)
}

/// The statement that reads what these entries of the trail say, also of those whose event is gone.
fn with_payload(entries: &str) -> String {
    format!(
        "SELECT t.position, t.recorded_at, t.aggregate_id, e.event_type, e.event_version, \
         CAST(e.payload AS text) AS payload FROM ({entries}) AS t \
         LEFT JOIN events e ON e.aggregate_type = t.aggregate_type AND e.aggregate_id = t.aggregate_id \
         AND e.sequence = t.sequence"
    )
}

pub(super) fn placeholders(params: &mut Vec<Value>, people: &BTreeSet<UserId>) -> String {
    let mut placeholder = |id: &UserId| {
        params.push(id.to_string().into());
        format!("${}", params.len())
    };
    people.iter().map(&mut placeholder).collect::<Vec<_>>().join(", ")
}
