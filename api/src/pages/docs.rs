//! The REST API to read: made of the same OpenAPI document that programs get.

#![expect(clippy::indexing_slicing, reason = "what a JSON document does not have reads as null")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::Response;
use countersign_domain::user::InstallationRole;
use maud::{Markup, html};
use serde_json::Value;

use super::frame::{Page, Rail};
use super::visit::Visit;
use crate::problem::ProblemCode;
use crate::router::{self, Access, EnrolmentAccess, RoleAccess, Rule, SessionAccess};

/// The document does not change while the program runs.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(router::openapi()).unwrap_or(Value::Null));

/// One thing that can be asked over REST.
struct Operation<'d> {
    method: String,
    path: &'d str,
    said: &'d Value,
}

/// The page.
pub(super) async fn show(visit: Visit) -> Response {
    let words = visit.words;
    let title = words.say("docs-title");
    let by_tag = operations(&DOCUMENT);
    let tags = by_tag.keys().map(|tag| (format!("#{}", anchor(tag)), (*tag).to_owned(), false));
    let others = [
        ("#problems".to_owned(), words.say("docs-problems"), false),
        ("#shapes".to_owned(), words.say("docs-shapes"), false),
    ];
    let rail = Rail::of(tags.chain(others).collect());
    let body = html! {
        h1 { (title) }
        p {
            (words.say("docs-text")) " "
            a href="/openapi.json" { "openapi.json" }
        }
        div.docs lang="en" {
            p { (text(&DOCUMENT["info"], "description")) }
            @for (tag, operations) in &by_tag {
                section id=(anchor(tag)) {
                    h2 { (tag) }
                    @for operation in operations { (operation.markup()) }
                }
            }
            section #problems {
                h2 { "Problems" }
                p { "Every failure has one of these codes. Its " code { "detail" } " says what to do." }
                (table("Problem codes", ["Code", "What it means"], ProblemCode::ALL.iter().map(|code| {
                    html! { td { code { (code.name()) } } td { (code.title()) } }
                })))
            }
            section #shapes {
                h2 { "Shapes" }
                @for (name, schema) in members(&DOCUMENT["components"]["schemas"]) {
                    section.shape id=(anchor(name)) {
                        h3 { (name) }
                        (shape(schema))
                    }
                }
            }
        }
    };
    visit.show(&Page::wide(title, rail, body))
}

fn operations(document: &Value) -> BTreeMap<&str, Vec<Operation<'_>>> {
    let mut by_tag: BTreeMap<&str, Vec<Operation<'_>>> = BTreeMap::new();
    for (path, item) in members(&document["paths"]) {
        for (method, said) in members(item) {
            let tag = said["tags"][0].as_str().unwrap_or("other");
            by_tag.entry(tag).or_default().push(Operation { method: method.to_uppercase(), path, said });
        }
    }
    by_tag
}

impl Operation<'_> {
    fn markup(&self) -> Markup {
        let Self { method, path, said } = self;
        let parameters = said["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        html! {
            article.operation id=(anchor(&format!("{method}-{path}"))) {
                h3 { code { (method) " " (path) } }
                p { (text(said, "summary")) @if !text(said, "description").is_empty() { " " (text(said, "description")) } }
                p.detail { (self.who()) }
                @if !parameters.is_empty() {
                    (table("Parameters", ["Parameter", "What it is"], parameters.iter().map(|parameter| html! {
                        td { code { (text(parameter, "name")) } " " span.detail { (text(parameter, "in")) } }
                        td { (kind(&parameter["schema"])) " " (text(parameter, "description")) }
                    })))
                }
                @if let Some(body) = first_content(&said["requestBody"]) {
                    p { "Body: " (kind(body)) }
                }
                (table("Answers", ["Status", "Answer"], members(&said["responses"]).map(|(status, answer)| html! {
                    td { code { (status) } }
                    td { @if let Some(body) = first_content(answer) { (kind(body)) " " } (text(answer, "description")) }
                })))
            }
        }
    }

    /// Who may ask, out of the table that decides it.
    fn who(&self) -> String {
        let spelled = |route: &&router::Route| {
            route.path.replace("{*", "{") == self.path && route.method == self.method
        };
        match router::ROUTES.iter().find(spelled).map(|route| route.access) {
            None | Some(Access::Open) => "Open to everybody.".to_owned(),
            Some(Access::Only(rule)) => format!("For {}.", who(rule).join("; ")),
        }
    }
}

