//! Why a command on a user is refused. A refusal is an answer: nothing happened, nothing is stored.

use crate::Timestamp;
use crate::requirement::Requirement;

/// Why a command on a user is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UserRefusal {
    /// There is no such user.
    #[error("there is no such user")]
    NotRegistered,
    /// That id is in use.
    #[error("this user is registered already")]
    AlreadyRegistered,
    /// A first password can only be set once; after that its owner changes it.
    #[error("this person has a password; only they can change it")]
    PasswordAlreadySet,
    /// The password that was judged is no longer the person's password.
    #[error("the password changed meanwhile")]
    PasswordChanged,
    /// This needs the password, and the second factor where it is on.
    #[error("the password, and the second factor where it is on, must be given")]
    StepUpRequired,
    /// A second factor of this kind is not judged now.
    #[error("the second factor is locked")]
    Locked {
        /// Until when; none when the authenticators are disabled until bound anew.
        until: Option<Timestamp>,
    },
    /// Two-factor is off.
    #[error("two-factor authentication is not on")]
    TwoFactorNotEnabled,
    /// An agreement requires two-factor.
    #[error("two-factor authentication is required")]
    TwoFactorRequired {
        /// By whom; never empty.
        required_by: Vec<Requirement>,
    },
    /// There is no such authenticator.
    #[error("there is no such authenticator")]
    AuthenticatorNotFound,
    /// A person can have only so many.
    #[error("no more than {limit} authenticators can be added", limit = crate::user::two_factor::AUTHENTICATORS_MAX)]
    TooManyAuthenticators,
    /// The enrolment has ended, or its token has.
    #[error("this enrolment has ended")]
    EnrolmentExpired,
    /// There never was such an enrolment, or it is somebody else's.
    #[error("there is no such enrolment")]
    EnrolmentNotFound,
    /// An operator reset this person's two-factor; the pass they handed over must be given.
    #[error("the pass from the operator is needed")]
    PassRequired,
    /// The challenge has ended or was never given; the two are not told apart.
    #[error("this login challenge has ended")]
    ChallengeExpired,
    /// There is no such session.
    #[error("there is no such session")]
    SessionNotFound,
    /// A member of an agreement must be unlinked before they are erased.
    #[error("this person is linked to an agreement")]
    StillLinked,
    /// Nobody is erased twice.
    #[error("this person was erased already")]
    AlreadyErased {
        /// When.
        at: Timestamp,
    },
}
