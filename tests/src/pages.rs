//! A browser without a script: it keeps cookies, and sends the forms that pages have.

use std::collections::BTreeMap;

use reqwest::{Method, Url};

use crate::{Answer, Client, Session, TestApp};

/// Somebody who looks at pages.
#[derive(Clone)]
pub struct Reader {
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Reader {
    /// Somebody who is not signed in.
    pub fn new(app: &TestApp) -> Self {
        Self { client: (**app).clone(), cookies: BTreeMap::new() }
    }

    /// Somebody in a session.
    pub fn signed_in(app: &TestApp, session: &Session) -> Self {
        let mut reader = Self::new(app);
        reader.cookies.insert("__Host-session".to_owned(), session.token.clone());
        reader
    }

    /// Looks at a page.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// Asks for a page as a script does, with headers of its own.
    pub async fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.request(Method::GET, path).header("cookie", &self.cookie());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await;
        self.keep(&answer);
        answer
    }

    /// Fills in the form of a page that is sent to this address, and sends it with what is hidden in it.
    ///
    /// # Panics
    /// When the page has no such form.
    pub async fn submit(&mut self, page: &Answer, action: &str, fields: &[(&str, &str)]) -> Answer {
        let mut sent = hidden_fields(page, action);
        sent.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.post(action, &sent).await
    }

    /// Sends these fields, wherever they are from.
    pub async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Answer {
        let encoded = Url::parse_with_params("http://form", fields).expect("fields");
        let body = encoded.query().unwrap_or_default().to_owned();
        let request = self.client.request(Method::POST, path).header("cookie", &self.cookie());
        let answer = request.bytes("application/x-www-form-urlencoded", body).send().await;
        self.keep(&answer);
        answer
    }

    fn cookie(&self) -> String {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        cookies.join("; ")
    }

    fn keep(&mut self, answer: &Answer) {
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().expect("a cookie");
            let (name, value) = set.split(';').next().and_then(|set| set.split_once('=')).expect("a cookie");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// The hidden fields of a page's form.
///
/// # Panics
/// When the page has no such form.
pub fn hidden_fields(page: &Answer, action: &str) -> Vec<(String, String)> {
    let form = page.text.split("<form").skip(1).find(|form| {
        let head = form.split('>').next().unwrap_or_default();
        head.contains(&format!("action=\"{action}\""))
    });
    let form = form.unwrap_or_else(|| panic!("no form for {action} in {}", page.text));
    let form = form.split("</form>").next().unwrap_or_default();
    let hidden = form.split("<input type=\"hidden\" name=\"").skip(1);
    hidden
        .map(|input| {
            let (name, rest) = input.split_once("\" value=\"").expect("a hidden field has a value");
            (name.to_owned(), rest.split('"').next().unwrap_or_default().to_owned())
        })
        .collect()
}

/// What a page says, without its elements.
pub fn seen(page: &Answer) -> String {
    let body = page.text.split_once("<main").map_or(page.text.as_str(), |(_, main)| main);
    let mut text = String::new();
    for piece in body.split('<').skip(1) {
        text.push(' ');
        text.push_str(piece.split_once('>').map_or(piece, |(_, after)| after));
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
