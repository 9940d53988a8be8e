//! Keys in files of the data directory: 32 bytes in base64, readable by their owner only.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::entropy::{self, NoEntropy};

/// How many bytes a key has.
pub const KEY_BYTES: usize = 32;

/// The bytes of a key, wiped from memory when they are dropped.
pub type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// A key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("the key file {path} cannot be read or written: {reason}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        reason: std::io::Error,
    },
    /// The file or the setting holds something else.
    #[error("{origin} does not hold a key: it must be 32 bytes in base64")]
    NotAKey {
        /// Where it was read from.
        origin: String,
    },
    /// Others can read the file.
    #[error("the key file {path} can be read by others; make it readable by its owner only (chmod 600)")]
    OpenToOthers {
        /// Which file.
        path: PathBuf,
    },
    /// The operating system gives no randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// Reads a key from text: 32 bytes in base64.
///
/// # Errors
/// [`KeyFileError::NotAKey`], naming `origin`.
pub fn parse(text: &str, origin: &str) -> Result<KeyBytes, KeyFileError> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).unwrap_or_default());
    let key: [u8; KEY_BYTES] =
        bytes.as_slice().try_into().map_err(|_| KeyFileError::NotAKey { origin: origin.to_owned() })?;
    Ok(Zeroizing::new(key))
}

/// Reads a key file; none when there is no file.
///
/// # Errors
/// Says why the file does not do.
pub fn read(path: &Path) -> Result<Option<KeyBytes>, KeyFileError> {
    let unreadable = |reason| KeyFileError::Unreadable { path: path.to_owned(), reason };
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyFileError::OpenToOthers { path: path.to_owned() });
    }
    parse(&text, &path.display().to_string()).map(Some)
}

/// Makes a key file, readable by its owner only. The file is complete before it has its name, and
/// never takes the place of one that is there.
///
/// # Errors
/// Says why the file cannot be made.
pub fn create(path: &Path) -> Result<KeyBytes, KeyFileError> {
    let unreadable = |reason| KeyFileError::Unreadable { path: path.to_owned(), reason };
    let key: KeyBytes = Zeroizing::new(entropy::bytes()?);
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(Zeroizing::new(STANDARD.encode(key.as_slice())).as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::hard_link(&draft, path)?;
        // Only then does a file keep its name when the machine stops.
        directory_of(path)?.sync_all()
    };
    let written = write();
    let removed = fs::remove_file(&draft);
    match written {
        // Another process was first; its key is the key.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unreadable(error)),
        Ok(()) => removed.map_err(unreadable)?,
    }
    read(path)?.ok_or_else(|| unreadable(ErrorKind::NotFound.into()))
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> std::io::Result<fs::File> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(directory.unwrap_or_else(|| Path::new(".")))
}
