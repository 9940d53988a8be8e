//! Reports that are entries of the audit trail, each of some types.

use std::collections::BTreeSet;

use countersign_domain::agreement::AgreementEventKind;
use countersign_domain::instance::InstanceEventKind;
use countersign_domain::user::UserEventKind;
use countersign_projections::replay::streams::Moment;
use serde_json::Value;
use strum::IntoEnumIterator;

use super::question::{Question, ReportName};
use super::report::{Actor, Cell, Column, Findings, Named, Row, Rows, column};
use super::words::{counted, period};
use crate::app::App;
use crate::problem::Problem;
use crate::rest::audit::entry::{EntryView, StoredEntry};
use crate::rest::audit::names::Names;
use crate::rest::audit::pages::Reading;
use crate::rest::audit::query::Reader;

const COLUMNS: &[Column] = &[
    column("position", "Entry"),
    column("at", "When"),
    column("summary", "What happened"),
    column("person", "Person"),
    column("agreement", "Agreement"),
    column("actor", "By"),
    column("on_behalf_of", "For"),
    column("reason", "Why"),
];

const POLICY_COLUMNS: &[Column] = &[
    column("position", "Entry"),
    column("at", "When"),
    column("summary", "What happened"),
    column("agreement", "Agreement"),
    column("administered_by", "Administered by"),
    column("deadline", "Deadline"),
    column("actor", "By"),
    column("on_behalf_of", "For"),
    column("reason", "Why"),
];

const READ_COLUMNS: &[Column] = &[
    column("position", "Entry"),
    column("at", "When"),
    column("summary", "What happened"),
    column("actor", "By"),
    column("asked", "What was asked for"),
];

/// How the entries of a report are shown and summed up.
pub(super) struct Listing {
    columns: &'static [Column],
    counts: Counts,
    /// What is said of none, of one, and of more.
    words: [&'static str; 3],
}

/// What a summary counts.
enum Counts {
    People,
    Entries,
}

pub(super) const DISABLED: Listing = Listing {
    columns: COLUMNS,
    counts: Counts::People,
    words: [
        "Nobody had a second factor removed or reset",
        "person had a second factor removed or reset",
        "people had a second factor removed or reset",
    ],
};

pub(super) const RECOVERY_CODES: Listing = Listing {
    columns: COLUMNS,
    counts: Counts::People,
    words: [
        "No emergency code was issued, stored or used",
        "person was issued an emergency code, stored it or used it",
        "people were issued emergency codes, stored or used them",
    ],
};

pub(super) const LOCKOUTS: Listing = Listing {
    columns: COLUMNS,
    counts: Counts::People,
    words: [
        "Nobody was locked out of a second factor",
        "person was locked out of a second factor",
        "people were locked out of a second factor",
    ],
};

pub(super) const ERASURES: Listing = Listing {
    columns: COLUMNS,
    counts: Counts::People,
    words: ["Nobody was erased", "person was erased", "people were erased"],
};

pub(super) const POLICY_HISTORY: Listing = Listing {
    columns: POLICY_COLUMNS,
    counts: Counts::Entries,
    words: [
        "Nothing was changed about enforcement, administration or agreements",
        "change was made to enforcement, administration or agreements",
        "changes were made to enforcement, administration or agreements",
    ],
};

pub(super) const ADMIN_ACTIONS: Listing = Listing {
    columns: COLUMNS,
    counts: Counts::Entries,
    words: [
        "No administrative action was recorded",
        "administrative action was recorded",
        "administrative actions were recorded",
    ],
};

pub(super) const AUDIT_READS: Listing = Listing {
    columns: READ_COLUMNS,
    counts: Counts::Entries,
    words: [
        "The audit trail was neither read nor exported",
        "reading or export of the audit trail was recorded",
        "readings and exports of the audit trail were recorded",
    ],
};

/// In which reports an event of a person is listed.
const fn reports_of_user(kind: UserEventKind) -> &'static [ReportName] {
    use ReportName::{AdminActions, Disabled, Erasures, Lockouts, RecoveryCodes};
    match kind {
        UserEventKind::TwoFactorReset => &[Disabled, AdminActions],
        UserEventKind::TwoFactorDisabled | UserEventKind::AuthenticatorRemoved => &[Disabled],
        UserEventKind::RecoveryCodeIssued
        | UserEventKind::RecoveryCodeSaved
        | UserEventKind::RecoveryCodeUsed => &[RecoveryCodes],
        UserEventKind::SecondFactorLocked
        | UserEventKind::SecondFactorRefused
        | UserEventKind::AuthenticatorDisabled => &[Lockouts],
        UserEventKind::UserErased => &[Erasures, AdminActions],
        // An application or an operator does that for somebody.
        UserEventKind::UserRegistered | UserEventKind::RoleGranted | UserEventKind::RoleRevoked => {
            &[AdminActions]
        }
        UserEventKind::PasswordSet
        | UserEventKind::PasswordFailed
        | UserEventKind::EnrolmentDemanded
        | UserEventKind::TwoFactorEnrolmentStarted
        | UserEventKind::TwoFactorEnrolmentFailed
        | UserEventKind::AuthenticatorAdded
        | UserEventKind::TwoFactorEnabled
        | UserEventKind::SecondFactorPassed
        | UserEventKind::SecondFactorFailed
        | UserEventKind::LoginChallenged
        | UserEventKind::LoginSucceeded
        | UserEventKind::SessionStarted
        | UserEventKind::SessionEnded => &[],
    }
}

