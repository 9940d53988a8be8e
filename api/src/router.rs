//! All routes in one place: who may call them, and which handler answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{self, RequestId};
use crate::entropy;
use crate::pages;
use crate::problem::{Problem, ProblemCode};
use crate::rest::{
    BearerToken, agreements, audit, compliance, enforcement, evidence, health, login_checks, logins, members,
    passwords, sessions, tiles, two_factor, users, webhooks,
};

pub mod access;

pub use access::{Access, EnrolmentAccess, RoleAccess, Route, Rule, SessionAccess};
use access::{enrolling, only, open, owners};

/// A body may have so many bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Every route with who may call it. What is not here is not served.
pub const ROUTES: &[Route] = {
    use EnrolmentAccess::{Live, LiveOrSpent};
    use SessionAccess::{Anybody, Member, Nobody, Oneself, Superuser};
    use countersign_domain::instance::Scope::{
        AgreementsRead, AgreementsWrite, AuditRead, Login, UsersRead, UsersWrite, WebhooksWrite,
    };
    &[
        only("POST", "/v1/users", &[UsersWrite], Nobody),
        only("GET", "/v1/users", &[UsersRead], Nobody),
        only("GET", "/v1/users/{user_id}", &[UsersRead], Oneself),
        owners("PUT", "/v1/users/{user_id}/password"),
        enrolling("POST", "/v1/users/{user_id}/two-factor/enrolments", Live),
        enrolling("POST", "/v1/users/{user_id}/two-factor/enrolments/{enrolment_id}/confirm", Live),
        enrolling("POST", "/v1/users/{user_id}/two-factor/recovery-code/saved", LiveOrSpent),
        owners("POST", "/v1/users/{user_id}/two-factor/recovery-code"),
        owners("DELETE", "/v1/users/{user_id}/two-factor/authenticators/{authenticator_id}"),
        owners("POST", "/v1/users/{user_id}/two-factor/disable"),
        only("GET", "/v1/users/{user_id}/sessions", &[UsersWrite], Oneself),
        only("DELETE", "/v1/users/{user_id}/sessions", &[UsersWrite], Oneself),
        only("GET", "/v1/users/{user_id}/sessions/{session_id}", &[UsersWrite], Oneself),
        only("DELETE", "/v1/users/{user_id}/sessions/{session_id}", &[UsersWrite], Oneself),
        only("POST", "/v1/agreements", &[AgreementsWrite], Nobody),
        only("GET", "/v1/agreements", &[AgreementsRead], Nobody),
        only("GET", "/v1/agreements/{agreement_id}", &[AgreementsRead], Member),
        only("PUT", "/v1/agreements/{agreement_id}/administration", &[AgreementsWrite], Nobody),
        only("POST", "/v1/agreements/{agreement_id}/close", &[AgreementsWrite], Nobody),
        only("GET", "/v1/agreements/{agreement_id}/users", &[AgreementsRead], Superuser),
        only("PUT", "/v1/agreements/{agreement_id}/users/{user_id}", &[AgreementsWrite], Superuser),
        only("DELETE", "/v1/agreements/{agreement_id}/users/{user_id}", &[AgreementsWrite], Superuser),
        only("PUT", "/v1/agreements/{agreement_id}/enforcement", &[AgreementsWrite], Superuser)
            .with_proof_in_body(),
        only("GET", "/v1/agreements/{agreement_id}/enforcement/preview", &[AgreementsWrite], Superuser),
        only("POST", "/v1/login-checks", &[Login], Nobody),
        only("POST", "/v1/logins", &[Login], Nobody),
        only("POST", "/v1/challenges", &[Login], Nobody),
        only("POST", "/v1/logins/{challenge_id}/verify", &[Login], Nobody),
        only("GET", "/v1/audit/entries", &[AuditRead], Anybody),
        only("GET", "/v1/audit/entries/{position}", &[AuditRead], Anybody),
        only("GET", "/v1/audit/entries/{position}/proof", &[AuditRead], Anybody),
        only("GET", "/v1/audit/export", &[AuditRead], Nobody),
        only("GET", "/v1/audit/stream", &[AuditRead], Nobody),
        only("GET", "/v1/webhooks", &[AuditRead, WebhooksWrite], Nobody),
        only("POST", "/v1/webhooks", &[AuditRead, WebhooksWrite], Nobody),
        only("GET", "/v1/webhooks/{webhook_id}", &[AuditRead, WebhooksWrite], Nobody),
        only("DELETE", "/v1/webhooks/{webhook_id}", &[AuditRead, WebhooksWrite], Nobody),
        only("GET", "/v1/compliance/users/{user_id}", &[AuditRead], Nobody),
        only("GET", "/v1/compliance/agreements/{agreement_id}", &[AuditRead], Nobody),
        only("GET", "/v1/compliance/agreements/{agreement_id}/coverage", &[AuditRead], Superuser),
        only("GET", "/v1/compliance/evidence/{report}", &[AuditRead], Nobody),
        open("GET", "/v1/audit/checkpoint"),
        open("GET", "/v1/audit/key"),
        open("GET", "/v1/audit/consistency"),
        open("GET", "/ledger/checkpoint"),
        open("GET", "/ledger/tile/{level}/{*index}"),
        only("GET", "/ledger/tile/entries/{*index}", &[AuditRead], Nobody),
        open("GET", "/healthz"),
        open("GET", "/readyz"),
        open("GET", "/metrics"),
        open("GET", "/openapi.json"),
    ]
};

