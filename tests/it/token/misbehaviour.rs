//! The module that misbehaves, in every call and in every way it knows, one
//! after the other and at random. Whatever it does: this process lives, nothing
//! takes longer than its deadline, no login is made that nobody entered a PIN
//! for, no process is left behind, and afterwards the token signs again.

use super::{Faulty, sign, unlock};
use crate::random::Random;
use crate::softhsm::PIN;
use sceau::token::Token;
use sceau::token::pkcs11::{Pkcs11Token, Settings};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Every function of PKCS#11 that is called.
pub const CALLS: [&str; 17] = [
    "C_GetFunctionList",
    "C_Initialize",
    "C_GetSlotList",
    "C_GetSlotInfo",
    "C_GetTokenInfo",
    "C_OpenSession",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_GetAttributeValue",
    "C_GetMechanismList",
    "C_GetSessionInfo",
    "C_Login",
    "C_SignInit",
    "C_Sign",
    "C_Logout",
    "C_CloseSession",
];

/// Everything the module can do wrong (tests/it/fault_module.c).
pub const WISHES: [&str; 32] = [
    "hang",
    "crash",
    "abort",
    "exit",
    "handler",
    "stack",
    "smash",
    "eat",
    "scribble",
    "close",
    "threads",
    "fork",
    "orphan",
    "chatter",
    "skip",
    "huge",
    "vast",
    "zero",
    "more",
    "nonsense",
    // CKR_HOST_MEMORY, _GENERAL_ERROR, _DEVICE_ERROR, _DEVICE_REMOVED,
    // _FUNCTION_NOT_SUPPORTED, _SESSION_HANDLE_INVALID, _TOKEN_NOT_PRESENT,
    // _USER_ALREADY_LOGGED_IN, _BUFFER_TOO_SMALL, _CRYPTOKI_NOT_INITIALIZED,
    // a vendor's own, none at all
    "rv 2",
    "rv 5",
    "rv 30",
    "rv 32",
    "rv 54",
    "rv b3",
    "rv e0",
    "rv 100",
    "rv 150",
    "rv 190",
    "rv 80000001",
    "rv ffffffffffffffff",
];

/// As many at a time: most of the time they wait.
const THREADS: usize = 4;

/// Deadlines that leave an honest module time on a busy machine.
fn settings(faulty: &Faulty, deadline: Duration) -> Settings {
    let mut settings = faulty.settings();
    settings.backoff = vec![Duration::from_millis(1)];
    settings.poll = Duration::from_millis(20);
    settings.deadlines.init = deadline;
    settings.deadlines.login = deadline;
    settings.deadlines.sign = deadline;
    settings
}

