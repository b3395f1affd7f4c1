//! `kill -9` of daemon, token worker and insurer at every point where a
//! submission changes hands. Whatever dies and when, each document handed in
//! ends with one receipt and one effect at the insurer. The tables in
//! `docs/durability.md` are what these tests measured; they are compared.

mod campaign;

use crate::daemon::{Daemon, Setup, example, on_token, pdf, until};
use crate::sandbox::Sandbox;
use crate::softhsm::{PIN, SoftHsm};
use rustix::process::{Pid, Signal, kill_process};
use sceau::store::rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the measured tables stand.
const TABLES: &str = include_str!("../../docs/durability.md");

/// A document on its way.
pub struct Paper {
    pub uuid: String,
    pub xml: Vec<u8>,
    pub pdf: Vec<u8>,
}

impl Paper {
    /// An example with a UUID of its own.
    pub fn new() -> Self {
        let (uuid, xml) = example("une-ligne.xml");
        let pdf = pdf("memoire-gs-a2b.pdf");
        Self { uuid, xml, pdf }
    }

    /// Hands it in for the first time.
    pub fn hand_in(&self, daemon: &Daemon) {
        assert_eq!(daemon.hand_in(&self.xml, &self.pdf).status, 202);
    }

    /// How it stands now.
    pub fn look(&self, daemon: &Daemon) -> Value {
        daemon.get(&format!("/v1/submissions/{}", self.uuid))
    }

    /// Waits until it pauses in `state` for a reason of `class`.
    pub fn pauses(&self, daemon: &Daemon, state: &str, class: &str) -> Value {
        until(
            &format!("{} waits in {state} for {class}", self.uuid),
            || {
                let now = self.look(daemon);
                let there = now["state"] == state && now["waiting"]["class"] == class;
                there.then_some(now)
            },
        )
    }

    /// Makes it due now, as a person would.
    pub fn hurry(&self, daemon: &Daemon) {
        let path = format!("/v1/submissions/{}/retry", self.uuid);
        assert_eq!(daemon.call(&path, Some(Vec::new())).status, 200);
    }

    /// What the insurer has of it, if anything.
    pub fn at_insurer(&self, sandbox: &Sandbox) -> Option<Value> {
        let mut all = sandbox.documents();
        all.retain(|d| d["uuid"] == self.uuid.as_str());
        assert!(all.len() <= 1, "{all:?}");
        all.pop()
    }

    /// Waits for the end and checks all that must hold then: one receipt, one
    /// document at the insurer, signed once, the very bytes we kept.
    pub fn ends_well(&self, daemon: &Daemon, sandbox: &Sandbox) -> Ending {
        self.ends_signed(1, daemon, sandbox)
    }

    /// The same for one that had to be signed so often.
    pub fn ends_signed(&self, times: usize, daemon: &Daemon, sandbox: &Sandbox) -> Ending {
        let uuid = &self.uuid;
        let submission = daemon.wait_for(uuid, &["receipted", "rejected"]);
        assert_eq!(submission["state"], "receipted", "{submission:#}");
        let held = self.at_insurer(sandbox).expect("the insurer has it");
        self.ended_well(times, daemon, sandbox, &submission, &held)
    }

    /// The same for one that has ended, with what the insurer has of it.
    fn ended_well(
        &self,
        signed: usize,
        daemon: &Daemon,
        sandbox: &Sandbox,
        submission: &Value,
        held: &Value,
    ) -> Ending {
        let uuid = &self.uuid;
        let events = words(submission);
        let times = |word: &str| events.iter().filter(|e| *e == word).count();
        for once in ["received", "stamped", "sealed", "receipted"] {
            assert_eq!(times(once), 1, "{once} in {submission:#}");
        }
        assert_eq!(times("signed"), signed, "{submission:#}");
        assert_eq!(held["verdict"], "accepted");
        assert_eq!(held["secu_id"], submission["insurer_id"]);

        // The digest written down when it was completed is that of the bytes
        // kept, and the insurer holds those bytes: no attempt had others.
        let kept = daemon.call(&format!("/v1/submissions/{uuid}/xml"), None);
        let history = submission["history"].as_array().unwrap();
        let sealed = history.iter().find(|e| e["event"] == "sealed").unwrap();
        assert_eq!(sealed["detail"]["sha256"], sha256(&kept.body).as_str());
        let bytes = sandbox.document(uuid);
        assert_eq!(held["sha256"], sha256(bytes.as_bytes()).as_str());
        let kept = String::from_utf8(kept.body).unwrap();
        assert!(kept.trim_end().ends_with(&bytes), "other bytes arrived");

        let receipt = daemon.call(&format!("/v1/submissions/{uuid}/receipt"), None);
        let receipt = String::from_utf8(receipt.body).unwrap();
        assert!(receipt.contains(held["secu_id"].as_str().unwrap()));
        Ending {
            events,
            arrivals: held["arrivals"].as_u64().unwrap(),
        }
    }
}

