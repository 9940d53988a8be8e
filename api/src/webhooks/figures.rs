//! What became of deliveries, for those who run the program.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use strum::{EnumCount, IntoEnumIterator};

use super::cursor::{self, Standing};
use crate::app::App;

/// What became of one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::EnumCount, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver answered that it does not take it.
    Refused,
    /// The receiver answered that it is gone for good.
    Gone,
    /// There was no answer in time.
    TimedOut,
    /// There was no connection, or it broke.
    Unreachable,
    /// It would have led to this machine or into a private network.
    NotAllowed,
}

/// What this node's deliveries came to since it started.
#[derive(Default)]
pub struct Figures {
    attempts: [AtomicU64; Outcome::COUNT],
}

impl Figures {
    pub(super) fn count(&self, outcome: Outcome) {
        if let Some(count) = self.attempts.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many attempts came to this.
    #[must_use]
    pub fn counted(&self, outcome: Outcome) -> u64 {
        self.attempts.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// The figures at one moment.
#[derive(Debug)]
pub struct WebhookFigures {
    attempts: Vec<(&'static str, u64)>,
    standing: Option<Standing>,
}

impl App {
    /// What became of deliveries, how many webhooks fail, and how far one of them is behind.
    pub async fn webhook_figures(&self) -> WebhookFigures {
        let attempts = Outcome::iter().map(|outcome| (outcome.into(), self.webhooks.counted(outcome)));
        // Without the database there is nothing to say of the webhooks.
        let standing = cursor::standing(&self.database).await.ok();
        WebhookFigures { attempts: attempts.collect(), standing }
    }
}

impl Collector for WebhookFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Attempts of this node to send an entry to a webhook, by what became of them";
        let mut family = encoder.encode_descriptor("webhook_deliveries", help, None, MetricType::Counter)?;
        for (outcome, count) in &self.attempts {
            ConstCounter::new(*count).encode(family.encode_family(&[("outcome", *outcome)])?)?;
        }
        let Some(Standing { failing, lag_entries_max }) = self.standing else { return Ok(()) };
        let lag = "Signed entries that the webhook furthest behind has not been asked about";
        for (name, help, value) in [
            ("webhooks_failing", "Webhooks whose last attempt failed", failing),
            ("webhook_lag_entries_max", lag, lag_entries_max),
        ] {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        Ok(())
    }
}
