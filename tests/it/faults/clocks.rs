//! The real service on a wrong clock (libfaketime): ten years back, ten years
//! ahead, twenty minutes ahead, standing still, at work and at a start. The table of
//! `docs/conditions.md` is what was measured here.

use super::names;
use crate::crash::{Paper, whole, words};
use crate::daemon::{Daemon, Setup, until};
use crate::sandbox::Sandbox;
use crate::softhsm::skipped;
use serde_json::Value;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../../../docs/conditions.md");

/// A clock that a file sets, for every process started with its environment.
struct Machine {
    file: PathBuf,
    setup: Setup,
}

impl Machine {
    fn new(folder: &Path) -> Option<Self> {
        let places = [
            "x86_64-linux-gnu/faketime",
            "aarch64-linux-gnu/faketime",
            "faketime",
        ];
        let library = |place| Path::new("/usr/lib").join(place).join("libfaketimeMT.so.1");
        let Some(library) = places.map(library).into_iter().find(|file| file.exists()) else {
            skipped("no libfaketime");
            return None;
        };
        let file = folder.join("clock");
        let environment: [(&str, &Path); 5] = [
            ("LD_PRELOAD", &library),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", Path::new("1")),
            // Pauses last as long as they do.
            ("FAKETIME_DONT_FAKE_MONOTONIC", Path::new("1")),
            ("TZ", Path::new("UTC")),
        ];
        let environment = environment.map(|(key, value)| (key.into(), value.into()));
        let setup = Setup {
            environment: environment.into(),
            ..Setup::default()
        };
        let machine = Self { file, setup };
        machine.is("+0");
        Some(machine)
    }

    fn is(&self, clock: &str) {
        let aside = self.file.with_extension("new");
        std::fs::write(&aside, clock).unwrap();
        std::fs::rename(aside, &self.file).unwrap();
    }
}

/// How a document stands that goes on or waits; `None` while it moves.
fn rests(paper: &Paper, daemon: &Daemon) -> Option<Value> {
    let now = paper.look(daemon);
    (now["state"] == "receipted" || now["waiting"].is_object()).then_some(now)
}

fn said(now: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match now["waiting"].is_object() {
        true => format!(
            "`{}`, `{}`",
            word(&now["state"]),
            word(&now["waiting"]["code"])
        ),
        false => format!("`{}`", word(&now["state"])),
    }
}

/// The conditions told: at least one, shortly after the step that met it.
fn told(daemon: &Daemon) -> String {
    let mut names = until("a condition is told", || {
        Some(names(daemon)).filter(|names| !names.is_empty())
    });
    names.dedup();
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// What a clock does to a document handed in at work, to one handed in after a
/// start on it, and to all when the clock is right again.
/// `signed` is how often they are signed: a claimed time still to come needs
/// another signature.
fn on(
    (clock, what, signed): (&str, &str, usize),
    folder: &Path,
    sandbox: &Sandbox,
) -> Option<String> {
    std::fs::create_dir(folder).unwrap();
    let machine = Machine::new(folder)?;
    let daemon = Daemon::start(folder, sandbox, &machine.setup);
    let before = Paper::new();
    before.hand_in(&daemon);
    before.ends_well(&daemon, sandbox);

    machine.is(clock);
    let at_work = Paper::new();
    at_work.hand_in(&daemon);
    let first = until("it rests", || rests(&at_work, &daemon));
    let conditions = told(&daemon);
    daemon.kill();
    let daemon = Daemon::start(folder, sandbox, &machine.setup);
    let at_start = Paper::new();
    at_start.hand_in(&daemon);
    let second = until("it rests", || rests(&at_start, &daemon));
    let conditions_at_start = told(&daemon);
    // Whatever was not stamped did not leave.
    for paper in [&at_work, &at_start] {
        let stamped = words(&paper.look(&daemon)).contains(&"stamped".to_owned());
        assert!(stamped || paper.at_insurer(sandbox).is_none());
    }

    machine.is("+0");
    for paper in [&at_work, &at_start] {
        paper.ends_signed(signed, &daemon, sandbox);
    }
    until("no fault is left", || {
        names(&daemon).is_empty().then_some(())
    });
    whole(&daemon);
    assert_eq!(before.look(&daemon)["state"], "receipted");
    Some(format!(
        "| {what} | {}; {conditions} | {}; {conditions_at_start} | all receipted once, no fault left |",
        said(&first),
        said(&second)
    ))
}

#[test]
fn a_wrong_clock_delays_and_does_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let now = sceau::base::Clock::now(&sceau::base::SystemClock);
    let past = sceau::base::clock::rfc3339_seconds(now - time::Duration::minutes(20));
    let frozen = past.replace('T', " ").replace('Z', "");
    let clocks = [
        ("-10y", "ten years back", 1),
        ("+10y", "ten years ahead", 1),
        (&*frozen, "stands still since twenty minutes", 1),
        ("+20m", "twenty minutes ahead", 2),
    ];
    let mut rows = Vec::new();
    for (n, clock) in clocks.into_iter().enumerate() {
        let Some(row) = on(clock, &folder.path().join(n.to_string()), &sandbox) else {
            return;
        };
        println!("{row}");
        rows.push(row);
    }
    for row in rows {
        assert!(
            TABLE.lines().any(|line| line == row),
            "not in docs/conditions.md:\n{row}"
        );
    }
}
