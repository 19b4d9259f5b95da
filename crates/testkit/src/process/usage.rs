//! What a process has used so far, read from `/proc` (Linux only).

use std::time::Duration;

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all its threads, user and system, in the kernel's ticks of mostly 10 ms.
    pub cpu: Duration,
    /// The largest resident set it ever had, in bytes.
    pub rss_bytes_peak: u64,
}

/// Reads the usage of a living process.
pub(super) fn usage(pid: u32) -> Usage {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
    };
    let ticks = ticks(&read("stat")).expect("the kernel's `stat` has CPU times");
    let rss_bytes_peak =
        rss_bytes_peak(&read("status")).expect("a living process has a `VmHWM` line");
    let cpu = Duration::from_secs(ticks) / tick_hz();
    Usage {
        cpu,
        rss_bytes_peak,
    }
}

/// Whether the kernel shows the process as stopped; `None` where there is no `/proc`.
pub(super) fn is_stopped(pid: u32) -> Option<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(after_name(&stat)?.starts_with('T'))
}

fn tick_hz() -> u32 {
    u32::try_from(rustix::param::clock_ticks_per_second()).expect("ticks per second are a hundred")
}

/// Fields 14 and 15 of proc_pid_stat(5): user and system time in clock ticks.
fn ticks(stat: &str) -> Option<u64> {
    let mut times = after_name(stat)?.split(' ').skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(user + system)
}

/// From field 3 on. The name before it stands in brackets and may itself hold spaces and brackets.
fn after_name(stat: &str) -> Option<&str> {
    Some(stat.rsplit_once(')')?.1.trim_start())
}

fn rss_bytes_peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (odd) name) T 1 4242 4242 0 -1 4194304 900 0 3 0 157 43 0 0 20 0 9 0";

    #[test]
    fn cpu_time_is_user_and_system_even_after_an_odd_name() {
        assert_eq!(ticks(STAT), Some(200));
    }

    #[test]
    fn the_peak_is_read_in_bytes() {
        let status = "Name:\tsender\nVmPeak:\t  999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 10 kB\n";
        assert_eq!(rss_bytes_peak(status), Some(2 * 1024 * 1024));
    }
}
