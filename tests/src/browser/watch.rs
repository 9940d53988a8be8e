//! What must not go unnoticed: complaints in the console, and requests to anywhere else.

use std::fmt;

use serde_json::Value;

use super::Browser;

/// Something that fails a test, whatever else it looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// An error or a warning in the console.
    Console(String),
    /// Something that the page's own policy forbade.
    Policy(String),
    /// A request to somewhere that is not the server under test.
    Elsewhere(String),
    /// No page answered with a status that was expected.
    NeverAnswered(u16),
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Console(text) => write!(formatter, "in the console: {text}"),
            Self::Policy(text) => write!(formatter, "against the Content-Security-Policy: {text}"),
            Self::Elsewhere(url) => write!(formatter, "a request to somewhere else: {url}"),
            Self::NeverAnswered(status) => write!(formatter, "no page answered with status {status}"),
        }
    }
}

/// A line of the console.
struct Line {
    level: String,
    source: String,
    text: String,
}

/// A page, as it answered.
struct Answered {
    url: String,
    status: u64,
}

impl Browser {
    /// Everything there is to complain about, once the page has come to rest.
    pub(super) async fn complaints(&self) -> Vec<Complaint> {
        self.rests().await;
        let happened = events(&self.take_log("performance").await);
        let mut lines = lines(&self.take_log("browser").await);
        let mut complaints = Vec::new();
        let mut answered: Vec<Answered> = happened.iter().filter_map(answered).collect();
        for status in self.expected() {
            match answered.iter().position(|page| page.status == u64::from(status)) {
                Some(at) => forgive(&mut lines, &answered.remove(at)),
                None => complaints.push(Complaint::NeverAnswered(status)),
            }
        }
        complaints.extend(lines.iter().filter_map(complaint));
        let elsewhere = happened.iter().filter_map(requested).filter(|url| !self.is_here(url));
        complaints.extend(elsewhere.map(|url| Complaint::Elsewhere(url.to_owned())));
        complaints
    }

    /// Whether an address is one of the server under test, or of no server.
    fn is_here(&self, url: &str) -> bool {
        let below = url.strip_prefix(&self.base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        below || ["data:", "blob:", "about:", "chrome-error:"].iter().any(|own| url.starts_with(own))
    }
}

fn lines(log: &[Value]) -> Vec<Line> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let line = |entry: &Value| Line {
        level: text(entry, "level"),
        source: text(entry, "source"),
        text: text(entry, "message"),
    };
    log.iter().map(line).collect()
}

/// Takes away the one line by which the browser reports this answer.
fn forgive(lines: &mut Vec<Line>, page: &Answered) {
    let start = format!("{} - ", page.url);
    let status = format!("status of {} ", page.status);
    let about_it = |line: &Line| {
        line.source == "network" && line.text.starts_with(&start) && line.text.contains(&status)
    };
    if let Some(at) = lines.iter().position(about_it) {
        lines.remove(at);
    }
}

fn complaint(line: &Line) -> Option<Complaint> {
    if line.level != "SEVERE" && line.level != "WARNING" {
        return None;
    }
    let text = line.text.clone();
    let is_policy = text.contains("Content Security Policy");
    Some(if is_policy { Complaint::Policy(text) } else { Complaint::Console(text) })
}

/// What the developer tools told, each with its method and parameters.
fn events(log: &[Value]) -> Vec<Value> {
    let event = |entry: &Value| {
        let text = entry["message"].as_str().expect("an event as text");
        let told: Value = serde_json::from_str(text).expect("an event");
        told["message"].clone()
    };
    log.iter().map(event).collect()
}

/// The page that answered, if the event tells of one.
fn answered(event: &Value) -> Option<Answered> {
    let parameters = &event["params"];
    let (url, status) = (&parameters["response"]["url"], &parameters["response"]["status"]);
    if event["method"] != "Network.responseReceived" || parameters["type"] != "Document" {
        return None;
    }
    Some(Answered { url: url.as_str()?.to_owned(), status: status.as_u64()? })
}

/// The address that was asked for, if the event tells of one.
fn requested(event: &Value) -> Option<&str> {
    let parameters = &event["params"];
    match event["method"].as_str()? {
        "Network.requestWillBeSent" => parameters["request"]["url"].as_str(),
        "Network.webSocketCreated" | "Network.webTransportCreated" => parameters["url"].as_str(),
        _ => None,
    }
}
