//! Everything that had been recorded at a moment, in a few digests: whoever folds the same entries gets the same.

use countersign_domain::Timestamp;
use sha2::{Digest, Sha256};

use super::compare::{digest, finish};
use super::folded::FoldedStream;
use super::streams::{Moment, PastEvent, Streams};
use super::{ReplayError, Unreadable};
use crate::database::Database;
use crate::ledger::store::LedgerError;
use crate::ledger::tree::Hash;

/// All streams of one kind, folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoldedKind {
    /// The kind of the streams.
    pub stream_type: String,
    /// How many there are.
    pub streams: u64,
    /// How many events were folded.
    pub events: u64,
    /// SHA-256 over the rows that they bring about, stream by stream, each value with its length before it.
    pub digest: Hash,
}

/// Everything that had been recorded at a moment, folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoldedAt {
    /// The streams, kind by kind.
    pub kinds: Vec<FoldedKind>,
    /// So many entries came to their place before the others, although they were recorded later than the moment.
    pub later: u64,
}

impl FoldedAt {
    /// How many entries were seen.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.later + self.kinds.iter().map(|kind| kind.events).sum::<u64>()
    }
}

/// Folds what had been recorded at a moment. Memory holds three pages of events and one stream.
///
/// # Errors
/// When the database does not answer, or an event is gone or does not read.
pub async fn fold_at(
    database: &Database,
    Moment { at, size }: Moment,
    mut progress: impl FnMut(u64, u64),
) -> Result<FoldedAt, ReplayError> {
    let mut streams = Streams::below(database, size);
    let (mut folding, mut seen) = (Folding::default(), 0);
    loop {
        let events = streams.next_page().await?;
        if events.is_empty() {
            break;
        }
        seen += u64::try_from(events.len()).unwrap_or_default();
        folding = beside(move || folding.take_in(&events, at)).await??;
        progress(seen, size);
    }
    Ok(beside(move || folding.finish()).await?)
}

/// Computes beside the threads that answer requests.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LedgerError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| LedgerError::Stopping)
}

#[derive(Default)]
struct Folding {
    done: Vec<FoldedKind>,
    current: Option<FoldedStream>,
    kind: Option<OpenKind>,
    later: u64,
}

/// A kind of which more streams may come.
struct OpenKind {
    stream_type: String,
    streams: u64,
    events: u64,
    hasher: Sha256,
}

impl Folding {
    fn take_in(mut self, events: &[PastEvent], at: Timestamp) -> Result<Self, Unreadable> {
        for event in events {
            let recorded_at = event.content.as_ref().and_then(|content| content.recorded_at);
            if recorded_at.is_some_and(|recorded_at| recorded_at > at) {
                self.later += 1;
                continue;
            }
            if let Some(stream) = FoldedStream::fold_next(&mut self.current, event)? {
                self.finish_stream(&stream);
            }
        }
        Ok(self)
    }

    fn finish_stream(&mut self, stream: &FoldedStream) {
        if self.kind.as_ref().is_none_or(|kind| kind.stream_type != stream.stream_type) {
            self.finish_kind();
        }
        let kind = self.kind.get_or_insert_with(|| OpenKind::new(&stream.stream_type));
        kind.streams += 1;
        kind.events += stream.events();
        for (table, row) in stream.rows() {
            digest(&mut kind.hasher, &[table.name.into()]);
            digest(&mut kind.hasher, &row);
        }
    }

    fn finish_kind(&mut self) {
        if let Some(OpenKind { stream_type, streams, events, hasher }) = self.kind.take() {
            self.done.push(FoldedKind { stream_type, streams, events, digest: finish(hasher) });
        }
    }

    fn finish(mut self) -> FoldedAt {
        if let Some(stream) = self.current.take() {
            self.finish_stream(&stream);
        }
        self.finish_kind();
        FoldedAt { kinds: self.done, later: self.later }
    }
}

impl OpenKind {
    fn new(stream_type: &str) -> Self {
        Self { stream_type: stream_type.to_owned(), streams: 0, events: 0, hasher: Sha256::new() }
    }
}
