//! Webhooks: where entries of the audit trail are sent as they come.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::ids::WebhookId;
use crate::instance::{Instance, InstanceEvent, InstanceRefusal};
use crate::sealed::Sealed;

/// A webhook of an application.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where it is sent, sealed: addresses like to hold passwords.
    pub url: Sealed,
    /// Which types of entries are sent; all if none is named.
    pub types: Vec<String>,
    /// Names the vault row of the secret by which what is sent is signed.
    pub secret: Uuid,
    /// Since when there is one.
    pub registered_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

impl Webhook {
    /// Whether anything is still sent there.
    #[must_use]
    pub const fn is_registered(&self) -> bool {
        self.deleted_at.is_none()
    }
}

/// Registering a webhook.
#[derive(Clone, Debug)]
pub struct RegisterWebhook {
    /// Its id.
    pub id: WebhookId,
    /// Where to send.
    pub url: Sealed,
    /// Which types of entries to send; all if none is named.
    pub types: Vec<String>,
    /// Names the vault row of its signing secret.
    pub secret: Uuid,
    /// Now.
    pub at: Timestamp,
}

/// Deleting it, and its signing secret with it.
#[derive(Clone, Debug)]
pub struct DeleteWebhook {
    /// Now.
    pub at: Timestamp,
}

impl Instance {
    pub(super) fn register_webhook(
        &self,
        command: RegisterWebhook,
    ) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        if self.webhook.is_some() {
            return Err(InstanceRefusal::AlreadyRegistered);
        }
        let RegisterWebhook { id, url, types, secret, at } = command;
        Ok(vec![InstanceEvent::WebhookRegistered { id, url, types, secret, at }])
    }

    pub(super) fn delete_webhook(
        &self,
        command: &DeleteWebhook,
    ) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        let registered = self.webhook.as_ref().filter(|webhook| webhook.is_registered());
        let webhook = registered.ok_or(InstanceRefusal::NotRegistered)?;
        Ok(vec![InstanceEvent::WebhookDeleted { id: webhook.id, at: command.at }])
    }

    pub(super) fn apply_to_webhook(&mut self, event: &InstanceEvent) {
        if let InstanceEvent::WebhookRegistered { id, url, types, secret, at } = event {
            self.webhook = Some(Webhook {
                id: *id,
                url: url.clone(),
                types: types.clone(),
                secret: *secret,
                registered_at: *at,
                deleted_at: None,
            });
        }
        if let (InstanceEvent::WebhookDeleted { at, .. }, Some(webhook)) = (event, &mut self.webhook) {
            webhook.deleted_at = Some(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceCommand;
    use crate::testing::*;

    const SECRET: Uuid = Uuid::from_u128(7);

    fn types() -> Vec<String> {
        vec!["UserRegistered".to_owned()]
    }

    fn register(minute: i64) -> InstanceCommand {
        InstanceCommand::RegisterWebhook(RegisterWebhook {
            id: webhook_id(1),
            url: sealed("sealed url"),
            types: types(),
            secret: SECRET,
            at: at_minute(minute),
        })
    }

    fn registered() -> InstanceEvent {
        InstanceEvent::WebhookRegistered {
            id: webhook_id(1),
            url: sealed("sealed url"),
            types: types(),
            secret: SECRET,
            at: at_minute(0),
        }
    }

    fn delete(minute: i64) -> InstanceCommand {
        InstanceCommand::DeleteWebhook(DeleteWebhook { at: at_minute(minute) })
    }

    fn deleted(minute: i64) -> InstanceEvent {
        InstanceEvent::WebhookDeleted { id: webhook_id(1), at: at_minute(minute) }
    }

    #[test]
    fn a_webhook_is_registered_as_it_was_asked_for() {
        let after = given_instance([]).when(register(0)).then([registered()]);
        let expected = Webhook {
            id: webhook_id(1),
            url: sealed("sealed url"),
            types: types(),
            secret: SECRET,
            registered_at: at_minute(0),
            deleted_at: None,
        };
        assert_eq!(after.webhook(), Some(&expected));
        assert_eq!(after.latest_at(), Some(at_minute(0)));
    }

    #[test]
    fn a_webhook_is_registered_once() {
        given_instance([registered()]).when(register(5)).refused(&InstanceRefusal::AlreadyRegistered);
    }

    #[test]
    fn a_deleted_webhook_is_not_registered_anew() {
        let gone = given_instance([registered(), deleted(10)]);
        gone.when(register(20)).refused(&InstanceRefusal::AlreadyRegistered);
    }

    #[test]
    fn a_webhook_is_deleted() {
        let after = given_instance([registered()]).when(delete(10)).then([deleted(10)]);
        assert!(!after.webhook().unwrap().is_registered());
        assert_eq!(after.latest_at(), Some(at_minute(10)));
    }

    #[test]
    fn a_webhook_that_never_was_or_is_no_more_is_not_deleted() {
        given_instance([]).when(delete(10)).refused(&InstanceRefusal::NotRegistered);
        given_instance([registered(), deleted(10)]).when(delete(20)).refused(&InstanceRefusal::NotRegistered);
    }

    #[test]
    fn the_secret_lives_exactly_as_long_as_the_webhook() {
        assert_eq!(Instance::default().vault_rows(), Vec::<Uuid>::new());
        let after = given_instance([]).when(register(0)).then([registered()]);
        assert_eq!(after.vault_rows(), [SECRET]);
        let after = given_instance([registered()]).when(delete(10)).then([deleted(10)]);
        assert_eq!(after.vault_rows(), Vec::<Uuid>::new());
    }
}