/// How a document ended.
pub struct Ending {
    /// Its history, word by word.
    pub events: Vec<String>,
    /// How often it reached the insurer's ledger.
    pub arrivals: u64,
}

impl Ending {
    fn insurer(&self) -> String {
        format!("1 document, 1 receipt, {} arrival(s)", self.arrivals)
    }
}

fn sha256(bytes: &[u8]) -> String {
    sceau::base::hex::encode(&sceau::base::digest::sha256(bytes))
}

/// The events of a submission.
pub fn words(submission: &Value) -> Vec<String> {
    let history = submission["history"].as_array().unwrap();
    let words = history.iter().map(|e| e["event"].as_str().unwrap());
    words.map(str::to_owned).collect()
}

/// The audit log has no gap.
pub fn whole(daemon: &Daemon) {
    let audit = daemon.command(&["audit"]);
    let said = String::from_utf8_lossy(&audit.stderr).into_owned();
    assert!(audit.status.success(), "{said}");
}

fn kill(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// How a submission waits while the token's worker is started again.
const TOKEN: &str = "at most a pause for `token`";

/// What a dead daemon left, read from a copy: opening the database itself
/// would repair it before the daemon does.
struct Disk {
    copy: tempfile::TempDir,
    bodies: PathBuf,
}

impl Disk {
    fn of(state: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for name in ["sceau.db", "sceau.db-wal"] {
            let from = state.join(name);
            if from.exists() {
                std::fs::copy(from, copy.path().join(name)).unwrap();
            }
        }
        let bodies = state.join("bodies");
        Self { copy, bodies }
    }

    fn open(&self) -> Connection {
        Connection::open(self.copy.path().join("sceau.db")).unwrap()
    }

    /// The state and the number of bodies of a submission.
    fn submission(&self, uuid: &str) -> String {
        let database = self.open();
        let state = "SELECT state FROM submission WHERE uuid = ?1";
        let state = database.query_row(state, [uuid], |r| r.get::<_, String>(0));
        let Some(state) = state.optional().unwrap() else {
            return "nothing".to_owned();
        };
        let count = "SELECT count(*) FROM body WHERE uuid = ?1";
        let bodies: i64 = database.query_row(count, [uuid], |r| r.get(0)).unwrap();
        format!("`{state}`, {bodies} bodies")
    }

    fn events(&self, uuid: &str) -> usize {
        let count = "SELECT count(*) FROM audit WHERE subject = ?1";
        let events: i64 = self.open().query_row(count, [uuid], |r| r.get(0)).unwrap();
        usize::try_from(events).unwrap()
    }

    /// Files in the bodies folder, and how many of them a row names.
    fn files(&self) -> (usize, usize) {
        let there = std::fs::read_dir(&self.bodies).unwrap().count();
        let count = "SELECT count(*) FROM body WHERE sealed IS NULL";
        let named: i64 = self.open().query_row(count, [], |r| r.get(0)).unwrap();
        (there, usize::try_from(named).unwrap())
    }
}

/// Prints the table and demands that the document shows it.
fn publish(head: &str, rows: &[String]) {
    let rule: String = head
        .chars()
        .map(|c| if c == '|' { '|' } else { '-' })
        .collect();
    println!("\n{head}\n{rule}\n{}\n", rows.join("\n"));
    for line in std::iter::once(head).chain(rows.iter().map(String::as_str)) {
        assert!(
            TABLES.lines().any(|l| l == line),
            "docs/durability.md does not show what was measured:\n{line}"
        );
    }
}

const POINTS: [&str; 8] = [
    "d1-before",
    "d1-after",
    "d2-before",
    "d2-after",
    "d3-before",
    "d3-after",
    "d4-before",
    "d4-after",
];

/// Kills a daemon at `point` over one document, starts it again, repeats the
/// request, and says what was seen.
fn killed_at(point: &str, folder: &Path, sandbox: &Sandbox) -> String {
    std::fs::create_dir(folder).unwrap();
    let marker = folder.join("marker");
    let hold = format!("{point}={}", marker.display());
    let setup = Setup {
        environment: vec![("SCEAU_HOLD_AT".into(), hold.into())],
        ..Setup::default()
    };
    let daemon = Daemon::start(folder, sandbox, &setup);
    let paper = Paper::new();
    let answer = std::thread::scope(|scope| {
        let client = scope.spawn(|| daemon.try_hand_in(&paper.xml, &paper.pdf));
        until(point, || marker.exists().then_some(()));
        kill(daemon.pid(), Signal::KILL);
        client.join().unwrap()
    });
    let state = daemon.state();
    drop(daemon);
    let had = answer.map_or("no answer".to_owned(), |a| format!("{}", a.status));
    let disk = Disk::of(&state);
    let arrived = paper.at_insurer(sandbox).map_or("no", |_| "yes");

    let daemon = Daemon::start(folder, sandbox, &Setup::default());
    let again = daemon.hand_in(&paper.xml, &paper.pdf).status;
    let ending = paper.ends_well(&daemon, sandbox);
    whole(&daemon);
    daemon.kill();
    let (there, named) = Disk::of(&state).files();
    assert_eq!(
        there, named,
        "bodies that no row names were left at {point}"
    );
    let after = ending.events[disk.events(&paper.uuid)..].join(", ");
    let after = if after.is_empty() {
        "nothing to do".to_owned()
    } else {
        after
    };
    format!(
        "| `{point}` | {} | {arrived} | {had} | {again} | {after} | {} |",
        disk.submission(&paper.uuid),
        ending.insurer()
    )
}

#[test]
fn the_daemon_killed_at_each_point_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let rows = POINTS.map(|point| killed_at(point, &folder.path().join(point), &sandbox));
    let head = "| killed at | on disk | insurer has it | the client had | the same request again | after the restart | in the end |";
    publish(head, &rows);
}

