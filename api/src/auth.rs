//! Who asks, and whether they may: decided here for every route, before its handler runs.
//!
//! What a route allows stands in one table, [`crate::router::ROUTES`]. A route that is not in the
//! table allows nobody. An object of another tenant looks like one that is not there.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use countersign_domain::Timestamp;
use countersign_domain::agreement::Role;
use countersign_domain::ids::{AgreementId, ApiKeyId, SessionId, UserId};
use countersign_domain::instance::Scope;
use countersign_domain::user::{User, UserRefusal};
use countersign_projections::database::StatementKind;
use countersign_projections::facts_alone;
use ipnet::IpNet;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::event_store::Loaded;
use crate::event_store::journal::LoadQuery;
use crate::problem::{Problem, ProblemCode};
use crate::request::{Caller, Request, Right, forbidden};
use crate::router::{self, Access, BODY_BYTES_MAX, EnrolmentAccess, RoleAccess, Rule, SessionAccess};
use crate::token::{PresentedToken, TokenKind, session_id_of};

/// The last use of a session is written down when it is older than this.
const LAST_USE_PRECISION: TimeDelta = TimeDelta::minutes(1);
/// Longer user agents are cut.
const USER_AGENT_LENGTH_MAX: usize = 512;

/// The id of the request, set by the outermost layer.
#[derive(Clone)]
pub struct RequestId(pub String);

/// Lets the request pass to its handler, as the [`Request`] that its handler asks for.
pub async fn authorise(
    State(app): State<Arc<App>>,
    path: MatchedPath,
    params: RawPathParams,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    // The whole body first: whoever sends it slowly must not act on a right that was lost meanwhile.
    let body = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return body_problem(&error).into_response(),
    };
    match admit(&app, path.as_str(), &params, &parts).await {
        Ok(admitted) => {
            parts.extensions.insert(admitted);
            next.run(axum::extract::Request::from_parts(parts, Body::from(body))).await
        }
        Err(problem) => problem.into_response(),
    }
}

pub(crate) fn body_problem(error: &axum::Error) -> Problem {
    use std::error::Error;
    let too_long = error.source().is_some_and(<dyn Error>::is::<http_body_util::LengthLimitError>);
    let status = if too_long { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
    Problem::from_status(status)
}

async fn admit(app: &App, path: &str, params: &RawPathParams, parts: &Parts) -> Result<Request, Problem> {
    let unknown = || Problem::from_status(StatusCode::METHOD_NOT_ALLOWED);
    let access = router::access(effective_method(&parts.method), path).ok_or_else(unknown)?;
    let id = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let headers = &parts.headers;
    let peer = peer(parts);
    let params: HashMap<&str, &str> = params.iter().collect();
    let caller = match access {
        Access::Open => Caller::Nobody,
        Access::Only(rule) => {
            let token = bearer(headers)?;
            match token.kind {
                TokenKind::ApiKey => api_key(app, &token, rule.scopes).await?,
                TokenKind::Session => session(app, &token, rule, &params).await?,
                TokenKind::Enrolment => enrolment(app, &token, rule.enrolment_token, &params).await?,
                TokenKind::Challenge | TokenKind::Pass => return Err(unauthenticated()),
            }
        }
    };
    let (address, user_agent) = origin(app, &caller, peer, headers)?;
    Ok(Request { id, caller, address, user_agent })
}

/// The address at the other end of the connection.
pub(crate) fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// axum answers HEAD with the handler of GET.
fn effective_method(method: &Method) -> &Method {
    if method == Method::HEAD { &Method::GET } else { method }
}

fn bearer(headers: &HeaderMap) -> Result<PresentedToken, Problem> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| PresentedToken::parse(token.trim()))
        .ok_or_else(unauthenticated)
}

fn unauthenticated() -> Problem {
    Problem::new(
        ProblemCode::Unauthenticated,
        "Send a live API key, session token or enrolment token as Authorization: Bearer.",
    )
}

