//! Hostile input: every case ends in time and memory, and is refused in words.
//!
//! A case runs in a process of its own, this test binary started again, so
//! that an overflow of the stack or a flood of memory ends that process and is
//! seen here. What a case may use is what a document may use in production.

mod asn1;
mod pdf;
mod xml;

pub use pdf::{deflate_bomb, overlapping_in_object_stream};
pub use xml::nested as nested_elements;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::Mutex;

/// Processor time one case may use at one entry, in milliseconds; without
/// optimisation the same work takes about ten times as long.
const CPU_MS_MAX: u64 = if cfg!(debug_assertions) {
    10_000
} else {
    2_000
};
/// Memory one case may use at its peak, program and input included, in MiB.
const PEAK_MIB_MAX: u64 = 256;
/// Names the case in the environment of the process that runs it.
const CASE: &str = "SCEAU_HOSTILE";
const MARK: &str = "hostile\t";

/// Where bytes from outside come in: `Err` is the refusal.
type Entry = fn(&[u8]) -> Result<(), String>;

/// What must come of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Refused at every entry.
    Refused,
    /// Nothing follows the bait, so that it does no harm; the reason.
    Harmless(&'static str),
}

struct Case {
    name: &'static str,
    make: fn() -> Vec<u8>,
    entries: &'static [(&'static str, Entry)],
    expected: Expected,
}

fn cases() -> Vec<Case> {
    [xml::cases(), pdf::cases(), asn1::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// What a process tells of one entry.
struct Row {
    case: &'static str,
    entry: String,
    cpu_ms: u64,
    peak_mib: u64,
    verdict: String,
}

fn cpu_ms() -> u64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000).unwrap()
}

/// The greatest resident size since `forget_peak`, in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() / 1_024
}

fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn limit(resource: Resource, value: u64) {
    let limit = Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    setrlimit(resource, limit).unwrap();
}

#[test]
#[ignore = "one case, in the process that `hostile_input_is_refused_in_time_and_memory` starts"]
fn one_case() {
    let Ok(name) = std::env::var(CASE) else {
        return;
    };
    // Only to spare the machine; the verdict is by what was measured.
    limit(Resource::Cpu, 60);
    limit(Resource::As, 4 << 30);
    limit(Resource::Core, 0);
    let cases = cases();
    let case = cases.iter().find(|case| case.name == name).unwrap();
    let bytes = (case.make)();
    for (entry, run) in case.entries {
        forget_peak();
        let before = cpu_ms();
        let verdict = match run(&bytes) {
            Ok(()) => "accepted".to_owned(),
            Err(reason) => format!("refused: {}", reason.replace(['\n', '\t'], " ")),
        };
        let spent = cpu_ms() - before;
        println!("{MARK}{entry}\t{spent}\t{}\t{verdict}", peak_mib());
    }
}

/// Runs one case; a process that ends otherwise than it should is told too.
fn run(case: &Case) -> Vec<Row> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::one_case", "--ignored", "--nocapture"])
        .env(CASE, case.name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().filter_map(|line| line.split_once(MARK));
    let mut rows: Vec<Row> = told
        .map(|(_, row)| {
            let fields: Vec<&str> = row.splitn(4, '\t').collect();
            Row {
                case: case.name,
                entry: fields[0].to_owned(),
                cpu_ms: fields[1].parse().unwrap(),
                peak_mib: fields[2].parse().unwrap(),
                verdict: fields[3].to_owned(),
            }
        })
        .collect();
    if !output.status.success() || rows.len() != case.entries.len() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rfind(|line| !line.is_empty());
        rows.push(Row {
            case: case.name,
            entry: case
                .entries
                .get(rows.len())
                .map_or("end", |(name, _)| name)
                .to_owned(),
            cpu_ms: 0,
            peak_mib: 0,
            verdict: format!("CRASHED: {}: {}", output.status, last.unwrap_or_default()),
        });
    }
    rows
}

fn fault(row: &Row, expected: Expected) -> Option<&'static str> {
    let refused = row.verdict.starts_with("refused: ") && row.verdict.len() > "refused: ".len();
    if row.verdict.starts_with("CRASHED") {
        Some("crashed")
    } else if row.cpu_ms > CPU_MS_MAX {
        Some("too slow")
    } else if row.peak_mib > PEAK_MIB_MAX {
        Some("too large")
    } else if !refused && expected == Expected::Refused {
        Some("not refused")
    } else {
        None
    }
}

#[test]
fn hostile_input_is_refused_in_time_and_memory() {
    let cases = cases();
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "each name once");
    let next = Mutex::new(cases.iter());
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let case = next.lock().unwrap().next();
                    let Some(case) = case else { return };
                    let found = run(case);
                    rows.lock()
                        .unwrap()
                        .extend(found.into_iter().map(|row| (case.expected, row)));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(_, row)| cases.iter().position(|case| case.name == row.case));
    let mut table = String::new();
    let mut faults = 0;
    for (expected, row) in &rows {
        let fault = fault(row, *expected);
        faults += usize::from(fault.is_some());
        let note = match (fault, expected) {
            (Some(fault), _) => format!("  <-- {fault}"),
            (None, Expected::Harmless(why)) => format!("  ({why})"),
            (None, Expected::Refused) => String::new(),
        };
        let verdict: String = row.verdict.chars().take(110).collect();
        writeln!(
            table,
            "{:34} {:14} {:5} ms {:4} MiB  {verdict}{note}",
            row.case, row.entry, row.cpu_ms, row.peak_mib
        )
        .unwrap();
    }
    println!(
        "{table}{} measurements of {} cases",
        rows.len(),
        cases.len()
    );
    assert_eq!(faults, 0, "\n{table}");
}
