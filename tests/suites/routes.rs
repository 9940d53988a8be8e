//! Every route of the program and who may call it: what the access suite walks.

use countersign_tests::{
    Agreement, Answer, Client, Enrolment, Person, Session, TestApp, TwoFactor, answer::string,
};
use reqwest::Method;
use serde_json::{Value, json};

/// A well-formed id that nothing has.
pub(crate) const UNKNOWN_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Which sessions may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// No session: the route is for API keys.
    None,
    /// The person whose route it is.
    Own,
    /// Members of the agreement.
    Member,
    /// Superusers of the agreement, or of the one that administers it.
    Superuser,
    /// Every session, each for what is its own.
    Each,
}

/// One route.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// The path, with the names of [`World`] in braces.
    pub(crate) path: &'static str,
    /// API keys need all of these.
    pub(crate) scopes: &'static [&'static str],
    pub(crate) sessions: Sessions,
    /// Whether it is for the owner's proof alone, whatever role somebody else has.
    pub(crate) owners: bool,
    /// Whether an enrolment token may call it for its own person.
    pub(crate) enrolment_token: bool,
    body: fn(&World) -> Value,
}

/// Routes that need no token.
pub(crate) const OPEN: [&str; 7] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/v1/audit/checkpoint",
    "/v1/audit/key",
    "/ledger/checkpoint",
];

/// Routes that need no token and name a part of the ledger.
pub(crate) const OPEN_PARTS: [&str; 2] = ["/v1/audit/consistency", "/ledger/tile/{level}/{index}"];

/// What the paths of the routes name: one person, one agreement, and what belongs to them.
pub(crate) struct World {
    pub(crate) ada: Person,
    pub(crate) two_factor: TwoFactor,
    pub(crate) session: Session,
    pub(crate) agreement: Agreement,
    enrolment: Enrolment,
    pub(crate) challenge: String,
    position: String,
    webhook: String,
}

impl Route {
    /// Whether a role that stands for these scopes is a right to call it.
    pub(crate) fn is_for_role(&self, scopes: &[&str]) -> bool {
        !self.owners && self.scopes.iter().all(|scope| scopes.contains(scope))
    }
}

impl World {
    /// Ada is superuser of an agreement, with everything pending that a route can name.
    pub(crate) async fn make(app: &TestApp) -> Self {
        let agreement = app.agreement("Havbris").await;
        let (ada, two_factor, session) = app.superuser(&agreement, "Ada").await;
        let enrolment = app.enrol_another(&ada, &two_factor, json!({})).await;
        let challenge = app.challenge(&ada).await;
        let entries = app.entries(&format!("user={}", ada.id)).await;
        let position = entries[0]["position"].to_string().replace('"', "");
        // Nothing is ever sent there.
        let webhook = json!({ "url": "https://localhost/in" });
        let webhook = app.post("/v1/webhooks", &app.key, webhook).await.expect(201).string("id");
        Self { ada, two_factor, session, agreement, enrolment, challenge, position, webhook }
    }

    fn fill(&self, path: &str) -> String {
        path.replace("{user}", &self.ada.id)
            .replace("{enrolment}", &self.enrolment.id)
            .replace("{authenticator}", &self.two_factor.authenticator_id)
            .replace("{session}", &self.session.id)
            .replace("{agreement}", &self.agreement.id)
            .replace("{challenge}", &self.challenge)
            .replace("{position}", &self.position)
            .replace("{webhook}", &self.webhook)
            .replace("{report}", "disabled")
            .replace("{tile}", "000.p/1")
            .replace("{number}", &self.agreement.number)
    }

    /// Calls a route, well formed, with any token.
    pub(crate) async fn call(&self, client: &Client, route: &Route, token: &str) -> Answer {
        let request = client.request(route.method.clone(), &self.fill(route.path)).token(token);
        let body = (route.body)(self);
        if body.is_null() { request.send().await } else { request.json(&body).send().await }
    }

