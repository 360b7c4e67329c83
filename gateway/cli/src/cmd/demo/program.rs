//! Processes that never outlive the demo.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::exit::Failure;

/// The environment variable that names the folder of the other programs.
const FOLDER_ENVIRONMENT: &str = "PLOMB_BIN_DIR";
/// How long a program may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);
/// How often it is looked whether it has.
const STOP_LOOK: Duration = Duration::from_millis(20);
/// How many lines of a log are shown when its program failed.
const LOG_LINES_SHOWN: usize = 12;

/// Process ids of all programs that run.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A panic aborts a release build without unwinding: the programs are then killed by this.
pub(super) fn kill_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        running().iter().for_each(|id| kill(*id, Signal::KILL));
        before(panic);
    }));
}

fn kill(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _gone = kill_process(pid, signal);
    }
}

/// Finds a program beside this one, or else in `$PLOMB_BIN_DIR`.
pub(super) fn find(name: &str) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::io("this program", error))?;
    let beside = own.parent().map(Path::to_path_buf);
    let named = std::env::var_os(FOLDER_ENVIRONMENT).map(PathBuf::from);
    let found = beside.into_iter().chain(named).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        Failure::Unavailable(format!(
            "{name} is not beside {}; build it with `cargo build --release --bins`, or name its folder with ${FOLDER_ENVIRONMENT}",
            own.display()
        ))
    })
}

/// A command without the user's settings for plomb programs, and out of reach of the terminal's ctrl-C.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).process_group(0);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PLOMB_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program to its end; gives its standard output.
pub(super) fn output(program: &Path, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let done = command(program).args(arguments).output().map_err(|error| Failure::file(program, error))?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(Failure::Unavailable(format!("{} {} failed: {}", program.display(), arguments.join(" "), said.trim())))
}

/// A running program. Killed and waited for when dropped.
pub(super) struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it; what it says on standard error goes to the log.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: PathBuf,
    ) -> Result<Self, Failure> {
        let file = File::create(&log).map_err(|error| Failure::file(&log, error))?;
        let child = command(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| Failure::file(program, error))?;
        running().push(child.id());
        Ok(Self { name, child, log })
    }

    /// A failure if it has ended.
    pub(super) fn still_runs(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failure(&format!("ended unexpectedly ({status})"))),
            Err(error) => Err(Failure::io(self.name, error)),
        }
    }

    /// Asks it to stop, and waits for it. It must stop well.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        kill(self.child.id(), Signal::TERM);
        let patience = Instant::now() + STOP_TIMEOUT;
        let status: Option<ExitStatus> = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() > patience => break None,
                Ok(None) => sleep(STOP_LOOK).await,
                Err(error) => return Err(Failure::io(self.name, error)),
            }
        };
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failure(&format!("did not stop well ({status})"))),
            None => Err(self.failure(&format!("did not stop within {} s", STOP_TIMEOUT.as_secs()))),
        }
    }

    /// What went wrong, with the end of its log.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let shown = lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default();
        Failure::Unavailable(format!("{} {what}; its log ends with:\n  {}", self.name, shown.join("\n  ")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let ended: io::Result<Option<ExitStatus>> = self.child.try_wait();
        if !matches!(ended, Ok(Some(_))) {
            let _killed = self.child.kill();
            let _reaped = self.child.wait();
        }
        let id = self.child.id();
        running().retain(|other| *other != id);
    }
}
