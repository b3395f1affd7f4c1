//! Kills of daemon, token worker and insurer at random moments and points, with
//! documents under way all the time. `make crashes CYCLES=3000` runs the long
//! one; `SEED` repeats the choices, though not the scheduling of the machine.

use super::{Card, Paper, kill, unlock, whole, worker_of};
use crate::daemon::{Daemon, Setup};
use crate::sandbox::Sandbox;
use crate::softhsm::PIN;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Cycles of a plain test run.
const CYCLES: u64 = 24;
const SEED: u64 = 20_261_121;
/// Cycles after which all documents are seen through to their end.
const BLOCK: u64 = 60;
/// Longest wait for the end of a block's documents.
const SETTLE: Duration = Duration::from_secs(300);

/// Numbers for the kills; the same ones for a seed.
struct Numbers(u64);

impl Numbers {
    /// Below `end`. Knuth's MMIX generator.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pause(&mut self, below_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.below(below_ms)));
    }
}

/// A practice that hands documents in and repeats what went unanswered.
#[derive(Default)]
struct Practice {
    papers: Vec<Paper>,
    /// How many of `papers`, from the first on, were answered with 202 or 200.
    answered: AtomicUsize,
}

impl Practice {
    /// Hands in, in order, until all are answered or nobody answers any more.
    fn work(&self, daemon: &Daemon) {
        while let Some(paper) = self.papers.get(self.answered.load(Ordering::SeqCst)) {
            let Ok(answer) = daemon.try_hand_in(&paper.xml, &paper.pdf) else {
                return;
            };
            assert!([200, 202].contains(&answer.status), "{}", answer.status);
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// What was done and seen.
#[derive(Default)]
struct Tally {
    daemon: BTreeMap<&'static str, u64>,
    worker: u64,
    insurer: u64,
    documents: usize,
    arrivals: u64,
}

struct Campaign {
    // Dropped in this order: the insurer before its folder.
    sandbox: Sandbox,
    place: PathBuf,
    card: Option<Card>,
    token: String,
    folder: tempfile::TempDir,
    numbers: Numbers,
    practice: Practice,
    tally: Tally,
}

/// How the daemon dies.
#[derive(Clone, Copy)]
enum End {
    Anywhen,
    At(&'static str),
}

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().unwrap())
}

pub fn run() {
    let cycles = number("SCEAU_CRASH_CYCLES", CYCLES);
    let seed = number("SCEAU_CRASH_SEED", SEED);
    let started = Instant::now();
    let mut campaign = Campaign::new(seed);
    for cycle in 1..=cycles {
        campaign.cycle();
        if cycle % BLOCK == 0 || cycle == cycles {
            campaign.settle();
            println!(
                "{cycle} cycles, {:.0?}: {}",
                started.elapsed(),
                campaign.tally
            );
        }
    }
    let daemon = campaign.start(&[]);
    whole(&daemon);
    assert_eq!(campaign.sandbox.documents().len(), campaign.tally.documents);
    let points = campaign.tally.daemon.iter();
    let at_points: u64 = points
        .filter(|(how, _)| **how != "anywhen")
        .map(|(_, n)| n)
        .sum();
    assert!(at_points >= cycles / 4, "too few under way");
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            daemon,
            worker,
            insurer,
            ..
        } = self;
        let (documents, arrivals) = (self.documents, self.arrivals);
        write!(
            f,
            "kills: daemon {} {daemon:?}, token worker {worker}, insurer {insurer}; \
             documents accepted {documents}, effects {documents}, \
             doubles 0, losses 0, arrivals {arrivals}",
            daemon.values().sum::<u64>(),
        )
    }
}

