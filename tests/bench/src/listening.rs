//! How this program's own servers serve.

use std::io::Write;

use axum::Router;
use tokio::net::TcpListener;

use crate::served::LISTENING;

/// Serves on a free port, and says which.
pub(crate) async fn serve(router: Router) -> anyhow::Result<()> {
    use axum::serve::ListenerExt;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    writeln!(std::io::stderr(), "{LISTENING}{address}")?;
    // As the program under test does; without it every answer may wait for an acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}
