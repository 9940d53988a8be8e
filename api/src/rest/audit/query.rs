//! The statement that reads the trail: what is asked for, within what the reader may see.
//!
//! Each part of what a person may see is found through an index of its own and cut to the page's
//! size, so that nobody's question walks through everybody's events.

use countersign_domain::Timestamp;
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::user::UserEventKind;
use countersign_projections::audit_trail::AUDIT_TRAIL;
use countersign_projections::table::Value;
use strum::IntoEnumIterator;

use crate::problem::Problem;
use crate::request::{Caller, Request, Right, forbidden};

/// Who reads, and so whose addresses and names are opened.
#[derive(Clone, Copy)]
pub(crate) enum Reader {
    /// Sees everything.
    Auditor,
    /// Sees the whole of their own entries, and less of others'.
    Person(UserId),
}

impl Reader {
    pub(super) fn of(request: &Request) -> Result<Self, Problem> {
        match &request.caller {
            Caller::ApiKey { .. } | Caller::Session { right: Right::Role, .. } => Ok(Self::Auditor),
            Caller::Session { user_id, right: Right::Own, .. } => Ok(Self::Person(*user_id)),
            Caller::Nobody | Caller::Operator | Caller::SignInPage | Caller::Enrolment { .. } => {
                Err(forbidden())
            }
        }
    }
}

/// One part of what somebody may see.
struct Part {
    from: String,
    only: String,
    /// The agreement as the reader may know it.
    agreement: String,
}

impl Part {
    fn of_the_trail(only: String) -> Self {
        Self { from: format!("{AUDIT_TRAIL} t"), only, agreement: "t.agreement_id".to_owned() }
    }
}

/// Conditions of a statement with their parameters, in order.
#[derive(Default)]
pub(crate) struct Conditions {
    pub(super) texts: Vec<String>,
    pub(super) params: Vec<Value>,
    /// The placeholders of the types that are asked for.
    pub(super) types: Vec<String>,
    /// Whether a user, an agreement or an actor is asked for.
    narrowed: bool,
}

impl Conditions {
    pub(super) fn param(&mut self, value: impl Into<Value>) -> String {
        self.params.push(value.into());
        format!("${}", self.params.len())
    }

    pub(super) fn list(&mut self, values: &[&str]) -> String {
        let placeholders: Vec<String> = values.iter().map(|value| self.param((*value).to_owned())).collect();
        placeholders.join(", ")
    }

    pub(super) fn equal(&mut self, column: &str, value: Option<String>) {
        if let Some(value) = value {
            let value = self.param(value);
            self.texts.push(format!("{column} = {value}"));
            self.narrowed = true;
        }
    }

    /// Compares a column; it narrows no search that has not its own index.
    pub(super) fn compare(&mut self, column: &str, comparison: &str, value: impl Into<Value>) {
        let value = self.param(value);
        self.texts.push(format!("{column} {comparison} {value}"));
    }

    /// Only entries recorded from one time to before another.
    pub(super) fn between(&mut self, from: Option<Timestamp>, to: Option<Timestamp>) {
        for (comparison, at) in [(">=", from), ("<", to)] {
            if let Some(at) = at {
                self.compare("t.recorded_at", comparison, at);
            }
        }
    }

    /// Only entries about an agreement, or about people who were linked to it when they were recorded.
    pub(super) fn concerning(&mut self, agreement: AgreementId) {
        let id = self.param(agreement.to_string());
        self.texts.push(format!(
            "(t.aggregate_type = 'agreement' AND t.agreement_id = {id} OR t.aggregate_type = 'user' \
             AND t.user_id IN (SELECT m.user_id FROM {AUDIT_TRAIL} m WHERE m.agreement_id = {id} \
             AND m.event_type = 'UserLinked') AND EXISTS (SELECT 1 FROM {AUDIT_TRAIL} l WHERE l.user_id = t.user_id AND l.agreement_id = {id} \
             AND l.event_type = 'UserLinked' AND l.position < t.position AND NOT EXISTS \
             (SELECT 1 FROM {AUDIT_TRAIL} u WHERE u.user_id = t.user_id AND u.agreement_id = {id} \
             AND u.event_type = 'UserUnlinked' AND u.position > l.position AND u.position < t.position)))"
        ));
    }

    /// Only entries of these types.
    pub(super) fn of_types(&mut self, types: &[&str]) {
        self.types = types.iter().map(|name| self.param((*name).to_owned())).collect();
    }

