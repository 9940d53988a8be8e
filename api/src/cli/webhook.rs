//! Webhooks on the command line: which there are, and deleting one, whoever registered it.

use clap::Subcommand;

use super::print;
use crate::config::Config;
use crate::operator;
use crate::rest::audit::entry::nameless;
use crate::rest::webhooks::WebhookView;

/// What is done with webhooks.
#[derive(Subcommand)]
pub(super) enum Webhook {
    /// Lists all webhooks, with who registered them
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Deletes a webhook: nothing more is sent there
    Delete {
        /// Its id, as `list` prints it
        id: String,
    },
}

impl Webhook {
    /// Does it.
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        super::require_ledger(&config).await?;
        let app = super::open(config).await?;
        match self {
            Self::List { json: true } => {
                let webhooks = operator::list_webhooks(&app).await?;
                print::result(&serde_json::to_string_pretty(&webhooks)?)?;
            }
            Self::List { json: false } => {
                for webhook in operator::list_webhooks(&app).await? {
                    print::result(&line(&webhook))?;
                }
            }
            Self::Delete { id } => {
                operator::delete_webhook(&app, &id).await?;
                print::note("deleted");
            }
        }
        Ok(())
    }
}

/// Says which webhooks a revoked key leaves behind; not where they go, since addresses like to hold passwords.
pub(super) fn note_left_behind(webhooks: &[WebhookView]) {
    if webhooks.is_empty() {
        return;
    }
    print::note("Webhooks that this key registered go on; these commands end them:");
    for webhook in webhooks {
        print::note(&format!("  countersign webhook delete {}", webhook.id));
    }
}

fn line(webhook: &WebhookView) -> String {
    let WebhookView { id, url, types, registered_at, registered_by } = webhook;
    let by = registered_by.as_ref().map_or("unknown", |by| by.name.as_deref().unwrap_or(nameless(&by.kind)));
    let types = if types.is_empty() { "all".to_owned() } else { types.join(" ") };
    format!("{id}  {}  {by:<24}  {url}  {types}", registered_at.format("%Y-%m-%d"))
}
