//! One entry: a line of the list, and a page of its own that says whether the ledger proves it.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use crate::pages::frame::Page;
use crate::pages::visit::Visit;
use crate::pages::words::Words;
use crate::problem::Problem;
use crate::rest::audit::entry::EntryView;
use crate::rest::audit::entry_position;
use crate::rest::audit::proofs::Included;
use crate::rest::{OneId, Shared};

/// The page of one entry.
pub(in crate::pages) async fn show(
    State(app): Shared,
    visit: Visit,
    Path(position): OneId,
) -> Result<Response, Problem> {
    let (words, position) = (visit.words, entry_position(&position)?);
    let one = app.audit_entry(&visit.request, position).await?;
    let included = app.verified_in(position).await?;
    let title = words.say_with("entry-title", [("position", words.number(position).into())]);
    let body = html! {
        h1 { (title) }
        p.sentence lang="en" { (sentence(&one.entry)) }
        p { (words.moment(one.entry.recorded_at)) }
        section aria-labelledby="proof" {
            h2 #proof { (words.say("proof-title")) }
            (proof(&visit, included))
        }
        section aria-labelledby="details" {
            h2 #details { (words.say("details")) }
            (facts(&visit, &one.entry))
        }
        @if let Some(leaf) = &one.leaf {
            section aria-labelledby="leaf" {
                h2 #leaf { (words.say("leaf")) }
                p { (words.say("leaf-text")) }
                (code_box(&words.say("leaf"), leaf))
            }
        }
        p { a href="/audit" { (words.say("to-audit")) } }
    };
    Ok(visit.show(&Page::wide(title, visit.rail(&app).await?, body)))
}

fn proof(visit: &Visit, included: Included) -> Markup {
    let words = visit.words;
    match included {
        Included::Verified { size } => {
            let size = words.number(size);
            html! {
                p.status.good { (words.say_with("included-verified", [("size", size.as_str().into())])) }
                p { (words.say("included-text")) }
            }
        }
        Included::NotYet => html! { p.status.off { (words.say("not-included")) } },
        Included::NotProved => html! {
            p.status.bad { (words.say("not-proved")) }
            p { (words.say("not-proved-text")) }
        },
    }
}

/// A line of the list.
pub(super) fn row(visit: &Visit, entry: &EntryView, signed: u64) -> Markup {
    let words = visit.words;
    let is_signed = u64::try_from(entry.position).is_ok_and(|position| position < signed);
    html! {
        div.at { (words.hour(entry.recorded_at)) }
        div.what {
            p.sentence lang="en" { (sentence(entry)) }
            details {
                summary { (words.say("details")) }
                (facts(visit, entry))
            }
        }
        div.mark {
            a href=(format!("/audit/entries/{}", entry.position)) {
                @if is_signed {
                    (words.say_with("included", [("size", words.number(signed).into())]))
                } @else { (words.say("not-included")) }
            }
        }
    }
}

/// What is known of an entry besides its sentence.
fn facts(visit: &Visit, entry: &EntryView) -> Markup {
    let words = visit.words;
    let actor = &entry.actor;
    let who = match actor.name.as_deref().or(actor.id.as_deref()) {
        Some(name) => format!("{name} ({})", kind_in_words(words, &actor.kind)),
        None => kind_in_words(words, &actor.kind),
    };
    let data = serde_json::to_string_pretty(&entry.data).unwrap_or_default();
    let texts = [
        ("actor", Some(who.as_str())),
        ("on-behalf-of", entry.on_behalf_of.as_ref().map(|person| person.name.as_str())),
        ("address", entry.address.as_deref()),
        ("user-agent", entry.user_agent.as_deref()),
        ("user-id", entry.user_id.as_deref()),
        ("agreement-id", entry.agreement_id.as_deref()),
        ("request", Some(entry.request_id.as_str())),
        ("event-id", Some(entry.event_id.as_str())),
    ];
    html! {
        dl.facts {
            div { dt { (words.say("what-happened")) } dd lang="en" { (type_in_words(&entry.event_type)) } }
            @for (name, text) in texts {
                @if let Some(text) = text { div { dt { (words.say(name)) } dd { (text) } } }
            }
            div { dt { (words.say("position")) } dd { (words.number(entry.position)) } }
        }
        @if !entry.data.is_null() { (code_box(&words.say("data"), &data)) }
    }
}

/// What kind of actor it was.
fn kind_in_words(words: Words, kind: &str) -> String {
    match kind {
        "user" => words.say("actor-user"),
        "api_key" => words.say("actor-api-key"),
        "operator" => words.say("actor-operator"),
        "sign_in_page" => words.say("actor-sign-in-page"),
        // Written by a release after this one.
        other => other.to_owned(),
    }
}

fn code_box(name: &str, text: &str) -> Markup {
    html! { pre.data role="group" aria-label=(name) tabindex="0" { (text) } }
}

/// The sentence, in which the person and the agreement lead to what else happened to them.
fn sentence(entry: &EntryView) -> Markup {
    let links =
        [("user", &entry.person, &entry.user_id), ("agreement", &entry.agreement, &entry.agreement_id)];
    let mut places: Vec<(usize, &str, String)> = links
        .into_iter()
        .filter_map(|(kind, name, id)| {
            let (name, id) = (name.as_deref()?, id.as_deref()?);
            Some((word_in(&entry.summary, name)?, name, format!("/audit?{kind}={id}")))
        })
        .collect();
    places.sort_by_key(|(start, ..)| *start);
    let (mut rest, mut offset) = (entry.summary.as_str(), 0);
    let mut parts = Vec::new();
    for (start, name, address) in places {
        // Where one name stands in the other, only the first is a link.
        let split = start.checked_sub(offset).and_then(|at| rest.split_at_checked(at));
        let Some((before, after)) = split.and_then(|(before, from)| Some((before, from.strip_prefix(name)?)))
        else {
            continue;
        };
        parts.push(html! { (before) a href=(address) { (name) } });
        (rest, offset) = (after, start + name.len());
    }
    html! { @for part in &parts { (part) } (rest) }
}

/// Where a name stands in a sentence as a word of its own.
fn word_in(sentence: &str, name: &str) -> Option<usize> {
    let is_part = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    sentence.match_indices(name).map(|(start, _)| start).find(|start| {
        let before = sentence.get(..*start).and_then(|text| text.chars().next_back());
        let after = sentence.get(start + name.len()..).and_then(|text| text.chars().next());
        !name.is_empty() && !is_part(before) && !is_part(after)
    })
}

/// The name of an event as people read it: "Two factor enabled".
pub(super) fn type_in_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 8);
    let mut before = ' ';
    for character in name.chars() {
        if character.is_uppercase() && before.is_lowercase() {
            words.push(' ');
            words.extend(character.to_lowercase());
        } else {
            words.push(character);
        }
        before = character;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_word_of_its_own() {
        assert_eq!(word_in("Authenticator added for An", "An"), Some(24));
        assert_eq!(word_in("Agreement Nordlys (7) opened", "Nordlys"), Some(10));
        assert_eq!(word_in("Kari signed in", "Ka"), None);
        assert_eq!(word_in("Kari signed in", ""), None);
    }

    #[test]
    fn types_read_as_words() {
        assert_eq!(type_in_words("TwoFactorEnabled"), "Two factor enabled");
        assert_eq!(type_in_words("ApiKeyIssued"), "Api key issued");
    }
}
