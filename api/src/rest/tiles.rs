//! The ledger as C2SP tlog-tiles publishes a log, for monitors and mirrors.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use countersign_domain::instance::{AuditFilter, AuditRoute};
use countersign_projections::ledger::tile::{TILE_WIDTH, Tile};
use countersign_projections::ledger::tree::Hash;

use super::{OneId, Problems, Shared, TwoIds};
use crate::app::App;
use crate::problem::Problem;
use crate::request::Request;

/// A full tile never changes; one that is still growing has another address for each width.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// Nor do entries; but a shared cache would hand them to whoever has no token.
const FOREVER_FOR_ONE: &str = "private, max-age=31536000, immutable";

fn bytes(caching: &'static str, bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, caching)], bytes)
        .into_response()
}

/// The latest signed checkpoint, where tlog-tiles looks for it.
#[utoipa::path(
    get, path = "/ledger/checkpoint", tag = "ledger",
    responses((status = 200, body = String, content_type = "text/plain"), Problems)
)]
pub async fn checkpoint(State(app): Shared) -> Result<Response, Problem> {
    let (note, _) = app.ledger.checkpoint().await?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, note).into_response())
}

/// A tile of hashes: `{level}/{index}`, the index in groups of three digits such as `x001/234`, with
/// `.p/{width}` behind it if the tile is not full.
#[utoipa::path(
    get, path = "/ledger/tile/{level}/{*index}", tag = "ledger",
    params(("level" = String, Path), ("index" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), Problems)
)]
pub async fn hashes(State(app): Shared, Path((level, index)): TwoIds) -> Result<Response, Problem> {
    let (tile, size) = app.signed_tile(&format!("tile/{level}/{index}")).await?;
    let hashes = app.ledger.store.tile(tile, size).await?;
    Ok(bytes(FOREVER, hashes.iter().flat_map(Hash::as_bytes).copied().collect()))
}

/// A bundle of leaves, addressed like the tile of their hashes: each with its length before it, two
/// bytes, the larger first.
#[utoipa::path(
    get, path = "/ledger/tile/entries/{*index}", tag = "ledger", security(("bearer" = [])),
    params(("index" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), Problems)
)]
pub async fn entries(State(app): Shared, request: Request, Path(index): OneId) -> Result<Response, Problem> {
    let (tile, _) = app.signed_tile(&format!("tile/0/{index}")).await?;
    app.record_audit_read(&request, AuditFilter::of(AuditRoute::Tiles)).await?;
    let first = tile.index() * u64::from(TILE_WIDTH);
    let leaves = app.ledger.store.leaves(first, first + u64::from(tile.width())).await?;
    if leaves.len() != usize::from(tile.width()) {
        return Err(Problem::internal(format!("the ledger does not have all leaves of {tile}")));
    }
    let mut bundle = Vec::new();
    for leaf in leaves {
        let length = u16::try_from(leaf.leaf.len())
            .map_err(|_| Problem::internal("a leaf is too long for a bundle"))?;
        bundle.extend(length.to_be_bytes());
        bundle.extend(leaf.leaf.as_bytes());
    }
    Ok(bytes(FOREVER_FOR_ONE, bundle))
}

impl App {
    /// The tile at a path, with the size of a tree that has it; what is not signed yet is not there.
    async fn signed_tile(&self, path: &str) -> Result<(Tile, u64), Problem> {
        let not_found = || Problem::not_found("tile in the ledger");
        let tile: Tile = path.parse().map_err(|_| not_found())?;
        let (_, checkpoint) = self.ledger.checkpoint().await?;
        let last = tile.subtrees().last().ok_or_else(not_found)?;
        let end = last.index.checked_add(1).and_then(|end| end.checked_shl(u32::from(last.level)));
        if end.is_none_or(|end| end > checkpoint.size) {
            return Err(not_found());
        }
        Ok((tile, checkpoint.size))
    }
}
