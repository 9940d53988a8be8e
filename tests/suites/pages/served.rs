//! Pages of a test's own, to try the browser on.

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse as _},
    routing::get,
};
use countersign_tests::{Browser, browser::opening::Opening};
use tokio::{net::TcpListener, task::JoinHandle};

/// A server with one page at `/`; it goes with its test.
pub(super) struct Served {
    base: String,
    serving: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Served {
    /// Serves what stands in the body of a page that is otherwise as it should be.
    pub(super) async fn body(body: &str) -> Self {
        Self::with_policy(body, "").await
    }

    /// The same, with a Content-Security-Policy.
    pub(super) async fn with_policy(body: &str, policy: &str) -> Self {
        Self::answering(StatusCode::OK, body, policy).await
    }

    /// The same, with another status.
    pub(super) async fn with_status(status: u16, body: &str) -> Self {
        Self::answering(StatusCode::from_u16(status).expect("a status"), body, "").await
    }

    async fn answering(status: StatusCode, body: &str, policy: &str) -> Self {
        let mut headers = HeaderMap::new();
        if !policy.is_empty() {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy.parse().expect("a header"));
        }
        let page = format!(
            "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>A page</title>\
             <meta name=viewport content='width=device-width, initial-scale=1'>\
             <meta name=color-scheme content='light dark'><link rel=icon href='data:,'></head>\
             <body><main>{body}</main></body></html>"
        );
        let language = async |headers: HeaderMap| {
            let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            Html(format!("<p>{}", accepted.unwrap_or_default()))
        };
        let kept = [(header::CONTENT_DISPOSITION, "attachment; filename=\"kept.txt\"")];
        let router = Router::new()
            .route("/", get(async move || (status, headers, Html(page)).into_response()))
            .route(
                "/next",
                get(async || Html("<title>Next</title><link rel=icon href='data:,'><h1>Next</h1>")),
            )
            .route("/language", get(language))
            .route("/file", get(async move || (kept, "to be kept")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a server serves");
        });
        Self { base, serving }
    }

    pub(super) fn visitor(&self) -> Opening {
        Browser::visiting(&self.base)
    }

    /// Opens a browser and goes to the page.
    pub(super) async fn visited(&self) -> Browser {
        let browser = self.visitor().open().await;
        browser.goto("/").await;
        browser
    }
}
