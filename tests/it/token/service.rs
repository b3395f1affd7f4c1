//! The whole service with the module that misbehaves: it lives, loses no
//! document, and asks for every PIN; and what of a PIN stays in memory.

use super::Faulty;
use super::misbehaviour::{CALLS, WISHES, clear, number};
use crate::crash::{Paper, token_is, unlock, worker_of};
use crate::daemon::{Daemon, Setup, on_token, until};
use crate::random::Random;
use crate::sandbox::Sandbox;
use crate::softhsm::{PIN, SoftHsm, skipped};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A service whose token is behind the module that misbehaves.
fn service(folder: &Path, sandbox: &Sandbox, more: &str) -> Option<(Faulty, Daemon)> {
    let hsm = SoftHsm::empty()?;
    let chain = hsm.take_identity(sandbox, "p256");
    hsm.import_certificate("03", chain[0].der());
    let faulty = Faulty::before(hsm, chain[0].clone())?;
    let (module, serial) = (faulty.module(), &faulty.hsm.serial);
    let table = format!("kind = \"pkcs11\"\nmodule = {module:?}\nserial = {serial:?}\n{more}");
    let setup = Setup {
        layer: on_token(&table),
        environment: faulty.environment(),
    };
    let daemon = Daemon::start(folder, sandbox, &setup);
    Some((faulty, daemon))
}

/// What a person does while a document is on its way: enters the PIN whenever the
/// token is not ready, and plugs a token in again whose files were damaged. The
/// PIN entries it took.
fn attended(faulty: &Faulty, daemon: &Daemon, paper: &Paper, story: &str) -> usize {
    let start = Instant::now();
    let (mut entries, mut absent) = (0, 0);
    loop {
        let now = paper.look(daemon);
        if now["state"] == "receipted" {
            return entries;
        }
        let waited = start.elapsed();
        let token = daemon.get("/v1/tokens")[0]["status"].clone();
        assert!(
            waited < Duration::from_secs(120),
            "{story}: {token}, {}, {}",
            now["state"],
            now["waiting"]
        );
        // Logged in, and no key to be seen.
        let bare = token == "ready" && now["waiting"]["code"] == "certificate-not-for-signing";
        absent = match token == "absent" || bare {
            true => absent + 1,
            false => 0,
        };
        if absent > 100 {
            clear(faulty);
        }
        if token != "ready" && now["waiting"].is_object() {
            entries += 1;
            unlock(daemon, PIN);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `SCEAU_RUNS=1000` runs the whole campaign, `SCEAU_SEED` another one.
#[test]
fn a_service_with_a_hostile_module_lives_and_loses_no_document() {
    let (runs, seed) = (number("SCEAU_RUNS", 6), number("SCEAU_SEED", 20_260_101));
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let deadlines = "sign_seconds = 1\nlogin_seconds = 1\ninit_seconds = 2\n";
    let Some((faulty, daemon)) = service(folder.path(), &sandbox, deadlines) else {
        return;
    };
    clear(&faulty);
    token_is(&daemon, "locked");
    let (mut entries, mut logins, mut workers) = (0, 0, 0);
    let (mut papers, start) = (Vec::new(), Instant::now());
    for run in seed..seed + runs {
        let mut draw = Random(run.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut story = format!("seed {run}");
        for _ in 0..1 + draw.below(3) {
            let (call, wish) = (draw.pick(&CALLS), draw.pick(&WISHES));
            story.push_str(&format!(", {wish} in {call}"));
            faulty.at(call, wish);
        }
        // Mostly the token goes through its whole life, from loading the module.
        if !draw.one_in(3) {
            post(&daemon, "/v1/tokens/lock", "{}");
        }
        let paper = Paper::new();
        paper.hand_in(&daemon);
        let entered = attended(&faulty, &daemon, &paper, &story);
        papers.push(paper.uuid);
        // All calls of this run are over but those of a look at the token, which
        // makes no login.
        let made = faulty.calls("C_Login 1");
        assert!(made <= entered, "{story}: {made} logins, {entered} entries");
        (entries, logins) = (entries + entered, logins + made);
        workers += faulty.calls("C_Initialize");
        clear(&faulty);
    }
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for document in sandbox.documents() {
        let uuid = document["uuid"].as_str().unwrap().to_owned();
        *held.entry(uuid).or_default() += 1;
    }
    let lost = papers.iter().filter(|uuid| !held.contains_key(*uuid));
    let (lost, twice) = (lost.count(), held.values().filter(|n| **n > 1).count());
    println!(
        "{runs} runs in {:?}: daemon restarts 0 (one process, {}), lost {lost}, twice {twice}, {entries} PIN \
         entries, {logins} C_Login, {workers} initialisations of the module",
        start.elapsed(),
        daemon.pid()
    );
    assert_eq!((lost, twice), (0, 0));
    daemon.stop();
}

/// How often the bytes stand in a process's memory.
fn found(pid: u32, wanted: &[u8]) -> Option<usize> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let (mut times, mut seen) = (0, 0);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; (to - from) as usize];
        // Some mappings cannot be read; what is gone holds nothing.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            seen += bytes.len();
            times += memchr::memmem::find_iter(&bytes, wanted).count();
        }
    }
    (seen > 0).then_some(times)
}

