//! Audit text is data: whatever people write, an entry is one line and reads back.

use proptest::prelude::*;

use super::*;

/// An entry in which every text is this one.
fn saying(text: &str) -> EntryView {
    let text = || text.to_owned();
    EntryView {
        event_id: text(),
        event_type: text(),
        user_id: Some(text()),
        agreement_id: Some(text()),
        actor: EntryActor { kind: text(), id: Some(text()), name: Some(text()) },
        on_behalf_of: Some(EntryPerson { id: text(), name: text() }),
        address: Some(text()),
        user_agent: Some(text()),
        request_id: text(),
        summary: text(),
        data: json!({"label": text(), text(): [text()]}),
        ..sign_in()
    }
}

/// The same where the schema has a class for it.
fn saying_in(kind: &str, text: &str) -> EntryView {
    let mut entry = EntryView { event_type: kind.to_owned(), ..saying(text) };
    entry.data = json!({"name": text, "id": text, "role": text, "reason": text, "email": text});
    entry
}

/// Written out once more, so that nothing is judged by the code under test.
fn breaks_or_turns(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

fn replaced(text: &str) -> String {
    text.chars().map(|character| if breaks_or_turns(character) { ' ' } else { character }).collect()
}

fn cut(text: &str, characters_max: usize) -> String {
    let text = replaced(text);
    let fits = text.chars().count() <= characters_max;
    if fits { text } else { text.chars().take(characters_max - 1).chain(['\u{2026}']).collect() }
}

fn holds(text: &str) {
    let entry = saying(text);
    for format in Format::iter() {
        let line = line(format, &entry);
        assert!(!line.contains(breaks_or_turns), "{format:?}: {line:?}");
    }
    let shown: Value = serde_json::from_str(&line(Format::Ndjson, &entry)).unwrap();
    assert_eq!(shown, serde_json::to_value(&entry).unwrap());
    csv_holds(text, &entry);
    cef_holds(text, &entry);
    ocsf_holds(text, &entry);
}

fn csv_holds(text: &str, entry: &EntryView) {
    let cells = cells(&line(Format::Csv, entry));
    assert_eq!((cells.len(), cells[0].as_str()), (15, "41"));
    for (place, cell) in cells.iter().enumerate().filter(|(place, _)| ![0, 2, 14].contains(place)) {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{place}: {cell:?}");
        let expected = replaced(text);
        assert!(*cell == expected || *cell == format!("'{expected}"), "{place}: {cell:?}");
    }
    assert_eq!(serde_json::from_str::<Value>(&cells[14]).unwrap(), entry.data);
}

fn cef_holds(text: &str, entry: &EntryView) {
    let (parts, values) = cef(&line(Format::Cef, entry));
    assert_eq!(parts[..4], ["CEF:0", "Countersign", "Countersign", env!("CARGO_PKG_VERSION")]);
    assert_eq!((&parts[4], &parts[5]), (&cut(text, 512), &cut(text, 512)));
    let says = |key: &str| values.get(key).cloned().unwrap_or_default();
    let keys =
        ["externalId", "suid", "suser", "duid", "requestClientApplication", "cs1", "cs2", "cs3", "cs4"];
    for key in keys {
        assert_eq!(says(key), cut(text, 1023), "{key}");
    }
    // The last three where the text is an address.
    let known = [
        "rt",
        "cn1",
        "cn1Label",
        "cs1Label",
        "cs2Label",
        "cs3Label",
        "cs4Label",
        "duser",
        "msg",
        "src",
        "c6a2",
        "c6a2Label",
    ];
    assert!(values.keys().all(|key| keys.contains(&key.as_str()) || known.contains(&key.as_str())));
    assert!(says("msg").chars().count() <= 1023);
    if text.chars().count() < 50 {
        assert_eq!(serde_json::from_str::<Value>(&says("msg")).unwrap(), entry.data);
    }
}

fn ocsf_holds(text: &str, entry: &EntryView) {
    let event: Value = serde_json::from_str(&line(Format::Ocsf, entry)).unwrap();
    assert_eq!((&event["type_uid"], &event["activity_name"]), (&json!(99), &json!(text)));
    assert_eq!((&event["message"], &event["unmapped"]["data"]), (&json!(text), &entry.data));
    assert_eq!(event["unmapped"]["http_request"]["user_agent"], text);
    for kind in ["UserRegistered", "PasswordFailed", "AgreementOpened", "EnforcementToggled", "UserLinked"] {
        let entry = saying_in(kind, text);
        let line = line(Format::Ocsf, &entry);
        assert!(!line.contains(breaks_or_turns), "{line:?}");
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&event["message"], &event["unmapped"]), (&json!(text), &entry.data));
        assert_eq!(
            (&event["actor"]["app_name"], &event["actor"]["user"]["name"]),
            (&json!(text), &json!(text))
        );
    }
}

#[test]
fn hostile_texts_stay_on_their_line_and_read_back() {
    for text in [
        "two\nlines",
        "two\r\nlines",
        "\r",
        "nul\0and\u{1b}[2Jescape\u{7f}\u{85}\u{9b}",
        "line\u{2028}and paragraph\u{2029}",
        "\u{202e}turned\u{202c}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
        "quote\" and \"\" and '",
        "a|b\\|c\\",
        "a=b\\=c src=10.0.0.1 ",
        "x|CEF:0|Countersign|Countersign|9|PasswordSet|forged|1|rt=0",
        "=HYPERLINK(\"http://example.test\")",
        "+1",
        "-1",
        "@SUM(A1)",
        "10.0.0.1",
        "::",
        "\t=1",
        "\r=1",
        "  =1",
        "{\"a\":1}",
        "\",\"\r\n\"forged\",\"",
        "\u{1f512} \u{e5}\u{f8}\u{e6} \u{5d0}",
        &"long \\ = | \" ".repeat(1_000),
        &"\n".repeat(2_000),
    ] {
        holds(text);
    }
}

/// Any text, but more often of the characters that mean something to a format.
fn hostile() -> impl Strategy<Value = String> {
    let pointed = "[=|\\\\\"', \t\r\n\0\u{1b}\u{85}\u{2028}\u{2029}\u{202e}\u{200f}+@a-]{1,40}";
    // An empty value is not written in CEF, so it cannot be read back there.
    prop_oneof![
        pointed,
        "\\PC{1,20}",
        proptest::collection::vec(any::<char>(), 1..40)
            .prop_map(|characters| characters.into_iter().collect::<String>())
    ]
}

proptest! {
    #[test]
    fn any_text_stays_on_its_line_and_reads_back(text in hostile()) {
        holds(&text);
    }
}
