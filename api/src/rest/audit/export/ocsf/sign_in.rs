//! With what somebody signed in.

use countersign_domain::user::UserEventKind;
use serde_json::Value;

use super::record::AuthFactor;
use crate::rest::audit::entry::EventKind;

const PASSWORD: AuthFactor = AuthFactor { factor_type_id: 11, factor_type: "Password", is_totp: false };
const CODE: AuthFactor = AuthFactor { factor_type_id: 7, factor_type: "OTP", is_totp: true };
const RECOVERY_CODE: AuthFactor =
    AuthFactor { factor_type_id: 99, factor_type: "Recovery Code", is_totp: false };

/// Whether a second factor was used or tried, if that can be said, and which factors were.
pub(super) fn factors(kind: EventKind, data: &Value) -> (Option<bool>, &'static [AuthFactor]) {
    let EventKind::User(kind) = kind else { return (None, &[]) };
    if data.is_null() {
        // The event does not say, and only what it says tells whether there was a second factor.
        return (None, &[]);
    }
    let text = |field| data.get(field).and_then(Value::as_str).unwrap_or_default();
    match kind {
        UserEventKind::LoginSucceeded => match text("method") {
            "password" => (Some(false), &[PASSWORD]),
            "totp" => (Some(true), &[PASSWORD, CODE]),
            "recovery_code" => (Some(true), &[PASSWORD, RECOVERY_CODE]),
            _ => (None, &[]),
        },
        UserEventKind::PasswordFailed | UserEventKind::EnrolmentDemanded => (Some(false), &[PASSWORD]),
        UserEventKind::LoginChallenged => (None, &[PASSWORD]),
        UserEventKind::SecondFactorPassed => (Some(true), &[CODE]),
        UserEventKind::SecondFactorFailed | UserEventKind::SecondFactorRefused => match text("factor") {
            "totp" => (Some(true), &[CODE]),
            "recovery_code" => (Some(true), &[RECOVERY_CODE]),
            _ => (Some(true), &[]),
        },
        UserEventKind::RecoveryCodeUsed => (Some(true), &[RECOVERY_CODE]),
        UserEventKind::SessionStarted => {
            (Some(data.get("second_factor_at").is_some_and(|at| !at.is_null())), &[])
        }
        UserEventKind::UserRegistered
        | UserEventKind::PasswordSet
        | UserEventKind::TwoFactorEnrolmentStarted
        | UserEventKind::TwoFactorEnrolmentFailed
        | UserEventKind::AuthenticatorAdded
        | UserEventKind::TwoFactorEnabled
        | UserEventKind::RecoveryCodeIssued
        | UserEventKind::RecoveryCodeSaved
        | UserEventKind::SecondFactorLocked
        | UserEventKind::AuthenticatorDisabled
        | UserEventKind::AuthenticatorRemoved
        | UserEventKind::TwoFactorDisabled
        | UserEventKind::TwoFactorReset
        | UserEventKind::SessionEnded
        | UserEventKind::RoleGranted
        | UserEventKind::RoleRevoked
        | UserEventKind::UserErased => (None, &[]),
    }
}
