//! What can happen to a user, in the past tense.

use serde::{Deserialize, Serialize};
use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr, VariantNames};

use crate::Timestamp;
use crate::ids::{AgreementId, AuthenticatorId, EnrolmentId, PasswordId, RecoveryCodeId, SessionId, UserId};
use crate::sealed::{Sealed, TokenDigest};
use crate::user::enrolment::Starter;
use crate::user::role::InstallationRole;

/// What can happen to a user. Secrets live in the vault; events name them by id.
#[derive(
    Clone, PartialEq, Eq, Debug, Serialize, Deserialize, EnumDiscriminants, IntoStaticStr, VariantNames,
)]
#[strum_discriminants(
    name(UserEventKind),
    derive(EnumIter, EnumString, IntoStaticStr),
    doc = "What kind of event it is, without what it says."
)]
#[expect(missing_docs, reason = "the fields are the words of the glossary; each variant says what happened")]
pub enum UserEvent {
    /// The account came into being.
    UserRegistered { user_id: UserId, email: Sealed, display_name: Sealed, at: Timestamp },
    /// A password was set, the first one or a new one. Every pending enrolment ends.
    PasswordSet { password_id: PasswordId, at: Timestamp },
    /// A wrong password was given; `unrecorded` more were, since the last such event.
    PasswordFailed { unrecorded: u64, at: Timestamp },
    /// At sign-in the person was asked to set up two-factor, and got a token to do so.
    EnrolmentDemanded {
        token: TokenDigest,
        agreement_id: Option<AgreementId>,
        password_judged_by: PasswordJudge,
        required_by: Vec<AgreementId>,
        deadline: Option<Timestamp>,
        expires_at: Timestamp,
        at: Timestamp,
    },
    /// An authenticator was offered (QR code shown), not yet confirmed.
    TwoFactorEnrolmentStarted {
        enrolment_id: EnrolmentId,
        authenticator_id: AuthenticatorId,
        label: Sealed,
        replace: bool,
        started_by: Starter,
        expires_at: Timestamp,
        at: Timestamp,
    },
    /// The first code of a new authenticator was wrong.
    TwoFactorEnrolmentFailed { enrolment_id: EnrolmentId, at: Timestamp },
    /// A new authenticator was confirmed with its first code, whose time step is spent by that.
    AuthenticatorAdded {
        enrolment_id: EnrolmentId,
        authenticator_id: AuthenticatorId,
        label: Sealed,
        step: u64,
        at: Timestamp,
    },
    /// Two-factor went from off to on.
    TwoFactorEnabled { at: Timestamp },
    /// A new emergency code was given; the one before it is void.
    RecoveryCodeIssued { recovery_code_id: RecoveryCodeId, replaces: Option<RecoveryCodeId>, at: Timestamp },
    /// The person says that the emergency code is stored safely.
    RecoveryCodeSaved { recovery_code_id: RecoveryCodeId, at: Timestamp },
    /// The emergency code was used, once and for all.
    RecoveryCodeUsed { recovery_code_id: RecoveryCodeId, at: Timestamp },
    /// A code of an authenticator was accepted; its time step is spent.
    SecondFactorPassed { authenticator_id: AuthenticatorId, step: u64, at: Timestamp },
    /// A second factor was judged and failed.
    SecondFactorFailed { factor: Factor, reason: FailureReason, at: Timestamp },
    /// A second factor was given while that factor is locked; it was not judged. At most one a lock.
    SecondFactorRefused { factor: Factor, at: Timestamp },
    /// Ten failures in a row: the factor is not judged until then.
    SecondFactorLocked { factor: Factor, until: Timestamp, at: Timestamp },
    /// Fifty failures in a row: this authenticator is not accepted until it is bound anew.
    AuthenticatorDisabled { authenticator_id: AuthenticatorId, at: Timestamp },
    /// An authenticator is not accepted any more.
    AuthenticatorRemoved {
        authenticator_id: AuthenticatorId,
        reason: AuthenticatorRemovalReason,
        at: Timestamp,
    },
    /// Two-factor went from on to off, by the person's own wish.
    TwoFactorDisabled { at: Timestamp },
    /// An operator took two-factor away from somebody who lost everything. The next enrolment
    /// must give the pass that the operator handed over.
    TwoFactorReset { pass: TokenDigest, reason: Sealed, at: Timestamp },
    /// A sign-in got as far as the second step.
    LoginChallenged {
        challenge: TokenDigest,
        agreement_id: Option<AgreementId>,
        password_judged_by: PasswordJudge,
        expires_at: Timestamp,
        at: Timestamp,
    },
    /// A sign-in was completed.
    /// The challenge that it answered, if there was one, is spent.
    LoginSucceeded {
        challenge: Option<TokenDigest>,
        agreement_id: Option<AgreementId>,
        method: LoginMethod,
        at: Timestamp,
    },
    /// A session began.
    SessionStarted {
        session_id: SessionId,
        token: TokenDigest,
        agreement_id: Option<AgreementId>,
        second_factor_at: Option<Timestamp>,
        expires_at: Timestamp,
        at: Timestamp,
    },
    /// A session ended.
    SessionEnded { session_id: SessionId, reason: SessionEndReason, at: Timestamp },
    /// The person got a role in the installation.
    RoleGranted { role: InstallationRole, at: Timestamp },
    /// The person has a role no more.
    RoleRevoked { role: InstallationRole, at: Timestamp },
    /// The person was erased. Their data key is gone, and with it whatever was sealed under it.
    UserErased { at: Timestamp },
}

