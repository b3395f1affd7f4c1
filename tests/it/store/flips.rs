//! One bit of a copy of the state flips, in each page of 4 KiB of each file in
//! turn. It is detected, or it does no harm; nothing that was changed is sent.

use super::papers::{Promises, new, number_of, prepare, signed};
use super::{in_full, outbox_in, quick_folder};
use crate::audit;
use sceau::base::{Clock, SystemClock, Uuid4};
use sceau::outbox::{
    Client, Conclusion, Evidence, Kind, Outbox, OutboxError, Record, Stage, State, Verdict, Wait,
};
use sceau::store::{Check, Room};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PAGE: usize = 4096;
const DOCUMENTS: u8 = 16;

/// What became of a flipped bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// The store does not open.
    AtStart,
    /// A document's bytes or record are refused when they are to be used.
    AtUse,
    /// The scheduled check finds it, nothing before it does.
    ByCheck,
    /// The audit log's verification finds it, nothing before it does.
    ByAudit,
    /// Nothing notices it, and everything that can be asked is as before.
    Harmless,
}

/// What is in a state, to compare.
struct Filled {
    documents: BTreeMap<Uuid4, Record>,
    /// Names and tokens of paired programs.
    programs: Vec<(String, String)>,
}

/// Documents in every state, and some programs.
fn filled(state: &Path, promises: &Path) -> Filled {
    let outbox = outbox_in(state, Room::default(), SystemClock::shared()).unwrap();
    let mut promises = Promises::to(promises);
    for number in 0..DOCUMENTS {
        outbox.receive(new(Uuid4::random(), number)).unwrap();
        if number < DOCUMENTS * 3 / 4 {
            assert!(prepare(&outbox, &mut promises));
        }
    }
    for number in 0..DOCUMENTS / 2 {
        let lease = outbox.claim(Stage::Delivery).unwrap().unwrap();
        let lease = outbox.begin_attempt(lease).unwrap();
        let verdict = Verdict {
            insurer_id: Some(format!("INSURER-{number}")),
            ..Verdict::default()
        };
        let conclusion = match number % 4 {
            0 => Conclusion::Rejected(verdict),
            1 => Conclusion::Unknown {
                wait: Wait {
                    class: "network".into(),
                    code: "answer-lost".into(),
                    text: "lost".into(),
                },
            },
            _ => Conclusion::Receipted(verdict),
        };
        let evidence = Evidence {
            answer: Some(vec![number; 20_000]),
            ..Evidence::default()
        };
        outbox.conclude(lease, conclusion, evidence).unwrap();
    }
    let lease = outbox.claim(Stage::Delivery).unwrap().unwrap();
    outbox.begin_attempt(lease).unwrap();
    let all = outbox.list(1000, None, &everyone()).unwrap();
    let documents = all.into_iter().map(|record| (record.uuid, record));
    let paired = |name: &str| {
        let token = Client::pair(outbox.store(), &SystemClock, name, &[]).unwrap();
        let token = String::from_utf8(token.expose().to_vec()).unwrap();
        (name.to_owned(), token)
    };
    Filled {
        documents: documents.collect(),
        programs: ["un", "deux", "trois"].map(paired).to_vec(),
    }
}

fn everyone() -> Client {
    Client {
        name: "test".into(),
        paired_at: time::OffsetDateTime::UNIX_EPOCH,
        practitioners: Vec::new(),
    }
}

/// What decides what is sent where and for whom, and what is told of it.
fn said(record: &Record) -> impl PartialEq + std::fmt::Debug {
    let who = (
        record.code_prestataire.clone(),
        record.client.clone(),
        record.signer.clone(),
    );
    let what = (
        record.form.clone(),
        record.version.clone(),
        record.operation.clone(),
    );
    let at = (
        record.environment.clone(),
        record.received_at,
        record.request_sha256,
    );
    (record.uuid, who, what, at, record.insurer_id.clone())
}

