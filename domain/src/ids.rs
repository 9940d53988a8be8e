//! Typed identifiers: a user's id cannot stand where an agreement's id is expected.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// One stored event.
    EventId;
}