/// POST without the tests' own client, so that nothing of it stays behind.
fn post(daemon: &Daemon, path: &str, body: &str) {
    let address = daemon
        .endpoint()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let bearer = std::fs::read_to_string(daemon.state().join("admin.token")).unwrap();
    let mut stream = TcpStream::connect(&address).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        bearer.trim(),
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

/// The daemon keeps no PIN even while the token is unlocked; the worker keeps
/// none but for keys that want it again, and ends with the session.
#[test]
fn a_pin_is_in_no_memory_after_its_use() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let Some((faulty, daemon)) = service(folder.path(), &sandbox, "") else {
        return;
    };
    token_is(&daemon, "locked");
    let worker = worker_of(&daemon);
    if found(worker, b"C_Login").is_none() {
        return skipped("the memory of processes that leave no core dump may not be read");
    }
    post(
        &daemon,
        "/v1/tokens/unlock",
        &format!("{{\"pin\":\"{PIN}\"}}"),
    );
    // A connection's buffers go with it, after its last answer.
    until("no PIN is in the daemon", || {
        (found(daemon.pid(), PIN.as_bytes()) == Some(0)).then_some(())
    });
    assert_eq!(faulty.calls("C_Login 1"), 1);
    // The search finds what is there: the serial number is in both.
    let serial = faulty.hsm.serial.as_bytes();
    for pid in [daemon.pid(), worker] {
        assert!(found(pid, serial).unwrap() > 0);
    }
    assert_eq!(found(worker, PIN.as_bytes()), Some(0), "in the worker");

    post(&daemon, "/v1/tokens/lock", "{}");
    token_is(&daemon, "locked");
    assert_ne!(worker_of(&daemon), worker, "the worker has ended");
    for pid in [daemon.pid(), worker_of(&daemon)] {
        assert_eq!(found(pid, PIN.as_bytes()), Some(0));
    }
}

#[test]
fn a_token_that_shows_its_keys_late_needs_no_other_pin() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let Some((faulty, daemon)) = service(folder.path(), &sandbox, "") else {
        return;
    };
    token_is(&daemon, "locked");
    faulty.at("C_FindObjects", "skip");
    unlock(&daemon, PIN);
    let paper = Paper::new();
    paper.hand_in(&daemon);
    until("it finds no key", || {
        let waits = paper.look(&daemon)["waiting"]["code"].clone();
        (waits == "certificate-not-for-signing").then_some(())
    });
    assert_eq!(faulty.calls("C_Login 1"), 1);
    clear(&faulty);
    paper.ends_well(&daemon, &sandbox);
    assert_eq!(faulty.calls("C_Login 1"), 0);
}
