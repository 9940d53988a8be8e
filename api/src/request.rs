//! Who asks, and from where: known before any handler runs, recorded with every event.

use countersign_domain::context::{Actor, ActorKind, EventContext};
use countersign_domain::ids::{AgreementId, ApiKeyId, SessionId, UserId};
use countersign_domain::sealed::TokenDigest;
use countersign_domain::user::enrolment::Starter;
use countersign_domain::user::proof::Asker;

use crate::problem::{Problem, ProblemCode};
use crate::vault::{DataKey, Purpose};

/// One request or one run of the command line.
#[derive(Clone)]
pub struct Request {
    /// Names it in the log, in answers and in events.
    pub id: String,
    /// Who asks.
    pub caller: Caller,
    /// The network address it comes from.
    pub address: Option<String>,
    /// The user agent it comes from.
    pub user_agent: Option<String>,
}

/// Who asks.
#[derive(Clone)]
pub enum Caller {
    /// Nobody in particular, where that is allowed.
    Nobody,
    /// An operator on the command line.
    Operator,
    /// Whoever is signing in on our own page.
    SignInPage,
    /// An application.
    ApiKey {
        /// Which key.
        id: ApiKeyId,
        /// What the operator calls it.
        name: String,
    },
    /// A person.
    Session {
        /// Who.
        user_id: UserId,
        /// In which session.
        session_id: SessionId,
        /// Seals what is recorded of them elsewhere than in their own stream.
        key: DataKey,
        /// By which right.
        right: Right,
    },
    /// A person at sign-in who is setting up two-factor.
    Enrolment {
        /// Who.
        user_id: UserId,
        /// The digest of their enrolment token.
        token: TokenDigest,
    },
}

impl Caller {
    /// The person who asks, in a session or while setting up two-factor.
    #[must_use]
    pub const fn user_id(&self) -> Option<UserId> {
        match self {
            Self::Session { user_id, .. } | Self::Enrolment { user_id, .. } => Some(*user_id),
            Self::Nobody | Self::Operator | Self::ApiKey { .. } | Self::SignInPage => None,
        }
    }
}

/// By which right a person asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// It is their own, or they are a member or a superuser of the agreement.
    Own,
    /// A role of theirs stands for the scopes that the route needs.
    Role,
}

impl Caller {
    /// Whether it may have what the route is about of everybody: whoever has the scopes of the route, as an
    /// application or by a role. All others have what is theirs.
    #[must_use]
    pub const fn has_the_scopes(&self) -> bool {
        match self {
            Self::ApiKey { .. } | Self::Session { right: Right::Role, .. } => true,
            Self::Session { right: Right::Own, .. }
            | Self::Nobody
            | Self::Operator
            | Self::SignInPage
            | Self::Enrolment { .. } => false,
        }
    }
}

impl Request {
    /// A run of the command line.
    #[must_use]
    pub const fn operator(id: String) -> Self {
        Self { id, caller: Caller::Operator, address: None, user_agent: None }
    }

    /// Who acts, as events name them.
    ///
    /// # Errors
    /// `forbidden` for nobody: what nobody may do is never recorded.
    pub fn actor(&self) -> Result<Actor, Problem> {
        match &self.caller {
            Caller::Nobody => Err(forbidden()),
            Caller::Operator => Ok(Actor::operator()),
            Caller::SignInPage => Ok(Actor::sign_in_page()),
            Caller::ApiKey { id, name } => {
                Ok(Actor { kind: ActorKind::ApiKey, id: Some(id.to_string()), name: Some(name.clone()) })
            }
            Caller::Session { user_id, .. } | Caller::Enrolment { user_id, .. } => Ok(Actor::user(*user_id)),
        }
    }

    /// Who asks for a change of an account.
    ///
    /// # Errors
    /// `forbidden` for callers that cannot ask for one.
    pub fn asker(&self) -> Result<Asker, Problem> {
        match &self.caller {
            Caller::Session { session_id, .. } => Ok(Asker::Session(*session_id)),
            Caller::ApiKey { .. } => Ok(Asker::Application),
            Caller::Nobody | Caller::Operator | Caller::SignInPage | Caller::Enrolment { .. } => {
                Err(forbidden())
            }
        }
    }

    /// Who starts an enrolment, and alone may confirm it.
    ///
    /// # Errors
    /// `forbidden` for callers that cannot.
    pub fn starter(&self) -> Result<Starter, Problem> {
        match &self.caller {
            Caller::Session { session_id, .. } => Ok(Starter::Session(*session_id)),
            Caller::ApiKey { id, .. } => Ok(Starter::ApiKey(*id)),
            Caller::Enrolment { token, .. } => Ok(Starter::EnrolmentToken(token.clone())),
            Caller::Nobody | Caller::Operator | Caller::SignInPage => Err(forbidden()),
        }
    }

    /// What surrounds the events of a command, with the address and the user agent sealed. Those of a person
    /// are sealed under their own key or left out: in somebody else's stream they would be that one's to
    /// read, and would outlive the person's erasure.
    ///
    /// # Errors
    /// `forbidden` for nobody, or when nothing can be sealed.
    pub fn context(
        &self,
        key: &DataKey,
        about: Option<UserId>,
        agreement_id: Option<AgreementId>,
    ) -> Result<EventContext, Problem> {
        let keeps_origin = match &self.caller {
            Caller::Session { key: own, .. } => own.commitment() == key.commitment(),
            Caller::Nobody
            | Caller::Operator
            | Caller::SignInPage
            | Caller::ApiKey { .. }
            | Caller::Enrolment { .. } => true,
        };
        let seal = |purpose, text: &Option<String>| {
            text.as_ref()
                .filter(|_| keeps_origin)
                .map(|text| key.seal(purpose, &self.id, text.as_bytes()))
                .transpose()
        };
        let speaks_for_others = matches!(self.caller, Caller::ApiKey { .. } | Caller::SignInPage);
        Ok(EventContext {
            actor: self.actor()?,
            on_behalf_of: about.filter(|_| speaks_for_others),
            agreement_id,
            request_id: self.id.clone(),
            address: seal(Purpose::Address, &self.address)?,
            user_agent: seal(Purpose::UserAgent, &self.user_agent)?,
            data_key: key.commitment(),
        })
    }
}

/// What callers without the right are told.
#[must_use]
pub fn forbidden() -> Problem {
    Problem::new(ProblemCode::Forbidden, "Your token does not allow this.")
}