/// An API key is asked for with every request of an application, so it is found as streams are: by one statement
/// for all that wait.
static FIND_API_KEY: LoadQuery = LoadQuery {
    name: "API key",
    kind: StatementKind::Read,
    sql: facts_alone!(
        "'name', k.name, 'token_sha256', k.token_sha256, 'scopes', k.scopes, \
         'expires_at', k.expires_at, 'revoked_at', k.revoked_at",
        "JOIN api_keys k ON k.key_id = wanted.id"
    ),
};

#[derive(Deserialize)]
struct StoredApiKey {
    name: String,
    token_sha256: String,
    scopes: String,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

async fn api_key(app: &App, token: &PresentedToken, needed: &[Scope]) -> Result<Caller, Problem> {
    let row = app.store.journal().load(&FIND_API_KEY, &token.owner.to_string(), None).await?;
    let stored = row.facts.ok_or_else(unauthenticated)?;
    let stored: StoredApiKey = serde_json::from_str(&stored)
        .map_err(|error| Problem::internal(format!("an API key's row does not read: {error}")))?;
    let right: bool = stored.token_sha256.as_bytes().ct_eq(token.digest.as_str().as_bytes()).into();
    let expired = stored.expires_at.is_some_and(|expires_at| expires_at <= app.clock.now());
    if !right || stored.revoked_at.is_some() || expired {
        return Err(unauthenticated());
    }
    let scopes: Vec<Scope> = stored.scopes.split(' ').filter_map(|scope| scope.parse().ok()).collect();
    if needed.is_empty() {
        return Err(forbidden());
    }
    let lacking: Vec<&str> =
        needed.iter().filter(|scope| !scopes.contains(scope)).map(|scope| scope.name()).collect();
    if !lacking.is_empty() {
        let detail = format!("This API key lacks the scope {}.", lacking.join(" and the scope "));
        return Err(Problem::new(ProblemCode::Forbidden, detail));
    }
    Ok(Caller::ApiKey { id: ApiKeyId::from_uuid(token.owner), name: stored.name })
}

pub(crate) async fn session(
    app: &App,
    token: &PresentedToken,
    rule: Rule,
    params: &HashMap<&str, &str>,
) -> Result<Caller, Problem> {
    let user_id = UserId::from_uuid(token.owner);
    let session_id = session_id_of(&token.digest);
    let loaded = app.store.load::<User>(user_id, Some(&session_id.to_string())).await?;
    let now = app.clock.now();
    let last_used_at = loaded.facts.last_used_at;
    loaded
        .state
        .live_session(&token.digest, last_used_at, &loaded.required_by(), now)
        .ok_or_else(unauthenticated)?;
    let key = loaded.data_key(&app.vault)?;
    let right = if role_counts(app, &loaded, session_id, rule, params)? {
        Right::Role
    } else {
        may(app, &loaded, rule.session, params).await?;
        Right::Own
    };
    if last_used_at.is_none_or(|used_at| now - used_at >= LAST_USE_PRECISION) {
        app.database
            .write(
                "INSERT INTO session_uses (session_id, user_id, last_used_at) VALUES ($1, $2, $3) \
                 ON CONFLICT (session_id) DO UPDATE SET last_used_at = excluded.last_used_at",
                &[session_id.to_string().into(), user_id.to_string().into(), now.into()],
            )
            .await?;
    }
    Ok(Caller::Session { user_id, session_id, key, right })
}

/// Whether the person's roles stand for what the route needs. Judged at each request upon the stream as it
/// is, so that a role that was revoked counts no more.
///
/// One's own account is one's own, whatever one's roles. Elsewhere the role comes first: whoever is an
/// operator and a superuser changes agreements as an operator, with an operator's proof.
fn role_counts(
    app: &App,
    loaded: &Loaded<User>,
    session_id: SessionId,
    rule: Rule,
    params: &HashMap<&str, &str>,
) -> Result<bool, Problem> {
    let user = &loaded.state;
    let roles = user.roles_in(session_id);
    let stands_for = |scope: &Scope| roles.iter().any(|role| role.scopes().contains(scope));
    if rule.scopes.is_empty() || !rule.scopes.iter().all(stands_for) || is_own_account(loaded, rule, params) {
        return Ok(false);
    }
    match rule.by_role {
        RoleAccess::Nobody => Ok(false),
        RoleAccess::Reading | RoleAccess::ProofInBody => Ok(true),
        RoleAccess::FreshSecondFactor => {
            let at = app.moment(user.latest_at()).at;
            if user.second_factor_is_fresh_in(session_id, at) {
                return Ok(true);
            }
            let detail = "Sign in again: this needs a second factor that you passed within ten minutes.";
            Err(Problem::new(ProblemCode::StepUpRequired, detail))
        }
    }
}

fn is_own_account(loaded: &Loaded<User>, rule: Rule, params: &HashMap<&str, &str>) -> bool {
    rule.session == SessionAccess::Oneself
        && id_of::<UserId>(params, "user_id", "user").is_ok_and(|user_id| user_id == loaded.id)
}

async fn may(
    app: &App,
    loaded: &Loaded<User>,
    access: SessionAccess,
    params: &HashMap<&str, &str>,
) -> Result<(), Problem> {
    match access {
        SessionAccess::Nobody => Err(forbidden()),
        SessionAccess::Anybody => Ok(()),
        SessionAccess::Oneself => {
            let user_id: UserId = id_of(params, "user_id", "user")?;
            if user_id == loaded.id { Ok(()) } else { Err(Problem::not_found("user")) }
        }
        SessionAccess::Member => {
            let agreement_id = id_of(params, "agreement_id", "agreement")?;
            let linked = loaded.facts.links.iter().any(|link| link.agreement_id == agreement_id);
            if linked || administers(app, loaded, agreement_id).await? {
                return Ok(());
            }
            Err(Problem::not_found("agreement"))
        }
        SessionAccess::Superuser => {
            let agreement_id = id_of(params, "agreement_id", "agreement")?;
            if is_superuser(loaded, agreement_id) || administers(app, loaded, agreement_id).await? {
                return Ok(());
            }
            let linked = loaded.facts.links.iter().any(|link| link.agreement_id == agreement_id);
            if linked {
                return Err(Problem::new(
                    ProblemCode::Forbidden,
                    "Only superusers of the agreement may do this.",
                ));
            }
            Err(Problem::not_found("agreement"))
        }
    }
}

/// Superusers of an agreement have its routes, and those of the agreements that it administers.
async fn administers(app: &App, loaded: &Loaded<User>, agreement_id: AgreementId) -> Result<bool, Problem> {
    if !loaded.facts.links.iter().any(|link| link.role == Role::Superuser && !link.closed) {
        return Ok(false);
    }
    let rows = app
        .database
        .read(
            "SELECT administered_by FROM login_check_agreements WHERE agreement_id = $1",
            &[agreement_id.to_string().into()],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(false) };
    let administrator: Option<String> = row.get("administered_by")?;
    let administrator = administrator.and_then(|id| id.parse().ok());
    let mut links = loaded.facts.links.iter().filter(|link| link.role == Role::Superuser && !link.closed);
    Ok(links.any(|link| Some(link.agreement_id) == administrator))
}

fn is_superuser(loaded: &Loaded<User>, agreement_id: AgreementId) -> bool {
    let mut links = loaded.facts.links.iter();
    links.any(|link| link.agreement_id == agreement_id && link.role == Role::Superuser)
}

async fn enrolment(
    app: &App,
    token: &PresentedToken,
    access: EnrolmentAccess,
    params: &HashMap<&str, &str>,
) -> Result<Caller, Problem> {
    if access == EnrolmentAccess::Nobody {
        return Err(unauthenticated());
    }
    if id_of::<UserId>(params, "user_id", "user")? != UserId::from_uuid(token.owner) {
        return Err(Problem::not_found("user"));
    }
    enrolment_of(app, token, access).await
}

/// The person of an enrolment token.
pub(crate) async fn enrolment_of(
    app: &App,
    token: &PresentedToken,
    access: EnrolmentAccess,
) -> Result<Caller, Problem> {
    let user_id = UserId::from_uuid(token.owner);
    let loaded = app.store.load::<User>(user_id, None).await?;
    let now = app.clock.now();
    let found = match access {
        EnrolmentAccess::Nobody => None,
        EnrolmentAccess::Live => loaded.state.live_enrolment_token(&token.digest, now),
        EnrolmentAccess::LiveOrSpent => loaded.state.unexpired_enrolment_token(&token.digest, now),
    };
    match found {
        Some(_) => Ok(Caller::Enrolment { user_id, token: token.digest.clone() }),
        None => Err(UserRefusal::EnrolmentExpired.into()),
    }
}

/// An id that is none is an id of nothing.
fn id_of<Id: FromStr>(params: &HashMap<&str, &str>, name: &str, what: &str) -> Result<Id, Problem> {
    params.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| Problem::not_found(what))
}