/// Does all that a service does with the documents; whether something of it was
/// refused.
fn used(outbox: &Outbox, filled: &Filled, at: &str) -> Result<bool, OutboxError> {
    let before = &filled.documents;
    let mut refused = false;
    for stage in [Stage::Intake, Stage::Delivery] {
        let mut claimed = 0;
        while let Some(lease) = outbox.claim(stage)? {
            claimed += 1;
            assert!(claimed <= before.len(), "{at}: claims have no end");
            let record = lease.record.clone();
            assert_eq!(said(&record), said(&before[&record.uuid]), "{at}");
            let kind = match stage {
                Stage::Intake => Kind::RequestXml,
                Stage::Delivery => Kind::Document,
            };
            let wanted = match stage {
                Stage::Intake => super::papers::content(number_of(&record)),
                Stage::Delivery => signed(number_of(&record)),
            };
            match outbox.body(record.uuid, kind) {
                Ok(Some(bytes)) => assert!(bytes == wanted, "{at}: other bytes would be used"),
                Ok(None) | Err(_) => refused = true,
            }
        }
    }
    for (uuid, before) in before {
        match outbox.find(*uuid) {
            Ok(Some(now)) if !before.state.is_final() => {
                assert_eq!(said(&now), said(before), "{at}");
            }
            Ok(Some(now)) => {
                assert_eq!(
                    (now.state, said(&now)),
                    (before.state, said(before)),
                    "{at}"
                );
            }
            Ok(None) | Err(_) => refused = true,
        }
        let kinds = [Kind::RequestXml, Kind::Document, Kind::Answer, Kind::Facts];
        refused |= kinds.iter().any(|kind| outbox.body(*uuid, *kind).is_err());
        refused |= outbox.history(*uuid).is_err();
    }
    for (name, token) in &filled.programs {
        match outbox.client(token) {
            Ok(Some(client)) => assert_eq!(client.name, *name, "{at}: another program's rights"),
            Ok(None) | Err(_) => refused = true,
        }
    }
    // The long run: it ends.
    refused |= outbox.overdue().is_err() || !matches!(outbox.prove_open(), Ok(0));
    let later = SystemClock.now() + time::Duration::days(1);
    for round in 0.. {
        assert!(round < 9, "{at}: destroying has no end");
        match outbox.purge(later) {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => return Ok(true),
        }
    }
    Ok(refused)
}

/// `flip` puts the same flipped copy at `state`, each time.
fn judged(state: &Path, flip: impl Fn(), before: &Filled, at: &str) -> Found {
    let open = || {
        flip();
        let outbox = outbox_in(state, Room::default(), SystemClock::shared());
        outbox.map(|outbox| outbox.with_stamp_within(Some(Duration::ZERO)))
    };
    let Ok(outbox) = open() else {
        return Found::AtStart;
    };
    match used(&outbox, before, at) {
        Ok(true) | Err(_) => return Found::AtUse,
        Ok(false) => drop(outbox),
    }
    let outbox = open().unwrap();
    let checked = outbox.store().check(Check::Whole);
    if checked.is_err() {
        assert!(outbox.store().reopen().is_err(), "{at}: {checked:?}");
        return Found::ByCheck;
    }
    match audit::faults(state).is_empty() {
        true => Found::Harmless,
        false => Found::ByAudit,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => out.extend(files(&path)),
            false => out.push(path),
        }
    }
    out.sort();
    out
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

#[test]
fn a_flipped_bit_is_detected_or_does_no_harm() {
    let folder = quick_folder();
    let (state, one) = (folder.path().join("state"), folder.path().join("one"));
    let before = filled(&state, &folder.path().join("promises"));
    assert!(
        before
            .documents
            .values()
            .any(|record| record.state == State::Rejected)
    );
    let sound = judged(&one, || copy(&state, &one), &before, "nothing");
    assert_eq!(sound, Found::Harmless);
    let mut table: BTreeMap<(&str, Found), usize> = BTreeMap::new();
    // The same bits in every run.
    let mut draw = 20_261_122_u64;
    let mut pages = 0;
    for file in files(&state) {
        let name = file.strip_prefix(&state).unwrap();
        let kind = match name.to_str().unwrap() {
            "sceau.db" => "database",
            "seal.key" => "sealing key",
            path if path.starts_with("bodies") => "body",
            _ => continue,
        };
        let length = std::fs::metadata(&file).unwrap().len() as usize;
        let repeats = match (in_full(), kind) {
            (true, "database") => 64,
            (false, "database") => 8,
            (true | false, _) => 1,
        };
        for (page, start) in (0..length).step_by(PAGE).enumerate() {
            for _ in 0..repeats {
                draw = draw.wrapping_mul(6_364_136_223_846_793_005);
                draw = draw.wrapping_add(1_442_695_040_888_963_407);
                let bit = (draw >> 33) as usize % ((length - start).min(PAGE) * 8);
                let mut bytes = std::fs::read(&file).unwrap();
                bytes[start + bit / 8] ^= 1 << (bit % 8);
                let flip = || {
                    copy(&state, &one);
                    std::fs::write(one.join(name), &bytes).unwrap();
                };
                let at = format!("{} page {page} bit {bit}", name.display());
                let found = judged(&one, flip, &before, &at);
                *table.entry((kind, found)).or_default() += 1;
            }
        }
        pages += length.div_ceil(PAGE);
    }
    println!(
        "{pages} pages of 4 KiB, {} flips",
        table.values().sum::<usize>()
    );
    for ((kind, found), count) in &table {
        println!("| {kind} | {found:?} | {count} |");
    }
    assert!(table.keys().any(|(kind, _)| *kind == "database"));
    assert_eq!(table.get(&("body", Found::Harmless)), None);
}