/// A kind of second factor that can be guessed at and locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// The six-digit code of an authenticator.
    Totp,
    /// The emergency code.
    RecoveryCode,
}

/// Why a second factor failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// It is not the code.
    Wrong,
    /// It was the code, but that time step, or a later one, has been accepted already.
    AlreadyUsed,
}

/// Why an authenticator went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticatorRemovalReason {
    /// Somebody asked for that.
    Requested,
    /// A new one took its place.
    Replaced,
}

/// Who judged the password of a sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordJudge {
    /// Countersign did.
    Countersign,
    /// The application says that it did.
    Application,
}

/// How a sign-in was completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginMethod {
    /// With the password alone.
    Password,
    /// With an authenticator's code.
    Totp,
    /// With the emergency code.
    RecoveryCode,
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEndReason {
    /// The person, or somebody who may, ended it.
    SignedOut,
    /// The password changed.
    PasswordChanged,
    /// An operator reset two-factor.
    TwoFactorReset,
    /// It was the oldest of too many.
    TooMany,
}

impl UserEvent {
    /// The name under which it is stored and searched.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::UserRegistered { at, .. }
            | Self::PasswordSet { at, .. }
            | Self::PasswordFailed { at, .. }
            | Self::EnrolmentDemanded { at, .. }
            | Self::TwoFactorEnrolmentStarted { at, .. }
            | Self::TwoFactorEnrolmentFailed { at, .. }
            | Self::AuthenticatorAdded { at, .. }
            | Self::TwoFactorEnabled { at }
            | Self::RecoveryCodeIssued { at, .. }
            | Self::RecoveryCodeSaved { at, .. }
            | Self::RecoveryCodeUsed { at, .. }
            | Self::SecondFactorPassed { at, .. }
            | Self::SecondFactorFailed { at, .. }
            | Self::SecondFactorRefused { at, .. }
            | Self::SecondFactorLocked { at, .. }
            | Self::AuthenticatorDisabled { at, .. }
            | Self::AuthenticatorRemoved { at, .. }
            | Self::TwoFactorDisabled { at }
            | Self::TwoFactorReset { at, .. }
            | Self::LoginChallenged { at, .. }
            | Self::LoginSucceeded { at, .. }
            | Self::SessionStarted { at, .. }
            | Self::SessionEnded { at, .. }
            | Self::RoleGranted { at, .. }
            | Self::RoleRevoked { at, .. }
            | Self::UserErased { at } => *at,
        }
    }
}

