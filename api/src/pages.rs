//! The pages: what people see in a browser. They are made here, with nothing built apart and nothing loaded from
//! elsewhere, and do what they do through the same functions as the REST API, so that every check is there once.
//!
//! `visit` decides who asks before a page is made, `words` has what pages say in each language, `frame` what
//! stands around them. Everything works without the script, which copies, prints, and sends a code once it is typed.

mod account;
mod address;
mod agreement;
mod assets;
mod audit;
mod cookies;
mod docs;
mod emergency;
mod enrolment;
mod fault;
mod form;
mod frame;
mod login;
mod proof;
mod table;
mod visit;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::handler::Handler;
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use countersign_domain::instance::Scope;
use serde::Deserialize;

use crate::app::App;
use crate::router::{EnrolmentAccess, RoleAccess, Rule, SessionAccess};
use cookies::Kept;
use form::Query;
use visit::Gate;
use words::Language;

/// Who may look at a page.
#[derive(Clone, Copy, Debug)]
pub enum PageAccess {
    /// Everybody; who is signed in is known, unless that cannot be looked up just now.
    Anybody,
    /// Whoever is signed in, or setting up two-factor at sign-in.
    Enrolling,
    /// Of those who are signed in, these.
    SignedIn(Rule),
}

impl PageAccess {
    const fn of_sessions(self) -> Rule {
        match self {
            Self::Anybody | Self::Enrolling => OWN,
            Self::SignedIn(rule) => rule,
        }
    }
}

/// Whoever is signed in, for what is theirs.
const OWN: Rule = Rule {
    scopes: &[],
    by_role: RoleAccess::Nobody,
    session: SessionAccess::Anybody,
    enrolment_token: EnrolmentAccess::Nobody,
};

/// Whoever has these scopes by a role, and these persons.
const fn reading(scopes: &'static [Scope], session: SessionAccess) -> Rule {
    Rule { scopes, by_role: RoleAccess::Reading, session, enrolment_token: EnrolmentAccess::Nobody }
}

type Handlers = MethodRouter<Arc<App>>;

/// Every page, who may look at it, and what makes it.
fn pages() -> Vec<(&'static str, PageAccess, Handlers)> {
    use PageAccess::{Anybody, Enrolling, SignedIn};
    let mine = SignedIn(OWN);
    let of_agreement = SignedIn(reading(&[Scope::AgreementsRead], SessionAccess::Superuser));
    let enforcing = Rule {
        by_role: RoleAccess::ProofInBody,
        ..reading(&[Scope::AgreementsWrite], SessionAccess::Superuser)
    };
    let trail = SignedIn(reading(&[Scope::AuditRead], SessionAccess::Anybody));
    let auditors = SignedIn(reading(&[Scope::AuditRead], SessionAccess::Nobody));
    let trail_of_agreement = SignedIn(reading(&[Scope::AuditRead], SessionAccess::Superuser));
    vec![
        ("/", Anybody, get(home)),
        ("/language/{code}", Anybody, get(language)),
        ("/docs", Anybody, get(docs::show)),
        ("/login", Anybody, get(login::show).post(login::sign_in)),
        ("/login/code", Anybody, get(login::show_code).post(login::verify_code)),
        ("/login/emergency-code", Anybody, get(login::show_emergency).post(login::verify_emergency)),
        ("/login/emergency-code/saved", mine, sent(emergency::saved_after_sign_in)),
        ("/login/two-factor", Enrolling, get(login::show_required).post(enrolment::begin_required)),
        ("/login/two-factor/later", Anybody, sent(login::later)),
        ("/logout", Anybody, sent(login::sign_out)),
        ("/account", mine, get(account::show)),
        ("/account/two-factor/new", mine, get(enrolment::show_new).post(enrolment::begin)),
        ("/account/two-factor/done", mine, get(account::done)),
        ("/account/two-factor/disable", mine, get(account::show_disable).post(account::disable)),
        ("/account/two-factor/emergency-code", mine, get(emergency::show_new).post(emergency::renew)),
        ("/account/two-factor/emergency-code/saved", mine, sent(emergency::saved)),
        (
            "/account/two-factor/authenticators/{authenticator_id}/remove",
            mine,
            get(account::show_remove).post(account::remove),
        ),
        ("/account/two-factor/{enrolment_id}", Enrolling, get(enrolment::show).post(enrolment::confirm)),
        ("/account/sessions/end", mine, sent(account::end_sessions)),
        ("/account/sessions/{session_id}/end", mine, sent(account::end_session)),
        ("/agreements/{agreement_id}", of_agreement, get(agreement::show)),
        (
            "/agreements/{agreement_id}/enforcement",
            SignedIn(enforcing),
            get(agreement::enforcement::show).post(agreement::enforcement::change),
        ),
        ("/agreements/{agreement_id}/audit", trail_of_agreement, get(audit::show_of_agreement)),
        ("/audit", trail, get(audit::show)),
        ("/audit/export", auditors, get(audit::auditor::export)),
        ("/audit/evidence", auditors, get(audit::auditor::reports)),
        ("/audit/evidence/{report}", auditors, get(audit::auditor::report)),
        ("/audit/look-back", auditors, get(audit::look_back::show)),
        ("/audit/entries/{position}", trail, get(audit::entry::show)),
    ]
}

/// What only takes a form; who reloads it afterwards looks at their account.
fn sent<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> Handlers {
    post(handler).get(home)
}

/// The address of every page, with who may look at it.
#[must_use]
pub fn routes() -> Vec<(&'static str, PageAccess)> {
    pages().into_iter().map(|(path, access, _)| (path, access)).collect()
}

/// All pages, each behind the layer that decides who may look at it.
pub(crate) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let assets = Router::new().route("/assets/{name}", get(assets::asset)).fallback(visit::nowhere);
    pages().into_iter().fold(assets, |router, (path, access, handlers)| {
        let gate = Gate { app: Arc::clone(app), access };
        router.route(path, handlers.route_layer(middleware::from_fn_with_state(gate, visit::admit)))
    })
}

/// What people are told of an address that no page has.
pub(crate) async fn nowhere(app: &Arc<App>, request: axum::extract::Request) -> Response {
    visit::nowhere(State(Arc::clone(app)), request).await
}

async fn home() -> Redirect {
    Redirect::to("/account")
}

/// The page to go on with in the other language.
#[derive(Deserialize)]
struct Here {
    return_to: Option<String>,
}

/// Remembers the language that somebody chose.
async fn language(Path(code): Path<String>, Query(here): Query<Here>) -> Response {
    let to = here.return_to.as_deref().and_then(address::here).unwrap_or("/");
    let mut response = Redirect::to(to).into_response();
    let chosen = Language::of_code(&code).and_then(|language| cookies::keep(Kept::Language, language.code()));
    cookies::add(response.headers_mut(), [chosen]);
    response
}
