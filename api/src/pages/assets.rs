//! The style and the script of the pages. Their addresses name what is in them, so browsers keep them for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::token::hex;

const STYLE: &str = include_str!("../../assets/style.css");
const SCRIPT: &str = include_str!("../../assets/page.js");

/// A file that pages load.
struct Asset {
    name: String,
    media_type: &'static str,
    text: &'static str,
}

static STYLE_SHEET: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", STYLE));
static PAGE_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("page", "js", "text/javascript; charset=utf-8", SCRIPT));

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, text: &'static str) -> Self {
        let digest = hex(&Sha256::digest(text));
        let short = digest.get(..16).unwrap_or_default();
        Self { name: format!("{stem}.{short}.{extension}"), media_type, text }
    }
}

/// Where the style is.
pub(super) fn style_address() -> String {
    format!("/assets/{}", STYLE_SHEET.name)
}

/// Where the script is.
pub(super) fn script_address() -> String {
    format!("/assets/{}", PAGE_SCRIPT.name)
}

/// Gives one of them.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let Some(asset) = [&*STYLE_SHEET, &*PAGE_SCRIPT].into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = asset.text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}
