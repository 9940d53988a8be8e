//! An HTTP answer, and what every error must look like.

use std::ops::Index;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::clock;

/// Status, headers and body of one answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request line, for messages of failed assertions.
    pub asked: String,
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
    /// The body as JSON, `null` where it is not JSON.
    pub body: Value,
}

impl Answer {
    /// Asserts the status code.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered {}: {}", self.asked, self.status, self.text);
        self
    }

    /// Asserts a refusal: the status, the code, and that it is a whole RFC 9457 problem document.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status).problem();
        assert_eq!(answer.body["code"], code, "{} answered {}", answer.asked, answer.text);
        answer
    }

    /// Asserts that this is a whole RFC 9457 problem document, whatever its code.
    #[track_caller]
    pub fn problem(self) -> Self {
        let about = format!("{} answered {} {}", self.asked, self.status, self.text);
        assert_eq!(self.header("content-type"), "application/problem+json", "{about}");
        let code = self.body["code"].as_str().expect("a problem has a code");
        assert_eq!(self.body["type"], format!("urn:countersign:problem:{code}"), "{about}");
        assert_eq!(self.body["status"], self.status, "{about}");
        for member in ["title", "detail", "request_id"] {
            let text = self.body[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "a problem without {member}: {about}");
        }
        if self.status == 401 {
            assert!(self.headers.contains_key("www-authenticate") || code != "unauthenticated", "{about}");
        }
        if self.status == 429 {
            let wait_s: u64 = self.header("retry-after").parse().expect("seconds in Retry-After");
            assert!(wait_s > 0, "{about}");
        }
        self
    }

    /// The problem without what differs between any two requests, for comparing two answers.
    pub fn problem_without_request_id(&self) -> Value {
        let mut body = self.body.clone();
        if let Some(members) = body.as_object_mut() {
            members.remove("request_id");
        }
        body
    }

    /// One header as text, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A field that must be a string.
    #[track_caller]
    pub fn string(&self, field: &str) -> String {
        string(&self.body[field])
    }

    /// A field that must be a time.
    #[track_caller]
    pub fn time(&self, field: &str) -> DateTime<Utc> {
        time(&self.body[field])
    }

    /// A list's items.
    #[track_caller]
    pub fn items(&self) -> Vec<Value> {
        match self.body["items"].as_array() {
            Some(items) => items.clone(),
            None => panic!("{} answered no list: {}", self.asked, self.text),
        }
    }
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.body[field]
    }
}

/// A value that must be a string.
#[track_caller]
pub fn string(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => panic!("not a string: {value}"),
    }
}

/// A value that must be a time.
#[track_caller]
pub fn time(value: &Value) -> DateTime<Utc> {
    clock::parse(&string(value))
}
