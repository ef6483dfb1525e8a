//! How a run ended, from what killed it, what the helper said and what the kernel counted.

use crate::cgroup::Counters;
use crate::spec::{Exit, ExitKind, Limits};
use std::time::Duration;

/// Why a run was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    TimedOut,
    OutOfMemory,
    Output,
    ProjectBytes,
    ProjectFiles,
    /// Not this run's limit: the machine itself has no room left.
    MachineDisk,
    /// One file too large; the kernel ends its writer.
    FileSize,
    Pids,
    Cancelled,
}

impl Cause {
    fn kind(self) -> ExitKind {
        match self {
            Cause::TimedOut => ExitKind::TimedOut,
            Cause::OutOfMemory => ExitKind::OutOfMemory,
            Cause::Output => ExitKind::OutputLimit,
            Cause::ProjectBytes | Cause::ProjectFiles | Cause::MachineDisk | Cause::FileSize => ExitKind::DiskLimit,
            Cause::Pids => ExitKind::PidsLimit,
            Cause::Cancelled => ExitKind::Cancelled,
        }
    }

    fn sentence(self, limits: &Limits) -> String {
        match self {
            Cause::TimedOut => format!("Stopped: ran for longer than {}.", say_time(limits.wall)),
            Cause::OutOfMemory => format!("Stopped: used more than {} of memory.", say_size(limits.memory_bytes)),
            Cause::Output => format!("Stopped: wrote more than {} of output.", say_size(limits.output_bytes)),
            Cause::ProjectBytes => format!("Stopped: the project's directory grew beyond {}.", say_size(limits.disk_bytes)),
            Cause::ProjectFiles => format!("Stopped: the project's directory grew beyond {} files.", say_number(limits.disk_files)),
            Cause::MachineDisk => "Stopped: the server's disk is almost full.".into(),
            Cause::FileSize => format!("Stopped: wrote a file larger than {}.", say_size(limits.file_bytes)),
            Cause::Pids => format!("Stopped: needed more than {} processes and threads at once.", say_number(u64::from(limits.pids))),
            Cause::Cancelled => "Stopped on request.".into(),
        }
    }
}

/// What the helper said on its status pipe.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub ended: Option<(i32, i32)>,
    pub failed: Option<(String, i32)>,
    pub cpu_us: u64,
    pub peak_kb: u64,
}

impl Status {
    pub fn parse(text: &str) -> Status {
        let mut status = Status::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |i: usize| words.get(i).and_then(|w| w.parse::<i64>().ok()).unwrap_or(0);
            match words.first() {
                Some(&"exit") => {
                    status.ended = Some((number(1) as i32, number(2) as i32));
                    status.cpu_us = number(3) as u64;
                    status.peak_kb = number(4) as u64;
                }
                Some(&"failed") => {
                    status.failed = Some((words.get(1).unwrap_or(&"").to_string(), number(2) as i32));
                }
                _ => {}
            }
        }
        status
    }
}

pub(crate) fn decide(cause: Option<Cause>, status: &Status, counters: Option<&Counters>, limits: &Limits) -> Exit {
    let (code, signal) = match status.ended {
        Some((_, signal)) if signal != 0 => (None, Some(signal)),
        Some((code, _)) => (Some(code), None),
        None => (None, None),
    };
    let clean = code == Some(0);
    let too_big = signal == Some(libc::SIGXFSZ) || code == Some(128 + libc::SIGXFSZ);
    let cause = cause.or_else(|| match counters {
        // A command that failed, and was refused something on the way, most likely failed because of that.
        Some(counted) if !clean && counted.oom_kills > 0 => Some(Cause::OutOfMemory),
        Some(counted) if !clean && counted.pids_refused > 0 => Some(Cause::Pids),
        _ => too_big.then_some(Cause::FileSize),
    });
    let (kind, sentence) = match cause {
        Some(cause) => (cause.kind(), cause.sentence(limits)),
        None => undisturbed(code, signal, status),
    };
    Exit { kind, code, signal, sentence }
}

