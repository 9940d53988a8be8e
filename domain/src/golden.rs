//! Every stored event version has a golden file: what was written once must be read for ever.
//!
//! A changed shape is a new version with a file and an upcaster of its own, and the older files read as the same
//! event. No file here is ever edited.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use cqrs_es::DomainEvent;
use serde::de::DeserializeOwned;
use strum::{IntoEnumIterator, VariantNames};
use uuid::Uuid;

use crate::agreement::{AgreementEvent, AgreementKind, Role};
use crate::context::Actor;
use crate::instance::{
    AdoptedTree, AuditFilter, AuditRoute, ExportFormat, InstanceEvent, InstanceEventKind, Scope,
};
use crate::testing::*;
use crate::user::enrolment::Starter;
use crate::user::*;
use crate::versions::{StoredEvent, read_event, version_of};

fn golden_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn golden(event_type: &str, version: u32) -> String {
    let name = format!("{event_type}.v{version}.json");
    fs::read_to_string(golden_dir().join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn compare<Event: DomainEvent + VariantNames + DeserializeOwned>(samples: &[Event]) {
    for sample in samples {
        let event_type = sample.event_type();
        let current = version_of(&event_type);
        assert_eq!(sample.event_version(), current.to_string());
        for version in 1..=current {
            let golden = golden(&event_type, version);
            let (event_version, event_type) = (version.to_string(), event_type.as_str());
            let stored = StoredEvent { event_type, event_version: &event_version, payload: &golden };
            assert_eq!(read_event::<Event>(stored).unwrap(), *sample, "{event_type} {version} is read");
        }
        let written = serde_json::to_string_pretty(sample).unwrap();
        assert_eq!(golden(&event_type, current).trim_end(), written, "{event_type} is what is stored");
    }
    let given: BTreeSet<String> = samples.iter().map(DomainEvent::event_type).collect();
    let all: BTreeSet<String> = Event::VARIANTS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(given, all, "every event has a sample");
}

#[test]
fn user_events_are_stored_as_they_always_were() {
    let at = at_minute(0);
    let factor = Factor::Totp;
    compare(&[
        user_registered(),
        UserEvent::PasswordSet { password_id: password_id(1), at },
        UserEvent::PasswordFailed { unrecorded: 2, at },
        UserEvent::EnrolmentDemanded {
            token: token_digest(1),
            agreement_id: Some(agreement_id(1)),
            password_judged_by: PasswordJudge::Countersign,
            required_by: vec![agreement_id(2)],
            deadline: Some(at_minute(9)),
            expires_at: at_minute(10),
            at,
        },
        enrolment_started_by(1, Starter::EnrolmentToken(token_digest(1))),
        UserEvent::TwoFactorEnrolmentFailed { enrolment_id: enrolment_id(1), at },
        authenticator_added(1, 100, 0),
        UserEvent::TwoFactorEnabled { at },
        UserEvent::RecoveryCodeIssued {
            recovery_code_id: recovery_code_id(2),
            replaces: Some(recovery_code_id(1)),
            at,
        },
        UserEvent::RecoveryCodeSaved { recovery_code_id: recovery_code_id(1), at },
        UserEvent::RecoveryCodeUsed { recovery_code_id: recovery_code_id(1), at },
        second_factor_passed(100, 0),
        UserEvent::SecondFactorFailed { factor: Factor::RecoveryCode, reason: FailureReason::Wrong, at },
        UserEvent::SecondFactorRefused { factor, at },
        UserEvent::SecondFactorLocked { factor, until: at_minute(30), at },
        UserEvent::AuthenticatorDisabled { authenticator_id: authenticator_id(1), at },
        UserEvent::AuthenticatorRemoved {
            authenticator_id: authenticator_id(1),
            reason: AuthenticatorRemovalReason::Replaced,
            at,
        },
        UserEvent::TwoFactorDisabled { at },
        UserEvent::TwoFactorReset { pass: token_digest(1), reason: sealed("phone lost"), at },
        challenged(1, PasswordJudge::Countersign),
        UserEvent::LoginSucceeded {
            challenge: Some(token_digest(1)),
            agreement_id: None,
            method: LoginMethod::RecoveryCode,
            at,
        },
        session_started(1, 0, Some(at)),
        UserEvent::SessionEnded { session_id: session_id(1), reason: SessionEndReason::PasswordChanged, at },
        UserEvent::RoleGranted { role: InstallationRole::Auditor, at },
        UserEvent::RoleRevoked { role: InstallationRole::Operator, at },
        UserEvent::UserErased { at },
    ]);
}

#[test]
fn agreement_events_are_stored_as_they_always_were() {
    let at = at_minute(0);
    compare(&[
        AgreementEvent::AgreementOpened {
            agreement_id: agreement_id(1),
            number: "1001".to_owned(),
            name: "Nordlys Regnskab".to_owned(),
            kind: AgreementKind::Administrator,
            at,
        },
        AgreementEvent::AdministrationChanged { administered_by: Some(agreement_id(2)), at },
        AgreementEvent::UserLinked { user_id: user_id(1), role: Role::Superuser, at },
        AgreementEvent::UserRoleChanged { user_id: user_id(1), role: Role::User, at },
        AgreementEvent::UserUnlinked { user_id: user_id(1), at },
        AgreementEvent::EnforcementToggled {
            enforced: true,
            deadline: Some(at_minute(9)),
            reason: Some("audit".to_owned()),
            by: Actor::user(user_id(1)),
            at,
        },
        AgreementEvent::AgreementClosed { at },
    ]);
}

#[test]
fn instance_events_are_stored_as_they_always_were() {
    let at = at_minute(0);
    let (id, name) = (api_key_id(1), "app".to_owned());
    compare(&[
        InstanceEvent::ApiKeyIssued {
            id,
            name: name.clone(),
            scopes: vec![Scope::UsersRead, Scope::Login],
            token: token_digest(1),
            expires_at: None,
            at,
        },
        InstanceEvent::ApiKeyRevoked { id, name, at },
        InstanceEvent::WebhookRegistered {
            id: webhook_id(1),
            url: sealed("sealed url"),
            types: vec!["UserLinked".to_owned(), "UserUnlinked".to_owned()],
            secret: Uuid::from_u128(7),
            at,
        },
        InstanceEvent::WebhookDeleted { id: webhook_id(1), at },
        InstanceEvent::AuditRead {
            filter: AuditFilter {
                route: AuditRoute::AsOf,
                position: Some(17),
                user: Some(user_id(1)),
                agreement: Some(agreement_id(1)),
                actor: Some(api_key_id(1).as_uuid()),
                types: vec!["UserLinked".to_owned()],
                from: Some(at_minute(-9)),
                to: Some(at),
            },
            at,
        },
        InstanceEvent::AuditExported {
            format: ExportFormat::Ndjson,
            from: None,
            to: Some(at),
            entries_below: 80,
            at,
        },
        InstanceEvent::LedgerAdopted {
            lost: Some(AdoptedTree {
                size: 100,
                root: "MS3Jx+ldkyhrHmBwxQnYxnZCPTHChPuL4vtoz0SaInE=".to_owned(),
            }),
            kept: AdoptedTree { size: 80, root: "0e/yExo3mdPt+nPQpmAV7suZM4c539f/vHsL9HHH620=".to_owned() },
            requeued: 3,
            reason: "disk failed".to_owned(),
            at,
        },
    ]);
}

/// Wherever a golden file has a sealed text or a digest, the kind of the event must say so.
#[test]
fn every_sealed_field_and_every_digest_is_named_by_its_kind() {
    for kind in UserEventKind::iter() {
        names_what_is_hidden::<UserEvent>(kind.into(), kind.sealed_fields(), kind.digest_fields());
    }
    for kind in InstanceEventKind::iter() {
        names_what_is_hidden::<InstanceEvent>(kind.into(), kind.sealed_fields(), kind.digest_fields());
    }
}

fn names_what_is_hidden<Event: DomainEvent>(name: &str, sealed: &[&str], digests: &[&str]) {
    let event: Event = serde_json::from_str(&golden(name, version_of(name))).unwrap();
    // Debug prints `Sealed` and `TokenDigest`, by which the fields are recognised.
    let printed = format!("{event:?}");
    assert_eq!(printed.matches(": Sealed").count(), sealed.len(), "{printed}");
    assert_eq!(printed.matches("TokenDigest(").count(), digests.len(), "{printed}");
    let fields = serde_json::to_value(&event).unwrap();
    for field in sealed.iter().chain(digests) {
        assert!(fields[name].get(field).is_some(), "{name} has no field {field}");
    }
}
