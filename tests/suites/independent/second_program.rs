//! `tests/independent/verify.go`: a verifier that shares no line with the product.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_tests::Ran;
use tempfile::TempDir;

/// Somebody outside, who has the ledger's key, files of their own, and that program.
pub(crate) struct Outsider {
    key: String,
    files: TempDir,
}

impl Outsider {
    pub(crate) fn who_trusts(key: &str) -> Self {
        let files = tempfile::Builder::new().prefix("countersign-outsider.").tempdir();
        Self { key: key.trim_end().to_owned(), files: files.expect("a directory for files") }
    }

    /// Checks that a signed note is a checkpoint of the ledger.
    pub(crate) fn checkpoint(&self, note: &str) -> Ran {
        self.run("checkpoint", &[("note", note)])
    }

    /// Checks that a signed note of any text is by the ledger's key, and says the text.
    pub(crate) fn note(&self, note: &str) -> Ran {
        self.run("note", &[("note", note)])
    }

    /// Checks that a leaf is in the ledger.
    pub(crate) fn inclusion(&self, proof: &str, leaf: &str) -> Ran {
        self.run("inclusion", &[("proof", proof), ("leaf", leaf)])
    }

    /// Checks that the ledger has only grown.
    pub(crate) fn consistency(&self, older: &str, newer: &str, proof: &str) -> Ran {
        self.run("consistency", &[("older", older), ("newer", newer), ("proof", proof)])
    }

    /// Checks that the published tiles lead to the signed root.
    pub(crate) fn tiles(&self, base: &str) -> Ran {
        run(Command::new(program()).args(["tiles", &self.key, base]))
    }

    /// Checks that the published entries have the hashes of the tiles.
    pub(crate) fn bundles(&self, base: &str, token: &str) -> Ran {
        run(Command::new(program()).args(["bundles", &self.key, base]).env("TOKEN", token))
    }

    fn run(&self, check: &str, files: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(program());
        command.args([check, &self.key]);
        for (name, text) in files {
            let path = self.files.path().join(name);
            std::fs::write(&path, text).expect("a file for the program");
            command.arg(path);
        }
        run(&mut command)
    }
}

/// The same note with its last byte of the signature changed.
pub(crate) fn with_another_signature(note: &str) -> String {
    let (rest, signature) = note.trim_end().rsplit_once(' ').expect("a signature line");
    let mut bytes = STANDARD.decode(signature).expect("base64");
    *bytes.last_mut().expect("a signature") ^= 1;
    format!("{rest} {}\n", STANDARD.encode(bytes))
}

fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("the verifier runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// The program, built once in a run of the tests.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

/// From the packages of the distribution only; Go's home and cache stand in the target directory.
fn build() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("independent");
    std::fs::create_dir_all(&directory).expect("a directory for the verifier");
    let unfinished = directory.join(format!("verify.{}", std::process::id()));
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(&unfinished)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("independent/verify.go"))
        .env("HOME", &directory)
        .env("GOCACHE", directory.join("cache"))
        .env("GOPATH", "/usr/share/gocode")
        .envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOENV", "off"), ("GOPROXY", "off")])
        .output()
        .expect("go runs (tests/run installs it)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "go did not build the verifier (tests/run installs golang-golang-x-mod-dev): {said}"
    );
    // Another run of the tests may be running the one from before, which a rename leaves to it.
    let program = directory.join("verify");
    std::fs::rename(&unfinished, &program).expect("the verifier is in its place");
    program
}
