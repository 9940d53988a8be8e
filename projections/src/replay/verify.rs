//! Comparing every read model with a replay, while the service may be writing to it.
//!
//! Streams are folded in order, some hundred at a time, and compared with the rows that are stored for them
//! and between them. Where something differs the stream is looked at again by itself, since it may have moved
//! meanwhile; what then still differs is wrong.

use std::collections::BTreeSet;

use super::compare::{Rows, Tally, differing_streams};
use super::folded::FoldedStream;
use super::matching::Matching;
use super::model::{Model, STREAM_TABLES, StreamTable};
use super::recheck::{look_again, read_all, rows_of};
use super::report::{Difference, ReplayReport};
use super::streams::{PastEvent, Streams};
use super::{ReplayError, Unreadable, coverage, trail};
use crate::database::Database;
use crate::table::{Table, Value};

/// So many streams, or rows, are compared at once; a stream is never split.
const CHUNK_STREAMS: usize = 256;
const CHUNK_ROWS: usize = 8_192;

/// Once so many rows of a read model are known to differ, the others are only counted: they need no second
/// look to make the answer what it is.
const LOOKED_AT_AGAIN_MAX: u64 = 1_000;

/// So many events that cannot be folded are named.
const UNREADABLE_NAMED_MAX: usize = 100;

/// Replays these read models and compares them with what is stored. `progress` is told how many events of
/// how many were folded.
///
/// # Errors
/// It could not be carried through. What differs is in the report.
pub async fn verify_replay(
    database: &Database,
    models: &[Model],
    mut progress: impl FnMut(u64, u64),
) -> Result<ReplayReport, ReplayError> {
    let Matching { size, placed, unplaced } = Matching::of(database).await?;
    let mut run = Run::new(database, models, size);
    let mut events = placed;
    if !run.tables.is_empty() {
        run.fold_all(&mut progress).await?;
        // What was recorded since may have been folded too. What has no place may have been passed over: this then
        // says too few, and that something cannot be folded is said as well.
        events = run.folded.min(placed.saturating_sub(run.passed_over));
    }
    let mut reports: Vec<_> = run.tallies.into_iter().map(Tally::report).collect();
    if models.contains(&Model::AuditTrail) {
        let (report, seen) = trail::compare(database, size, &mut run.differences).await?;
        if run.tables.is_empty() {
            events = seen;
            progress(seen, size);
        }
        reports.push(report);
    }
    let mut coverage_stops_before = None;
    if models.contains(&Model::Coverage) {
        match coverage::compare(database, size, &mut run.differences).await {
            Ok(report) => reports.push(report),
            Err(ReplayError::Poisoned { position }) => coverage_stops_before = Some(position),
            Err(error) => return Err(error),
        }
        if models == [Model::Coverage] {
            // It looks at every entry by itself.
            events = size;
            progress(size, size);
        }
    }
    Ok(ReplayReport {
        size,
        events,
        models: reports,
        differences: run.differences,
        unreadable: run.unreadable,
        unreadable_total: run.unreadable_total,
        unplaced,
        coverage_stops_before,
    })
}

struct Run<'d> {
    database: &'d Database,
    size: u64,
    tables: Vec<&'static StreamTable>,
    tallies: Vec<Tally>,
    differences: Vec<Difference>,
    folded: u64,
    /// Events of streams of which nobody knows what they amount to.
    passed_over: u64,
    unreadable: Vec<Unreadable>,
    unreadable_total: u64,
    chunk: Chunk,
    visited: BTreeSet<String>,
}

/// Streams of one kind that were folded and not compared yet.
#[derive(Default)]
struct Chunk {
    stream_type: String,
    /// The last stream that was compared.
    after: String,
    /// The last stream of the chunk.
    last: String,
    streams: usize,
    rows: Vec<(&'static Table, Vec<Value>)>,
    /// Streams of which nobody knows what they amount to.
    broken: BTreeSet<String>,
}

/// The stream whose events are gone through.
enum Current {
    Folded(FoldedStream),
    /// Nobody knows what it amounts to: its kind, and its id.
    Broken(String, String),
}

impl Current {
    fn key(&self) -> (&str, &str) {
        match self {
            Self::Folded(folded) => (&folded.stream_type, &folded.stream_id),
            Self::Broken(stream_type, stream_id) => (stream_type, stream_id),
        }
    }

    fn holds(&self, event: &PastEvent) -> bool {
        self.key() == (event.stream_type.as_str(), event.stream_id.as_str())
    }
}

/// Where the rows end that are compared with a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// At its last stream.
    Last,
    /// Where there are no more.
    End,
}

impl<'d> Run<'d> {
    fn new(database: &'d Database, models: &[Model], size: u64) -> Self {
        let tables: Vec<_> = STREAM_TABLES.iter().filter(|table| models.contains(&table.model)).collect();
        let folded = |model: &Model| tables.iter().any(|table| table.model == *model);
        let tallies = Model::ALL.into_iter().filter(folded).map(Tally::of).collect();
        Self {
            database,
            size,
            tallies,
            differences: Vec::new(),
            folded: 0,
            passed_over: 0,
            unreadable: Vec::new(),
            unreadable_total: 0,
            chunk: Chunk::default(),
            visited: BTreeSet::new(),
            tables,
        }
    }