    /// The whole statement, for so many entries.
    pub(super) fn select(&mut self, reader: Reader, names_agreement: bool, limit: i64) -> String {
        let (types, mut asked) = (std::mem::take(&mut self.types), vec!["1 = 1".to_owned()]);
        asked.append(&mut self.texts);
        let parts = match reader {
            // Where nothing else narrows the search, each type is looked for through the index by types.
            Reader::Auditor if !types.is_empty() && !self.narrowed => {
                types.iter().map(|name| Part::of_the_trail(format!("t.event_type = {name}"))).collect()
            }
            Reader::Auditor | Reader::Person(_) => {
                if !types.is_empty() {
                    asked.push(format!("t.event_type IN ({})", types.join(", ")));
                }
                match reader {
                    Reader::Auditor => vec![Part::of_the_trail("1 = 1".to_owned())],
                    Reader::Person(me) => self.parts_of(me, names_agreement),
                }
            }
        };
        let asked = asked.join(" AND ");
        // The number itself and no parameter, so that the planner knows how little is asked for.
        let selects: Vec<String> = parts
            .iter()
            .enumerate()
            .map(|(index, Part { from, only, agreement })| {
                format!(
                    "SELECT * FROM (SELECT t.position, t.recorded_at, t.event_type, t.aggregate_type, \
                     t.aggregate_id, t.sequence, t.user_id, {agreement} AS agreement_id FROM {from} WHERE {only} AND {asked} \
                     ORDER BY t.recorded_at DESC, t.position DESC LIMIT {limit}) AS part_{index}"
                )
            })
            .collect();
        format!(
            "SELECT p.*, e.event_id, e.event_version, CAST(e.payload AS text) AS payload, \
             CAST(e.metadata AS text) AS metadata FROM ({} ORDER BY recorded_at DESC, position DESC LIMIT {limit}) AS p \
             LEFT JOIN events e ON e.aggregate_type = p.aggregate_type AND e.aggregate_id = p.aggregate_id \
             AND e.sequence = p.sequence ORDER BY p.recorded_at DESC, p.position DESC",
            selects.join(" UNION ALL ")
        )
    }

    /// A person's own entries; those of the agreements that they are superuser of, and of those
    /// that these administer; and what the members of all these that are open did with their second
    /// factors since they were linked. No entry is in two parts.
    fn parts_of(&mut self, me: UserId, names_agreement: bool) -> Vec<Part> {
        let me = self.param(me.to_string());
        let about_factors = UserEventKind::iter().filter(|kind| kind.is_about_second_factors());
        let about_factors: Vec<&str> = about_factors.map(Into::into).collect();
        let about_factors = self.list(&about_factors);
        let (visible, open) = (agreements_of(&me), open_agreements_of(&me));
        // A member's sign-in elsewhere is not told apart from one nowhere in particular.
        let attributed_here =
            if names_agreement { format!(" AND t.agreement_id IN ({visible})") } else { String::new() };
        vec![
            Part::of_the_trail(format!("t.user_id = {me}")),
            Part::of_the_trail(format!(
                "t.aggregate_type = 'agreement' AND t.agreement_id IN ({visible}) \
                 AND (t.user_id IS NULL OR t.user_id <> {me})"
            )),
            Part {
                from: format!(
                    "(SELECT m.user_id, min(m.linked_at) AS linked_at FROM login_check_links m \
                     WHERE m.agreement_id IN ({open}) AND m.user_id <> {me} GROUP BY m.user_id) AS member \
                     JOIN {AUDIT_TRAIL} t ON t.user_id = member.user_id"
                ),
                only: format!(
                    "t.aggregate_type = 'user' AND t.event_type IN ({about_factors}) \
                     AND t.recorded_at >= member.linked_at{attributed_here}"
                ),
                agreement: format!("CASE WHEN t.agreement_id IN ({visible}) THEN t.agreement_id END"),
            },
        ]
    }
}

/// Those whose members a person may know something of: whoever closed theirs watches nobody any more.
pub(super) fn open_agreements_of(me: &str) -> String {
    format!(
        "SELECT o.agreement_id FROM login_check_agreements o WHERE NOT o.closed AND o.agreement_id IN ({})",
        agreements_of(me)
    )
}

/// The agreements that a person is superuser of, and those that these administer.
pub(super) fn agreements_of(me: &str) -> String {
    let own = format!(
        "SELECT s.agreement_id FROM login_check_links s WHERE s.user_id = {me} AND s.role = 'superuser'"
    );
    format!(
        "SELECT a.agreement_id FROM login_check_agreements a WHERE a.agreement_id IN ({own}) \
         UNION SELECT a.agreement_id FROM login_check_agreements a WHERE a.administered_by IN ({own})"
    )
}

#[cfg(test)]
mod tests;