fn who(Rule { scopes, by_role: role, session, enrolment_token }: Rule) -> Vec<String> {
    let mut who = Vec::new();
    if !scopes.is_empty() {
        let named: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        who.push(format!("API keys with {}", named.join(" and ")));
        let shown = match role {
            RoleAccess::Nobody => None,
            RoleAccess::Reading => Some(""),
            RoleAccess::FreshSecondFactor => Some(" with a fresh second factor"),
            RoleAccess::ProofInBody => Some(" with a proof"),
        };
        let stands = |role: &InstallationRole| scopes.iter().all(|scope| role.scopes().contains(scope));
        for role in InstallationRole::ALL.into_iter().filter(stands) {
            who.extend(shown.map(|shown| format!("{role}s{shown}")));
        }
    }
    let people = match session {
        SessionAccess::Nobody => None,
        SessionAccess::Anybody => Some("everybody signed in"),
        SessionAccess::Oneself => Some("the person whose account it is"),
        SessionAccess::Member => {
            Some("members of the agreement, and superusers of the one that administers it")
        }
        SessionAccess::Superuser => Some("superusers of the agreement, and of the one that administers it"),
    };
    who.extend(people.map(str::to_owned));
    match enrolment_token {
        EnrolmentAccess::Nobody => {}
        EnrolmentAccess::Live | EnrolmentAccess::LiveOrSpent => {
            who.push("enrolment tokens of the person".to_owned());
        }
    }
    who
}

/// A schema as a table of its fields; one of several shapes, one after the other.
fn shape(schema: &Value) -> Markup {
    let either = ["oneOf", "allOf", "anyOf"].into_iter().find_map(|word| schema[word].as_array());
    html! {
        @if !text(schema, "description").is_empty() { p { (text(schema, "description")) } }
        @if let Some(shapes) = either {
            @for shape in shapes {
                @if shape["properties"].is_object() { (self::shape(shape)) } @else { p { (kind(shape)) } }
            }
        } @else if schema["properties"].is_object() {
            (table("Fields", ["Field", "What it is"], members(&schema["properties"]).map(|(name, field)| html! {
                td { code { (name) } @if is_required(schema, name) { " " span.detail { "always" } } }
                td { (kind(field)) " " (text(field, "description")) }
            })))
        } @else {
            p { (kind(schema)) }
        }
    }
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|required| required.iter().any(|other| other == name))
}

/// What kind of value a schema describes; another shape as a link.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|address| address.rsplit('/').next()) {
        return html! { a href=(format!("#{}", anchor(name))) { (name) } };
    }
    if let Some(shapes) = schema["oneOf"].as_array() {
        return html! {
            @for (index, shape) in shapes.iter().enumerate() { @if index > 0 { " or " } (kind(shape)) }
        };
    }
    if schema["items"].is_object() {
        return html! { "list of " (kind(&schema["items"])) };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let values: Vec<&str> = schema["enum"]
        .as_array()
        .map(|values| values.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    html! {
        span.kind {
            @if values.is_empty() { (types.join(" or ")) } @else { (values.join(" or ")) }
            @if let Some(format) = schema["format"].as_str() { " (" (format) ")" }
        }
    }
}

fn table(name: &str, heads: [&str; 2], rows: impl Iterator<Item = Markup>) -> Markup {
    super::table::table(name, &heads.map(str::to_owned), &html! { @for row in rows { tr { (row) } } })
}

fn first_content(said: &Value) -> Option<&Value> {
    members(&said["content"]).next().map(|(_, media)| &media["schema"])
}

fn members(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn text<'v>(object: &'v Value, name: &str) -> &'v str {
    object[name].as_str().unwrap_or_default()
}

/// A name as an anchor can spell it.
fn anchor(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_shape_that_is_linked_is_on_the_page() {
        let by_tag = operations(&DOCUMENT);
        let shown: String =
            by_tag.values().flatten().map(|operation| operation.markup().into_string()).collect();
        for (path, item) in members(&DOCUMENT["paths"]) {
            for (method, _) in members(item) {
                assert!(
                    shown.contains(&format!("<code>{} {path}</code>", method.to_uppercase())),
                    "{method} {path}"
                );
            }
        }
        let shapes: Vec<String> =
            members(&DOCUMENT["components"]["schemas"]).map(|(name, _)| anchor(name)).collect();
        let linked: Vec<&str> =
            shown.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(linked.len() > 40);
        for link in linked {
            assert!(shapes.iter().any(|shape| shape == link), "{link}");
        }
    }

    #[test]
    fn it_says_who_may_ask() {
        let by_tag = operations(&DOCUMENT);
        let find = |method: &str, path: &str| {
            by_tag.values().flatten().find(|one| one.method == method && one.path == path).unwrap().who()
        };
        assert_eq!(find("GET", "/healthz"), "Open to everybody.");
        assert_eq!(find("POST", "/v1/logins"), "For API keys with login.");
        assert_eq!(find("POST", "/v1/webhooks"), "For API keys with audit:read and webhooks:write.");
        assert_eq!(find("GET", "/v1/audit/export"), "For API keys with audit:read; auditors.");
        let opening = "For API keys with agreements:write; operators with a fresh second factor.";
        assert_eq!(find("POST", "/v1/agreements"), opening);
    }
}
