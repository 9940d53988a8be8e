//! Entries as events of the Open Cybersecurity Schema Framework, one JSON object a line.

mod record;
mod sign_in;

use std::net::IpAddr;

use serde_json::Value;

use super::line::write_json;
use super::meaning::{Class, Meaning, Thing, enforced, meaning};
use super::{EntryView, ExportError, person_name, said};
use crate::rest::audit::entry::EventKind;
use record::{
    About, Actor, Endpoint, Entity, Everything, Group, HttpRequest, Management, Membership, Metadata,
    Organization, Origin, Policy, Product, Record, Service, Session, SignIn, Unmapped, User,
};

/// The version of the schema whose numbers and attributes are used.
const SCHEMA_VERSION: &str = "1.5.0";
const PRODUCT: &str = "Countersign";

pub(super) fn write(entry: &EntryView, out: &mut Vec<u8>) -> Result<(), ExportError> {
    write_json(&record(entry, &meaning(entry)), out)?;
    out.push(b'\n');
    Ok(())
}

fn record<'e>(entry: &'e EntryView, meaning: &Meaning<'e>) -> Record<'e> {
    let class = meaning.class;
    let (category_uid, category_name) = class.category();
    let (severity_id, severity) = meaning.severity.ocsf();
    let (status_id, status) = meaning.outcome.ocsf();
    let (origin, unmapped) = placed(entry, class);
    Record {
        activity_id: meaning.activity_id,
        activity_name: meaning.activity_name,
        category_uid,
        category_name,
        class_uid: class.uid(),
        class_name: class.name(),
        type_uid: meaning.type_uid(),
        type_name: format!("{}: {}", class.name(), meaning.activity_caption()),
        severity_id,
        severity,
        status_id,
        status,
        time: entry.recorded_at.timestamp_millis(),
        message: &entry.summary,
        metadata: Metadata {
            version: SCHEMA_VERSION,
            product: Product { name: PRODUCT, vendor_name: PRODUCT, version: env!("CARGO_PKG_VERSION") },
            uid: known(&entry.event_id),
            sequence: entry.position,
            event_code: &entry.event_type,
            correlation_uid: known(&entry.request_id),
            log_name: "audit",
            log_provider: PRODUCT,
        },
        origin,
        about: about(entry, class),
        unmapped,
    }
}

/// A text that is empty where the event was removed.
fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Who did it and from where, if its class has attributes for that, and what it has no attributes for.
fn placed(entry: &EntryView, class: Class) -> (Option<Origin<'_>>, Option<Unmapped<'_>>) {
    let (origin, data) = (origin(entry), &entry.data);
    match class {
        // The schema takes no actor, endpoint or request in a base event.
        Class::Base => (None, Some(Unmapped::Everything(Everything { origin, data }))),
        Class::AccountChange
        | Class::Authentication
        | Class::EntityManagement(_)
        | Class::GroupManagement => (Some(origin), (!data.is_null()).then_some(Unmapped::Said(data))),
    }
}

fn origin(entry: &EntryView) -> Origin<'_> {
    let ip = entry.address.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
    let user_agent = entry.user_agent.as_deref();
    Origin {
        actor: actor(entry),
        src_endpoint: ip.map(|ip| Endpoint { ip: ip.to_canonical() }),
        http_request: user_agent.map(|user_agent| HttpRequest { user_agent, uid: &entry.request_id }),
    }
}

/// Who acted: a person; an application, with the person that it spoke for; or an operator. Nobody is known where
/// the event was removed.
fn actor(entry: &EntryView) -> Option<Actor<'_>> {
    let (id, name) = (entry.actor.id.as_deref(), entry.actor.name.as_deref());
    let actor = match known(&entry.actor.kind)? {
        "user" => Actor { user: Some(User::person(id, name)), app_uid: None, app_name: None },
        "operator" => {
            let (name, type_id) = (name.or(Some("operator")), 2);
            let user = User { type_id, r#type: "Admin", ..User::person(id, name) };
            Actor { user: Some(user), app_uid: None, app_name: None }
        }
        kind => {
            let person = entry.on_behalf_of.as_ref();
            let user = person.map(|person| User::person(Some(&person.id), Some(&person.name)));
            Actor { user, app_uid: id, app_name: name.or(Some(kind)) }
        }
    };
    Some(actor)
}

