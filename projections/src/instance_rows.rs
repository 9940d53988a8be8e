//! The rows of what belongs to the installation: API keys, and webhooks. Like the login check's, they are
//! written in the append's own transaction.

use countersign_domain::instance::{ApiKey, Instance, Webhook};

use crate::table::{API_KEYS, Change, WEBHOOK_CURSORS, WEBHOOKS};

/// The row of the API key, or of the webhook, which takes its cursor along when it goes.
pub fn instance_rows(instance: &Instance) -> impl Iterator<Item = Change> + '_ {
    let api_key = instance.api_key().map(api_key_row);
    api_key.into_iter().chain(instance.webhook().into_iter().flat_map(webhook_rows))
}

fn api_key_row(key: &ApiKey) -> Change {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    let row = vec![
        key.id.to_string().into(),
        key.name.clone().into(),
        key.token.as_str().to_owned().into(),
        scopes.join(" ").into(),
        key.issued_at.into(),
        key.expires_at.into(),
        key.revoked_at.into(),
    ];
    Change::Upsert(&API_KEYS, row)
}

fn webhook_rows(webhook: &Webhook) -> Vec<Change> {
    let id = webhook.id.to_string();
    if !webhook.is_registered() {
        let tables = [&WEBHOOKS, &WEBHOOK_CURSORS];
        return tables.map(|table| Change::Delete(table, vec![id.clone().into()])).into();
    }
    let row = vec![
        id.into(),
        webhook.url.as_str().to_owned().into(),
        webhook.types.join(" ").into(),
        webhook.secret.to_string().into(),
        webhook.registered_at.into(),
    ];
    vec![Change::Upsert(&WEBHOOKS, row)]
}
