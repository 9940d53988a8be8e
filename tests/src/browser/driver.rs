//! chromedriver: one for each browser, on a free port, gone with its test.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use tempfile::TempDir;

/// What chromedriver says when it is ready.
const LISTENING: &str = "started successfully on port ";

/// Far above what a start takes, so that one that hangs fails its test instead of blocking it.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running chromedriver, and the empty profile of the browser that it will start.
pub(super) struct Driver {
    process: Child,
    port: u16,
    profile: TempDir,
    browser: PathBuf,
}

impl Driver {
    /// Starts it, and returns once it listens.
    ///
    /// # Panics
    /// When it or the browser is not installed.
    pub(super) fn start() -> Self {
        let (browser, chromedriver) = (installed("chromium"), installed("chromedriver"));
        let profile = tempfile::Builder::new().prefix("countersign-browser.").tempdir().expect("a directory");
        let mut process = Command::new(chromedriver)
            .arg("--port=0")
            // The browser and all of its processes belong to this group, and are killed with it.
            .process_group(0)
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .env("TZ", "Europe/Copenhagen")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs");
        let port = port_of(process.stdout.take().expect("a pipe"));
        Self { process, port, profile, browser }
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How the browser is to be started.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "--headless=new".to_owned(),
            format!("--user-data-dir={}", self.profile.path().join("profile").display()),
            // Nothing but this machine can be reached, whatever a page or the browser itself asks for.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned(),
        ];
        let quiet = [
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-sync",
            "--no-default-browser-check",
            "--no-first-run",
        ];
        arguments.extend(quiet.map(str::to_owned));
        if runs_as_root() {
            // As root Chromium does not start with its sandbox. It shows pages of these tests only.
            arguments.push("--no-sandbox".to_owned());
        }
        arguments
    }

    /// The browser that it starts.
    pub(super) fn browser(&self) -> &Path {
        &self.browser
    }

    /// Where what is downloaded goes.
    pub(super) fn downloads(&self) -> PathBuf {
        self.profile.path().join("downloads")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The group, since a browser outlives a chromedriver that is killed. It may be gone already.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn installed(program: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = std::env::split_paths(&folders).map(|folder| folder.join(program));
    paths.find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "{program} is missing: the tests of pages need Debian's packages chromium and \
             chromium-driver. Install both, or use tests/run, which does"
        )
    })
}

fn runs_as_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Reads until chromedriver says its port, and goes on reading, so that it never waits for a reader.
fn port_of(stdout: ChildStdout) -> u16 {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some((_, port)) = line.split_once(LISTENING) {
                // Nobody waits any more when the test has failed meanwhile.
                let _ = tell.send(port.trim_end_matches('.').to_owned());
            }
        }
    });
    let port = told.recv_timeout(PATIENCE).expect("chromedriver says its port");
    port.parse().expect("a port")
}
