//! Entries in the Common Event Format: a header between bars, then keys and values.

use std::net::IpAddr;

use super::line::{bounded, json, one_line};
use super::meaning::meaning;
use super::{EntryView, ExportError, person_name};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// As long as the format's dictionary lets a name and a value be.
const NAME_CHARACTERS_MAX: usize = 512;
const VALUE_CHARACTERS_MAX: usize = 1023;

pub(super) fn write(entry: &EntryView, out: &mut Vec<u8>) -> Result<(), ExportError> {
    let meaning = meaning(entry);
    let mut line = format!(
        "CEF:0|Countersign|Countersign|{VERSION}|{}|{}|{}|rt={}",
        header(&entry.event_type),
        header(&entry.summary),
        meaning.severity.cef(),
        entry.recorded_at.timestamp_millis(),
    );
    let mut say = |key: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            line.extend([" ", key, "=", &extension(value)]);
        }
    };
    // The format has no key for these: they share numbered ones, each with a label.
    let mut custom = |key: &str, label: &str, value: Option<&str>| {
        if value.is_some_and(|value| !value.is_empty()) {
            say(&format!("{key}Label"), Some(label));
            say(key, value);
        }
    };
    let address = entry.address.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
    let (v4, v6) = match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => (Some(address.to_string()), None),
        Some(IpAddr::V6(address)) => (None, Some(address.to_string())),
        None => (None, None),
    };
    custom("cn1", "position", Some(&entry.position.to_string()));
    custom("cs1", "agreementId", entry.agreement_id.as_deref());
    custom("cs2", "requestId", Some(&entry.request_id));
    custom("cs3", "actorKind", Some(&entry.actor.kind));
    custom("cs4", "onBehalfOf", entry.on_behalf_of.as_ref().map(|person| person.id.as_str()));
    custom("c6a2", "Source IPv6 Address", v6.as_deref());
    say("src", v4.as_deref());
    say("externalId", Some(&entry.event_id));
    say("suid", entry.actor.id.as_deref());
    say("suser", entry.actor.name.as_deref());
    say("duid", entry.user_id.as_deref());
    say("duser", person_name(entry));
    say("requestClientApplication", entry.user_agent.as_deref());
    say("outcome", meaning.outcome.cef());
    let data = if entry.data.is_null() { None } else { Some(json(&entry.data)?) };
    say("msg", data.as_deref());
    line.push('\n');
    out.extend_from_slice(line.as_bytes());
    Ok(())
}

/// A part of the header: bars and backslashes are escaped.
fn header(text: &str) -> String {
    let line = one_line(text);
    bounded(&line, NAME_CHARACTERS_MAX).replace('\\', "\\\\").replace('|', "\\|")
}

/// A value: equals signs and backslashes are escaped.
fn extension(text: &str) -> String {
    let line = one_line(text);
    bounded(&line, VALUE_CHARACTERS_MAX).replace('\\', "\\\\").replace('=', "\\=")
}