impl UserEventKind {
    /// Its fields that are sealed under the person's key. Readers see them opened, or not at all.
    #[must_use]
    pub const fn sealed_fields(self) -> &'static [&'static str] {
        match self {
            Self::UserRegistered => &["email", "display_name"],
            Self::TwoFactorEnrolmentStarted | Self::AuthenticatorAdded => &["label"],
            Self::TwoFactorReset => &["reason"],
            Self::PasswordSet
            | Self::PasswordFailed
            | Self::EnrolmentDemanded
            | Self::TwoFactorEnrolmentFailed
            | Self::TwoFactorEnabled
            | Self::RecoveryCodeIssued
            | Self::RecoveryCodeSaved
            | Self::RecoveryCodeUsed
            | Self::SecondFactorPassed
            | Self::SecondFactorFailed
            | Self::SecondFactorRefused
            | Self::SecondFactorLocked
            | Self::AuthenticatorDisabled
            | Self::AuthenticatorRemoved
            | Self::TwoFactorDisabled
            | Self::LoginChallenged
            | Self::LoginSucceeded
            | Self::SessionStarted
            | Self::SessionEnded
            | Self::RoleGranted
            | Self::RoleRevoked
            | Self::UserErased => &[],
        }
    }

    /// Its fields that are, or hold, digests of tokens: nothing that anybody should read.
    #[must_use]
    pub const fn digest_fields(self) -> &'static [&'static str] {
        match self {
            Self::EnrolmentDemanded | Self::SessionStarted => &["token"],
            Self::TwoFactorEnrolmentStarted => &["started_by"],
            Self::TwoFactorReset => &["pass"],
            Self::LoginChallenged | Self::LoginSucceeded => &["challenge"],
            Self::UserRegistered
            | Self::PasswordSet
            | Self::PasswordFailed
            | Self::TwoFactorEnrolmentFailed
            | Self::AuthenticatorAdded
            | Self::TwoFactorEnabled
            | Self::RecoveryCodeIssued
            | Self::RecoveryCodeSaved
            | Self::RecoveryCodeUsed
            | Self::SecondFactorPassed
            | Self::SecondFactorFailed
            | Self::SecondFactorRefused
            | Self::SecondFactorLocked
            | Self::AuthenticatorDisabled
            | Self::AuthenticatorRemoved
            | Self::TwoFactorDisabled
            | Self::SessionEnded
            | Self::RoleGranted
            | Self::RoleRevoked
            | Self::UserErased => &[],
        }
    }

    /// Whether it tells what became of the person's second factors: the superusers of their
    /// agreements may know.
    #[must_use]
    pub const fn is_about_second_factors(self) -> bool {
        match self {
            Self::TwoFactorEnrolmentStarted
            | Self::TwoFactorEnrolmentFailed
            | Self::AuthenticatorAdded
            | Self::TwoFactorEnabled
            | Self::RecoveryCodeIssued
            | Self::RecoveryCodeSaved
            | Self::RecoveryCodeUsed
            | Self::SecondFactorPassed
            | Self::SecondFactorFailed
            | Self::SecondFactorRefused
            | Self::SecondFactorLocked
            | Self::AuthenticatorDisabled
            | Self::AuthenticatorRemoved
            | Self::TwoFactorDisabled
            | Self::TwoFactorReset => true,
            Self::UserRegistered
            | Self::PasswordSet
            | Self::PasswordFailed
            | Self::EnrolmentDemanded
            | Self::LoginChallenged
            | Self::LoginSucceeded
            | Self::SessionStarted
            | Self::SessionEnded
            | Self::RoleGranted
            | Self::RoleRevoked
            | Self::UserErased => false,
        }
    }
}