/// Who may call the route with this method and path; none when it is not in the table.
#[must_use]
pub fn access(method: &Method, path: &str) -> Option<Access> {
    let route = ROUTES.iter().find(|route| route.method == method.as_str() && route.path == path);
    route.map(|route| route.access)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Countersign",
        description = "Two-factor authentication, enforcement and one question at sign-in. \
                       Errors are RFC 9457 problem details; times are RFC 3339 in UTC."
    ),
    components(schemas(crate::problem::ProblemDetails)),
    modifiers(&BearerToken)
)]
struct ApiDoc;

/// The handlers, with their OpenAPI document.
fn handlers() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(users::register, users::find))
        .routes(routes!(users::show))
        .routes(routes!(passwords::set))
        .routes(routes!(two_factor::start_enrolment))
        .routes(routes!(two_factor::confirm_enrolment))
        .routes(routes!(two_factor::recovery_code_saved))
        .routes(routes!(two_factor::new_recovery_code))
        .routes(routes!(two_factor::remove_authenticator))
        .routes(routes!(two_factor::disable))
        .routes(routes!(sessions::list, sessions::end_all))
        .routes(routes!(sessions::show, sessions::end))
        .routes(routes!(agreements::open, agreements::find))
        .routes(routes!(agreements::show))
        .routes(routes!(agreements::change_administration))
        .routes(routes!(agreements::close))
        .routes(routes!(members::list))
        .routes(routes!(agreements::link_user, agreements::unlink_user))
        .routes(routes!(enforcement::enforce))
        .routes(routes!(enforcement::preview))
        .routes(routes!(login_checks::check))
        .routes(routes!(logins::sign_in))
        .routes(routes!(logins::challenge))
        .routes(routes!(logins::verify))
        .routes(routes!(audit::entries))
        .routes(routes!(audit::entry))
        .routes(routes!(audit::proofs::proof))
        .routes(routes!(audit::export::export))
        .routes(routes!(audit::stream::stream))
        .routes(routes!(audit::proofs::checkpoint))
        .routes(routes!(audit::proofs::key))
        .routes(routes!(audit::proofs::consistency))
        .routes(routes!(compliance::user))
        .routes(routes!(compliance::agreement))
        .routes(routes!(compliance::coverage))
        .routes(routes!(evidence::evidence))
        .routes(routes!(webhooks::register, webhooks::list))
        .routes(routes!(webhooks::show, webhooks::delete))
        .routes(routes!(tiles::checkpoint))
        .routes(routes!(tiles::hashes))
        .routes(routes!(tiles::entries))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(health::openapi))
}

/// The OpenAPI 3.1 document, generated from the handlers.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = handlers().split_for_parts().1;
    // axum's spelling of a parameter that takes the rest of a path is its own.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    document
}

/// The whole program as a router.
pub fn router(app: Arc<App>) -> Router {
    let (router, _) = handlers().split_for_parts();
    let admitted = router.route_layer(middleware::from_fn_with_state(Arc::clone(&app), auth::authorise));
    framed(admitted.merge(pages::router(&app)), app)
}