fn about(entry: &EntryView, class: Class) -> About<'_> {
    let agreement_id = entry.agreement_id.as_deref();
    match class {
        Class::Base => About::Nothing {},
        Class::AccountChange => About::Account { user: subject(entry) },
        Class::Authentication => About::SignIn(sign_in(entry)),
        Class::EntityManagement(thing) => {
            About::Entity(Management { entity: entity(entry, thing), comment: said(entry, "reason") })
        }
        Class::GroupManagement => About::Group(Membership {
            user: User { org: None, ..subject(entry) },
            group: Group { uid: agreement_id.unwrap_or("unknown"), r#type: "Agreement" },
            privileges: said(entry, "role").map(|role| [role]),
        }),
    }
}

/// The user that an entry is about.
fn subject(entry: &EntryView) -> User<'_> {
    User {
        email_addr: said(entry, "email").filter(|email| is_email_addr(email)),
        org: entry.agreement_id.as_deref().map(|uid| Organization { uid }),
        ..User::person(entry.user_id.as_deref(), person_name(entry))
    }
}

fn sign_in(entry: &EntryView) -> SignIn<'_> {
    let (is_mfa, auth_factors) = sign_in::factors(EventKind::of(&entry.event_type), &entry.data);
    // An event of a wrong password stands for those before it that were not recorded.
    let unrecorded = entry.data.get("unrecorded").and_then(Value::as_u64);
    SignIn {
        user: subject(entry),
        service: Service { name: PRODUCT },
        is_remote: true,
        is_mfa,
        auth_factors,
        session: said(entry, "session_id").map(|uid| Session { uid }),
        status_detail: said(entry, "reason"),
        count: unrecorded.map(|unrecorded| unrecorded.saturating_add(1)),
    }
}

fn entity(entry: &EntryView, thing: Thing) -> Entity<'_> {
    let agreement_id = entry.agreement_id.as_deref();
    // What the schema has no number for is 99, and named by us.
    let other = |r#type, uid| {
        let name = said(entry, "name").or(uid).unwrap_or(r#type);
        Entity { type_id: 99, r#type, uid, name, policy: None }
    };
    match thing {
        Thing::Agreement => other("Agreement", agreement_id),
        Thing::ApiKey => other("API Key", said(entry, "id")),
        Thing::Webhook => other("Webhook", said(entry, "id")),
        Thing::AuditTrail => other("Audit Trail", None),
        Thing::Ledger => other("Ledger", None),
        Thing::Enforcement => {
            let (name, uid) = ("Two-factor enforcement", agreement_id);
            let policy = Policy { name, uid, is_applied: enforced(&entry.data) };
            Entity { type_id: 5, r#type: "Policy", uid, name, policy: Some(policy) }
        }
    }
}

/// Whether a text is what the schema takes for an e-mail address; that of somebody who was erased is none.
fn is_email_addr(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let Some((label, rest)) = domain.split_once('.') else { return false };
    let is_of = |part: &str, signs: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
    };
    // The schema's pattern spells `+-/`, which is a range: it takes a comma and a dot too.
    is_of(local, "!#$%&'*+,-./=?^_`{|}~") && is_of(label, "-") && is_of(rest, "-.")
}

impl<'e> User<'e> {
    /// A person. One of whom nothing is known still has a name, for the schema demands one.
    fn person(uid: Option<&'e str>, name: Option<&'e str>) -> Self {
        let name = name.or(if uid.is_none() { Some("unknown") } else { None });
        Self { uid, name, email_addr: None, org: None, type_id: 1, r#type: "User" }
    }
}
