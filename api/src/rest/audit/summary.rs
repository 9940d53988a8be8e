//! What happened, in a sentence that a person reads.

use countersign_domain::Timestamp;
use countersign_domain::agreement::AgreementEventKind;
use countersign_domain::instance::InstanceEventKind;
use countersign_domain::user::UserEventKind;
use serde_json::Value;

use super::entry::EventKind;
use crate::text::on_one_line;

/// Who and what a sentence names.
pub(super) struct Named<'n> {
    pub(super) by: &'n str,
    pub(super) person: &'n str,
    pub(super) agreement: &'n str,
    /// The event's fields, opened.
    pub(super) data: &'n Value,
}

impl Named<'_> {
    fn text(&self, field: &str) -> &str {
        self.data.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A time, as people read it.
    fn moment(&self, field: &str) -> String {
        match self.text(field).parse::<Timestamp>() {
            Ok(at) => at.format("%-d %B %Y, %H:%M:%S UTC").to_string(),
            Err(_) => self.text(field).to_owned(),
        }
    }

    fn factor(&self) -> &'static str {
        if self.text("factor") == "totp" { "code" } else { "emergency code" }
    }
}

/// One sentence for an entry; none for an event that only a newer program knows.
pub(super) fn summary(kind: EventKind, named: &Named<'_>) -> Option<String> {
    let sentence = match kind {
        EventKind::User(kind) => of_user(kind, named),
        EventKind::Agreement(kind) => of_agreement(kind, named),
        EventKind::Instance(kind) => of_instance(kind, named),
        EventKind::Unknown => return None,
    };
    // What people wrote must not forge a second line.
    Some(on_one_line(&sentence).into_owned())
}

fn of_user(kind: UserEventKind, named: &Named<'_>) -> String {
    let Named { by, person, .. } = named;
    let (text, factor) = (|field| named.text(field), named.factor());
    match kind {
        UserEventKind::UserRegistered => format!("Account opened for {person} by {by}"),
        UserEventKind::PasswordSet => format!("Password of {person} set by {by}"),
        UserEventKind::PasswordFailed => format!("Wrong password given for {person}"),
        UserEventKind::EnrolmentDemanded => format!("{person} was asked to set up two-factor at sign-in"),
        UserEventKind::TwoFactorEnrolmentStarted => {
            format!("Authenticator \u{201c}{}\u{201d} offered to {person}", text("label"))
        }
        UserEventKind::TwoFactorEnrolmentFailed => {
            format!("Wrong first code for a new authenticator of {person}")
        }
        UserEventKind::AuthenticatorAdded => {
            format!("Authenticator \u{201c}{}\u{201d} added for {person}", text("label"))
        }
        UserEventKind::TwoFactorEnabled => format!("Two-factor switched on for {person}"),
        UserEventKind::RecoveryCodeIssued => format!("Emergency code issued to {person}"),
        UserEventKind::RecoveryCodeSaved => format!("{person} has stored the emergency code"),
        UserEventKind::RecoveryCodeUsed => format!("Emergency code of {person} used"),
        UserEventKind::SecondFactorPassed => format!("Code of {person} accepted"),
        UserEventKind::SecondFactorFailed if text("reason") == "already_used" => {
            format!("A code of {person} was given again and refused")
        }
        UserEventKind::SecondFactorFailed => format!("Wrong {factor} given for {person}"),
        UserEventKind::SecondFactorRefused => {
            format!("A {factor} for {person} was not judged while locked")
        }
        UserEventKind::SecondFactorLocked => {
            format!("After ten failures no {factor} of {person} is judged until {}", named.moment("until"))
        }
        UserEventKind::AuthenticatorDisabled => {
            format!("An authenticator of {person} was disabled after fifty failures")
        }
        UserEventKind::AuthenticatorRemoved if text("reason") == "replaced" => {
            format!("An authenticator of {person} gave way to a new one")
        }
        UserEventKind::AuthenticatorRemoved => format!("An authenticator of {person} was removed by {by}"),
        UserEventKind::TwoFactorDisabled => format!("Two-factor switched off for {person} by {by}"),
        UserEventKind::TwoFactorReset => format!("Two-factor of {person} reset by {by}: {}", text("reason")),
        UserEventKind::LoginChallenged => format!("{person} was asked for a second factor"),
        UserEventKind::LoginSucceeded => format!("{person} signed in"),
        UserEventKind::SessionStarted => format!("Session of {person} began"),
        UserEventKind::SessionEnded => format!("Session of {person} ended"),
        UserEventKind::RoleGranted => format!("Role {} granted to {person} by {by}", text("role")),
        UserEventKind::RoleRevoked => format!("Role {} of {person} revoked by {by}", text("role")),
        UserEventKind::UserErased => format!("A person was erased by {by}"),
    }
}

