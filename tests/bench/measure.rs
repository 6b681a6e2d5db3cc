//! What the kernel says a process used.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The CPU time that these processes used while `work` ran, all threads, to the nanosecond.
pub(crate) fn cpu_of<T>(processes: &[u32], work: impl FnOnce() -> T) -> (T, Duration) {
    let before = used(processes);
    let result = work();
    (result, used(processes).saturating_sub(before))
}

/// The CPU time that these processes used so far.
pub(crate) fn used(processes: &[u32]) -> Duration {
    processes.iter().map(|id| cpu(*id)).sum()
}

/// Memory of these processes in KiB: their own pages, and their share of the shared ones.
pub(crate) fn memory_kib(processes: &[u32]) -> f64 {
    let share = |id: &u32| {
        let file = PathBuf::from(format!("/proc/{id}/smaps_rollup"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("the kernel shows Pss");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number of kB")
    };
    processes.iter().map(share).sum()
}

/// Median, lowest and highest of these values, as the tables show them.
pub(crate) fn shown(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let digits = match sorted.last() {
        Some(highest) if *highest < 10.0 => 2,
        Some(highest) if *highest < 100.0 => 1,
        _ => 0,
    };
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let (lowest, highest) = (sorted.first().copied().unwrap_or_default(), sorted.last().copied().unwrap_or_default());
    format!("**{middle:.digits$}** [{lowest:.digits$}..{highest:.digits$}]")
}

fn cpu(id: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap_or_else(|error| panic!("process {id}: {error}"));
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}