fn undisturbed(code: Option<i32>, signal: Option<i32>, status: &Status) -> (ExitKind, String) {
    match (code, signal) {
        (_, Some(signal)) => (ExitKind::Signalled, format!("Ended by signal {signal}{}.", name_signal(signal))),
        (Some(code), None) => {
            let failed = status.failed.as_ref().map(|(stage, errno)| say_failure(stage, *errno));
            (ExitKind::Exited, failed.unwrap_or_else(|| format!("Exited with code {code}.")))
        }
        (None, None) => (ExitKind::Lost, "The sandbox ended without a result. The project's files are as the command left them.".into()),
    }
}

fn say_failure(stage: &str, errno: i32) -> String {
    let why = std::io::Error::from_raw_os_error(errno);
    match stage {
        "exec" => format!("The command could not be started: {why}."),
        "cwd" => format!("The working directory could not be entered: {why}."),
        other => format!("The sandbox could not be set up ({other}): {why}. The command did not run."),
    }
}

fn name_signal(signal: i32) -> &'static str {
    match signal {
        libc::SIGHUP => " (hang-up)",
        libc::SIGINT => " (interrupt)",
        libc::SIGABRT => " (abort)",
        libc::SIGFPE => " (arithmetic error)",
        libc::SIGILL => " (illegal instruction)",
        libc::SIGKILL => " (kill)",
        libc::SIGSEGV => " (memory access error)",
        libc::SIGSYS => " (forbidden system call)",
        libc::SIGTERM => " (terminate)",
        _ => "",
    }
}

fn say_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    for (shift, unit) in UNITS {
        if bytes >> shift > 0 {
            let whole = bytes as f64 / (1u64 << shift) as f64;
            let text = format!("{whole:.1}");
            return format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text));
        }
    }
    format!("{bytes} bytes")
}

fn say_time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// With a narrow space between thousands.
fn say_number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_as_people_say_them() {
        let limits = Limits { disk_files: 200_000, file_bytes: 1536 << 20, wall: Duration::from_secs(90), ..Limits::default() };
        let say = |cause: Cause| cause.sentence(&limits);
        assert_eq!(say(Cause::OutOfMemory), "Stopped: used more than 2 GiB of memory.");
        assert_eq!(say(Cause::Output), "Stopped: wrote more than 64 MiB of output.");
        assert_eq!(say(Cause::ProjectFiles), "Stopped: the project's directory grew beyond 200\u{202f}000 files.");
        assert_eq!(say(Cause::FileSize), "Stopped: wrote a file larger than 1.5 GiB.");
        assert_eq!(say(Cause::TimedOut), "Stopped: ran for longer than 90 s.");
        assert_eq!(say(Cause::Pids), "Stopped: needed more than 256 processes and threads at once.");
        assert_eq!((say_time(Duration::from_secs(600)), say_time(Duration::from_secs(43_200))), ("10 min".into(), "12 h".into()));
        assert_eq!((say_size(512), say_size(100 << 10), say_size(5 << 20)), ("512 bytes".into(), "100 KiB".into(), "5 MiB".into()));
    }

    #[test]
    fn what_killed_a_run_comes_before_how_it_died() {
        let killed = Status { ended: Some((-1, 9)), ..Status::default() };
        let exit = |cause, status: &Status| decide(cause, status, None, &Limits::default()).kind;
        assert_eq!(exit(Some(Cause::Pids), &killed), ExitKind::PidsLimit);
        assert_eq!(exit(None, &killed), ExitKind::Signalled);
        assert_eq!(exit(None, &Status::default()), ExitKind::Lost);
        assert_eq!(exit(None, &Status { ended: Some((128 + libc::SIGXFSZ, 0)), ..Status::default() }), ExitKind::DiskLimit);
        let counters = Counters { oom_kills: 1, ..Counters::default() };
        let failed = Status { ended: Some((1, 0)), ..Status::default() };
        assert_eq!(decide(None, &failed, Some(&counters), &Limits::default()).kind, ExitKind::OutOfMemory);
        let fine = Status { ended: Some((0, 0)), ..Status::default() };
        assert_eq!(decide(None, &fine, Some(&counters), &Limits::default()).kind, ExitKind::Exited);
    }
}
