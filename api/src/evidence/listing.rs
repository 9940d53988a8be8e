//! Reports that are entries of the audit trail, each of some types.

use std::collections::BTreeSet;

use countersign_domain::agreement::AgreementEventKind;
use countersign_domain::instance::InstanceEventKind;
use countersign_domain::user::UserEventKind;
use serde_json::Value;
use strum::IntoEnumIterator;

use super::Ground;
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
    column("administered_by", "Administered by"),
    column("deadline", "Deadline"),
    column("actor", "By"),
    column("reason", "Why"),
    column("asked", "What was asked for"),
];

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
        UserEventKind::UserRegistered
        | UserEventKind::PasswordSet
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
    pub(super) async fn listed(&self, question: &Question, ground: Ground) -> Result<Findings, Problem> {
        let asked = question.asked;
        let mut reading = Reading::of(asked.from, asked.to, ground.position)
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
        let summary = format!("{}{}.", told(question.report, &rows), period(asked.from, asked.to));
        Ok(Findings::new(COLUMNS, rows, summary))
    }

    fn row_of(&self, entry: StoredEntry, names: &Names) -> Row {
        let position = u64::try_from(entry.position).unwrap_or_default();
        let (at, event) = (entry.recorded_at, entry.event_type.clone());
        let named = |id: String, name: String| Cell::Named(Named { id, name });
        let person = entry.user_id.clone().map(|id| named(id.clone(), names.person(&id)));
        let agreement = entry.agreement_id.clone().map(|id| named(id.clone(), names.agreement(&id)));
        let EntryView { actor, summary, data, .. } = entry.view(self, names, Reader::Auditor);
        let text = |field| data.get(field).and_then(Value::as_str).map(str::to_owned);
        let deadline = text("deadline").and_then(|text| crate::time::parse(&text).ok());
        let administrator = text("administered_by").map(|id| named(id.clone(), names.agreement(&id)));
        let asked = reports_asked(&event).then(|| Cell::Data(data.clone()));
        Row::default()
            .with("position", Cell::Position(position))
            .with("at", Cell::Time(at))
            .with("event", Cell::Code(event))
            .with("summary", Cell::Text(summary))
            .with_any("person", person)
            .with_any("agreement", agreement)
            .with_any("administered_by", administrator)
            .with_any("deadline", deadline.map(Cell::Time))
            .with("actor", Cell::Actor(Actor { kind: actor.kind, id: actor.id, name: actor.name }))
            .with_any("reason", text("reason").map(Cell::Text))
            .with_any("asked", asked)
    }
}

/// Whether an event says what a reader of the trail asked for.
fn reports_asked(event_type: &str) -> bool {
    let kind: Result<InstanceEventKind, _> = event_type.parse();
    kind.is_ok_and(|kind| reports_of_instance(kind).contains(&ReportName::AuditReads))
}

/// What the rows come to.
fn told(report: ReportName, rows: &Rows) -> String {
    let ids = rows.iter().filter_map(|row| match row.get("person") {
        Some(Cell::Named(person)) => Some(person.id.as_str()),
        Some(_) | None => None,
    });
    let people = ids.collect::<BTreeSet<_>>().len();
    match report {
        ReportName::Disabled => counted(
            people,
            [
                "Nobody had a second factor removed or reset",
                "person had a second factor removed or reset",
                "people had a second factor removed or reset",
            ],
        ),
        ReportName::RecoveryCodes => counted(
            people,
            [
                "No emergency code was issued, stored or used",
                "person was issued an emergency code, stored it or used it",
                "people were issued emergency codes, stored or used them",
            ],
        ),
        ReportName::Lockouts => counted(
            people,
            [
                "Nobody was locked out of a second factor",
                "person was locked out of a second factor",
                "people were locked out of a second factor",
            ],
        ),
        ReportName::Erasures => {
            counted(people, ["Nobody was erased", "person was erased", "people were erased"])
        }
        ReportName::PolicyHistory => counted(
            rows.len(),
            [
                "Nothing about what is required was changed",
                "change was made to what is required and by whom",
                "changes were made to what is required and by whom",
            ],
        ),
        ReportName::AuditReads => counted(
            rows.len(),
            [
                "The audit trail was neither read nor exported",
                "reading or export of the audit trail was recorded",
                "readings and exports of the audit trail were recorded",
            ],
        ),
        ReportName::AdminActions
        | ReportName::EnforcementOnDate
        | ReportName::SignInsWithoutSecondFactor
        | ReportName::Integrity
        | ReportName::Replay => counted(
            rows.len(),
            [
                "No administrative action was recorded",
                "administrative action was recorded",
                "administrative actions were recorded",
            ],
        ),
    }
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
        assert_eq!(types_of(ReportName::AdminActions).len(), 14);
        assert!(types_of(ReportName::Integrity).is_empty());
    }
}
