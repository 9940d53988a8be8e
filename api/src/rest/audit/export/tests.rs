//! Entries to write, and readers of every format.

mod golden;
mod hostile;
mod kinds;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strum::IntoEnumIterator;

use chrono::TimeDelta;

use super::*;
use crate::operator;
use crate::problem::ProblemCode;
use crate::rest::audit::entry::{EntryActor, EntryPerson};
use crate::testing::{app_in, open_agreement};

const EVENT: &str = "01890a5d-ac96-7b7c-8f8f-5c1c6f4f0001";
const USER: &str = "01890a5d-ac96-7b7c-8f8f-5c1c6f4f0002";
const AGREEMENT: &str = "01890a5d-ac96-7b7c-8f8f-5c1c6f4f0003";

/// Kari's own sign-in.
fn sign_in() -> EntryView {
    EntryView {
        position: 41,
        event_id: EVENT.to_owned(),
        recorded_at: "2026-03-01T08:00:00.123456Z".parse().unwrap(),
        event_type: "LoginSucceeded".to_owned(),
        user_id: Some(USER.to_owned()),
        agreement_id: Some(AGREEMENT.to_owned()),
        actor: EntryActor {
            kind: "user".to_owned(),
            id: Some(USER.to_owned()),
            name: Some("Kari \"K\" Nordmann".to_owned()),
        },
        on_behalf_of: None,
        address: Some("192.0.2.7".to_owned()),
        user_agent: Some("Mozilla/5.0 (X11; a=b|c)".to_owned()),
        request_id: "r-1".to_owned(),
        summary: "Kari \"K\" Nordmann signed in".to_owned(),
        data: json!({"agreement_id": AGREEMENT, "at": "2026-03-01T08:00:00.123456Z", "method": "totp"}),
        person: None,
        agreement: None,
    }
}

/// An application switches enforcement off, for Kari; what it calls itself would forge a line.
fn enforcement() -> EntryView {
    EntryView {
        position: 42,
        event_type: "EnforcementToggled".to_owned(),
        user_id: None,
        actor: EntryActor {
            kind: "api_key".to_owned(),
            id: Some("key-1".to_owned()),
            name: Some("webshop".to_owned()),
        },
        on_behalf_of: Some(EntryPerson { id: USER.to_owned(), name: "Kari".to_owned() }),
        address: Some("2001:db8::1".to_owned()),
        user_agent: Some("=curl\nforged\u{2028}\u{202e}".to_owned()),
        summary: "Enforcement switched off for A|B by webshop".to_owned(),
        data: json!({"enforced": false, "reason": "=moved"}),
        ..sign_in()
    }
}

/// Something of a newer program, by an operator.
fn of_a_newer_program() -> EntryView {
    EntryView {
        position: 43,
        event_type: "MoonLanded".to_owned(),
        user_id: None,
        agreement_id: None,
        actor: EntryActor { kind: "operator".to_owned(), id: None, name: None },
        address: Some("[erased]".to_owned()),
        user_agent: None,
        summary: "MoonLanded".to_owned(),
        data: Value::Null,
        ..sign_in()
    }
}

/// One entry in one format, as the one line that it must be, without its end.
fn line(format: Format, entry: &EntryView) -> String {
    let mut out = b"before".to_vec();
    format.write(entry, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let end = if format == Format::Csv { "\r\n" } else { "\n" };
    text.strip_prefix("before").unwrap().strip_suffix(end).unwrap().to_owned()
}

fn cells(line: &str) -> Vec<String> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    let rows: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
    let [row] = rows.as_slice() else { panic!("{} rows in {line}", rows.len()) };
    row.iter().map(str::to_owned).collect()
}