/// In which reports an event of an agreement is listed.
const fn reports_of_agreement(kind: AgreementEventKind) -> &'static [ReportName] {
    use ReportName::{AdminActions, PolicyHistory};
    match kind {
        AgreementEventKind::AgreementOpened
        | AgreementEventKind::AdministrationChanged
        | AgreementEventKind::EnforcementToggled
        | AgreementEventKind::AgreementClosed => &[PolicyHistory, AdminActions],
        AgreementEventKind::UserLinked
        | AgreementEventKind::UserRoleChanged
        | AgreementEventKind::UserUnlinked => &[AdminActions],
    }
}

/// In which reports an event of the installation is listed.
const fn reports_of_instance(kind: InstanceEventKind) -> &'static [ReportName] {
    use ReportName::{AdminActions, AuditReads};
    match kind {
        InstanceEventKind::ApiKeyIssued
        | InstanceEventKind::ApiKeyRevoked
        | InstanceEventKind::WebhookRegistered
        | InstanceEventKind::WebhookDeleted
        | InstanceEventKind::LedgerAdopted => &[AdminActions],
        InstanceEventKind::AuditRead | InstanceEventKind::AuditExported => &[AuditReads],
    }
}

/// The types of the entries that a report lists.
fn types_of(report: ReportName) -> Vec<&'static str> {
    let user = UserEventKind::iter().filter(|kind| reports_of_user(*kind).contains(&report));
    let agreement = AgreementEventKind::iter().filter(|kind| reports_of_agreement(*kind).contains(&report));
    let instance = InstanceEventKind::iter().filter(|kind| reports_of_instance(*kind).contains(&report));
    user.map(<&str>::from).chain(agreement.map(<&str>::from)).chain(instance.map(<&str>::from)).collect()
}

impl App {
    /// The entries that a report lists, the oldest first.
    pub(super) async fn listed(
        &self,
        question: &Question,
        moment: Moment,
        listing: &Listing,
    ) -> Result<Findings, Problem> {
        let asked = question.asked;
        let mut reading = Reading::of(asked.from, asked.to, moment.size)
            .of_types(types_of(question.report))
            .concerning(asked.agreement);
        let mut rows = Rows::default();
        loop {
            let page = self.next_stored(&mut reading).await?;
            if page.is_empty() {
                break;
            }
            let names = self.names_in(&page).await?;
            for entry in page {
                rows.push(self.row_of(entry, &names))?;
            }
        }
        let count = match listing.counts {
            Counts::People => people_in(&rows),
            Counts::Entries => rows.len(),
        };
        let summary = format!("{}{}.", counted(count, listing.words), period(asked.from, asked.to));
        Ok(Findings::new(listing.columns, rows, summary))
    }

    fn row_of(&self, entry: StoredEntry, names: &Names) -> Row {
        let position = u64::try_from(entry.position).unwrap_or_default();
        let (at, event) = (entry.recorded_at, entry.event_type.clone());
        let person = |id: &str| Cell::Named(Named { id: id.to_owned(), name: names.person(id) });
        let agreement = |id: &str| Cell::Named(Named { id: id.to_owned(), name: names.agreement(id) });
        let about = entry.user_id.as_deref().map(person);
        let concerning = entry.agreement_id.as_deref().map(agreement);
        let EntryView { actor, on_behalf_of, summary, data, .. } = entry.view(self, names, Reader::Auditor);
        let text = |field| data.get(field).and_then(Value::as_str).map(str::to_owned);
        let deadline = text("deadline").and_then(|text| crate::time::parse(&text).ok());
        let administrator = text("administered_by").as_deref().map(agreement);
        let asked = reports_asked(&event).then(|| Cell::Data(data.clone()));
        Row::default()
            .with("position", Cell::Position(position))
            .with("at", Cell::Time(at))
            .with("event", Cell::Code(event))
            .with("summary", Cell::Text(summary))
            .with_any("person", about)
            .with_any("agreement", concerning)
            .with_any("administered_by", administrator)
            .with_any("deadline", deadline.map(Cell::Time))
            .with("actor", Cell::Actor(Actor { kind: actor.kind, id: actor.id, name: actor.name }))
            .with_any(
                "on_behalf_of",
                on_behalf_of.map(|person| Cell::Named(Named { id: person.id, name: person.name })),
            )
            .with_any("reason", text("reason").map(Cell::Text))
            .with_any("asked", asked)
    }
}

/// Whether an event says what a reader of the trail asked for.
fn reports_asked(event_type: &str) -> bool {
    let kind: Result<InstanceEventKind, _> = event_type.parse();
    kind.is_ok_and(|kind| reports_of_instance(kind).contains(&ReportName::AuditReads))
}

fn people_in(rows: &Rows) -> usize {
    let ids = rows.iter().filter_map(|row| match row.get("person") {
        Some(Cell::Named(person)) => Some(person.id.as_str()),
        Some(_) | None => None,
    });
    ids.collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listing_has_the_types_that_its_name_promises() {
        for (report, types) in [
            (ReportName::Disabled, vec!["AuthenticatorRemoved", "TwoFactorDisabled", "TwoFactorReset"]),
            (ReportName::Erasures, vec!["UserErased"]),
            (ReportName::AuditReads, vec!["AuditRead", "AuditExported"]),
            (
                ReportName::PolicyHistory,
                vec!["AgreementOpened", "AdministrationChanged", "EnforcementToggled", "AgreementClosed"],
            ),
            (ReportName::RecoveryCodes, vec!["RecoveryCodeIssued", "RecoveryCodeSaved", "RecoveryCodeUsed"]),
            (
                ReportName::Lockouts,
                vec!["SecondFactorRefused", "SecondFactorLocked", "AuthenticatorDisabled"],
            ),
        ] {
            assert_eq!(types_of(report), types);
        }
        assert_eq!(types_of(ReportName::AdminActions).len(), 17);
        assert!(types_of(ReportName::Integrity).is_empty());
    }
}
