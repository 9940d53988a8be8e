//! What each kind of event means in the words of the Open Cybersecurity Schema Framework.
//!
//! The numbers are those of version 1.5.0. Activity 99 is one that it has no number for: its
//! name is ours.

use countersign_domain::agreement::AgreementEventKind;
use countersign_domain::instance::InstanceEventKind;
use countersign_domain::user::UserEventKind;
use serde_json::Value;

use super::EntryView;
use crate::rest::audit::entry::EventKind;

/// The activity that has no number.
const OTHER: u32 = 99;

/// What an entry means.
#[derive(Clone, Copy)]
pub(super) struct Meaning<'e> {
    pub(super) class: Class,
    pub(super) activity_id: u32,
    pub(super) activity_name: &'e str,
    pub(super) outcome: Outcome,
    pub(super) severity: Severity,
}

/// A class of events.
#[derive(Clone, Copy)]
pub(super) enum Class {
    Base,
    AccountChange,
    Authentication,
    EntityManagement(Thing),
    GroupManagement,
}

/// A thing that is managed.
#[derive(Clone, Copy)]
pub(super) enum Thing {
    Agreement,
    Enforcement,
    ApiKey,
    Webhook,
    AuditTrail,
    Ledger,
}

/// How it went.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Unknown,
    Success,
    Failure,
}

/// How much it matters.
#[derive(Clone, Copy)]
pub(super) enum Severity {
    Unknown,
    Informational,
    Low,
    Medium,
    High,
}

pub(super) fn meaning(entry: &EntryView) -> Meaning<'_> {
    let meaning = match EventKind::of(&entry.event_type) {
        EventKind::User(kind) => of_user(kind),
        EventKind::Agreement(kind) => of_agreement(kind, &entry.data),
        EventKind::Instance(kind) => of_instance(kind),
        EventKind::Unknown => return Class::Base.untold(&entry.event_type),
    };
    // The event was removed, or is of a newer version of its type, which may mean otherwise.
    if entry.data.is_null() { meaning.class.untold(&entry.event_type) } else { meaning }
}

const fn of_user(kind: UserEventKind) -> Meaning<'static> {
    use Class::{AccountChange, Authentication};
    use Severity::{High, Low, Medium};
    match kind {
        UserEventKind::UserRegistered => AccountChange.does(1, "Create"),
        UserEventKind::PasswordSet => AccountChange.does(3, "Password Change"),
        UserEventKind::PasswordFailed => Authentication.does(1, "Logon").failed().at(Low),
        UserEventKind::EnrolmentDemanded => Authentication.other("Enrolment Demand"),
        UserEventKind::TwoFactorEnrolmentStarted => AccountChange.other("MFA Factor Enrolment"),
        UserEventKind::TwoFactorEnrolmentFailed => {
            AccountChange.does(10, "MFA Factor Enable").failed().at(Low)
        }
        UserEventKind::AuthenticatorAdded | UserEventKind::TwoFactorEnabled => {
            AccountChange.does(10, "MFA Factor Enable")
        }
        UserEventKind::RecoveryCodeIssued => AccountChange.other("Recovery Code Issue"),
        UserEventKind::RecoveryCodeSaved => AccountChange.other("Recovery Code Confirmation"),
        UserEventKind::RecoveryCodeUsed => Authentication.other("Recovery Code").at(Medium),
        UserEventKind::SecondFactorPassed => Authentication.other("Second Factor"),
        UserEventKind::SecondFactorFailed => Authentication.other("Second Factor").failed().at(Low),
        UserEventKind::SecondFactorRefused => Authentication.other("Second Factor").failed().at(Medium),
        UserEventKind::SecondFactorLocked => AccountChange.does(9, "Lock").at(Medium),
        UserEventKind::AuthenticatorDisabled | UserEventKind::TwoFactorReset => {
            AccountChange.does(11, "MFA Factor Disable").at(High)
        }
        UserEventKind::AuthenticatorRemoved => AccountChange.does(11, "MFA Factor Disable").at(Low),
        UserEventKind::TwoFactorDisabled => AccountChange.does(11, "MFA Factor Disable").at(Medium),
        UserEventKind::LoginChallenged => Authentication.other("Second Factor Challenge"),
        UserEventKind::LoginSucceeded => Authentication.does(1, "Logon"),
        // The sign-in before it is the logon: it must not count twice.
        UserEventKind::SessionStarted => Authentication.other("Session Start"),
        UserEventKind::SessionEnded => Authentication.does(2, "Logoff"),
        UserEventKind::RoleGranted => AccountChange.other("Role Grant").at(Medium),
        UserEventKind::RoleRevoked => AccountChange.other("Role Revocation").at(Low),
        UserEventKind::UserErased => AccountChange.does(6, "Delete").at(Medium),
    }
}