/// Reads a line of CEF as the format's own rules say: the seven parts before the extension, and
/// its keys with their values.
fn cef(line: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let (mut parts, mut part, mut characters) = (Vec::new(), String::new(), line.chars());
    while parts.len() < 7 {
        match characters.next().unwrap() {
            '\\' => part.push(characters.next().filter(|next| matches!(next, '\\' | '|')).unwrap()),
            '|' => parts.push(std::mem::take(&mut part)),
            character => part.push(character),
        }
    }
    let (mut values, mut key) = (BTreeMap::new(), String::new());
    while let Some(character) = characters.next() {
        match character {
            '\\' => part.push(characters.next().filter(|next| matches!(next, '\\' | '=')).unwrap()),
            '=' => {
                let next = part.split_off(part.rfind(' ').map_or(0, |blank| blank + 1));
                let value = part.strip_suffix(' ').unwrap_or_default().to_owned();
                assert!(key.is_empty() || values.insert(key, value).is_none());
                (key, part) = (next, String::new());
            }
            character => part.push(character),
        }
    }
    assert!(values.insert(key, part).is_none());
    (parts, values)
}

#[test]
fn formats_are_named_as_they_are_asked_for() {
    let names = [("ndjson", "ndjson"), ("csv", "csv"), ("ocsf", "ocsf.ndjson"), ("cef", "cef")];
    for (format, (name, file_extension)) in Format::iter().zip(names) {
        assert_eq!(name.parse(), Ok(format));
        assert_eq!(<&str>::from(format), name);
        assert_eq!(serde_json::from_value::<Format>(json!(name)).unwrap(), format);
        assert_eq!(format.file_extension(), file_extension);
    }
    assert_eq!(Format::Ocsf.content_type(), Format::Ndjson.content_type());
    assert!(Format::Csv.content_type().starts_with("text/csv;"));
    assert!(Format::Cef.content_type().starts_with("text/plain;"));
    assert!("NDJSON".parse::<Format>().is_err());
}

#[test]
fn the_document_names_every_media_type_and_the_size() {
    let document = serde_json::to_value(crate::router::openapi()).unwrap();
    let answer = &document["paths"]["/v1/audit/export"]["get"]["responses"]["200"];
    for format in Format::iter() {
        assert!(answer["content"][format.content_type()].is_object(), "{format:?}: {answer}");
    }
    assert!(answer["headers"]["Countersign-Ledger-Size"].is_object(), "{answer}");
}

#[test]
fn the_head_names_the_columns_and_only_csv_has_one() {
    let head = std::str::from_utf8(Format::Csv.head()).unwrap();
    let names = cells(head.strip_suffix("\r\n").unwrap());
    assert_eq!(names.len(), cells(&line(Format::Csv, &sign_in())).len());
    assert_eq!((names[0].as_str(), names[14].as_str()), ("position", "data"));
    assert!([Format::Ndjson, Format::Ocsf, Format::Cef].iter().all(|format| format.head().is_empty()));
}

#[tokio::test]
async fn an_export_of_a_time_long_past_waits_for_what_was_recorded_then_and_for_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let app = app_in(directory.path()).await;
    open_agreement(&app).await;
    let request = operator::request(&app).unwrap();
    let recorded_at = app.clock.now();
    app.clock.advance(TimeDelta::hours(1));
    let export = async |to| app.begin_export(&request, Format::Ndjson, None, Some(to)).await;
    let refused = export(recorded_at + TimeDelta::minutes(1)).await.unwrap_err();
    assert_eq!(refused.code(), ProblemCode::Busy);
    assert_eq!(export(recorded_at - TimeDelta::minutes(1)).await.unwrap().size, 0);
    app.ledger.sequence_all(app.clock.now()).await.unwrap();
    // A row that stands for nothing keeps nobody waiting.
    let stray = "INSERT INTO ledger_pending (event_id, aggregate_type, aggregate_id, sequence) \
                 VALUES ('none', 'user', 'nobody', 1)";
    app.database.write(stray, &[]).await.unwrap();
    assert_eq!(export(recorded_at + TimeDelta::minutes(1)).await.unwrap().size, 2);
}
