//! The `roost` command, started, watched and killed.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long anything here may take before the test says so instead of waiting for ever.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The command that was built beside this test.
pub fn roost() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let target = test.ancestors().find(|dir| dir.join("roost").is_file());
    match target {
        Some(dir) => dir.join("roost"),
        None => panic!("the roost command is not built: run cargo build first, or scripts/test"),
    }
}

/// A server process.
pub struct Server {
    child: Child,
    port: u16,
    dir: PathBuf,
    extra: Vec<String>,
    /// What `ROOST_LOG` is set to.
    logs: &'static str,
}

impl Server {
    /// Starts one on a free port.
    pub fn start(dir: &Path, extra: &[&str]) -> Self {
        Self::start_with(dir, extra, "debug")
    }

    /// The same, logging as it does by default: for figures.
    pub fn start_quiet(dir: &Path, extra: &[&str]) -> Self {
        Self::start_with(dir, extra, "info")
    }

    fn start_with(dir: &Path, extra: &[&str], logs: &'static str) -> Self {
        let extra: Vec<String> = extra.iter().map(|argument| (*argument).to_owned()).collect();
        let (child, port) = spawn_server(dir, 0, &extra, logs);
        Self { child, port, dir: dir.to_owned(), extra, logs }
    }

    /// `http://127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        assert!(killed.is_ok(), "the server was not running: {killed:?}");
    }

    /// Again, on the same port and data.
    pub fn restart(&mut self) {
        let (child, port) = spawn_server(&self.dir, self.port, &self.extra, self.logs);
        self.child = child;
        self.port = port;
    }

    /// Starts the server again with other settings.
    pub fn restart_with(&mut self, extra: &[&str]) {
        self.extra = extra.iter().map(|argument| (*argument).to_owned()).collect();
        self.restart();
    }

    /// SIGTERM, and waits for the drain.
    pub fn terminate(mut self) -> bool {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        sent.is_ok_and(|sent| sent.success()) && self.child.wait().is_ok_and(|status| status.success())
    }

    /// Seconds of CPU it has used, user and system.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / 100.0 // Linux counts 100 a second for processes
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn_server(dir: &Path, port: u16, extra: &[String], logs: &str) -> (Child, u16) {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.with_extension("log"));
    let log = log.map(Stdio::from).unwrap_or_else(|_| Stdio::null());
    let mut child = spawn(
        Command::new(roost())
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(dir)
            .args(extra)
            .env("ROOST_LOG", logs)
            .stdout(Stdio::piped())
            .stderr(log),
    );
    let mut line = String::new();
    let mut stdout = BufReader::new(stdout(&mut child));
    let read = stdout.read_line(&mut line);
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
    match port {
        Some(port) if line.starts_with("listening on http://") => (child, port),
        _ => panic!("the server did not start: {line:?} {read:?}; see {}", dir.with_extension("log").display()),
    }
}

fn spawn(command: &mut Command) -> Child {
    match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("cannot start {command:?}: {error}"),
    }
}

fn stdout(child: &mut Child) -> ChildStdout {
    child.stdout.take().unwrap_or_else(|| panic!("stdout is piped"))
}

fn stderr(child: &mut Child) -> ChildStderr {
    child.stderr.take().unwrap_or_else(|| panic!("stderr is piped"))
}

/// A device's data directory, and commands on it.
pub struct Device {
    dir: PathBuf,
}

impl Device {
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command on this device, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(roost());
        command.arg("--data-dir").arg(&self.dir).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        match self.command(arguments).output() {
            Ok(output) => output,
            Err(error) => panic!("cannot run {arguments:?}: {error}"),
        }
    }

    /// Runs a command that reads this.
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child =
            spawn(self.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        if let Some(mut pipe) = child.stdin.take() {
            let _ = std::io::Write::write_all(&mut pipe, stdin.as_bytes()); // one that ended early says why itself
        }
        match child.wait_with_output() {
            Ok(output) => output,
            Err(error) => panic!("cannot run {arguments:?}: {error}"),
        }
    }

    /// The same, and it must succeed; its standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} ended with {}: {stderr}", output.status);
        String::from_utf8(output.stdout).unwrap_or_default()
    }

    /// The exit code and standard error of a command that must fail.
    pub fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts a command whose lines are followed.
    pub fn start(&self, arguments: &[&str], follow: Follow) -> Running {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(&mut command);
        let (send, lines) = channel();
        let (out, err) = (stdout(&mut child), stderr(&mut child));
        let followed: Box<dyn std::io::Read + Send> = match follow {
            Follow::Stdout => {
                std::thread::spawn(move || std::io::copy(&mut { err }, &mut std::io::sink()));
                Box::new(out)
            }
            Follow::Stderr => {
                std::thread::spawn(move || std::io::copy(&mut { out }, &mut std::io::sink()));
                Box::new(err)
            }
        };
        std::thread::spawn(move || {
            for line in BufReader::new(followed).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Running { child, lines }
    }
}

/// Which stream is followed; the other is drained.
#[derive(Debug, Clone, Copy)]
pub enum Follow {
    Stdout,
    Stderr,
}

/// A command that runs.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Waits for a line that `matches`; None when the command ended without one.
    pub fn wait_for<T>(&mut self, matches: impl Fn(&str) -> Option<T>) -> Option<T> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if let Some(found) = matches(&line) {
                        return Some(found);
                    }
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("no such line within {PATIENCE:?}"),
            }
        }
    }

    /// Waits until its reported progress reaches so many percent; false if it ended before.
    pub fn reaches(&mut self, percent: u64) -> bool {
        self.wait_for(|line| progress(line).filter(|reached| *reached >= percent)).is_some()
    }

    /// kill -9; it must not have ended by itself.
    pub fn kill(mut self) {
        assert!(self.is_running(), "the command had ended before it was killed");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Waits for the end; whether it succeeded.
    pub fn finish(mut self) -> bool {
        while self.wait_for(|_| None::<()>).is_some() {}
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `progress 130/260 50%`
fn progress(line: &str) -> Option<u64> {
    line.strip_prefix("progress ")?.rsplit(' ').next()?.strip_suffix('%')?.parse().ok()
}
