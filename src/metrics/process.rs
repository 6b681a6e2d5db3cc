//! What the kernel says of this process, under the names that every monitor knows.

use std::fs;
use std::time::Duration;

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::page::{Page, PageError, number};

/// Adds what can be read; what the kernel does not tell is left out.
pub(super) fn add(page: &mut Page) -> Result<(), PageError> {
    if let Some((size, resident)) = memory() {
        page.lone("process_virtual_memory_bytes", "Virtual memory size in bytes.", number(size))?;
        page.lone("process_resident_memory_bytes", "Resident memory size in bytes.", number(resident))?;
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the look itself.
        let open = u64::try_from(open.count()).unwrap_or(u64::MAX).saturating_sub(1);
        page.lone("process_open_fds", "Number of open file descriptors.", number(open))?;
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        page.lone("process_max_fds", "Maximum number of open file descriptors.", number(limit))?;
    }
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(spent.tv_nsec).unwrap_or_default();
    let spent = Duration::new(u64::try_from(spent.tv_sec).unwrap_or_default(), nanos).as_secs_f64();
    page.counter("process_cpu_seconds_total", "Total user and system CPU time in seconds.", [], [([], spent)])
}

/// All of it, and what lies in memory, in bytes (proc(5), `statm`).
fn memory() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split_ascii_whitespace().map(str::parse::<u64>);
    let bytes = u64::try_from(page_size()).ok()?;
    let (size, resident) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some((size.saturating_mul(bytes), resident.saturating_mul(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_descriptors_and_time() {
        let mut page = Page::default();
        add(&mut page).unwrap();
        let text = page.text().unwrap();
        for name in
            ["process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_cpu_seconds_total"]
        {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 0.0, "{line}");
        }
        let (size, resident) = memory().unwrap();
        assert!(size >= resident && resident > 1024 * 1024);
    }
}