/// The scenario rule was taken: the request it is for is at the insurer.
fn taken(sandbox: &Sandbox) {
    let url = format!("{}/control/scenario", sandbox.http);
    until("the insurer has the request", || {
        let out = crate::sandbox::ok(crate::sandbox::run("curl", &["-sS", &url]));
        (out.trim_ascii() == b"[]").then_some(())
    });
}

fn delay(sandbox: &Sandbox, point: &str, delay_ms: u64) {
    let rule = json!({ "point": point, "action": "delay", "delay_ms": delay_ms });
    sandbox.control("scenario", &rule.to_string());
}

/// One row: what happened, how it waited, its history and its end. How often a
/// question is repeated, and whether a short pause is seen at all, depends on
/// the machine: repeats are shown once, pauses for the token not.
fn row(what: &str, waited: &str, ending: &Ending) -> String {
    let mut history: Vec<&str> = ending.events.iter().map(String::as_str).collect();
    history.retain(|event| !["received", "checked", "asked", "waiting"].contains(event));
    history.dedup();
    format!(
        "| {what} | {waited} | {} | {} |",
        history.join(", "),
        ending.insurer()
    )
}

const HEAD: &str = "| what happens | meanwhile | history from acceptance on | in the end |";

fn pausing(now: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "`{}`, waits: {} `{}`",
        word(&now["state"]),
        word(&now["waiting"]["class"]),
        word(&now["waiting"]["code"])
    )
}

/// An insurer that is killed over a document and comes back.
struct Insurer {
    folder: PathBuf,
    sandbox: Sandbox,
}

impl Insurer {
    fn dies(&mut self) {
        self.sandbox.kill();
    }

    fn returns_with(&mut self, environment: &[(OsString, OsString)]) {
        self.sandbox.kill();
        self.sandbox = Sandbox::start_with(&self.folder, environment);
    }

    /// Dies and comes back, after which the document goes on to its end.
    fn dies_and_returns(
        &mut self,
        what: &str,
        daemon: &Daemon,
        paper: &Paper,
        rests_as: &str,
    ) -> String {
        self.dies();
        let now = pausing(&paper.pauses(daemon, rests_as, "network"));
        self.returns_with(&[]);
        paper.hurry(daemon);
        row(what, &now, &paper.ends_well(daemon, &self.sandbox))
    }
}

