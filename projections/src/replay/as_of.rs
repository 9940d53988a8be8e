//! People and agreements as they were: folded from the ledger's first entries.
//!
//! A moment is turned into a number of entries once, and what of these was recorded by then is folded. So an
//! answer is the same however often it is asked for, and whoever holds the ledger can check it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use countersign_domain::Timestamp;
use countersign_domain::agreement::{Agreement, AgreementEvent};
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::user::User;

use super::folded::{FoldedStream, Members, State};
use super::streams::{Extent, Moment};
use super::{ReplayError, number};
use crate::audit_trail::AUDIT_TRAIL;
use crate::database::{Database, DatabaseError, Row};
use crate::login_check::Link;
use crate::stored_event::event_of;

/// An entry may come to its place so many entries after others that were recorded later.
const OVERTAKEN_MAX: i64 = 10_000;

/// So many rows are read at once.
const PAGE_ROWS: i64 = 4_096;

/// A person as they were.
#[derive(Clone, Debug)]
pub struct UserAt {
    /// The account.
    pub state: User,
    /// The agreements that they were linked to, by when they were.
    pub links: Vec<Link>,
}

/// An agreement as it was.
#[derive(Clone, Debug)]
pub struct AgreementAt {
    /// The agreement.
    pub state: Agreement,
    /// Who was linked to it.
    pub members: Members,
    /// The open agreement that administered it.
    pub administrator: Option<(AgreementId, Agreement)>,
    /// How many open agreements it administered.
    pub administers_count: u64,
}

/// A moment, with the entries that the ledger had once everything recorded by then was in it. Clocks of several
/// nodes differ, and one append takes longer than another: entries recorded later may be among them, and one
/// that came to its place more than 10,000 entries late is not.
///
/// # Errors
/// When the database does not answer.
pub async fn moment(database: &Database, at: Timestamp) -> Result<Moment, ReplayError> {
    Ok(Moment { at, size: size_at(database, at).await? })
}

async fn size_at(database: &Database, at: Timestamp) -> Result<u64, ReplayError> {
    let latest = format!(
        "SELECT position FROM {AUDIT_TRAIL} WHERE recorded_at <= $1 ORDER BY recorded_at DESC, position DESC LIMIT 1"
    );
    let rows = database.read_bulk(&latest, &[at.into()]).await?;
    let Some(row) = rows.first() else { return Ok(0) };
    let mut last: i64 = row.get("position")?;
    let overtaken = format!(
        "SELECT max(position) AS position FROM {AUDIT_TRAIL} WHERE position > $1 AND position <= $2 \
         AND recorded_at <= $3"
    );
    loop {
        let params = [last.into(), last.saturating_add(OVERTAKEN_MAX).into(), at.into()];
        let rows = database.read_bulk(&overtaken, &params).await?;
        match rows.first().map(|row| row.get::<Option<i64>>("position")).transpose()?.flatten() {
            Some(position) => last = position,
            None => return Ok(u64::try_from(last).unwrap_or_default() + 1),
        }
    }
}

/// A person as they were; none before there was an account.
///
/// # Errors
/// When the database does not answer, or an event cannot be folded.
pub async fn user_at(database: &Database, id: UserId, moment: Moment) -> Result<Option<UserAt>, ReplayError> {
    let Some(folded) = FoldedStream::read(database, ("user", &id.to_string()), Extent::At(moment)).await?
    else {
        return Ok(None);
    };
    let State::User(_, state) = folded.state else { return Ok(None) };
    let ever_linked = format!(
        "SELECT DISTINCT agreement_id FROM {AUDIT_TRAIL} WHERE user_id = $1 AND position < $2 \
         AND event_type = 'UserLinked'"
    );
    let mut links = Vec::new();
    // One office may administer all of them.
    let mut administrators: BTreeMap<AgreementId, Option<(AgreementId, Agreement)>> = BTreeMap::new();
    for row in database.read_bulk(&ever_linked, &[id.to_string().into(), number(moment.size)]).await? {
        let Some((agreement_id, agreement, members)) = agreement_of(database, &row, moment).await? else {
            continue;
        };
        let Some(member) = members.get(id) else { continue };
        let administrator = match agreement.administered_by() {
            None => None,
            Some(by) => match administrators.entry(by) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(place) => {
                    place.insert(administrator_of(database, &agreement, moment).await?).clone()
                }
            },
        };
        let administrator = administrator.as_ref().map(|(id, administrator)| (*id, administrator));
        links.extend(Link::at(agreement_id, &agreement, member, administrator));
    }
    links.sort_by_key(|link| (link.linked_at, link.agreement_id));
    Ok(Some(UserAt { state: *state, links }))
}

