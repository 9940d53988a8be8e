//! Who may call a route, in the words of the table.

use countersign_domain::instance::Scope;

/// A route and who may call it.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, as axum and OpenAPI write it.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Everybody.
    Open,
    /// Only these.
    Only(Rule),
}

/// Who may call a route that is not open.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it needs: of API keys all of these, and so of persons whose roles stand for all of them. Nobody
    /// has it by that where there are none.
    pub scopes: &'static [Scope],
    /// Persons whose roles stand for the scopes.
    pub by_role: RoleAccess,
    /// Persons, in a session.
    pub session: SessionAccess,
    /// The person of an enrolment token, for their own account.
    pub enrolment_token: EnrolmentAccess,
}

/// What a person shows whose roles stand for the scopes of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleAccess {
    /// Whatever they show, the role counts for nothing here: the route is about the owner's password and
    /// second factors, which are for the owner to show.
    Nobody,
    /// Nothing more: the route only reads.
    Reading,
    /// A second factor of their own, passed in the same session within ten minutes.
    FreshSecondFactor,
    /// A proof of their own, which stands in the body and is judged by the handler.
    ProofInBody,
}

/// Which enrolment tokens may call a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnrolmentAccess {
    /// None.
    Nobody,
    /// Those that may still enrol.
    Live,
    /// Also those whose enrolment was confirmed.
    LiveOrSpent,
}

/// Which persons may call a route, whatever their roles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionAccess {
    /// None.
    Nobody,
    /// All; the handler shows each what is theirs.
    Anybody,
    /// The person whose account it is.
    Oneself,
    /// Members of the agreement, and superusers of the one that administers it.
    Member,
    /// Superusers of the agreement, or of the one that administers it.
    Superuser,
}

pub(super) const fn open(method: &'static str, path: &'static str) -> Route {
    Route { method, path, access: Access::Open }
}

/// Keys with the scopes, persons whose roles stand for them, and these persons.
pub(super) const fn only(
    method: &'static str,
    path: &'static str,
    scopes: &'static [Scope],
    session: SessionAccess,
) -> Route {
    let by_role = match method.as_bytes() {
        b"GET" => RoleAccess::Reading,
        _ => RoleAccess::FreshSecondFactor,
    };
    let rule = Rule { scopes, by_role, session, enrolment_token: EnrolmentAccess::Nobody };
    Route { method, path, access: Access::Only(rule) }
}

/// A change of somebody's password or second factors: the person's own, or an application's for them.
pub(super) const fn owners(method: &'static str, path: &'static str) -> Route {
    enrolling(method, path, EnrolmentAccess::Nobody)
}

/// The same, also for enrolment tokens.
pub(super) const fn enrolling(
    method: &'static str,
    path: &'static str,
    enrolment_token: EnrolmentAccess,
) -> Route {
    let (scopes, session) = (&[Scope::UsersWrite], SessionAccess::Oneself);
    let rule = Rule { scopes, by_role: RoleAccess::Nobody, session, enrolment_token };
    Route { method, path, access: Access::Only(rule) }
}

impl Route {
    /// The same route, whose handler asks persons for a proof.
    pub(super) const fn with_proof_in_body(self) -> Self {
        match self.access {
            Access::Open => self,
            Access::Only(rule) => {
                Self { access: Access::Only(Rule { by_role: RoleAccess::ProofInBody, ..rule }), ..self }
            }
        }
    }
}
