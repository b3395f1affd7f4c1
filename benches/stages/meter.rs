//! What a piece of work costs: CPU time of all processes that take part in it,
//! wall time, and how busy the machine was with others.

use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::process;
use std::time::{Duration, Instant};

/// CPU and wall time of one piece of work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub cpu: Duration,
    pub wall: Duration,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            wall: self.wall + other.wall,
        }
    }
}

impl std::ops::Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            cpu: self.cpu - other.cpu,
            wall: self.wall - other.wall,
        }
    }
}

/// Runs `work`; its CPU time is that of this process and of `worker`, which
/// must be at rest before and after.
pub fn measure<T>(worker: Option<u32>, work: impl FnOnce() -> T) -> (T, Cost) {
    let (cpu, wall) = (
        own_cpu() + worker.map_or(Duration::ZERO, cpu_of),
        Instant::now(),
    );
    let value = work();
    let wall = wall.elapsed();
    let cpu = own_cpu() + worker.map_or(Duration::ZERO, cpu_of) - cpu;
    (value, Cost { cpu, wall })
}

/// CPU time of this process.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time of the living threads of a process, in nanoseconds (first number
/// of `schedstat`); `stat` counts in steps of 10 ms.
pub fn cpu_of(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let spent = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

/// The child of this process that runs `word`.
pub fn child_running(word: &str) -> Option<u32> {
    let own = process::id().to_string();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|pid: &u32| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
            // The fields after the command's name, which may hold anything.
            let stat = read("stat").unwrap_or_default();
            let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            fields.split_ascii_whitespace().nth(1) == Some(&own)
                && read("cmdline").is_ok_and(|line| line.contains(word))
        })
}

/// How busy the machine was over a time.
pub struct Load {
    start: Instant,
    average: String,
    busy: Duration,
}

impl Load {
    pub fn begin() -> Self {
        Self {
            start: Instant::now(),
            average: average(),
            busy: busy(),
        }
    }

    /// One line; `ours` is the CPU time of the run's own processes.
    pub fn line(&self, ours: Duration) -> String {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let whole = self.start.elapsed().as_secs_f64() * processors as f64;
        let share = |time: Duration| 100.0 * time.as_secs_f64() / whole;
        let others = (busy() - self.busy).saturating_sub(ours);
        format!(
            "Machine: {processors} processors; this run used {:.0} % of them, others {:.0} %; load average {} before, {} after.",
            share(ours),
            share(others),
            self.average,
            average()
        )
    }
}

fn average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Time all processors have worked since the start of the machine: user, nice,
/// system, interrupts and what the host took (`proc_stat(5)`), in ticks of 10 ms.
fn busy() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text
        .lines()
        .next()
        .into_iter()
        .flat_map(|line| line.split_ascii_whitespace().skip(1))
        .filter_map(|field| field.parse().ok())
        .collect();
    let ticks: u64 = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|n| fields.get(*n))
        .sum();
    Duration::from_millis(10 * ticks)
}
