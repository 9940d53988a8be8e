//! The ceiling: what HTTP alone costs. A route that reads a JSON body and answers a constant.

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// Serves the constant.
pub(crate) async fn run() -> anyhow::Result<()> {
    let answer = |Json(_): Json<Value>| async { Json(json!({"status": "complete"})) };
    crate::listening::serve(Router::new().route("/constant", post(answer))).await
}
