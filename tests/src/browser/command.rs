//! What chromedriver understands beyond what the client crate has methods for.

use fantoccini::{elements::Element, error::CmdError, wd::WebDriverCompatibleCommand};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::Browser;

/// One such command, by its path below the session.
#[derive(Debug)]
enum Command {
    Get(String),
    Post(&'static str, Value),
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &Url, session_id: Option<&str>) -> Result<Url, <Url as std::str::FromStr>::Err> {
        let path = match self {
            Self::Get(path) => path,
            Self::Post(path, _) => *path,
        };
        base.join(&format!("session/{}/{path}", session_id.unwrap_or_default()))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        match self {
            Self::Get(_) => (Method::GET, None),
            Self::Post(_, body) => (Method::POST, Some(body.to_string())),
        }
    }
}

impl Browser {
    /// The name of an element as assistive technology tells it.
    pub(super) async fn name_of(&self, element: &Element) -> Result<String, CmdError> {
        self.told_of(element, "computedlabel").await
    }

    /// The role of an element as assistive technology tells it.
    pub(super) async fn role_of(&self, element: &Element) -> Result<String, CmdError> {
        self.told_of(element, "computedrole").await
    }

    async fn told_of(&self, element: &Element, what: &str) -> Result<String, CmdError> {
        let path = format!("element/{}/{what}", &*element.element_id());
        let told = self.client.issue_cmd(Command::Get(path)).await?;
        Ok(normal(told.as_str().unwrap_or_default()))
    }

    /// What was logged since this was asked last.
    pub(super) async fn take_log(&self, of: &str) -> Vec<Value> {
        let command = Command::Post("se/log", json!({ "type": of }));
        let log = self.client.issue_cmd(command).await.expect("a log");
        log.as_array().expect("entries").clone()
    }

    /// Asks the browser for what its developer tools can do, in their words.
    pub(super) async fn developer_tools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        let done = self.client.issue_cmd(Command::Post("goog/cdp/execute", body)).await;
        assert!(done.is_ok(), "{command}: {done:?}");
    }
}

/// A text with single spaces, as people read it.
pub(super) fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
