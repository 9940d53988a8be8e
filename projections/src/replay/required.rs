//! Who was required to have two-factor at a moment, through what, and who had it.

use std::collections::{BTreeMap, BTreeSet};

use countersign_domain::Timestamp;
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::requirement::{Requirement, Standing, standing};
use countersign_domain::user::UserEventKind;
use strum::IntoEnumIterator;

use super::ReplayError;
use super::folded::{FoldedStream, State};
use super::policy::{LedgerPart, LinkHistory, Policy, placeholders};
use super::streams::{Extent, Moment};
use crate::audit_trail::AUDIT_TRAIL;
use crate::coverage::two_factor_after;
use crate::database::Database;
use crate::ledger::store::natural;
use crate::login_check::{Link, required_by};
use crate::stored_event::listed;
use crate::table::Value;

/// So many people are looked at together.
const PAGE_PEOPLE: usize = 500;

/// A person who was required to have two-factor.
#[derive(Clone, Debug)]
pub struct RequiredPerson {
    /// Who.
    pub user_id: UserId,
    /// By whom.
    pub required_by: Vec<Requirement>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Whether it was due, or by when it was to be.
    pub standing: Standing,
    /// What became of their two-factor last; none if they never had it.
    pub two_factor: Option<TwoFactorTold>,
}

/// The last entry that says whether somebody has two-factor.
#[derive(Clone, Copy, Debug)]
pub struct TwoFactorTold {
    /// Whether it is on.
    pub enabled: bool,
    /// Which entry.
    pub position: u64,
    /// When it was recorded.
    pub at: Timestamp,
}

impl RequiredPerson {
    /// Whether the person had two-factor.
    #[must_use]
    pub fn has_two_factor(&self) -> bool {
        self.two_factor.is_some_and(|told| told.enabled)
    }

    /// Somebody with these links; none if nothing was required of them.
    #[must_use]
    pub fn with_links(user_id: UserId, links: &[Link], at: Timestamp) -> Option<Self> {
        let required_by = required_by(links);
        let standing = standing(&required_by, at);
        let since = links.iter().filter_map(Link::required_since).min();
        let required = !required_by.is_empty();
        required.then_some(Self { user_id, required_by, since, standing, two_factor: None })
    }
}

/// Whom two-factor was required of at a moment: everybody, or those whom one agreement reaches. At most `max` people and one more are answered.
///
/// # Errors
/// When the database does not answer, or an event cannot be folded.
pub async fn required_at(
    database: &Database,
    moment: Moment,
    reached_by: Option<AgreementId>,
    max: usize,
) -> Result<Vec<RequiredPerson>, ReplayError> {
    let policy = Policy::read(database, moment.into()).await?;
    let agreements: Vec<AgreementId> = match reached_by {
        Some(id) => policy.reached_by(id, moment.size).collect(),
        None => policy.requiring(moment.size).collect(),
    };
    let mut found: BTreeMap<UserId, RequiredPerson> = BTreeMap::new();
    for id in agreements {
        let members = members_of(database, id, moment).await?;
        let new: Vec<UserId> = members.into_iter().filter(|id| !found.contains_key(id)).collect();
        for people in new.chunks(PAGE_PEOPLE) {
            let people = people.iter().copied().collect();
            found.extend(look_at(database, &policy, people, moment).await?);
            if found.len() > max {
                return Ok(found.into_values().take(max + 1).collect());
            }
        }
    }
    Ok(found.into_values().collect())
}

async fn members_of(
    database: &Database,
    id: AgreementId,
    moment: Moment,
) -> Result<Vec<UserId>, ReplayError> {
    let folded = FoldedStream::read(database, ("agreement", &id.to_string()), Extent::At(moment)).await?;
    Ok(match folded.map(|folded| folded.state) {
        Some(State::Agreement(_, _, members)) => members.iter().map(|(id, _)| *id).collect(),
        Some(State::User(..) | State::Instance(_)) | None => Vec::new(),
    })
}

async fn look_at(
    database: &Database,
    policy: &Policy,
    people: BTreeSet<UserId>,
    moment: Moment,
) -> Result<Vec<(UserId, RequiredPerson)>, ReplayError> {
    let history = LinkHistory::of(database, &people, moment.into()).await?;
    let told = two_factor_of(database, &people, moment).await?;
    let required = people.into_iter().filter_map(|id| {
        let person = RequiredPerson::with_links(id, &history.links(id, policy, moment.size), moment.at)?;
        Some((id, RequiredPerson { two_factor: told.get(&id).copied(), ..person }))
    });
    Ok(required.collect())
}

async fn two_factor_of(
    database: &Database,
    people: &BTreeSet<UserId>,
    moment: Moment,
) -> Result<BTreeMap<UserId, TwoFactorTold>, ReplayError> {
    let mut params: Vec<Value> = Vec::new();
    let ids = placeholders(&mut params, people);
    let within = LedgerPart::from(moment).condition(&mut params);
    let telling = UserEventKind::iter().filter(|kind| two_factor_after(*kind).is_some());
    let types = listed(telling);
    let sql = format!(
        "SELECT t.user_id, t.position, t.event_type, t.recorded_at FROM (SELECT max(position) AS position \
         FROM {AUDIT_TRAIL} WHERE user_id IN ({ids}) AND event_type IN ({types}) AND {within} \
         GROUP BY user_id) AS last JOIN {AUDIT_TRAIL} t ON t.position = last.position"
    );
    let mut told = BTreeMap::new();
    for row in database.read_bulk(&sql, &params).await? {
        let id: String = row.get("user_id")?;
        let event_type: String = row.get("event_type")?;
        let (position, at) = (natural(&row, "position")?, row.get("recorded_at")?);
        let enabled = event_type.parse().ok().and_then(two_factor_after);
        if let (Ok(id), Some(enabled)) = (id.parse(), enabled) {
            told.insert(id, TwoFactorTold { enabled, position, at });
        }
    }
    Ok(told)
}
