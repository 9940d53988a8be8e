//! The parts of an OCSF event that an entry can fill, in the schema's words.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

/// An event.
#[derive(Serialize)]
pub(super) struct Record<'e> {
    pub(super) activity_id: u32,
    pub(super) activity_name: &'e str,
    pub(super) category_uid: u32,
    pub(super) category_name: &'static str,
    pub(super) class_uid: u32,
    pub(super) class_name: &'static str,
    pub(super) type_uid: u32,
    pub(super) type_name: String,
    pub(super) severity_id: u32,
    pub(super) severity: &'static str,
    pub(super) status_id: u32,
    pub(super) status: &'static str,
    pub(super) time: i64,
    pub(super) message: &'e str,
    pub(super) metadata: Metadata<'e>,
    #[serde(flatten)]
    pub(super) origin: Option<Origin<'e>>,
    #[serde(flatten)]
    pub(super) about: About<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unmapped: Option<Unmapped<'e>>,
}

#[derive(Serialize)]
pub(super) struct Metadata<'e> {
    pub(super) version: &'static str,
    pub(super) product: Product,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<&'e str>,
    pub(super) sequence: i64,
    pub(super) event_code: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_uid: Option<&'e str>,
    pub(super) log_name: &'static str,
    pub(super) log_provider: &'static str,
}

#[derive(Serialize)]
pub(super) struct Product {
    pub(super) name: &'static str,
    pub(super) vendor_name: &'static str,
    pub(super) version: &'static str,
}

/// Who did something, and from where.
#[derive(Serialize)]
pub(super) struct Origin<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<Actor<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) src_endpoint: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http_request: Option<HttpRequest<'e>>,
}

/// What the class has no attributes for.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Unmapped<'e> {
    /// What the event says.
    Said(&'e Value),
    /// The same, and who did it and from where.
    Everything(Everything<'e>),
}

/// What a class has no attributes for that has none but those of every event.
#[derive(Serialize)]
pub(super) struct Everything<'e> {
    #[serde(flatten)]
    pub(super) origin: Origin<'e>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) data: &'e Value,
}

#[derive(Serialize)]
pub(super) struct Actor<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<User<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_uid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_name: Option<&'e str>,
}

#[derive(Serialize)]
pub(super) struct User<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email_addr: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) org: Option<Organization<'e>>,
    pub(super) type_id: u32,
    pub(super) r#type: &'static str,
}

#[derive(Serialize)]
pub(super) struct Organization<'e> {
    pub(super) uid: &'e str,
}

#[derive(Serialize)]
pub(super) struct Endpoint {
    pub(super) ip: IpAddr,
}

#[derive(Serialize)]
pub(super) struct HttpRequest<'e> {
    pub(super) user_agent: &'e str,
    pub(super) uid: &'e str,
}

/// What an event of one class is about.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum About<'e> {
    Nothing {},
    Account { user: User<'e> },
    SignIn(SignIn<'e>),
    Entity(Management<'e>),
    Group(Membership<'e>),
}

/// A step of signing in or out.
#[derive(Serialize)]
pub(super) struct SignIn<'e> {
    pub(super) user: User<'e>,
    pub(super) service: Service,
    pub(super) is_remote: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_mfa: Option<bool>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) auth_factors: &'static [AuthFactor],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<Session<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status_detail: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Service {
    pub(super) name: &'static str,
}

#[derive(Serialize)]
pub(super) struct AuthFactor {
    pub(super) factor_type_id: u32,
    pub(super) factor_type: &'static str,
    pub(super) is_totp: bool,
}

#[derive(Serialize)]
pub(super) struct Session<'e> {
    pub(super) uid: &'e str,
}

/// What was done with a thing.
#[derive(Serialize)]
pub(super) struct Management<'e> {
    pub(super) entity: Entity<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<&'e str>,
}

#[derive(Serialize)]
pub(super) struct Entity<'e> {
    pub(super) type_id: u32,
    pub(super) r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<&'e str>,
    pub(super) name: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Policy<'e>>,
}

#[derive(Serialize)]
pub(super) struct Policy<'e> {
    pub(super) name: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_applied: Option<bool>,
}

/// Who belongs to an agreement.
#[derive(Serialize)]
pub(super) struct Membership<'e> {
    pub(super) user: User<'e>,
    pub(super) group: Group<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) privileges: Option<[&'e str; 1]>,
}

#[derive(Serialize)]
pub(super) struct Group<'e> {
    pub(super) uid: &'e str,
    pub(super) r#type: &'static str,
}