    async fn fold_all(&mut self, progress: &mut impl FnMut(u64, u64)) -> Result<(), ReplayError> {
        let mut streams = Streams::all(self.database);
        let mut current: Option<Current> = None;
        loop {
            let events = streams.next_page().await?;
            if events.is_empty() {
                break;
            }
            for event in &events {
                if current.as_ref().is_none_or(|current| !current.holds(event)) {
                    self.finish_stream(current.take()).await?;
                }
                current = Some(self.fold(current, event));
            }
            progress(self.folded.min(self.size), self.size);
        }
        self.finish_stream(current).await?;
        self.flush(Until::End).await?;
        // Rows of a kind that has no streams at all.
        let kinds: BTreeSet<&str> = self.tables.iter().map(|table| table.stream_type).collect();
        for kind in kinds {
            if !self.visited.contains(kind) {
                self.chunk = Chunk { stream_type: kind.to_owned(), ..Chunk::default() };
                self.flush(Until::End).await?;
            }
        }
        Ok(())
    }

    /// Folds an event into its stream, which begins with it where there is none.
    fn fold(&mut self, current: Option<Current>, event: &PastEvent) -> Current {
        let folded = match current {
            Some(Current::Folded(folded)) => Ok(folded),
            Some(broken @ Current::Broken(..)) => {
                self.passed_over += 1;
                return broken;
            }
            None => FoldedStream::before(event),
        };
        match folded.and_then(|mut folded| folded.apply(event).map(|()| folded)) {
            Ok(folded) => {
                self.folded += 1;
                Current::Folded(folded)
            }
            Err(error) => {
                self.passed_over += 1;
                self.name(error);
                Current::Broken(event.stream_type.clone(), event.stream_id.clone())
            }
        }
    }

    /// Names an event that cannot be folded.
    fn name(&mut self, error: Unreadable) {
        self.unreadable_total += 1;
        if self.unreadable.len() < UNREADABLE_NAMED_MAX {
            self.unreadable.push(error);
        }
    }

    async fn finish_stream(&mut self, stream: Option<Current>) -> Result<(), ReplayError> {
        let Some(stream) = stream else { return Ok(()) };
        let (stream_type, stream_id) = stream.key();
        let (stream_type, stream_id) = (stream_type.to_owned(), stream_id.to_owned());
        if self.chunk.stream_type != stream_type {
            self.flush(Until::End).await?;
            self.visited.insert(stream_type.clone());
            self.chunk = Chunk { stream_type, ..Chunk::default() };
        }
        match stream {
            Current::Folded(folded) => self.chunk.rows.extend(folded.rows()),
            Current::Broken(..) => drop(self.chunk.broken.insert(stream_id.clone())),
        }
        self.chunk.last = stream_id;
        self.chunk.streams += 1;
        if self.chunk.streams >= CHUNK_STREAMS || self.chunk.rows.len() >= CHUNK_ROWS {
            self.flush(Until::Last).await?;
        }
        Ok(())
    }

    /// Compares the chunk, and begins the next one of its kind.
    async fn flush(&mut self, until: Until) -> Result<(), ReplayError> {
        let chunk = std::mem::take(&mut self.chunk);
        let tables: Vec<_> =
            self.tables.iter().copied().filter(|table| table.stream_type == chunk.stream_type).collect();
        let mut both = Vec::with_capacity(tables.len());
        for table in &tables {
            let mut stored = self.stored(table, &chunk, until).await?;
            stored.retain(|_, row| !chunk.broken.contains(table.stream_of(row)));
            both.push((rows_of(table, &chunk.rows), stored));
        }
        self.look_again(&chunk.stream_type, &tables, &mut both).await?;
        for (table, (replayed, stored)) in tables.iter().zip(&both) {
            let tally = self.tallies.iter_mut().find(|tally| tally.model() == table.model);
            if let Some(tally) = tally {
                let described = (table.table.name, table.columns());
                tally.take_in(described, replayed, stored, &mut self.differences);
            }
        }
        let Chunk { stream_type, last, .. } = chunk;
        self.chunk = Chunk { stream_type, after: last.clone(), last, ..Chunk::default() };
        Ok(())
    }

    async fn stored(&self, table: &StreamTable, chunk: &Chunk, until: Until) -> Result<Rows, ReplayError> {
        let StreamTable { only, stream_column, .. } = table;
        let mut params = vec![chunk.after.clone().into()];
        let end = match until {
            Until::Last => {
                params.push(chunk.last.clone().into());
                format!(" AND {stream_column} <= $2")
            }
            Until::End => String::new(),
        };
        let sql = format!(
            "SELECT {} FROM {} WHERE {only} AND {stream_column} > $1{end}",
            table.selected(),
            table.table.name
        );
        read_all(table, &self.database.read_bulk(&sql, &params).await?)
    }

    async fn look_again(
        &mut self,
        stream_type: &str,
        tables: &[&'static StreamTable],
        both: &mut [(Rows, Rows)],
    ) -> Result<(), ReplayError> {
        let mut streams = BTreeSet::new();
        for (table, (replayed, stored)) in tables.iter().zip(both.iter()) {
            let known = self.tallies.iter().find(|tally| tally.model() == table.model);
            if known.is_some_and(|tally| tally.differences() < LOOKED_AT_AGAIN_MAX) {
                streams.extend(differing_streams(table, replayed, stored));
            }
        }
        for stream_id in streams {
            let again = match look_again(self.database, tables, (stream_type, &stream_id)).await {
                // What waits for its place may be what does not read.
                Err(ReplayError::Unreadable(error)) => {
                    self.name(error);
                    tables.iter().map(|_| (Rows::new(), Rows::new())).collect()
                }
                looked => looked?,
            };
            for ((table, (replayed, stored)), (replayed_again, stored_again)) in
                tables.iter().zip(both.iter_mut()).zip(again)
            {
                replayed.retain(|_, row| table.stream_of(row) != stream_id);
                stored.retain(|_, row| table.stream_of(row) != stream_id);
                replayed.extend(replayed_again);
                stored.extend(stored_again);
            }
        }
        Ok(())
    }
}
