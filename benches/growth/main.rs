//! What one document costs when much else is there: records, size, senders; and
//! how soon a service that was killed delivers again: `make growth`. Prints
//! tables; judges nothing. The service is an optimised build and a process of
//! its own, its insurer the sandbox on the same machine. `SCEAU_GROWTH_PARTS`
//! takes some parts alone, as in `records,recovery`.

#[path = "../grown.rs"]
mod grown;
mod records;
mod service;

use grown::grown;
use records::Records;
use sceau::base::Uuid4;
use service::{Sandbox, Service, Start, document, read, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Records in the store, row by row; `SCEAU_GROWTH_RECORDS` takes others.
const RECORDS: &str = "1,1000,100000,1000000";
/// Documents handed in over each of them.
const RECORDS_EACH: usize = 1000;
/// Open documents at a start.
const OPEN: [usize; 3] = [10, 10_000, 100_000];
/// Starts of which the middle one is shown.
const STARTS: usize = 5;
const SMALL: &str = "tests/fixtures/pdf/memoire-gs-a2b.pdf";

/// What is measured, in a folder of its own.
type Part = fn(&Path, &Sandbox);

fn main() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(scratch).unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("Load of the machine at the start: {load}");
    let parts: [(&str, Part); 4] = [
        ("records", records),
        ("sizes", sizes),
        ("practitioners", practitioners),
        ("recovery", recovery),
    ];
    let wanted = std::env::var("SCEAU_GROWTH_PARTS").ok();
    for (name, part) in parts {
        if wanted
            .as_ref()
            .is_none_or(|wanted| wanted.split(',').any(|one| one == name))
        {
            part(&folder.path().join(name), &sandbox);
        }
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("\nLoad of the machine at the end: {load}");
}

fn begin<'a>(folder: &'a Path, sandbox: &'a Sandbox, practitioners: usize) -> Start<'a> {
    std::fs::create_dir_all(folder).unwrap();
    Start {
        folder,
        sandbox,
        practitioners,
        delivers: true,
        token: None,
    }
}

fn head(what: &str) {
    println!(
        "\n| {what} | start | accept p50 | p99 | delivered a second | processor | written | memory | at most |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
}

/// Hands `count` documents in, one after the other, while they are signed and
/// delivered, and prints the row.
fn row(what: &str, service: &Service, count: usize, practitioners: usize, pdf: &[u8]) {
    let before = service.spent();
    let begun = Instant::now();
    let mut took: Vec<Duration> = (0..count)
        .map(|number| service.accept(&document(number % practitioners).1, pdf))
        .collect();
    service.all_are("receipted", count);
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    took.sort();
    let at = |share: usize| took[(count * share / 100).min(count - 1)].as_secs_f64() * 1e3;
    let (now, most) = service.memory();
    let after = service.spent();
    let each = |after: u64, before: u64| (after - before) as f64 / count as f64;
    println!(
        "| {what} | {:.2} s | {:.1} ms | {:.1} ms | {rate:.1} | {:.1} ms | {:.0} KiB | {now} MiB | {most} MiB |",
        service.started_in.as_secs_f64(),
        at(50),
        at(99),
        each(after.processor_ms, before.processor_ms),
        each(after.written_kib, before.written_kib),
    );
}

fn records(folder: &Path, sandbox: &Sandbox) {
    let wanted = std::env::var("SCEAU_GROWTH_RECORDS").unwrap_or(RECORDS.to_owned());
    let mut start = begin(folder, sandbox, 1);
    let pdf = read(SMALL);
    let service = Service::start(&start);
    let (template, xml) = document(0);
    service.accept(&xml, &pdf);
    service.all_are("receipted", 1);
    start.token = Some(service.token.clone());
    drop(service);
    head("records");
    let (state, mut there) = (folder.join("state"), 1);
    for wanted in wanted.split(',').map(|text| text.parse::<usize>().unwrap()) {
        if wanted > there {
            let mut records = Records::open(&state, template);
            records.add(wanted - there, 1, &state.join("bodies"));
            there = wanted;
        }
        // What was written in bulk is not to be written while this is measured.
        assert!(Command::new("sync").status().unwrap().success());
        let service = Service::start(&start);
        row(&wanted.to_string(), &service, RECORDS_EACH, 1, &pdf);
        there += RECORDS_EACH;
    }
}

fn sizes(folder: &Path, sandbox: &Sandbox) {
    head("PDF");
    let middle = read("tests/fixtures/pdf/memoire-typst-a2b-200k.pdf");
    let sizes = [
        (
            "20 KB",
            200,
            read("tests/fixtures/pdf/memoire-typst-a3b-linearized-objstm.pdf"),
        ),
        ("200 KB", 100, middle.clone()),
        ("2 MB", 40, grown(&middle, 2_000_000)),
        ("20 MB", 10, grown(&middle, 20_000_000)),
    ];
    for (name, count, pdf) in sizes {
        let folder = folder.join(name);
        let service = Service::start(&begin(&folder, sandbox, 1));
        row(name, &service, count, 1, &pdf);
    }
}

fn practitioners(folder: &Path, sandbox: &Sandbox) {
    head("practitioners");
    for practitioners in [1, 10, 100] {
        let folder = folder.join(practitioners.to_string());
        let service = Service::start(&begin(&folder, sandbox, practitioners));
        let name = practitioners.to_string();
        row(&name, &service, 200, practitioners, &read(SMALL));
    }
}

/// Kills a service with many open documents, and starts it until the first one
/// is receipted.
fn recovery(folder: &Path, sandbox: &Sandbox) {
    println!(
        "\n| open documents | from start to listening | to the first delivery |\n|---|---|---|"
    );
    for open in OPEN {
        let folder: PathBuf = folder.join(open.to_string());
        let mut start = begin(&folder, sandbox, 1);
        start.delivers = false;
        let service = Service::start(&start);
        start.token = Some(service.token.clone());
        let pdf = read(SMALL);
        let mut own: Vec<Uuid4> = Vec::new();
        for _ in 0..=STARTS {
            let (uuid, xml) = document(0);
            service.accept(&xml, &pdf);
            own.push(uuid);
        }
        service.all_are("ready", own.len());
        drop(service);
        start.delivers = true;
        let state = folder.join("state");
        let template = own.pop().unwrap();
        let mut records = Records::open(&state, template);
        records.add(open - own.len() - 1, 1, &state.join("bodies"));
        let mut took: Vec<(Duration, Duration)> = Vec::new();
        while let Some(first) = own.pop() {
            records.order(first, &own);
            let begun = Instant::now();
            let service = Service::start(&start);
            let path = format!("/v1/submissions/{first}");
            until(Duration::from_millis(5), || {
                (service.get(&path)["state"] == "receipted").then_some(())
            });
            took.push((service.started_in, begun.elapsed()));
        }
        let middle = |mut all: Vec<Duration>| {
            all.sort();
            all[all.len() / 2].as_secs_f64()
        };
        let (listening, delivered) = took.into_iter().unzip();
        println!(
            "| {open} | {:.2} s | {:.2} s |",
            middle(listening),
            middle(delivered)
        );
    }
}