/// What stands around every handler: a bound for its body, its time, and its panics.
fn framed(router: Router<Arc<App>>, app: Arc<App>) -> Router {
    router
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal("a handler panicked; see the log line before this one").into_response()
        }))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), frame))
        .with_state(app)
}

/// The outermost layer: names the request, and sees that whatever comes back is ours: a problem
/// where something failed, and headers that keep secrets out of caches.
async fn frame(State(app): State<Arc<App>>, mut request: axum::extract::Request, next: Next) -> Response {
    let id = entropy::id(app.clock.now()).map(|id| id.to_string()).unwrap_or_default();
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().len());
    let response = if names_nul(&request) && wants_a_page(&request) {
        pages::nowhere(&app, request).await
    } else if names_nul(&request) {
        Problem::new(ProblemCode::MalformedRequest, "The query of an address cannot hold a NUL character.")
            .into_response()
    } else {
        next.run(request).await
    };
    let mut response = as_problem(response, &id);
    tracing::debug!(request_id = id, %method, path_length = path, status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("countersign-request-id"), id);
    }
    response
}

fn wants_a_page(request: &axum::extract::Request) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    let is_of_programs = request.uri().path().starts_with("/v1/");
    !is_of_programs && accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

fn names_nul(request: &axum::extract::Request) -> bool {
    request.uri().query().is_some_and(|query| query.contains("%00"))
}

fn as_problem(mut response: Response, request_id: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return problem.render(request_id);
    }
    let status = response.status();
    let own_body = response.extensions().get::<health::OwnBody>().is_some();
    if own_body || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let mut rendered = Problem::from_status(status).render(request_id);
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow);
    }
    rendered
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;

    #[test]
    fn s19_the_table_and_the_document_name_the_same_routes() {
        let document = serde_json::to_value(openapi()).unwrap();
        let documented: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
                methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
            })
            .collect();
        let listed: BTreeSet<(String, String)> =
            ROUTES.iter().map(|route| (route.method.to_owned(), route.path.replace("{*", "{"))).collect();
        assert_eq!(listed, documented);
    }

    #[test]
    fn s09_what_a_role_permits_to_change_asks_for_a_proof() {
        for route in ROUTES {
            let Access::Only(rule) = route.access else { continue };
            if route.path.contains("/two-factor/") || route.path.ends_with("/password") {
                assert_eq!(rule.by_role, RoleAccess::Nobody, "{} is the owner's", route.path);
            }
            if rule.by_role == RoleAccess::Reading {
                assert_eq!(route.method, "GET", "{} changes something", route.path);
            }
        }
    }

    async fn problem_of(method: Method, handler: axum::routing::MethodRouter<Arc<App>>) -> serde_json::Value {
        let directory = tempfile::tempdir().unwrap();
        let config = Config::new(Config::embedded_database(directory.path()), directory.path().to_owned());
        let app = App::open(config, Clock::system()).await.unwrap();
        let router = framed(Router::new().route("/", handler), app);
        let mut request = axum::extract::Request::new(Body::empty());
        *request.method_mut() = method;
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), BODY_BYTES_MAX).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_tells_nothing_of_it() {
        async fn panics() -> &'static str {
            panic!("the secret word")
        }
        for method in [Method::GET, Method::POST] {
            let problem = problem_of(method, get(panics).post(panics)).await;
            assert_eq!((&problem["code"], &problem["status"]), (&"internal".into(), &500.into()));
            assert!(!problem.to_string().contains("secret"), "{problem}");
            assert!(!problem["request_id"].as_str().unwrap().is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn s20_a_request_that_takes_longer_than_ten_seconds_is_given_up() {
        for method in [Method::GET, Method::POST] {
            let handler = get(std::future::pending::<()>).post(std::future::pending::<()>);
            let problem = problem_of(method, handler).await;
            assert_eq!((&problem["code"], &problem["status"]), (&"timeout".into(), &503.into()));
        }
    }

    #[test]
    fn every_shape_that_the_document_refers_to_is_in_it() {
        let document = serde_json::to_value(openapi()).unwrap();
        let text = document.to_string();
        let referred: BTreeSet<&str> =
            text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(referred.len() > 30);
        for name in referred {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn the_document_is_openapi_3_1() {
        let document = serde_json::to_value(openapi()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    }
}