    /// What a caller without leave must not change. Of sessions only which there are: using one moves
    /// its last use.
    pub(crate) async fn state(&self, app: &TestApp) -> Vec<Value> {
        let mut state = Vec::new();
        for path in [self.ada.path(""), self.agreement.path(""), self.agreement.path("/users")] {
            state.push(app.get(&path, &app.key).await.expect(200).body);
        }
        for path in [self.ada.path("/sessions"), "/v1/webhooks".to_owned()] {
            let items = app.get(&path, &app.key).await.expect(200).items();
            state.extend(items.iter().map(|item| item["id"].clone()));
        }
        state
    }
}

fn none(_: &World) -> Value {
    Value::Null
}

fn empty(_: &World) -> Value {
    json!({})
}

fn password(world: &World) -> Value {
    json!({ "password": world.ada.password })
}

fn route(
    method: Method,
    path: &'static str,
    scopes: &'static [&'static str],
    sessions: Sessions,
    body: fn(&World) -> Value,
) -> Route {
    Route { method, path, scopes, sessions, owners: false, enrolment_token: false, body }
}

/// Every route that needs a token.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = users();
    routes.extend(two_factor());
    routes.extend(agreements());
    routes.extend(logins());
    routes.extend(sessions_and_audit());
    routes.extend(webhooks());
    routes
}

fn users() -> Vec<Route> {
    vec![
        route(
            Method::POST,
            "/v1/users",
            &["users:write"],
            Sessions::None,
            |_| json!({ "email": "new@example.com", "display_name": "New" }),
        ),
        route(Method::GET, "/v1/users?email=ada@example.com", &["users:read"], Sessions::None, none),
        route(Method::GET, "/v1/users/{user}", &["users:read"], Sessions::Own, none),
        Route {
            owners: true,
            ..route(Method::PUT, "/v1/users/{user}/password", &["users:write"], Sessions::Own, |world| {
                json!({
                    "current_password": world.ada.password,
                    "new_password": "another long passphrase",
                })
            })
        },
    ]
}

fn two_factor() -> Vec<Route> {
    let own = |method, path, body| Route {
        owners: true,
        ..route(method, path, &["users:write"], Sessions::Own, body)
    };
    let own_or_enrolling = |path, body| Route { enrolment_token: true, ..own(Method::POST, path, body) };
    vec![
        own_or_enrolling("/v1/users/{user}/two-factor/enrolments", password),
        own_or_enrolling(
            "/v1/users/{user}/two-factor/enrolments/{enrolment}/confirm",
            |_| json!({ "code": "000000" }),
        ),
        own_or_enrolling("/v1/users/{user}/two-factor/recovery-code/saved", empty),
        own(Method::POST, "/v1/users/{user}/two-factor/recovery-code", password),
        own(Method::DELETE, "/v1/users/{user}/two-factor/authenticators/{authenticator}", password),
        own(Method::POST, "/v1/users/{user}/two-factor/disable", password),
    ]
}

fn agreements() -> Vec<Route> {
    const READ: &[&str] = &["agreements:read"];
    const WRITE: &[&str] = &["agreements:write"];
    vec![
        route(
            Method::POST,
            "/v1/agreements",
            WRITE,
            Sessions::None,
            |_| json!({ "number": "1", "name": "New", "kind": "standard" }),
        ),
        route(Method::GET, "/v1/agreements?number={number}", READ, Sessions::None, none),
        route(Method::GET, "/v1/agreements/{agreement}", READ, Sessions::Member, none),
        route(
            Method::PUT,
            "/v1/agreements/{agreement}/administration",
            WRITE,
            Sessions::None,
            |_| json!({ "administered_by": null }),
        ),
        route(Method::POST, "/v1/agreements/{agreement}/close", WRITE, Sessions::None, empty),
        route(
            Method::PUT,
            "/v1/agreements/{agreement}/users/{user}",
            WRITE,
            Sessions::Superuser,
            |_| json!({ "role": "user" }),
        ),
        route(Method::DELETE, "/v1/agreements/{agreement}/users/{user}", WRITE, Sessions::Superuser, none),
        route(Method::GET, "/v1/agreements/{agreement}/users", READ, Sessions::Superuser, none),
        route(
            Method::PUT,
            "/v1/agreements/{agreement}/enforcement",
            WRITE,
            Sessions::Superuser,
            |_| json!({ "enforced": true }),
        ),
        route(
            Method::GET,
            "/v1/agreements/{agreement}/enforcement/preview",
            WRITE,
            Sessions::Superuser,
            none,
        ),
    ]
}

