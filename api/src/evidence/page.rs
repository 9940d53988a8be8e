//! A report for people, to read on a screen and to print: one page that loads nothing, from nowhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use countersign_domain::Timestamp;
use countersign_projections::ledger::checkpoint::Verifier;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::report::{Actor, Cell, Column, Evidence, Named, Report, RequiredBy, Row};
use super::words::{counted, day, hour};
use crate::rest::audit::entry::nameless;

const STYLE: &str = include_str!("page.css");

/// What a browser may do with the page: show it, in this style, and nothing else.
pub(crate) fn content_security_policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

/// A report as a page.
pub(super) struct Page<'e> {
    pub(super) evidence: &'e Evidence,
    /// The key by which it is signed.
    pub(super) verifier: &'e Verifier,
}

impl Page<'_> {
    pub(super) fn render(&self) -> String {
        let report = &self.evidence.report;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    // Where the page is kept as a file, no server says it.
                    meta http-equiv="Content-Security-Policy" content=(content_security_policy());
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (report.title) " – " (report.origin) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        (head(report))
                        (self.ground())
                        (rows(report))
                        (self.signature())
                    }
                }
            }
        };
        page.into_string()
    }

    fn ground(&self) -> Markup {
        let Report { origin, position, root, generated_at, parameters, .. } = &self.evidence.report;
        html! {
            h2 { "What this rests on" }
            dl {
                dt { "Ledger" } dd { (origin) }
                dt { "Entries" } dd { "the first " (position) ", from position 0 on" }
                dt { "Root of their tree" } dd { code { (root) } }
                dt { "Key" } dd { code { (self.verifier) } }
                dt { "Made" } dd { (time(*generated_at)) }
                @if let Some(agreement) = &parameters.agreement {
                    dt { "Agreement" }
                    dd { (parameters.agreement_name.as_deref().unwrap_or_default()) " " code { (agreement) } }
                }
                @for (word, at) in [("As of", parameters.as_of), ("From", parameters.from), ("Before", parameters.to)] {
                    @if let Some(at) = at { dt { (word) } dd { (time(at)) } }
                }
            }
        }
    }

    fn signature(&self) -> Markup {
        let signature = self.evidence.note.trim_end().lines().next_back().unwrap_or_default();
        html! {
            h2 { "Signature" }
            p {
                "The report is signed as a C2SP signed note, with the key that signs the ledger’s checkpoints. The text that is signed is "
                "the report as one line of JSON, with the line feed at its end."
            }
            pre { (signature) }
            p {
                "To check it, get the key above from somebody you trust and not from this page, save the note below as a file, and give both to "
                "any program that verifies signed notes: golang.org/x/mod/sumdb/note, for example. That the ledger has grown from the "
                "entries named here is shown by a consistency proof between their number and the size of a later checkpoint."
            }
            details {
                summary { "The signed note" }
                pre { (self.evidence.note) }
            }
        }
    }
}

fn head(report: &Report) -> Markup {
    html! {
        p.origin { "Evidence report " code { (report.report) } }
        h1 { (report.title) }
        p.summary { (report.summary) }
        @match report.holds {
            Some(true) => p.verdict.good { "Holds" },
            Some(false) => p.verdict.bad { "Does not hold" },
            None => {},
        }
        @for (heading, sentences) in [("Proved", &report.proved), ("Not proved", &report.not_proved)] {
            @if !sentences.is_empty() {
                h2 { (heading) }
                ul { @for sentence in sentences { li { (sentence) } } }
            }
        }
    }
}

fn rows(report: &Report) -> Markup {
    // A column without any value says nothing.
    let said = |column: &&Column| report.rows.iter().any(|row| row.get(column.name).is_some());
    let columns: Vec<&Column> = report.columns.iter().filter(said).collect();
    html! {
        h2 { (counted(report.rows.len(), ["No rows", "row", "rows"])) }
        @if !report.rows.is_empty() {
            div.wide {
                table {
                    thead { tr { @for column in &columns { th scope="col" { (column.title) } } } }
                    tbody { @for row in &report.rows { (table_row(row, &columns)) } }
                }
            }
        }
    }
}

fn table_row(row: &Row, columns: &[&Column]) -> Markup {
    html! {
        tr {
            @for column in columns {
                @match row.get(column.name) {
                    Some(value) => td data-title=(column.title) { span.value { (cell(value)) } },
                    None => td.empty {},
                }
            }
        }
    }
}

fn cell(cell: &Cell) -> Markup {
    match cell {
        Cell::Position(number) | Cell::Number(number) => html! { span.number { (number) } },
        Cell::Flag(true) => html! { "yes" },
        Cell::Flag(false) => html! { "no" },
        Cell::Time(at) => time(*at),
        Cell::Text(text) => html! { (text) },
        Cell::Code(code) => html! { code { (code) } },
        Cell::Named(Named { id, name }) => html! { (name) code.id { (id) } },
        Cell::Actor(Actor { kind, id: Some(id), name }) => html! {
            (name.as_deref().unwrap_or_default())
            span.id { (kind_in_words(kind)) " " code { (id) } }
        },
        Cell::Actor(Actor { kind, id: None, .. }) => html! { (nameless(kind)) },
        Cell::Requirements(all) => html! { @for one in all { (requirement(one)) } },
        Cell::Data(data) => html! { code { (data) } },
    }
}

fn requirement(RequiredBy { requirement, via_name }: &RequiredBy) -> Markup {
    html! {
        div {
            (requirement.name)
            @if let Some(via) = via_name { ", through " (via) }
            code.id { (requirement.agreement_id) }
        }
    }
}

fn kind_in_words(kind: &str) -> &str {
    match kind {
        "api_key" => "API key",
        "user" => "person",
        other => other,
    }
}

fn time(at: Timestamp) -> Markup {
    // Two pieces, so that a narrow column breaks between them and nowhere else.
    html! {
        time datetime=(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)) { span { (day(at)) } " " span { (hour(at)) } }
    }
}