/// An agreement as it was; none before it was opened.
///
/// # Errors
/// When the database does not answer, or an event cannot be folded.
pub async fn agreement_at(
    database: &Database,
    id: AgreementId,
    moment: Moment,
) -> Result<Option<AgreementAt>, ReplayError> {
    let Some((state, members)) = fold_agreement(database, id, moment).await? else { return Ok(None) };
    let administrator = administrator_of(database, &state, moment).await?;
    let administers_count = administers_count(database, id, moment).await?;
    Ok(Some(AgreementAt { state, members, administrator, administers_count }))
}

async fn agreement_of(
    database: &Database,
    row: &Row,
    moment: Moment,
) -> Result<Option<(AgreementId, Agreement, Members)>, ReplayError> {
    let id: Option<String> = row.get("agreement_id")?;
    let Some(id) = id.and_then(|id| id.parse().ok()) else { return Ok(None) };
    let folded = fold_agreement(database, id, moment).await?;
    Ok(folded.map(|(agreement, members)| (id, agreement, members)))
}

async fn administrator_of(
    database: &Database,
    agreement: &Agreement,
    moment: Moment,
) -> Result<Option<(AgreementId, Agreement)>, ReplayError> {
    let Some(id) = agreement.administered_by() else { return Ok(None) };
    let folded = fold_agreement(database, id, moment).await?;
    Ok(folded.filter(|(agreement, _)| agreement.closed_at().is_none()).map(|(agreement, _)| (id, agreement)))
}

async fn fold_agreement(
    database: &Database,
    id: AgreementId,
    moment: Moment,
) -> Result<Option<(Agreement, Members)>, ReplayError> {
    let folded = FoldedStream::read(database, ("agreement", &id.to_string()), Extent::At(moment)).await?;
    Ok(folded.and_then(|folded| match folded.state {
        State::Agreement(_, agreement, members) => Some((*agreement, members)),
        State::User(..) | State::Instance(_) => None,
    }))
}

/// Who administers whom is told by the administered, so all that was ever said of it is gone through.
async fn administers_count(database: &Database, id: AgreementId, moment: Moment) -> Result<u64, ReplayError> {
    let sql = format!(
        "SELECT t.position, t.agreement_id, e.event_type, e.event_version, CAST(e.payload AS text) AS payload \
         FROM (SELECT * FROM {AUDIT_TRAIL} \
         WHERE event_type IN ('AdministrationChanged', 'AgreementClosed') AND position >= $1 AND position < $2 \
         AND recorded_at <= $4 ORDER BY position LIMIT $3) AS t LEFT JOIN events e ON e.aggregate_type = t.aggregate_type \
         AND e.aggregate_id = t.aggregate_id AND e.sequence = t.sequence ORDER BY t.position"
    );
    let mut administered: BTreeMap<String, bool> = BTreeMap::new();
    let mut from: i64 = 0;
    loop {
        let rows = database
            .read_bulk(&sql, &[from.into(), number(moment.size), PAGE_ROWS.into(), moment.at.into()])
            .await?;
        for row in &rows {
            from = row.get::<i64>("position")? + 1;
            let event: Option<AgreementEvent> = event_of(row)?;
            let event =
                event.ok_or_else(|| DatabaseError::Corrupt(format!("event {} does not read", from - 1)))?;
            let by_this_one = match event {
                AgreementEvent::AdministrationChanged { administered_by, .. } => administered_by == Some(id),
                // Closed for good.
                AgreementEvent::AgreementClosed { .. }
                | AgreementEvent::AgreementOpened { .. }
                | AgreementEvent::UserLinked { .. }
                | AgreementEvent::UserRoleChanged { .. }
                | AgreementEvent::UserUnlinked { .. }
                | AgreementEvent::EnforcementToggled { .. } => false,
            };
            administered.insert(row.get("agreement_id")?, by_this_one);
        }
        if i64::try_from(rows.len()) != Ok(PAGE_ROWS) {
            let count = administered.values().filter(|by_this_one| **by_this_one).count();
            return Ok(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }
}