fn of_agreement(kind: AgreementEventKind, data: &Value) -> Meaning<'static> {
    use Class::{EntityManagement, GroupManagement};
    use Severity::{Low, Medium};
    let agreement = EntityManagement(Thing::Agreement);
    let enforcement = EntityManagement(Thing::Enforcement);
    match kind {
        AgreementEventKind::AgreementOpened => agreement.does(1, "Create"),
        AgreementEventKind::AdministrationChanged => agreement.does(3, "Update").at(Low),
        AgreementEventKind::UserLinked => GroupManagement.does(3, "Add User"),
        AgreementEventKind::UserRoleChanged => GroupManagement.other("Change Role").at(Low),
        AgreementEventKind::UserUnlinked => GroupManagement.does(4, "Remove User"),
        AgreementEventKind::EnforcementToggled => match enforced(data) {
            Some(true) => enforcement.does(8, "Enable"),
            Some(false) => enforcement.does(9, "Disable").at(Medium),
            None => enforcement.untold("Enforcement Change"),
        },
        AgreementEventKind::AgreementClosed => agreement.does(4, "Delete"),
    }
}

const fn of_instance(kind: InstanceEventKind) -> Meaning<'static> {
    use Class::EntityManagement;
    match kind {
        InstanceEventKind::ApiKeyIssued => {
            EntityManagement(Thing::ApiKey).does(1, "Create").at(Severity::Low)
        }
        InstanceEventKind::ApiKeyRevoked => EntityManagement(Thing::ApiKey).does(4, "Delete"),
        InstanceEventKind::WebhookRegistered => {
            EntityManagement(Thing::Webhook).does(1, "Create").at(Severity::Low)
        }
        InstanceEventKind::WebhookDeleted => EntityManagement(Thing::Webhook).does(4, "Delete"),
        InstanceEventKind::AuditRead => EntityManagement(Thing::AuditTrail).does(2, "Read"),
        InstanceEventKind::AuditExported => {
            EntityManagement(Thing::AuditTrail).does(2, "Read").at(Severity::Low)
        }
        InstanceEventKind::LedgerAdopted => {
            EntityManagement(Thing::Ledger).does(3, "Update").at(Severity::High)
        }
    }
}

/// Whether an enforcement event switches it on, if it says so.
pub(super) fn enforced(data: &Value) -> Option<bool> {
    data.get("enforced").and_then(Value::as_bool)
}

impl<'e> Meaning<'e> {
    const fn failed(self) -> Self {
        Self { outcome: Outcome::Failure, ..self }
    }

    const fn at(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// The number of the class and the activity together.
    pub(super) const fn type_uid(&self) -> u32 {
        self.class.uid() * 100 + self.activity_id
    }

    /// What OCSF calls the activity: ours have one name together.
    pub(super) const fn activity_caption(&self) -> &'e str {
        if self.activity_id == OTHER { "Other" } else { self.activity_name }
    }
}

impl Class {
    /// A success that nobody need worry about, until more is said.
    const fn does(self, activity_id: u32, activity_name: &str) -> Meaning<'_> {
        let (outcome, severity) = (Outcome::Success, Severity::Informational);
        Meaning { class: self, activity_id, activity_name, outcome, severity }
    }

    const fn other(self, activity_name: &str) -> Meaning<'_> {
        self.does(OTHER, activity_name)
    }

    /// Something of this class, of which nobody can say how it went and whether it matters.
    const fn untold(self, activity_name: &str) -> Meaning<'_> {
        let (outcome, severity) = (Outcome::Unknown, Severity::Unknown);
        Meaning { outcome, severity, ..self.other(activity_name) }
    }

    pub(super) const fn uid(self) -> u32 {
        match self {
            Self::Base => 0,
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::EntityManagement(_) => 3004,
            Self::GroupManagement => 3006,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Base => "Base Event",
            Self::AccountChange => "Account Change",
            Self::Authentication => "Authentication",
            Self::EntityManagement(_) => "Entity Management",
            Self::GroupManagement => "Group Management",
        }
    }

    pub(super) const fn category(self) -> (u32, &'static str) {
        match self {
            Self::Base => (0, "Uncategorized"),
            Self::AccountChange
            | Self::Authentication
            | Self::EntityManagement(_)
            | Self::GroupManagement => (3, "Identity & Access Management"),
        }
    }
}

impl Outcome {
    pub(super) const fn ocsf(self) -> (u32, &'static str) {
        match self {
            Self::Unknown => (0, "Unknown"),
            Self::Success => (1, "Success"),
            Self::Failure => (2, "Failure"),
        }
    }

    pub(super) const fn cef(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Success => Some("success"),
            Self::Failure => Some("failure"),
        }
    }
}

impl Severity {
    pub(super) const fn ocsf(self) -> (u32, &'static str) {
        match self {
            Self::Unknown => (0, "Unknown"),
            Self::Informational => (1, "Informational"),
            Self::Low => (2, "Low"),
            Self::Medium => (3, "Medium"),
            Self::High => (4, "High"),
        }
    }

    /// From 0 to 10, in the bands low, medium, high and very high; or the format's word for what has none.
    pub(super) const fn cef(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Informational => "1",
            Self::Low => "3",
            Self::Medium => "5",
            Self::High => "8",
        }
    }
}
