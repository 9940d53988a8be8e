//! Comparing every read model with a replay, while the service may be writing to it.
//!
//! Streams are folded in order, some hundred at a time, and compared with the rows that are stored for them
//! and between them. Where something differs the stream is looked at again by itself, since it may have moved
//! meanwhile; what then still differs is wrong.

use std::collections::BTreeSet;

use super::compare::{Rows, Tally, differing_streams};
use super::folded::FoldedStream;
use super::model::{Model, STREAM_TABLES, StreamTable};
use super::recheck::{look_again, read_all, rows_of};
use super::report::{Difference, ReplayReport};
use super::streams::Streams;
use super::unplaced::count_unplaced;
use super::{ReplayError, Unreadable, coverage, trail};
use crate::database::Database;
use crate::ledger::store::LedgerStore;
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
    let state = LedgerStore::new(database.clone()).state().await?.ok_or(ReplayError::NotThere)?;
    let size = state.size();
    let mut run = Run::new(database, models, size);
    if !run.tables.is_empty() {
        run.fold_all(&mut progress).await?;
    }
    let mut reports: Vec<_> = run.tallies.into_iter().map(Tally::report).collect();
    if models.contains(&Model::AuditTrail) {
        let (report, seen) = trail::compare(database, size, &mut run.differences).await?;
        if run.tables.is_empty() {
            run.events = seen;
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
            run.events = size;
            progress(size, size);
        }
    }
    Ok(ReplayReport {
        size,
        events: run.events,
        models: reports,
        differences: run.differences,
        unreadable: run.unreadable,
        unreadable_total: run.unreadable_total,
        unplaced: count_unplaced(database).await?,
        coverage_stops_before,
    })
}

struct Run<'d> {
    database: &'d Database,
    size: u64,
    tables: Vec<&'static StreamTable>,
    tallies: Vec<Tally>,
    differences: Vec<Difference>,
    events: u64,
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
            events: 0,
            unreadable: Vec::new(),
            unreadable_total: 0,
            chunk: Chunk::default(),
            visited: BTreeSet::new(),
            tables,
        }
    }

    async fn fold_all(&mut self, progress: &mut impl FnMut(u64, u64)) -> Result<(), ReplayError> {
        let mut streams = Streams::below(self.database, u64::MAX);
        let mut current: Option<Result<FoldedStream, (String, String)>> = None;
        loop {
            let events = streams.next_page().await?;
            if events.is_empty() {
                break;
            }
            for event in &events {
                let same = match &current {
                    Some(Ok(folded)) => folded.holds(event),
                    Some(Err((stream_type, id))) => {
                        *stream_type == event.stream_type && *id == event.stream_id
                    }
                    None => false,
                };
                if !same {
                    self.finish_stream(current.take()).await?;
                    current = match FoldedStream::before(event) {
                        Ok(folded) => Some(Ok(folded)),
                        Err(error) => Some(Err(self.broken(error))),
                    };
                }
                if let Some(Ok(folded)) = &mut current {
                    match folded.apply(event) {
                        // What came after this began is compared, and counted by the next.
                        Ok(()) if event.position.is_some_and(|position| position < self.size) => {
                            self.events += 1;
                        }
                        Ok(()) => {}
                        Err(error) => current = Some(Err(self.broken(error))),
                    }
                }
            }
            progress(self.events, self.size);
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

    fn broken(&mut self, error: Unreadable) -> (String, String) {
        let stream = (error.stream_type.clone(), error.stream_id.clone());
        self.unreadable_total += 1;
        if self.unreadable.len() < UNREADABLE_NAMED_MAX {
            self.unreadable.push(error);
        }
        stream
    }

    async fn finish_stream(
        &mut self,
        stream: Option<Result<FoldedStream, (String, String)>>,
    ) -> Result<(), ReplayError> {
        let Some(stream) = stream else { return Ok(()) };
        let (stream_type, stream_id) = match &stream {
            Ok(folded) => (folded.stream_type.clone(), folded.stream_id.clone()),
            Err(stream) => stream.clone(),
        };
        if self.chunk.stream_type != stream_type {
            self.flush(Until::End).await?;
            self.visited.insert(stream_type.clone());
            self.chunk = Chunk { stream_type, ..Chunk::default() };
        }
        match stream {
            Ok(folded) => self.chunk.rows.extend(folded.rows()),
            Err(_) => drop(self.chunk.broken.insert(stream_id.clone())),
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
        &self,
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
            let again = look_again(self.database, tables, (stream_type, &stream_id)).await?;
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
