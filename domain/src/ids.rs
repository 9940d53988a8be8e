//! Typed identifiers: a user's id cannot stand where an agreement's id is expected.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::context::Actor;

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that the caller has drawn or read.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for the edge of the program.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

typed_id! {
    /// A person with one login.
    UserId;
    /// A customer account (tenant).
    AgreementId;
    /// One registration of an authenticator app.
    AuthenticatorId;
    /// One attempt to add an authenticator, from its QR code to its first code.
    EnrolmentId;
    /// The vault row that holds a password hash.
    PasswordId;
    /// The vault row that holds the digest of an emergency code.
    RecoveryCodeId;
    /// A signed-in session.
    SessionId;
    /// An API key of an application.
    ApiKeyId;
    /// A place to which entries of the audit trail are sent.
    WebhookId;
    /// A stream of what belongs to the installation.
    InstanceId;
    /// One stored event.
    EventId;
}

impl From<ApiKeyId> for InstanceId {
    fn from(id: ApiKeyId) -> Self {
        Self(id.0)
    }
}

impl From<WebhookId> for InstanceId {
    fn from(id: WebhookId) -> Self {
        Self(id.0)
    }
}

impl InstanceId {
    /// The stream of somebody who reads the audit trail. It is derived, so that an API key that
    /// reads has a stream of its own for that; all operators have one together.
    #[must_use]
    pub fn of_audit_reader(reader: &Actor) -> Self {
        let (kind, id) = (reader.kind.name(), reader.id.as_deref().unwrap_or_default());
        Self(derived_uuid(format!("countersign audit reader\n{kind}\n{id}").as_bytes()))
    }

    /// The stream of the ledger.
    #[must_use]
    pub fn of_ledger() -> Self {
        Self(derived_uuid(b"countersign ledger"))
    }
}

/// The UUID that stands for this text: the same one on every node, and for no other text.
pub(crate) fn derived_uuid(text: &[u8]) -> Uuid {
    let hash: [u8; 32] = Sha256::digest(text).into();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ActorKind;
    use crate::testing::*;

    #[test]
    fn a_key_and_a_webhook_name_their_own_streams() {
        assert_eq!(InstanceId::from(api_key_id(1)).as_uuid(), api_key_id(1).as_uuid());
        assert_eq!(InstanceId::from(webhook_id(1)).as_uuid(), webhook_id(1).as_uuid());
    }

    #[test]
    fn an_api_key_that_reads_the_trail_has_two_streams() {
        let reader = Actor {
            kind: ActorKind::ApiKey,
            id: Some(api_key_id(1).to_string()),
            name: Some("app".to_owned()),
        };
        let renamed = Actor { name: None, ..reader.clone() };
        assert_ne!(InstanceId::of_audit_reader(&reader), api_key_id(1).into());
        assert_eq!(InstanceId::of_audit_reader(&reader), InstanceId::of_audit_reader(&renamed));
    }

    #[test]
    fn no_two_readers_share_a_stream_whatever_their_kind() {
        let id = api_key_id(1).to_string();
        let key = Actor { kind: ActorKind::ApiKey, id: Some(id.clone()), name: None };
        let user = Actor { kind: ActorKind::User, id: Some(id), name: None };
        let readers = [key, user, Actor::user(user_id(1)), Actor::operator()];
        let mut streams: Vec<InstanceId> = readers.iter().map(InstanceId::of_audit_reader).collect();
        streams.push(InstanceId::of_ledger());
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams.len(), 5);
    }

    #[test]
    fn derived_streams_keep_their_names_for_ever() {
        let reader = InstanceId::of_audit_reader(&Actor::user(user_id(1)));
        assert_eq!(reader.to_string(), "1aa27e54-d0d8-85d3-953b-678867a94e54");
        assert_eq!(
            InstanceId::of_audit_reader(&Actor::operator()).to_string(),
            "71d8cfba-68c9-89e6-ae79-8330af9b9951"
        );
        assert_eq!(InstanceId::of_ledger().to_string(), "959f093c-4ada-852d-86aa-4a9ba73290e9");
    }
}