#[test]
fn the_insurer_killed_at_each_point_has_each_document_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("sandbox");
    let sandbox = Sandbox::start(&place);
    let mut insurer = Insurer {
        folder: place,
        sandbox,
    };
    let daemon = Daemon::start(folder.path(), &insurer.sandbox, &Setup::default());
    let mut rows = Vec::new();

    let paper = Paper::new();
    insurer.dies();
    paper.hand_in(&daemon);
    let what = "dead when the document comes (D1)";
    rows.push(insurer.dies_and_returns(what, &daemon, &paper, "signed"));

    let paper = Paper::new();
    delay(&insurer.sandbox, "tsa", 60_000);
    paper.hand_in(&daemon);
    taken(&insurer.sandbox);
    let what = "killed while it timestamps (before D2)";
    rows.push(insurer.dies_and_returns(what, &daemon, &paper, "signed"));

    let paper = Paper::new();
    delay(&insurer.sandbox, "exchange", 60_000);
    paper.hand_in(&daemon);
    taken(&insurer.sandbox);
    assert_eq!(paper.look(&daemon)["state"], "sending");
    let what = "killed with the document in hand, not accepted (D3)";
    rows.push(insurer.dies_and_returns(what, &daemon, &paper, "unknown"));

    let marker = folder.path().join("accepted");
    let hold = format!("insurer-accepted={}", marker.display());
    insurer.returns_with(&[("SCEAU_HOLD_AT".into(), hold.into())]);
    let paper = Paper::new();
    paper.hand_in(&daemon);
    until("it has accepted", || marker.exists().then_some(()));
    assert_eq!(paper.look(&daemon)["state"], "sending");
    let what = "killed after accepting, before answering (before D4)";
    rows.push(insurer.dies_and_returns(what, &daemon, &paper, "unknown"));

    let paper = Paper::new();
    insurer
        .sandbox
        .scenario("exchange", "drop-after-accept", None);
    delay(&insurer.sandbox, "status", 60_000);
    paper.hand_in(&daemon);
    taken(&insurer.sandbox);
    let what = "killed while it is asked (D4)";
    rows.push(insurer.dies_and_returns(what, &daemon, &paper, "unknown"));

    whole(&daemon);
    publish(HEAD, &rows);
}

#[test]
fn an_answer_lost_or_wrong_is_asked_about_and_never_sent_again_blindly() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let stories: [(&str, &[(&str, &str)]); 8] = [
        (
            "connection dropped before acceptance",
            &[("exchange", "drop-before-accept")],
        ),
        (
            "connection dropped after acceptance",
            &[("exchange", "drop-after-accept")],
        ),
        (
            "accepted, the answer says `DUPLICATE_UUID`",
            &[("exchange", "duplicate")],
        ),
        (
            "accepted, the answer's signature is wrong",
            &[("exchange", "bad-answer-signature")],
        ),
        ("refused as unavailable", &[("exchange", "unavailable")]),
        (
            "dropped after acceptance, then the answer to the question is lost",
            &[
                ("exchange", "drop-after-accept"),
                ("status", "drop-before-accept"),
            ],
        ),
        (
            "dropped after acceptance, then the question is answered with a wrong signature",
            &[
                ("exchange", "drop-after-accept"),
                ("status", "bad-answer-signature"),
            ],
        ),
        (
            "dropped before acceptance, asked, dropped again after acceptance",
            &[
                ("exchange", "drop-before-accept"),
                ("exchange", "drop-after-accept"),
            ],
        ),
    ];
    let mut rows = Vec::new();
    for (what, rules) in stories {
        for (point, action) in rules {
            sandbox.scenario(point, action, None);
        }
        let paper = Paper::new();
        paper.hand_in(&daemon);
        let now = until("it pauses", || {
            let now = paper.look(&daemon);
            now["waiting"].is_object().then_some(now)
        });
        let ending = paper.ends_well(&daemon, &sandbox);
        rows.push(row(what, &pausing(&now), &ending));
    }
    whole(&daemon);
    publish(HEAD, &rows);
}

/// The daemon dies while a slow insurer still holds its request, is started
/// again and asks before the insurer has decided: the document may then arrive
/// twice, with the same bytes, and still has one effect.
#[test]
fn a_request_that_outlives_the_daemon_has_no_second_effect() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let paper = Paper::new();
    delay(&sandbox, "exchange", 4_000);
    paper.hand_in(&daemon);
    taken(&sandbox);
    let sent = Instant::now();
    daemon.kill();
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    let ending = paper.ends_well(&daemon, &sandbox);
    assert!(ending.events.contains(&"unknown".to_owned()));
    // The first request is decided by now, and must have changed nothing.
    std::thread::sleep(Duration::from_millis(4_500).saturating_sub(sent.elapsed()));
    let ending_again = paper.ends_well(&daemon, &sandbox);
    println!("arrivals: {}", ending_again.arrivals);
    assert_eq!(ending.events, ending_again.events);
    whole(&daemon);
}

/// A SoftHSM2 token with an identity of the sandbox; its PIN file, if any, is
/// in the layer.
pub struct Card {
    pub hsm: SoftHsm,
    pub layer: String,
}