fn logins() -> Vec<Route> {
    const LOGIN: &[&str] = &["login"];
    vec![
        route(
            Method::POST,
            "/v1/login-checks",
            LOGIN,
            Sessions::None,
            |world| json!({ "email": world.ada.email }),
        ),
        route(
            Method::POST,
            "/v1/logins",
            LOGIN,
            Sessions::None,
            |world| json!({ "email": world.ada.email, "password": world.ada.password }),
        ),
        route(
            Method::POST,
            "/v1/challenges",
            LOGIN,
            Sessions::None,
            |world| json!({ "user_id": world.ada.id }),
        ),
        route(
            Method::POST,
            "/v1/logins/{challenge}/verify",
            LOGIN,
            Sessions::None,
            |_| json!({ "code": "000000" }),
        ),
    ]
}

fn sessions_and_audit() -> Vec<Route> {
    let own = |method, path| route(method, path, &["users:write"], Sessions::Own, none);
    vec![
        own(Method::GET, "/v1/users/{user}/sessions"),
        own(Method::GET, "/v1/users/{user}/sessions/{session}"),
        own(Method::DELETE, "/v1/users/{user}/sessions/{session}"),
        own(Method::DELETE, "/v1/users/{user}/sessions"),
        route(Method::GET, "/v1/audit/entries", &["audit:read"], Sessions::Each, none),
        route(Method::GET, "/v1/audit/entries/{position}", &["audit:read"], Sessions::Each, none),
        route(Method::GET, "/v1/audit/entries/{position}/proof", &["audit:read"], Sessions::Each, none),
        route(Method::GET, "/v1/audit/export?format=ndjson", &["audit:read"], Sessions::None, none),
        // An empty beginning: a listener that is not refused would otherwise listen on.
        route(Method::GET, "/v1/audit/stream?from_position=no", &["audit:read"], Sessions::None, none),
        route(Method::GET, "/v1/compliance/users/{user}", &["audit:read"], Sessions::None, none),
        route(Method::GET, "/v1/compliance/agreements/{agreement}", &["audit:read"], Sessions::None, none),
        route(
            Method::GET,
            "/v1/compliance/agreements/{agreement}/coverage",
            &["audit:read"],
            Sessions::Superuser,
            none,
        ),
        route(Method::GET, "/v1/compliance/evidence/{report}", &["audit:read"], Sessions::None, none),
        route(Method::GET, "/ledger/tile/entries/{tile}", &["audit:read"], Sessions::None, none),
    ]
}

fn webhooks() -> Vec<Route> {
    const BOTH: &[&str] = &["audit:read", "webhooks:write"];
    let one = |method| route(method, "/v1/webhooks/{webhook}", BOTH, Sessions::None, none);
    vec![
        route(
            Method::POST,
            "/v1/webhooks",
            BOTH,
            Sessions::None,
            |_| json!({ "url": "https://localhost/other" }),
        ),
        route(Method::GET, "/v1/webhooks", BOTH, Sessions::None, none),
        one(Method::GET),
        one(Method::DELETE),
    ]
}

/// The routes of the program's own `/openapi.json`, as `METHOD /path/{}`.
pub(crate) fn documented(openapi: &Value) -> Vec<String> {
    let mut documented = Vec::new();
    for (path, methods) in openapi["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            if ["get", "put", "post", "delete", "patch"].contains(&method.as_str()) {
                documented.push(format!("{} {}", method.to_uppercase(), nameless(path)));
            }
        }
    }
    documented
}

/// A path whose parameters have lost their names and whose query is gone.
pub(crate) fn nameless(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The token of somebody who must enrol.
pub(crate) async fn enrolment_token(app: &TestApp, person: &Person) -> String {
    string(&app.log_in(person).await.expect(202)["enrolment_token"])
}
