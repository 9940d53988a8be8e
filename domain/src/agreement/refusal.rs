//! Why a command on an agreement is refused: nothing happened, nothing is stored.

/// Why a command on an agreement is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AgreementRefusal {
    /// There is no such agreement.
    #[error("there is no such agreement")]
    NotOpened,
    /// That id is in use.
    #[error("this agreement is open already")]
    AlreadyOpened,
    /// It is closed.
    #[error("this agreement is closed")]
    Closed,
    /// There is no such agreement to administer it.
    #[error("there is no such agreement to administer this one")]
    AdministratorNotFound,
    /// Only an open agreement of the kind `administrator` can administer others.
    #[error("only an open agreement of the kind administrator can administer others")]
    NotAnAdministrator,
    /// There is one level of administration only.
    #[error("an agreement of the kind administrator cannot be administered itself")]
    AdministratorCannotBeAdministered,
    /// It administers others, which would lose what it enforces.
    #[error("this agreement administers others; release them first")]
    StillAdministers,
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The person is not linked to it.
    #[error("this person is not linked to this agreement")]
    NotLinked,
    /// Somebody must remain who can edit it.
    #[error("the last superuser of an agreement cannot go")]
    LastSuperuser,
    /// There can only be so many.
    #[error("an agreement has at most {limit} superusers", limit = crate::agreement::SUPERUSERS_MAX)]
    TooManySuperusers,
    /// Nobody becomes superuser by their own doing.
    #[error("nobody becomes superuser by their own doing")]
    OwnPromotion,
}