impl Card {
    pub fn insert(sandbox: &Sandbox, with_pin_file: bool) -> Option<Self> {
        let hsm = SoftHsm::empty()?;
        let chain = hsm.take_identity(sandbox, "p256");
        hsm.import_certificate("03", chain[0].der());
        let (module, serial) = (hsm.module(), &hsm.serial);
        let mut table = format!("kind = \"pkcs11\"\nmodule = {module:?}\nserial = {serial:?}\n");
        if with_pin_file {
            let file = hsm.path().join("pin");
            std::fs::write(&file, PIN).unwrap();
            table.push_str(&format!("pin_file = {file:?}\n"));
        }
        let layer = on_token(&table);
        Some(Self { hsm, layer })
    }

    pub fn setup(&self) -> Setup {
        Setup {
            layer: self.layer.clone(),
            environment: self.hsm.environment(),
        }
    }
}

/// Waits until the daemon's token is in this state.
pub fn token_is(daemon: &Daemon, status: &str) {
    until(&format!("the token is {status}"), || {
        (daemon.get("/v1/tokens")[0]["status"] == status).then_some(())
    });
}

/// The PIN through the administrator's route; the answer's status and code.
pub fn unlock(daemon: &Daemon, pin: &str) -> (u16, String) {
    let token = std::fs::read_to_string(daemon.state().join("admin.token")).unwrap();
    let body = json!({ "pin": pin }).to_string().into_bytes();
    let answer = daemon
        .send(&token, "/v1/tokens/unlock", Some(body))
        .unwrap();
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = problem["code"].as_str().unwrap_or_default();
    (answer.status, code.to_owned())
}

/// The process id of the daemon's token worker.
pub fn worker_of(daemon: &Daemon) -> u32 {
    let parent = format!("PPid:\t{}\n", daemon.pid());
    until("the token worker runs", || {
        let processes = std::fs::read_dir("/proc").unwrap();
        let mut ids = processes.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
        ids.find(|id: &u32| {
            let read = |name| std::fs::read_to_string(format!("/proc/{id}/{name}"));
            read("status").is_ok_and(|s| s.contains(&parent))
                && read("cmdline").is_ok_and(|c| c.contains("token-worker"))
        })
    })
}

#[test]
fn the_token_worker_killed_at_each_point_costs_a_pause_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let Some(card) = Card::insert(&sandbox, true) else {
        return;
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &card.setup());
    token_is(&daemon, "ready");
    let mut rows = Vec::new();

    let paper = Paper::new();
    kill(worker_of(&daemon), Signal::KILL);
    paper.hand_in(&daemon);
    let ending = paper.ends_well(&daemon, &sandbox);
    rows.push(row("dead when the document comes (D1)", TOKEN, &ending));
    // A person's unlocking forgives the crashes so far: no longer rests.
    assert_eq!(unlock(&daemon, PIN).0, 204);

    let paper = Paper::new();
    let worker = worker_of(&daemon);
    kill(worker, Signal::STOP);
    paper.hand_in(&daemon);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(paper.look(&daemon)["state"], "received");
    kill(worker, Signal::KILL);
    let ending = paper.ends_well(&daemon, &sandbox);
    rows.push(row("killed while it signs (before D2)", TOKEN, &ending));
    assert_eq!(unlock(&daemon, PIN).0, 204);

    let paper = Paper::new();
    delay(&sandbox, "exchange", 1_000);
    paper.hand_in(&daemon);
    taken(&sandbox);
    kill(worker_of(&daemon), Signal::KILL);
    let ending = paper.ends_well(&daemon, &sandbox);
    rows.push(row(
        "killed while the document is sent (D3 to D4)",
        "",
        &ending,
    ));
    assert_eq!(unlock(&daemon, PIN).0, 204);

    let papers: Vec<Paper> = (0..6).map(|_| Paper::new()).collect();
    for (number, paper) in papers.iter().enumerate() {
        paper.hand_in(&daemon);
        if number % 2 == 0 {
            // Not while it logs in: that would ask for a person, by rule.
            token_is(&daemon, "ready");
            kill(worker_of(&daemon), Signal::KILL);
        }
    }
    let what = "killed three times over six documents: each of them";
    let endings = papers.iter().map(|p| p.ends_well(&daemon, &sandbox));
    let mut same: Vec<String> = endings
        .map(|ending| row(what, TOKEN, &ending))
        // Killed between its two signatures, a document rests with the first one.
        .map(|row| row.replace("pdf-signed, ", ""))
        .collect();
    same.dedup();
    assert_eq!(same.len(), 1, "{same:#?}");
    rows.append(&mut same);
    whole(&daemon);
    publish(HEAD, &rows);
}

#[test]
fn random_kills_with_many_documents_under_way_lose_none_and_double_none() {
    campaign::run();
}
