//! Whom enforcement of an agreement reaches now: its own people, and those of the open agreements that it
//! administers, each counted once.

use countersign_domain::agreement::AgreementEventKind;
use countersign_domain::ids::AgreementId;
use countersign_domain::user::UserEventKind;
use strum::IntoEnumIterator;

use super::taking::two_factor_after;
use super::{COVERAGE, Counted, Coverage};
use crate::catch_up::Projection;
use crate::database::{Database, DatabaseError};
use crate::stored_event::listed;

/// Coverage may be so many entries behind, and so many events may wait, and it is still asked.
const UNFOLLOWED_MAX: i64 = 4_096;

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
    let (coverage, changes, more) = (COVERAGE.name, changes_a_reach(), UNFOLLOWED_MAX + 1);
    let sql = format!(
        "SELECT c.reached, c.reached_with_two_factor, since.unfollowed, since.changes \
         FROM (SELECT count(*) AS unfollowed, coalesce(sum(CASE WHEN {changes} THEN 1 ELSE 0 END), 0) AS changes \
         FROM (SELECT * FROM (SELECT aggregate_type, aggregate_id, sequence FROM ledger_entries WHERE position >= \
         (SELECT position FROM projection_checkpoints WHERE projection = $2 AND version = $3) \
         ORDER BY position LIMIT {more}) AS placed \
         UNION ALL SELECT * FROM (SELECT aggregate_type, aggregate_id, sequence FROM ledger_pending \
         ORDER BY pending_id LIMIT {more}) AS waiting) AS k \
         LEFT JOIN events e ON e.aggregate_type = k.aggregate_type AND e.aggregate_id = k.aggregate_id \
         AND e.sequence = k.sequence) AS since, {coverage} c \
         WHERE c.agreement_id = $1 ORDER BY c.day DESC LIMIT 1"
    );
    let params = [id.to_string().into(), Coverage::NAME.into(), Coverage::VERSION.into()];
    for row in database.scan(&sql, &params).await? {
        if row.get::<i64>("unfollowed")? <= UNFOLLOWED_MAX && row.get::<i64>("changes")? == 0 {
            return Counted::read(&row, "reached", "reached_with_two_factor").map(Some);
        }
    }
    Ok(None)
}

/// Whether an event `e` may change whom the agreement `$1` reaches; one that is gone may.
fn changes_a_reach() -> String {
    let of_people = UserEventKind::iter().filter(|kind| two_factor_after(*kind).is_some());
    let (mut of_agreements, mut of_links) = (Vec::new(), Vec::new());
    for kind in AgreementEventKind::iter() {
        match kind {
            AgreementEventKind::AdministrationChanged | AgreementEventKind::AgreementClosed => {
                of_agreements.push(kind);
            }
            // A changed role links whoever was not linked.
            AgreementEventKind::UserLinked
            | AgreementEventKind::UserRoleChanged
            | AgreementEventKind::UserUnlinked => of_links.push(kind),
            AgreementEventKind::AgreementOpened | AgreementEventKind::EnforcementToggled => {}
        }
    }
    let administered = "EXISTS (SELECT 1 FROM login_check_agreements a WHERE a.administered_by = $1 AND";
    format!(
        "(e.event_type IS NULL OR e.event_type IN ({}) \
         OR e.event_type IN ({}) AND (e.aggregate_id = $1 OR {administered} a.agreement_id = e.aggregate_id)) \
         OR e.event_type IN ({}) AND EXISTS (SELECT 1 FROM login_check_links m WHERE m.user_id = e.aggregate_id \
         AND (m.agreement_id = $1 OR {administered} a.agreement_id = m.agreement_id))))",
        listed(of_agreements),
        listed(of_links),
        listed(of_people),
    )
}

#[cfg(test)]
mod tests;
