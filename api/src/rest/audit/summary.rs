//! What happened, in a sentence that a person reads.

use serde_json::Value;

/// One sentence for an entry: who, what, whom.
pub(super) fn summary(
    event_type: &str,
    data: &Value,
    by: &str,
    person: Option<&str>,
    agreement: Option<&str>,
) -> String {
    let person = person.unwrap_or("somebody");
    let agreement = agreement.unwrap_or("an agreement");
    let text = |field: &str| data.get(field).and_then(Value::as_str).unwrap_or_default();
    let factor = || if text("factor") == "totp" { "code" } else { "emergency code" };
    let sentence = match event_type {
        "UserRegistered" => format!("Account opened for {person} by {by}"),
        "PasswordSet" => format!("Password of {person} set by {by}"),
        "PasswordFailed" => format!("Wrong password given for {person}"),
        "EnrolmentDemanded" => format!("{person} was asked to set up two-factor at sign-in"),
        "TwoFactorEnrolmentStarted" => {
            format!("Authenticator \u{201c}{}\u{201d} offered to {person}", text("label"))
        }
        "TwoFactorEnrolmentFailed" => format!("Wrong first code for a new authenticator of {person}"),
        "AuthenticatorAdded" => format!("Authenticator \u{201c}{}\u{201d} added for {person}", text("label")),
        "TwoFactorEnabled" => format!("Two-factor switched on for {person}"),
        "RecoveryCodeIssued" => format!("Emergency code issued to {person}"),
        "RecoveryCodeSaved" => format!("{person} has stored the emergency code"),
        "RecoveryCodeUsed" => format!("Emergency code of {person} used"),
        "SecondFactorPassed" => format!("Code of {person} accepted"),
        "SecondFactorFailed" if text("reason") == "already_used" => {
            format!("A code of {person} was given again and refused")
        }
        "SecondFactorFailed" => format!("Wrong {} given for {person}", factor()),
        "SecondFactorRefused" => format!("A {} for {person} was not judged while locked", factor()),
        "SecondFactorLocked" => {
            format!("After ten failures a {} of {person} is not judged until {}", factor(), text("until"))
        }
        "AuthenticatorDisabled" => format!("An authenticator of {person} was disabled after fifty failures"),
        "AuthenticatorRemoved" => format!("An authenticator of {person} was removed by {by}"),
        "TwoFactorDisabled" => format!("Two-factor switched off for {person} by {by}"),
        "TwoFactorReset" => format!("Two-factor of {person} reset by {by}: {}", text("reason")),
        "LoginChallenged" => format!("{person} was asked for a second factor"),
        "LoginSucceeded" => format!("{person} signed in"),
        "SessionStarted" => format!("Session of {person} began"),
        "SessionEnded" => format!("Session of {person} ended"),
        "AgreementOpened" => format!("Agreement {} ({}) opened by {by}", text("name"), text("number")),
        "AdministrationChanged" if data.get("administered_by").is_none_or(Value::is_null) => {
            format!("{agreement} is administered by nobody any more, by {by}")
        }
        "AdministrationChanged" => format!("Administration of {agreement} changed by {by}"),
        "UserLinked" => format!("{person} linked to {agreement} as {} by {by}", text("role")),
        "UserRoleChanged" => format!("{person} is now {} of {agreement}, by {by}", text("role")),
        "UserUnlinked" => format!("{person} unlinked from {agreement} by {by}"),
        "EnforcementToggled" if data.get("enforced").and_then(Value::as_bool) == Some(true) => {
            format!("Enforcement switched on for {agreement} by {by}")
        }
        "EnforcementToggled" => format!("Enforcement switched off for {agreement} by {by}"),
        "AgreementClosed" => format!("{agreement} closed by {by}"),
        "ApiKeyIssued" => format!("API key {} issued by {by}", text("name")),
        "ApiKeyRevoked" => format!("API key {} revoked by {by}", text("name")),
        other => other.to_owned(),
    };
    // What people wrote must not forge a second line.
    sentence.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use countersign_domain::agreement::AgreementEvent;
    use countersign_domain::instance::InstanceEvent;
    use countersign_domain::user::UserEvent;
    use strum::VariantNames;

    use super::*;

    #[test]
    fn every_event_has_a_sentence() {
        for name in [UserEvent::VARIANTS, AgreementEvent::VARIANTS, InstanceEvent::VARIANTS].concat() {
            let sentence = summary(name, &Value::Null, "Kari", Some("Ola"), Some("Nordlys Regnskab"));
            assert_ne!(sentence, name);
            assert!(sentence.contains(' '), "{sentence}");
        }
    }

    #[test]
    fn the_administrator_reads_what_was_switched_on_and_by_whom() {
        let data = serde_json::json!({"enforced": true});
        assert_eq!(
            summary("EnforcementToggled", &data, "Kari", None, Some("Nordlys Regnskab")),
            "Enforcement switched on for Nordlys Regnskab by Kari"
        );
    }

    #[test]
    fn a_label_cannot_forge_a_line() {
        let data = serde_json::json!({"label": "phone\nEnforcement switched off"});
        assert!(!summary("AuthenticatorAdded", &data, "Kari", Some("Ola"), None).contains('\n'));
    }
}
