//! Reading files that somebody else has made: nothing but plain files, and never more at once than a
//! file of that kind can have.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::BundleError;

/// The longest of the small files is a receipt or a checkpoint.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// The names in a directory, in no order.
pub(super) fn file_names(directory: &Path, name: &str) -> Result<Vec<String>, BundleError> {
    let path = if name.is_empty() { directory.to_owned() } else { directory.join(name) };
    if !path.is_dir() {
        return Err(BundleError::NoFile(format!("{name}/")));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).map_err(BundleError::io(&path))? {
        let entry = entry.map_err(BundleError::io(&path))?;
        let stray = |name: std::ffi::OsString| BundleError::Stray(name.to_string_lossy().into_owned());
        names.push(entry.file_name().into_string().map_err(stray)?);
    }
    Ok(names)
}

/// A small file as text.
pub(super) fn read_small(directory: &Path, name: &str) -> Result<String, BundleError> {
    let malformed = |problem| BundleError::Malformed { file: name.to_owned(), problem };
    let (path, file) = open(directory, name)?;
    let mut bytes = Vec::new();
    file.take(SMALL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(BundleError::io(&path))?;
    if bytes.len() as u64 > SMALL_BYTES_MAX {
        return Err(malformed("it is longer than a megabyte"));
    }
    String::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))
}

/// Opens a plain file. Anything else, such as a pipe, could be waited for for ever.
fn open(directory: &Path, name: &str) -> Result<(PathBuf, File), BundleError> {
    let path = directory.join(name);
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => {
            let problem = "it is not a plain file";
            return Err(BundleError::Malformed { file: name.to_owned(), problem });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(BundleError::NoFile(name.to_owned()));
        }
        Err(error) => return Err(BundleError::Io { path, error }),
    }
    let file = File::open(&path).map_err(BundleError::io(&path))?;
    Ok((path, file))
}

/// The lines of a file, none longer than it may be.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    name: String,
    max: usize,
    reader: BufReader<File>,
}

impl Lines {
    pub(super) fn open(directory: &Path, name: &str, max: usize) -> Result<Self, BundleError> {
        let (path, file) = open(directory, name)?;
        Ok(Self { path, name: name.to_owned(), max, reader: BufReader::with_capacity(1 << 16, file) })
    }

    /// Reads the next line with its line feed, or answers that there is none.
    pub(super) fn next(&mut self, position: u64, line: &mut Vec<u8>) -> Result<bool, BundleError> {
        line.clear();
        let mut limited = (&mut self.reader).take(self.max as u64 + 1);
        limited.read_until(b'\n', line).map_err(BundleError::io(&self.path))?;
        if line.last().is_none_or(|last| *last == b'\n') {
            return Ok(!line.is_empty());
        }
        let file = self.name.clone();
        if line.len() > self.max {
            return Err(BundleError::LongLine { file, position, max: self.max });
        }
        Err(BundleError::Malformed { file, problem: "its last line is cut off" })
    }
}