impl Campaign {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("sandbox");
        let sandbox = Sandbox::start(&place);
        let card = Card::insert(&sandbox, true);
        let mut campaign = Self {
            sandbox,
            place,
            card,
            token: String::new(),
            folder,
            numbers: Numbers(seed),
            practice: Practice::default(),
            tally: Tally::default(),
        };
        campaign.spare();
        let daemon = Daemon::start(campaign.folder.path(), &campaign.sandbox, &campaign.setup());
        campaign.token = daemon.token().to_owned();
        campaign
    }

    /// The card, where there is one, else the sandbox's software key.
    fn setup(&self) -> Setup {
        let mut setup = self.card.as_ref().map_or_else(Setup::default, Card::setup);
        setup.layer += "\n[outbox]\nintake_workers = 2\ndelivery_workers = 4\n";
        setup
    }

    /// SoftHSM's files as they were. A kill can tear them while it writes one at
    /// a login; a card's memory it cannot.
    fn heal(&self) {
        let Some(card) = &self.card else { return };
        let spare = self.folder.path().join("spare");
        copy_tokens(&spare, &card.hsm.path().join("tokens"));
    }

    /// Keeps what [`Campaign::heal`] puts back.
    fn spare(&self) {
        let Some(card) = &self.card else { return };
        let spare = self.folder.path().join("spare");
        copy_tokens(&card.hsm.path().join("tokens"), &spare);
    }

    fn start(&self, environment: &[(&str, String)]) -> Daemon {
        self.heal();
        let mut setup = self.setup();
        let more = environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        setup.environment.extend(more);
        let token = self.token.clone();
        Daemon::start_paired(self.folder.path(), &self.sandbox, &setup, token)
    }

    /// One life of the daemon.
    fn cycle(&mut self) {
        let new = self.numbers.below(4);
        self.practice.papers.extend((0..new).map(|_| Paper::new()));
        if self.numbers.below(8) == 0 {
            // So that kills meet requests on their way.
            let slow =
                json!({ "point": "exchange", "action": "delay", "count": 3, "delay_ms": 300 });
            self.sandbox.control("scenario", &slow.to_string());
        }
        let end = match self.numbers.below(12) {
            at @ 0..8 => End::At(super::POINTS[at as usize]),
            _ => End::Anywhen,
        };
        let kills_worker = self.card.is_some() && self.numbers.below(3) == 0;
        let kills_insurer = self.numbers.below(20) == 0;
        let marker = self.folder.path().join("marker");
        let _ = std::fs::remove_file(&marker);
        let daemon = match end {
            End::At(point) => {
                let hold = format!("{point}={}", marker.display());
                self.start(&[("SCEAU_HOLD_AT", hold)])
            }
            End::Anywhen => self.start(&[]),
        };
        let (practice, numbers) = (&self.practice, &mut self.numbers);
        std::thread::scope(|scope| {
            scope.spawn(|| practice.work(&daemon));
            if kills_worker {
                numbers.pause(300);
                kill(worker_of(&daemon), Signal::KILL);
            }
            match end {
                End::At(_) => reached(&marker),
                End::Anywhen => numbers.pause(700),
            }
            if kills_insurer {
                self.sandbox.kill();
            }
            kill(daemon.pid(), Signal::KILL);
        });
        let how = match end {
            End::At(point) if marker.exists() => point,
            End::At(_) | End::Anywhen => "anywhen",
        };
        *self.tally.daemon.entry(how).or_default() += 1;
        self.tally.worker += u64::from(kills_worker);
        drop(daemon);
        if kills_insurer {
            self.tally.insurer += 1;
            self.sandbox = Sandbox::start(&self.place);
        }
    }

    /// Sees every document through to its end and judges it.
    fn settle(&mut self) {
        self.sandbox.calm();
        let daemon = self.start(&[]);
        self.practice.work(&daemon);
        let papers = std::mem::take(&mut self.practice).papers;
        let mut ended: HashMap<&str, Value> = HashMap::new();
        let started = Instant::now();
        while ended.len() < papers.len() {
            assert!(started.elapsed() < SETTLE, "{}", daemon.log());
            if self.card.is_some() && daemon.get("/v1/tokens")[0]["status"] != "ready" {
                unlock(&daemon, PIN);
            }
            for paper in &papers {
                if ended.contains_key(&*paper.uuid) {
                    continue;
                }
                let now = paper.look(&daemon);
                if now["is_final"] == true {
                    ended.insert(&paper.uuid, now);
                } else {
                    // Some wait long since they found no insurer.
                    paper.hurry(&daemon);
                }
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let mut held: HashMap<String, Vec<Value>> = HashMap::new();
        for document in self.sandbox.documents() {
            let uuid = document["uuid"].as_str().unwrap().to_owned();
            held.entry(uuid).or_default().push(document);
        }
        for paper in &papers {
            let [effect] = held.get(&paper.uuid).map_or(&[][..], Vec::as_slice) else {
                panic!("{}: {:?}", paper.uuid, held.get(&paper.uuid));
            };
            let ending = paper.ended_well(1, &daemon, &self.sandbox, &ended[&*paper.uuid], effect);
            self.tally.arrivals += ending.arrivals;
        }
        self.tally.documents += papers.len();
    }
}

/// Copies the files of every SoftHSM token below a folder.
fn copy_tokens(from: &Path, to: &Path) {
    for token in std::fs::read_dir(from).unwrap() {
        let token = token.unwrap().file_name();
        std::fs::create_dir_all(to.join(&token)).unwrap();
        for file in std::fs::read_dir(from.join(&token)).unwrap() {
            let name = Path::new(&token).join(file.unwrap().file_name());
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

/// Waits until the daemon holds; it need not come to its point.
fn reached(marker: &Path) {
    for _ in 0..100 {
        if marker.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
