//! Who did something, for whom, and from where: recorded with every event.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use strum::EnumIter;

use crate::ids::{AgreementId, UserId};
use crate::sealed::Sealed;

/// Who acted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// What kind of actor this is.
    pub kind: ActorKind,
    /// A user's or an API key's id; none for the operator's command line.
    pub id: Option<String>,
    /// An API key's name. Never a person's: names of people are read through their id.
    pub name: Option<String>,
}

/// The kinds of actor that an event can name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, EnumIter)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person, in a session or with an enrolment token.
    User,
    /// An application, with its API key.
    ApiKey,
    /// An operator, on the command line of the machine.
    Operator,
    /// The program's own page for signing in, on behalf of whoever says to be the person.
    SignInPage,
}

impl ActorKind {
    /// The name by which it is stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::Operator => "operator",
            Self::SignInPage => "sign_in_page",
        }
    }
}

impl Actor {
    /// A person acting on their own.
    #[must_use]
    pub fn user(id: UserId) -> Self {
        Self { kind: ActorKind::User, id: Some(id.to_string()), name: None }
    }

    /// The operator's command line.
    #[must_use]
    pub const fn operator() -> Self {
        Self { kind: ActorKind::Operator, id: None, name: None }
    }

    /// The page for signing in.
    #[must_use]
    pub const fn sign_in_page() -> Self {
        Self { kind: ActorKind::SignInPage, id: None, name: None }
    }

    /// Whether this actor is that person.
    #[must_use]
    pub fn is_user(&self, user_id: UserId) -> bool {
        self.kind == ActorKind::User && self.id.as_deref() == Some(&user_id.to_string())
    }
}

/// What surrounds the events of one command: stored as their metadata, next to the payload.
/// The store adds each event's own id and when it was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventContext {
    /// Who did it.
    pub actor: Actor,
    /// For whom the actor did it, when an application speaks for a person.
    pub on_behalf_of: Option<UserId>,
    /// The agreement it is attributed to.
    pub agreement_id: Option<AgreementId>,
    /// The HTTP request or command-line run that caused it.
    pub request_id: String,
    /// The network address it came from, sealed.
    pub address: Option<Sealed>,
    /// The user agent it came from, sealed.
    pub user_agent: Option<Sealed>,
    /// A commitment to the key that sealed what is sealed here and in the event. A ciphertext alone
    /// does not say which key opens it.
    pub data_key: String,
}

impl EventContext {
    /// As the flat text map in which `cqrs_es` stores metadata.
    #[must_use]
    pub fn to_metadata(&self) -> HashMap<String, String> {
        let optional = [
            ("actor_id", self.actor.id.clone()),
            ("actor_name", self.actor.name.clone()),
            ("on_behalf_of", self.on_behalf_of.map(|id| id.to_string())),
            ("agreement_id", self.agreement_id.map(|id| id.to_string())),
            ("address", self.address.as_ref().map(|sealed| sealed.as_str().to_owned())),
            ("user_agent", self.user_agent.as_ref().map(|sealed| sealed.as_str().to_owned())),
        ];
        let always = [
            ("actor_kind", self.actor.kind.name().to_owned()),
            ("request_id", self.request_id.clone()),
            ("data_key", self.data_key.clone()),
        ];
        optional
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .chain(always)
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}
