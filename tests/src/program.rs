//! The built program, run as its users run it.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use crate::Place;

/// What `serve` says when it is ready.
const LISTENING: &str = "listening on http://";

/// Far above what any command takes, so that one that hangs fails its test instead of blocking it.
const PATIENCE: Duration = Duration::from_mins(5);

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    /// The exit status, `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Asserts the exit status.
    #[track_caller]
    pub fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts a refusal: exit status 1, nothing on standard output, and one clear line among the
    /// last on standard error that names what is wrong, with no panic and no backtrace.
    #[track_caller]
    pub fn refuses(self, naming: &[&str]) -> Self {
        let ran = self.exits(1);
        assert_eq!(ran.stdout, "", "stderr: {}", ran.stderr);
        let clear = ran.stderr.lines().any(|line| {
            let line = line.to_lowercase();
            naming.iter().all(|word| line.contains(word))
        });
        assert!(clear, "no line names {naming:?}: {}", ran.stderr);
        for noise in ["panicked at", "stack backtrace", "RUST_BACKTRACE"] {
            assert!(!ran.stderr.contains(noise), "{}", ran.stderr);
        }
        ran
    }
}

impl Place {
    /// Runs a command on this database and waits for it.
    pub fn run<Word: AsRef<OsStr>>(&self, words: &[Word]) -> Ran {
        run(self.command(words))
    }

    /// A command on this database, for a test that adds to it.
    pub fn command<Word: AsRef<OsStr>>(&self, words: &[Word]) -> Command {
        self.command_on(self.url(), words)
    }

    /// A command on another database, with this data directory.
    pub fn command_on<Word: AsRef<OsStr>>(&self, url: &str, words: &[Word]) -> Command {
        let mut command = bare_command();
        command.args(words).args(["--database", url]).arg("--data-dir").arg(self.data_dir());
        command
    }

    /// Serves in the background, and returns once the program listens.
    pub fn serve(&self) -> Serving {
        self.serve_with(&[])
    }

    /// Serves in the background with more environment variables.
    pub fn serve_with(&self, env: &[(&str, &str)]) -> Serving {
        let mut command = self.command(&SERVE);
        command.envs(env.iter().copied());
        Serving::start(command)
    }

    /// Tries to serve, and returns what the program says when it cannot.
    pub fn cannot_serve(&self) -> Ran {
        self.cannot_serve_on(self.url())
    }

    /// Tries to serve on another database, and returns what the program says when it cannot.
    pub fn cannot_serve_on(&self, url: &str) -> Ran {
        ends_without_listening(self.command_on(url, &SERVE))
    }

    /// Tries to serve at an address, and returns what the program says when it cannot.
    pub fn cannot_listen_on(&self, address: &str) -> Ran {
        ends_without_listening(self.command(&["serve", "--listen", address]))
    }

    /// Makes an API key with the program.
    pub fn create_api_key(&self, name: &str, scopes: &[&str]) -> String {
        let mut words = vec!["api-key", "create", "--name", name];
        for scope in scopes {
            words.extend(["--scope", scope]);
        }
        self.run(&words).exits(0).stdout.trim_end().to_owned()
    }
}

/// The program with nothing but its path, and none of this machine's settings for it.
pub fn bare_command() -> Command {
    let mut command = Command::new(path());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COUNTERSIGN_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

fn ends_without_listening(command: Command) -> Ran {
    let running = Serving::spawn(command);
    match running.next_address() {
        Some(base) => panic!("it serves on {base}: {}", running.log()),
        None => running.wait(),
    }
}

/// Runs a command to its end; one that never ends fails its test.
pub fn run(command: Command) -> Ran {
    let running = Serving::spawn(command);
    while let Some(_listening) = running.next_address() {}
    running.wait()
}

/// `target/<profile>/countersign` stands above `target/<profile>/deps/suites-…`.
fn path() -> PathBuf {
    let suites = std::env::current_exe().expect("the path of the suites");
    let profile = suites.ancestors().nth(2).expect("target/<profile>/deps/suites-…");
    let program = profile.join("countersign");
    assert!(
        program.is_file(),
        "{} is missing: build it first with `cargo build`, or use tests/run",
        program.display()
    );
    program
}

/// The program while it serves; dropping it kills it.
pub struct Serving {
    child: Child,
    base: String,
    addresses: mpsc::Receiver<String>,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    stdout: Arc<Mutex<String>>,
}

impl Serving {
    fn start(command: Command) -> Self {
        let mut serving = Self::spawn(command);
        match serving.next_address() {
            Some(base) => serving.base = base,
            None => panic!("the program does not serve: {}", serving.log()),
        }
        serving
    }

    fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let (tell, addresses) = mpsc::channel();
        let (log, stdout) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stderr.take().expect("a pipe"), Arc::clone(&log), Some(tell)),
            collect(child.stdout.take().expect("a pipe"), Arc::clone(&stdout), None),
        ];
        Self { child, base: String::new(), addresses, log, readers, stdout }
    }

    /// The next address that the program says it listens on; nothing once it has ended.
    fn next_address(&self) -> Option<String> {
        match self.addresses.recv_timeout(PATIENCE) {
            Ok(base) => Some(base),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running: {}", self.log()),
        }
    }

    /// The base of its URLs.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the program to stop, as a service manager does, and waits until it has.
    pub fn stop(self) -> Ran {
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(told.expect("kill runs").success(), "the program had ended: {}", self.log());
        self.wait()
    }

    /// Ends the program at once, as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().expect("it still ran");
        self.wait();
    }

    fn wait(mut self) -> Ran {
        let status = self.child.wait().expect("an exit status");
        for reader in std::mem::take(&mut self.readers) {
            reader.join().expect("the output is read");
        }
        let stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ran { status: status.code(), stdout, stderr: self.log() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps all output of a pipe, and tells each address that it names; the channel ends with the pipe.
fn collect(
    pipe: impl Read + Send + 'static,
    into: Arc<Mutex<String>>,
    tell: Option<mpsc::Sender<String>>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            if let Some((_, after)) = text.split_once(LISTENING) {
                let end = |letter: char| !(letter.is_ascii_alphanumeric() || "[]:.".contains(letter));
                let address = after.split(end).next().unwrap_or_default();
                if let Some(tell) = &tell {
                    // Nobody waits any more when the test has failed meanwhile.
                    let _ = tell.send(format!("http://{address}"));
                }
            }
            line.clear();
        }
    })
}