/// Where the request comes from: what an application says of the person it speaks for, else the
/// connection's address, or what a proxy that is configured says of it.
pub(crate) fn origin(
    app: &App,
    caller: &Caller,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<(Option<String>, Option<String>), Problem> {
    let text =
        |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let told = |name: &str| if let Caller::ApiKey { .. } = caller { text(name) } else { None };
    let address = match told("countersign-client-address") {
        Some(address) => {
            Some(address.trim().parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| {
                Problem::new(
                    ProblemCode::MalformedRequest,
                    "Countersign-Client-Address must be one IPv4 or IPv6 address.",
                )
            })?)
        }
        None => peer.map(|peer| client_address(&app.config.trusted_proxies, peer, headers)),
    };
    let user_agent = told("countersign-client-user-agent").or_else(|| text("user-agent"));
    let user_agent = user_agent.map(|agent| agent.chars().take(USER_AGENT_LENGTH_MAX).collect());
    Ok((address.map(|address| address.to_string()), user_agent))
}

/// The last address that no trusted proxy has: what stands before it can be made up. A proxy may
/// add to the header's line or add a line of its own; both read as one list.
fn client_address(trusted_proxies: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = |address: &IpAddr| trusted_proxies.iter().any(|net| net.contains(address));
    let lines = headers.get_all("x-forwarded-for").iter().rev().filter_map(|line| line.to_str().ok());
    // A dual-stack socket shows IPv4 peers as IPv6 addresses.
    let mut client = peer.to_canonical();
    for hop in lines.flat_map(|line| line.rsplit(',')) {
        if !trusted(&client) {
            break;
        }
        let Some(address) = hop_address(hop.trim()) else { break };
        client = address.to_canonical();
    }
    client
}

/// An address as proxies write it: alone or with a port, and of IPv6 also in brackets.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let alone = || hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    alone().or_else(with_port).or_else(|| in_brackets().map(IpAddr::V6))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(peer: &str, lines: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        client_address(&trusted, peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn s20_only_a_configured_proxy_is_believed() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn s20_what_stands_before_the_last_untrusted_address_can_be_made_up() {
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, nonsense"]), "10.0.0.1");
    }

    #[test]
    fn s20_a_proxy_may_add_the_port() {
        for (line, address) in [
            ("203.0.113.9:54321", "203.0.113.9"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[::ffff:203.0.113.9]:54321", "203.0.113.9"),
            ("6.6.6.6:1, 203.0.113.9:54321, 10.0.0.2:443", "203.0.113.9"),
            ("[203.0.113.9]", "10.0.0.1"),
            ("203.0.113.9:65536", "10.0.0.1"),
            ("[2001:db8::1", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[line]), address, "{line}");
        }
    }
}
