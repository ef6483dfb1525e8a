use std::{fs, sync::OnceLock};

use metrics::{counter, gauge};
use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

/// Reads what the kernel says of this process. What can't be read is left as it was.
pub fn look() {
    if let Ok(text) = fs::read_to_string("/proc/self/stat")
        && let Some(stat) = Stat::read(&text)
    {
        let ticks = clock_ticks_per_second();
        // The crate counts in whole numbers, so seconds it is.
        counter!("process_cpu_seconds_total").absolute(stat.cpu_ticks / ticks);
        gauge!("process_threads").set(stat.threads as f64);
        gauge!("process_resident_memory_bytes").set((stat.resident_pages * page_size() as u64) as f64);
        if let Some(booted) = booted_at() {
            gauge!("process_start_time_seconds").set(booted as f64 + stat.started_ticks as f64 / ticks as f64);
        }
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // Looking takes one itself.
        gauge!("process_open_fds").set(entries.count().saturating_sub(1) as f64);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        gauge!("process_max_fds").set(most as f64);
    }
}

/// Seconds since 1970.
fn booted_at() -> Option<u64> {
    static AT: OnceLock<Option<u64>> = OnceLock::new();
    *AT.get_or_init(|| {
        let text = fs::read_to_string("/proc/stat").ok()?;
        text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    started_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    /// The name in brackets may hold anything, so fields are counted from its end.
    fn read(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, threads: field(20)?, started_ticks: field(22)?, resident_pages: field(24)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 12345 1000000 777 18446744073709551615 0 0";
        assert_eq!(Stat::read(text), Some(Stat { cpu_ticks: 300, threads: 9, started_ticks: 12345, resident_pages: 777 }));
        assert!(Stat::read(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap().threads >= 1);
        assert_eq!(Stat::read("nonsense"), None);
    }
}