/// Takes every wish back, forgets the calls so far, and puts the token's files
/// back as they were at first: SoftHSM2 writes them at a login, and a worker that
/// is killed over it leaves half a file.
pub fn clear(faulty: &Faulty) {
    let (token, kept) = (
        faulty.hsm.path().join("tokens"),
        faulty.hsm.path().join("kept"),
    );
    match kept.exists() {
        true => copy(&kept, &token),
        false => copy(&token, &kept),
    }
    for call in CALLS {
        for suffix in ["", ".always", ".null"] {
            let _ = std::fs::remove_file(faulty.hsm.path().join(format!("{call}{suffix}")));
        }
    }
    let _ = std::fs::remove_file(faulty.hsm.path().join("calls.log"));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Waits until no process runs with this module any more: the last ones have
/// been killed, which takes them a moment.
fn none_left(faulty: &Faulty, what: &str) {
    let start = Instant::now();
    while processes(faulty) > 0 {
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(20), "{what} left a process");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn processes(faulty: &Faulty) -> usize {
    let module = faulty.module().to_string_lossy().into_owned();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let with = all.filter(|process| {
        let cmdline = std::fs::read_to_string(process.path().join("cmdline"));
        cmdline.is_ok_and(|line| line.contains(&module))
    });
    with.count()
}

/// A person who enters the PIN and signs until it works; the entries it took.
fn until_it_signs(token: &Pkcs11Token, faulty: &Faulty, what: &str) -> usize {
    let start = Instant::now();
    for entries in 1.. {
        let unlocked = unlock(token, PIN);
        let signed = unlocked.and_then(|()| sign(token, &faulty.certificate));
        let Err(error) = signed else { return entries };
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: {error}");
        std::thread::sleep(Duration::from_millis(5));
    }
    unreachable!("a person never tires")
}

/// One wish through the whole life of a token. Whether it was granted.
fn one(faulty: &Faulty, call: &str, wish: &str) -> bool {
    let what = format!("{wish} in {call}");
    clear(faulty);
    faulty.at(call, wish);
    let mut entries = 0;
    let token = Pkcs11Token::start(settings(faulty, Duration::from_secs(2))).unwrap();
    for _ in 0..2 {
        let start = Instant::now();
        let _ = unlock(&token, PIN);
        let _ = sign(&token, &faulty.certificate);
        token.lock();
        entries += 1;
        let took = start.elapsed();
        assert!(took < Duration::from_secs(30), "{what} took {took:?}");
    }
    entries += until_it_signs(&token, faulty, &what);
    drop(token);
    let logins = faulty.calls("C_Login 1");
    assert!(logins <= entries, "{what}: {logins} for {entries} entries");
    none_left(faulty, &what);
    !faulty.hsm.path().join(call).exists()
}

/// Runs `work` for each number below `count`, each thread with a token of its own.
fn spread(count: usize, work: impl Fn(&Faulty, usize) + Sync) -> bool {
    let next = AtomicUsize::new(0);
    let skipped = Mutex::new(false);
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(count) {
            scope.spawn(|| {
                let Some(faulty) = Faulty::new() else {
                    *skipped.lock().unwrap() = true;
                    return;
                };
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(&faulty, number);
                }
            });
        }
    });
    !skipped.into_inner().unwrap()
}

/// `SCEAU_CASE="hang in C_Sign"` runs one of the table alone.
#[test]
fn every_call_may_misbehave_in_every_way() {
    let only = std::env::var("SCEAU_CASE").ok();
    let idle = Mutex::new(BTreeSet::new());
    let done = spread(CALLS.len() * WISHES.len(), |faulty, number| {
        let (call, wish) = (CALLS[number / WISHES.len()], WISHES[number % WISHES.len()]);
        if only
            .as_ref()
            .is_some_and(|only| *only != format!("{wish} in {call}"))
        {
            return;
        }
        if !one(faulty, call, wish) {
            idle.lock().unwrap().insert(call);
        }
        // Each call that was made is in the table.
        let log = std::fs::read_to_string(faulty.hsm.path().join("calls.log"));
        let log = log.unwrap_or_default();
        let lines = log.lines().filter(|line| line.starts_with("C_"));
        for line in lines {
            let name = line.split(' ').next().unwrap();
            assert!(
                CALLS.contains(&name),
                "{name} is called and not in the table"
            );
        }
    });
    let idle = idle.into_inner().unwrap();
    assert!(!done || idle.is_empty(), "never called: {idle:?}");
}

#[test]
fn every_function_may_be_missing() {
    spread(CALLS.len(), |faulty, number| {
        let call = CALLS[number];
        clear(faulty);
        if number == 0 {
            return; // "skip" in it gives no list at all: the table has that.
        }
        std::fs::write(faulty.hsm.path().join(format!("{call}.null")), "").unwrap();
        let token = Pkcs11Token::start(settings(faulty, Duration::from_secs(2))).unwrap();
        let _ = unlock(&token, PIN);
        let _ = sign(&token, &faulty.certificate);
        token.lock();
        drop(token);
        clear(faulty);
        let token = Pkcs11Token::start(settings(faulty, Duration::from_secs(2))).unwrap();
        until_it_signs(&token, faulty, call);
    });
}

