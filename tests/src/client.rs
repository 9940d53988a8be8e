//! A small HTTP client: one method a verb, the token by its name in the call.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Method;
use serde_json::Value;

use crate::{Answer, product};

/// The token of somebody who is not signed in: no `Authorization` header is sent.
pub const NOBODY: &str = "";

/// Far above any answer's time, so that a hanging server fails a test instead of blocking it.
const PATIENCE: Duration = Duration::from_mins(2);

/// Talks to one node.
#[derive(Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    /// The last write of each stream, by the `Countersign-Write` header.
    writes: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Client {
    pub(crate) fn new(base: String) -> Self {
        let http = product::http_client()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .expect("an HTTP client");
        Self { base, http, writes: Arc::default() }
    }

    /// The base of the node's URLs.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Reads.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.request(Method::GET, path).token(token).send().await
    }

    /// Reads bytes.
    ///
    /// # Panics
    /// When there is no answer with status 200.
    pub async fn bytes_of(&self, path: &str, token: &str) -> Vec<u8> {
        let response = self.request(Method::GET, path).token(token).builder.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200, "{path}");
        response.bytes().await.expect("a body").to_vec()
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.request(Method::POST, path).token(token).json(&body).send().await
    }

    /// Posts JSON to a node that may be gone before it answers.
    pub async fn try_post(&self, path: &str, token: &str, body: Value) -> Option<Answer> {
        self.request(Method::POST, path).token(token).json(&body).try_send().await.ok()
    }

    /// Puts JSON.
    pub async fn put(&self, path: &str, token: &str, body: Value) -> Answer {
        self.request(Method::PUT, path).token(token).json(&body).send().await
    }

    /// Deletes, with no body.
    pub async fn delete(&self, path: &str, token: &str) -> Answer {
        self.request(Method::DELETE, path).token(token).send().await
    }

    /// Deletes, with the proof in the body.
    pub async fn delete_with(&self, path: &str, token: &str, body: Value) -> Answer {
        self.request(Method::DELETE, path).token(token).json(&body).send().await
    }

    /// Any other request.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let asked = format!("{method} {path}");
        let builder = self.http.request(method, format!("{}{path}", self.base));
        Request { asked, builder, client: self.clone() }
    }

    /// The writes that a reader of the audit trail has not waited for yet.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *writes)
            .into_iter()
            .map(|(stream, sequence)| format!("{stream}/{sequence}"))
            .collect()
    }

    /// Parallel requests answer in any order: the highest sequence of a stream is the last write.
    fn remember_write(&self, answer: &Answer) {
        let Some((stream, sequence)) = answer.header("countersign-write").rsplit_once('/') else {
            return;
        };
        let sequence: u64 = sequence.parse().expect("Countersign-Write: <stream>/<sequence>");
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let last = writes.entry(stream.to_owned()).or_default();
        *last = sequence.max(*last);
    }
}

/// A request being put together.
pub struct Request {
    asked: String,
    builder: reqwest::RequestBuilder,
    client: Client,
}

impl Request {
    /// Signs in, unless the token is [`NOBODY`].
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        if token == NOBODY {
            return self;
        }
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Says on whose behalf the API key acts.
    #[must_use]
    pub fn from_address(self, address: &str) -> Self {
        self.header("countersign-client-address", address)
    }

    /// Sends JSON.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    /// Sends these bytes, whatever they are.
    #[must_use]
    pub fn bytes(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.builder = self.builder.body(body.into());
        if content_type.is_empty() { self } else { self.header("content-type", content_type) }
    }

    /// Sends the request and reads a part of the answer that never ends by itself.
    ///
    /// # Panics
    /// When it ends before that part was there.
    pub async fn read_until(self, is_enough: impl Fn(&str) -> bool) -> String {
        let asked = self.asked;
        let mut response = self.builder.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200, "{asked}");
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if is_enough(&text) {
                return text;
            }
            match response.chunk().await.expect("more of the answer") {
                Some(chunk) => bytes.extend_from_slice(&chunk),
                None => panic!("{asked} ended after {text}"),
            }
        }
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Panics
    /// When there is none, or it breaks off.
    pub async fn send(self) -> Answer {
        let asked = self.asked.clone();
        match self.try_send().await {
            Ok(answer) => answer,
            Err(error) => panic!("{asked} got no whole answer: {error:?}"),
        }
    }

    async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let response = self.builder.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer { asked: self.asked, status, headers, text, body };
        self.client.remember_write(&answer);
        Ok(answer)
    }
}
