//! What entries are called, kept outside memory until a finding asks for one.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;

use crate::ledger::leaf::{LEAF_BYTES_MAX, Leaf};
use crate::ledger::verify::finding::Place;

/// Type and stream of every entry, one after another, in a file without a name.
#[derive(Debug, Default)]
pub(super) struct Names {
    file: Option<BufWriter<File>>,
    length: u64,
}

impl Names {
    /// Keeps what an entry is called, and answers where.
    pub(super) fn put(&mut self, leaf: &Leaf) -> io::Result<u64> {
        if self.file.is_none() {
            self.file = Some(BufWriter::new(tempfile::tempfile()?));
        }
        let at = self.length;
        if let Some(file) = &mut self.file {
            for text in [&leaf.event_type, &leaf.stream_type, &leaf.stream_id] {
                let length = u16::try_from(text.len()).map_err(io::Error::other)?;
                file.write_all(&length.to_le_bytes())?;
                file.write_all(text.as_bytes())?;
                self.length += 2 + u64::from(length);
            }
        }
        Ok(at)
    }

    /// Where an entry is, given where its names are kept.
    pub(super) fn place(&mut self, at: u64, position: u64, sequence: u64) -> io::Result<Place> {
        let Some(file) = &mut self.file else { return Ok(Place::at(position)) };
        file.flush()?;
        let mut bytes = Vec::new();
        // All three are in one leaf.
        let length = usize::try_from(self.length - at).unwrap_or(usize::MAX);
        bytes.resize(length.min(LEAF_BYTES_MAX), 0);
        file.get_ref().read_exact_at(&mut bytes, at)?;
        let mut rest = bytes.as_slice();
        let [event_type, stream_type, stream_id] = [(); 3].map(|()| next_text(&mut rest));
        Ok(Place::named(position, &event_type, (&stream_type, &stream_id), sequence))
    }
}

fn next_text(bytes: &mut &[u8]) -> String {
    let split = bytes
        .split_first_chunk::<2>()
        .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_le_bytes(*length))));
    let (text, rest) = split.unwrap_or_default();
    *bytes = rest;
    String::from_utf8_lossy(text).into_owned()
}