/// A number out of the environment, or the small one of everyday tests.
pub fn number(name: &str, usual: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().expect(name))
}

#[derive(Default)]
struct Tally {
    events: AtomicUsize,
    entries: AtomicUsize,
    logins: AtomicUsize,
    signatures: AtomicUsize,
    workers: AtomicUsize,
}

/// One sequence of events on one token.
fn sequence(faulty: &Faulty, seed: u64, tally: &Tally) {
    let mut draw = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    clear(faulty);
    let start = || Pkcs11Token::start(settings(faulty, Duration::from_millis(400))).unwrap();
    let mut token = start();
    let away = faulty.hsm.path().join("C_GetTokenInfo.always");
    let (mut entries, mut story) = (0, Vec::new());
    for _ in 0..4 + draw.below(7) {
        let before = faulty.calls("C_Login 1");
        let entered = entries;
        match draw.below(10) {
            0..3 => {
                let (call, wish) = (draw.pick(&CALLS), draw.pick(&WISHES));
                story.push(format!("{wish} in {call}"));
                faulty.at(call, wish);
            }
            3..5 => {
                let pin = if draw.below(6) == 0 { "000000" } else { PIN };
                story.push(format!("PIN {pin}"));
                entries += 1;
                let _ = unlock(&token, pin);
            }
            5..7 => {
                story.push("sign".into());
                let signed = sign(&token, &faulty.certificate).is_ok();
                tally
                    .signatures
                    .fetch_add(usize::from(signed), Ordering::Relaxed);
            }
            7 if away.exists() => {
                story.push("insert".into());
                std::fs::remove_file(&away).unwrap();
            }
            7 => {
                story.push("remove".into());
                // CKR_TOKEN_NOT_PRESENT
                faulty.at("C_GetTokenInfo.always", "rv e0");
            }
            8 => {
                story.push("lock".into());
                token.lock();
            }
            _ => {
                story.push("restart".into());
                drop(token);
                token = start();
            }
        }
        tally.events.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(draw.below(30) as u64));
        let logins = faulty.calls("C_Login 1") - before;
        assert!(
            logins <= entries - entered,
            "seed {seed}: {logins} logins after {story:?}"
        );
    }
    drop(token);
    assert!(
        faulty.calls("C_Login 1") <= entries,
        "seed {seed}: {story:?}"
    );
    none_left(faulty, &format!("seed {seed}: {story:?}"));
    tally.entries.fetch_add(entries, Ordering::Relaxed);
    let add = |to: &AtomicUsize, call| to.fetch_add(faulty.calls(call), Ordering::Relaxed);
    add(&tally.logins, "C_Login 1");
    add(&tally.workers, "C_Initialize");
}

/// `SCEAU_SEQUENCES=10000` runs the whole campaign; `SCEAU_SEED=n SCEAU_SEQUENCES=1`
/// repeats one of it.
#[test]
fn in_no_sequence_of_events_do_logins_outnumber_pin_entries() {
    let (sequences, seed) = (
        number("SCEAU_SEQUENCES", 40),
        number("SCEAU_SEED", 20_260_101),
    );
    let tally = Tally::default();
    let start = Instant::now();
    let done = spread(sequences as usize, |faulty, number| {
        sequence(faulty, seed + number as u64, &tally);
    });
    if !done {
        return;
    }
    let of = |number: &AtomicUsize| number.load(Ordering::Relaxed);
    let (entries, logins) = (of(&tally.entries), of(&tally.logins));
    let (events, signatures, workers) =
        (of(&tally.events), of(&tally.signatures), of(&tally.workers));
    println!(
        "{sequences} sequences of {events} events in {:?}: {entries} PIN entries, {logins} C_Login, \
         {signatures} signatures, {workers} initialisations of the module",
        start.elapsed()
    );
    assert!(logins <= entries);
    assert!(
        sequences < 40 || (logins > 10 && signatures > 5),
        "the runs tried too little"
    );
}