fn of_agreement(kind: AgreementEventKind, named: &Named<'_>) -> String {
    let Named { by, person, agreement, data } = named;
    let text = |field| named.text(field);
    match kind {
        AgreementEventKind::AgreementOpened => {
            format!("Agreement {} ({}) opened by {by}", text("name"), text("number"))
        }
        AgreementEventKind::AdministrationChanged
            if data.get("administered_by").is_none_or(Value::is_null) =>
        {
            format!("{agreement} is administered by nobody any more, by {by}")
        }
        AgreementEventKind::AdministrationChanged => format!("Administration of {agreement} changed by {by}"),
        AgreementEventKind::UserLinked => {
            format!("{person} linked to {agreement} as {} by {by}", text("role"))
        }
        AgreementEventKind::UserRoleChanged => {
            format!("{person} is now {} of {agreement}, by {by}", text("role"))
        }
        AgreementEventKind::UserUnlinked => format!("{person} unlinked from {agreement} by {by}"),
        AgreementEventKind::EnforcementToggled
            if data.get("enforced").and_then(Value::as_bool) == Some(true) =>
        {
            format!("Enforcement switched on for {agreement} by {by}")
        }
        AgreementEventKind::EnforcementToggled => {
            format!("Enforcement switched off for {agreement} by {by}")
        }
        AgreementEventKind::AgreementClosed => format!("{agreement} closed by {by}"),
    }
}

fn of_instance(kind: InstanceEventKind, named: &Named<'_>) -> String {
    let Named { by, .. } = named;
    let text = |field| named.text(field);
    match kind {
        InstanceEventKind::ApiKeyIssued => format!("API key {} issued by {by}", text("name")),
        InstanceEventKind::ApiKeyRevoked => format!("API key {} revoked by {by}", text("name")),
        InstanceEventKind::WebhookRegistered => format!("Webhook to {} registered by {by}", text("url")),
        InstanceEventKind::WebhookDeleted => format!("Webhook {} deleted by {by}", text("id")),
        InstanceEventKind::AuditRead => format!("Audit trail read by {by}"),
        InstanceEventKind::AuditExported => format!("Audit trail exported as {} by {by}", text("format")),
        InstanceEventKind::LedgerAdopted => {
            let size = |tree| named.data.pointer(tree).and_then(Value::as_u64);
            let kept = size("/kept/size").unwrap_or_default();
            let lost = size("/lost/size").map(|lost| format!(" in place of one of {lost}"));
            let lost = lost.unwrap_or_default();
            format!("Ledger of {kept} entries adopted{lost} by {by}: {}", text("reason"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: EventKind, data: &Value) -> String {
        let named = Named { by: "Kari", person: "Ola", agreement: "Nordlys Regnskab", data };
        summary(kind, &named).unwrap()
    }

    #[test]
    fn the_administrator_reads_what_was_switched_on_and_by_whom() {
        let kind = EventKind::Agreement(AgreementEventKind::EnforcementToggled);
        let on = serde_json::json!({"enforced": true});
        assert_eq!(told(kind, &on), "Enforcement switched on for Nordlys Regnskab by Kari");
        let off = serde_json::json!({"enforced": false});
        assert_eq!(told(kind, &off), "Enforcement switched off for Nordlys Regnskab by Kari");
    }

    #[test]
    fn a_lock_says_in_words_until_when_it_holds() {
        let data = serde_json::json!({"factor": "totp", "until": "2027-03-01T15:37:18.239720Z"});
        assert_eq!(
            told(EventKind::User(UserEventKind::SecondFactorLocked), &data),
            "After ten failures no code of Ola is judged until 1 March 2027, 15:37:18 UTC"
        );
    }

    #[test]
    fn what_befalls_the_installation_reads_as_a_sentence() {
        let told = |kind, data: Value| told(EventKind::Instance(kind), &data);
        let adopted = |lost: Value| serde_json::json!({"lost": lost, "kept": {"size": 80, "root": ""}, "reason": "disk failed"});
        let url = serde_json::json!({"url": "https://siem.example/in"});
        let id = serde_json::json!({"id": "00000000-0000-0000-0000-000000090001"});
        for (kind, data, sentence) in [
            (
                InstanceEventKind::WebhookRegistered,
                url,
                "Webhook to https://siem.example/in registered by Kari",
            ),
            (
                InstanceEventKind::WebhookDeleted,
                id,
                "Webhook 00000000-0000-0000-0000-000000090001 deleted by Kari",
            ),
            (InstanceEventKind::AuditRead, Value::Null, "Audit trail read by Kari"),
            (
                InstanceEventKind::AuditExported,
                serde_json::json!({"format": "csv"}),
                "Audit trail exported as csv by Kari",
            ),
            (
                InstanceEventKind::LedgerAdopted,
                adopted(serde_json::json!({"size": 100, "root": ""})),
                "Ledger of 80 entries adopted in place of one of 100 by Kari: disk failed",
            ),
            (
                InstanceEventKind::LedgerAdopted,
                adopted(Value::Null),
                "Ledger of 80 entries adopted by Kari: disk failed",
            ),
        ] {
            assert_eq!(told(kind, data), sentence);
        }
    }

    #[test]
    fn a_label_cannot_forge_a_line() {
        let data = serde_json::json!({"label": "phone\nEnforcement switched off"});
        let kind = EventKind::User(UserEventKind::AuthenticatorAdded);
        assert_eq!(
            told(kind, &data),
            "Authenticator \u{201c}phone Enforcement switched off\u{201d} added for Ola"
        );
    }
}
