//! The statement that reads the trail: what is asked for, within what the reader may see.
//!
//! Each part of what a person may see is found through an index of its own and cut to the page's
//! size, so that nobody's question walks through everybody's events.

use countersign_domain::ids::UserId;
use countersign_domain::user::UserEventKind;
use countersign_projections::table::Value;
use strum::IntoEnumIterator;

use crate::problem::Problem;
use crate::request::{Caller, Request, forbidden};

/// Who reads, and so whose addresses and names are opened.
#[derive(Clone, Copy)]
pub(super) enum Reader {
    /// Sees everything.
    Auditor,
    /// Sees the whole of their own entries, and less of others'.
    Person(UserId),
}

impl Reader {
    pub(super) fn of(request: &Request) -> Result<Self, Problem> {
        match &request.caller {
            Caller::ApiKey { .. } => Ok(Self::Auditor),
            Caller::Session { user_id, .. } => Ok(Self::Person(*user_id)),
            Caller::Nobody | Caller::Operator | Caller::Enrolment { .. } => Err(forbidden()),
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
    fn of_events(only: String) -> Self {
        Self { from: "events e".to_owned(), only, agreement: "e.agreement_id".to_owned() }
    }
}

/// Conditions of a statement with their parameters, in order.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) texts: Vec<String>,
    pub(super) params: Vec<Value>,
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
        }
    }

    /// The whole statement, for so many entries.
    pub(super) fn select(&mut self, reader: Reader, names_agreement: bool, limit: i64) -> String {
        let parts = match reader {
            Reader::Auditor => vec![Part::of_events("1 = 1".to_owned())],
            Reader::Person(me) => self.parts_of(me, names_agreement),
        };
        let asked = [&["1 = 1".to_owned()], self.texts.as_slice()].concat().join(" AND ");
        let limit = self.param(limit);
        let selects: Vec<String> = parts
            .iter()
            .enumerate()
            .map(|(index, Part { from, only, agreement })| {
                format!(
                    "SELECT * FROM (SELECT e.event_id, e.recorded_at, e.event_type, e.aggregate_type, \
                     e.user_id, {agreement} AS agreement_id, CAST(e.payload AS text) AS payload, \
                     CAST(e.metadata AS text) AS metadata FROM {from} WHERE {only} AND {asked} \
                     ORDER BY e.recorded_at DESC, e.event_id DESC LIMIT {limit}) AS part_{index}"
                )
            })
            .collect();
        format!("{} ORDER BY recorded_at DESC, event_id DESC LIMIT {limit}", selects.join(" UNION ALL "))
    }

    /// A person's own entries; those of the agreements that they are superuser of, and of those
    /// that these administer; and what the members of all these did with their second factors
    /// since they were linked. No entry is in two parts.
    fn parts_of(&mut self, me: UserId, names_agreement: bool) -> Vec<Part> {
        let me = self.param(me.to_string());
        let about_factors = UserEventKind::iter().filter(|kind| kind.is_about_second_factors());
        let about_factors: Vec<&str> = about_factors.map(Into::into).collect();
        let about_factors = self.list(&about_factors);
        let own = format!(
            "SELECT s.agreement_id FROM login_check_links s WHERE s.user_id = {me} AND s.role = 'superuser'"
        );
        let visible = format!(
            "SELECT a.agreement_id FROM login_check_agreements a WHERE a.agreement_id IN ({own}) \
             UNION SELECT a.agreement_id FROM login_check_agreements a WHERE a.administered_by IN ({own})"
        );
        // A member's sign-in elsewhere is not told apart from one nowhere in particular.
        let attributed_here =
            if names_agreement { format!(" AND e.agreement_id IN ({visible})") } else { String::new() };
        vec![
            Part::of_events(format!("e.user_id = {me}")),
            Part::of_events(format!(
                "e.aggregate_type = 'agreement' AND e.agreement_id IN ({visible}) \
                 AND (e.user_id IS NULL OR e.user_id <> {me})"
            )),
            Part {
                from: format!(
                    "(SELECT m.user_id, min(m.linked_at) AS linked_at FROM login_check_links m \
                     WHERE m.agreement_id IN ({visible}) AND m.user_id <> {me} GROUP BY m.user_id) AS member \
                     JOIN events e ON e.user_id = member.user_id"
                ),
                only: format!(
                    "e.aggregate_type = 'user' AND e.event_type IN ({about_factors}) \
                     AND e.recorded_at >= member.linked_at{attributed_here}"
                ),
                agreement: format!("CASE WHEN e.agreement_id IN ({visible}) THEN e.agreement_id END"),
            },
        ]
    }
}
