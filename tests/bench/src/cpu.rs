//! Time that a processor spent, which other processes on the machine do not lengthen.

use std::{fs, io, process::Child, thread, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// The kernel tells times of processes in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
/// A process that used no time for so long waits for input.
const IDLE: Duration = Duration::from_millis(50);

/// What this thread has used so far.
#[must_use]
pub fn thread() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// What all threads of this process have used so far.
#[must_use]
pub fn process() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// The user time of all children that have ended, in seconds.
///
/// # Errors
/// The kernel does not tell.
pub fn children_user_s() -> io::Result<f64> {
    stat("self", 15).map(|ticks| ticks / TICKS_PER_SECOND)
}

/// Waits until a child has nothing more to do; gives the most memory that it had resident, in KiB.
///
/// # Errors
/// The child has ended, or the kernel does not tell.
pub fn idle_peak_kib(child: &Child) -> io::Result<u64> {
    let process = child.id().to_string();
    let used = || Ok::<_, io::Error>(stat(&process, 13)? + stat(&process, 14)?);
    let mut before = f64::NAN;
    loop {
        let now = used()?;
        if now.total_cmp(&before).is_eq() {
            return peak_kib(&process);
        }
        before = now;
        thread::sleep(IDLE);
    }
}

/// The most memory that a process had resident, in KiB: `VmHWM`.
///
/// # Errors
/// The kernel does not tell.
pub fn peak_kib(process: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("the kernel does not tell VmHWM"))
}

/// A field of `/proc/PROCESS/stat`, counted from 0.
fn stat(process: &str, field: usize) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in field 1 may hold spaces; behind it nothing does.
    let rest = text.rsplit_once(')').map(|(_, rest)| rest);
    let value = rest.and_then(|rest| rest.split_whitespace().nth(field.checked_sub(2)?)?.parse().ok());
    value.ok_or_else(|| io::Error::other("the kernel does not tell times"))
}
