//! One simulation: an insurer, callers, an administrator, and one process after
//! the other, each over the files that the one before left when it died.

use super::history::{Document, History, Rule, Told, passed_over};
use super::insurer::{Ledger, Line};
use super::stage::{Chance, Stage};
use super::trust::{self, Network, Reader};
use super::weather::{Climate, Weather, is_interactive};
use crate::audit;
use sceau::base::hold::{Conductor, Defect, lead};
use sceau::base::{Uuid4, hex};
use sceau::delivery::Delivery;
use sceau::forms::{Environment, EnvironmentKind, Packs};
use sceau::intake::{Draft, Hybrid, Intake, IntakeError, PdfSettings};
use sceau::outbox::{
    self, Accepted, Client, Lease, Outbox, OutboxError, Queue, Record, Stage as Step,
};
use sceau::service::work;
use sceau::sign::{People, Practitioner, Signer};
use sceau::store::rusqlite::{Connection, OpenFlags};
use sceau::store::{self, Store};
use sceau::trust::Trust;
use sceau::x509::RsaScheme;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use time::OffsetDateTime;

/// Deaths of one simulation, after which its processes live.
const DEATHS_MAX: usize = 8;
/// How long everything may take to come to rest when all is well again: the
/// longest pause between tries is 15 minutes, and some follow each other.
const REST: Duration = Duration::from_secs(6 * 3600);
/// Those who send; a program acts for all of them.
const CODES: [&str; 3] = ["90000001", "90000002", "90000003"];

/// What is the same for all processes of a simulation.
pub struct World {
    pub climate: Climate,
    pub history: History,
    pub ledger: Arc<Mutex<Ledger>>,
    weather: Arc<Weather>,
    /// Documents still to be handed in for the first time.
    to_hand_in: Mutex<usize>,
    is_done: AtomicBool,
}

/// What one simulation came to.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    pub violations: Vec<super::history::Violation>,
    pub documents: usize,
    pub acknowledged: usize,
    pub effects: usize,
    pub arrivals: usize,
    pub questions: u64,
    pub deaths: usize,
    pub points: u64,
    pub trace: u64,
}

/// The parts of one process.
struct Process {
    stage: Arc<Stage>,
    state: PathBuf,
    outbox: Arc<Outbox>,
    intake: Arc<Intake>,
    delivery: Arc<Delivery>,
    /// The judge's own look at the files.
    eye: Mutex<Connection>,
}

/// Plays the simulation of a seed.
pub fn play(seed: u64, documents: usize, planted: Option<Defect>) -> Outcome {
    play_in(seed, documents, planted, |_| {})
}

/// The same in a climate that is changed.
pub fn play_in(
    seed: u64,
    documents: usize,
    planted: Option<Defect>,
    change: impl FnOnce(&mut Climate),
) -> Outcome {
    let mut chance = Chance::new(seed);
    let mut climate = Climate::of(&mut chance, documents);
    change(&mut climate);
    let world = Arc::new(World {
        to_hand_in: Mutex::new(climate.documents),
        climate,
        history: History::default(),
        ledger: Arc::default(),
        weather: Arc::new(Weather::new()),
        is_done: AtomicBool::new(false),
    });
    let scratch = scratch();
    let (mut times, mut outcome) = ((0, 0), Outcome::default());
    for life in 0.. {
        let state = scratch.path().join(life.to_string());
        let next = scratch.path().join((life + 1).to_string());
        let crash = if life < DEATHS_MAX {
            world.climate.crash_per_million
        } else {
            0
        };
        let luck = Chance::new(chance.below(u64::MAX));
        let stage = Stage::new(luck, times, (crash, world.climate.switch_permille), planted);
        let process = Process::start(&world, &stage, &state);
        stage.on_death(move || leave_behind(&state, &next));
        process.run(&world);
        let (points, trace) = stage.trace();
        outcome.points += points;
        outcome.trace = outcome.trace.rotate_left(1) ^ trace;
        times = stage.times();
        if world.is_done.load(Ordering::Relaxed) || !world.history.violations().is_empty() {
            world.end(&process, times.0);
            outcome.deaths = life;
            break;
        }
    }
    let ledger = world.ledger.lock().unwrap();
    let all = world.history.documents.lock().unwrap();
    outcome.documents = all.len();
    outcome.acknowledged = all.iter().filter(|d| d.is_acknowledged()).count();
    outcome.effects = ledger.effects.values().sum();
    outcome.arrivals = ledger.arrivals.values().map(Vec::len).sum();
    outcome.questions = ledger.questions;
    outcome.violations = world.history.violations();
    outcome
}

/// In memory where there is a file system in it: only what the process makes
/// durable is looked at, not whether the disk keeps it.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

/// Copies the files as they are at a process's death; what SQLite shares between
/// processes (`-shm`) dies with them.
fn leave_behind(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            leave_behind(&entry.path(), &target);
        } else if name != "sceau.db-shm" {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn packs() -> Arc<Packs> {
    static PACKS: OnceLock<Arc<Packs>> = OnceLock::new();
    let open = || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/simulation/packs");
        let packs = Packs::open(Some(&folder), None);
        assert_eq!(packs.faults(), []);
        Arc::new(packs)
    };
    PACKS.get_or_init(open).clone()
}

fn people() -> Arc<People> {
    let practitioner = |code: &str| Practitioner {
        code_prestataire: code.parse().unwrap(),
        ehealth_id: format!("10{code}"),
        name: "simulated".to_owned(),
        certificate: Some(trust::certificate()),
    };
    let practitioners = CODES.into_iter().map(practitioner);
    Arc::new(People::new(practitioners.collect(), Vec::new()))
}

impl World {
    /// Judges the whole, and the last process's files.
    fn end(&self, process: &Process, now: i64) {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.settle(self.climate.knows_uuids, now + REST.as_millis() as i64);
        self.history.judge(&ledger, &process.outbox);
        let faults = audit::faults(&process.state);
        if !faults.is_empty() {
            self.history.violate(Rule::Audit, faults);
        }
    }
}

impl Process {
    fn start(world: &World, stage: &Arc<Stage>, state: &Path) -> Arc<Self> {
        let settings = store::Settings {
            folder: state.to_owned(),
            key_file: None,
        };
        // Led, for what is planted, but nobody else is there yet.
        lead(Some(stage.clone()));
        let store = Arc::new(Store::open(&settings, &outbox::migrations()).unwrap());
        let outbox = Outbox::open(store, stage.clone(), world.climate.lease).unwrap();
        lead(None);
        let outbox = Arc::new(outbox);
        let (packs, people) = (packs(), people());
        let environment = Arc::new(Environment {
            name: "simulation".to_owned(),
            kind: EnvironmentKind::Sandbox,
            models: [].into(),
        });
        let weather = || world.weather.clone();
        let network = Network {
            stage: stage.clone(),
            weather: weather(),
        };
        let trust = Trust::over(trust::settings(), stage.clone(), Arc::new(network)).unwrap();
        let reader = Reader {
            stage: stage.clone(),
            weather: weather(),
        };
        let signer = Signer::new(
            Arc::new(reader),
            Arc::new(trust),
            stage.clone(),
            RsaScheme::Pss,
        );
        let line = Line {
            stage: stage.clone(),
            weather: weather(),
            ledger: world.ledger.clone(),
            knows_uuids: world.climate.knows_uuids,
        };
        let pdfs = PdfSettings {
            hybrid: Hybrid::Accept,
            validator: None,
        };
        let parts = (packs.clone(), outbox.clone(), Arc::new(signer));
        let intake = Intake::new(
            parts,
            people.clone(),
            environment.clone(),
            pdfs,
            stage.clone(),
        );
        let delivery = Delivery::new(packs, outbox.clone(), Arc::new(line), people, environment);
        let database: PathBuf = state.join("sceau.db");
        let eye = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        Arc::new(Self {
            stage: stage.clone(),
            state: state.to_owned(),
            outbox,
            intake: Arc::new(intake),
            delivery: Arc::new(delivery),
            eye: Mutex::new(eye),
        })
    }

    fn run(self: &Arc<Self>, world: &Arc<World>) {
        let watcher = (Arc::downgrade(self), world.clone());
        self.stage.on_idle(Box::new(move |nappers| {
            if let Some(process) = watcher.0.upgrade() {
                process.idle(&watcher.1, nappers);
            }
        }));
        world.weather.now().hangs_left = world.climate.signers.min(world.climate.senders) - 1;
        let mut threads = Vec::new();
        for (stage, workers) in [
            (Step::Intake, world.climate.signers),
            (Step::Delivery, world.climate.senders),
        ] {
            for number in 0..=workers {
                let queue = Queue {
                    stage,
                    interactive: number == workers,
                };
                let (process, world) = (self.clone(), world.clone());
                let part = move || {
                    let step = |lease| process.step(&world, queue, lease);
                    work(queue, &process.outbox, &AtomicBool::new(false), step);
                };
                threads.push(self.stage.act(name(queue), part));
            }
        }
        for _ in 0..world.climate.callers {
            let (process, world) = (self.clone(), world.clone());
            threads.push(self.stage.act("caller", move || process.hand_in(&world)));
        }
        let (process, everything) = (self.clone(), world.clone());
        threads.push(
            self.stage
                .act("administrator", move || process.administer(&everything)),
        );
        self.stage.begin();
        for thread in threads {
            if let Err(failed) = thread.join().unwrap() {
                world.history.violate(Rule::Failed, failed);
            }
        }
    }

    /// A worker's step, watched.
    fn step(&self, world: &World, queue: Queue, lease: Lease) -> Result<Record, OutboxError> {
        let (operation, clock) = (lease.record.operation.clone(), self.clock());
        if !is_interactive(&operation) {
            let waiting = self.claimable(queue.stage, "interactive = 1", clock);
            if passed_over(&operation, waiting) {
                let detail = format!("{operation} was taken on before {waiting} others");
                world.history.violate(Rule::InteractiveFirst, detail);
            }
        }
        match queue.stage {
            Step::Intake => self.intake.step(lease),
            Step::Delivery => self.delivery.step(lease),
        }
    }

    /// The machine's time in milliseconds since 1970, as the files have it.
    fn clock(&self) -> i64 {
        let now = sceau::base::Clock::now(&*self.stage);
        i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap()
    }

    /// How many documents a worker of a stage could take on now, by the files.
    fn claimable(&self, stage: Step, which: &str, clock: i64) -> i64 {
        let states = match stage {
            Step::Intake => "'received', 'signed', 'stamped'",
            Step::Delivery => "'ready', 'unknown'",
        };
        let sql = format!(
            "SELECT count(*) FROM submission WHERE state IN ({states}) AND {which} \
             AND due_ms <= ?1 AND lease_ms IS NULL"
        );
        let eye = self.eye.lock().unwrap();
        let mut statement = eye.prepare_cached(&sql).unwrap();
        statement.query_row([clock], |row| row.get(0)).unwrap()
    }

    /// Nobody has anything to do: nobody must nap beside work.
    fn idle(&self, world: &World, nappers: &[&'static str]) {
        // A clock that jumped ahead makes due what nobody could foresee.
        let steady = self.stage.now() - self.stage.clock_moved() > 31_000;
        if self.stage.is_over() || !(steady || self.stage.clock_moved() == 0) {
            return;
        }
        let clock = self.clock();
        for (stage, all, interactive) in [
            (Step::Intake, INTAKE, INTAKE_INTERACTIVE),
            (Step::Delivery, DELIVERY, DELIVERY_INTERACTIVE),
        ] {
            let which = match (nappers.contains(&all), nappers.contains(&interactive)) {
                (true, _) => "true",
                (false, true) => "interactive = 1",
                (false, false) => continue,
            };
            let waiting = self.claimable(stage, which, clock);
            if waiting > 0 {
                let detail = format!("{waiting} documents are due and {nappers:?} nap");
                world.history.violate(Rule::Idle, detail);
                self.stage.give_up();
            }
        }
    }

    /// A caller's programme: new documents, the same again, others under the
    /// same UUID.
    fn hand_in(&self, world: &World) {
        loop {
            let pause = self.stage.chance(|chance| chance.millis(20_000));
            self.stage.sleep(pause);
            let known = world.history.documents.lock().unwrap().len();
            let again = known > 0 && self.stage.chance(|chance| chance.permille(200));
            let number = match again {
                true => self.stage.chance(|chance| chance.below(known as u64)) as usize,
                false => match world.new_document(&self.stage) {
                    Some(number) => number,
                    None => break,
                },
            };
            let document = world.history.documents.lock().unwrap()[number].clone();
            let others = again && self.stage.chance(|chance| chance.permille(200));
            let mut xml = document.xml.clone();
            if others {
                // Before it is on record, other bytes would take the UUID.
                if !document.is_acknowledged() {
                    continue;
                }
                let end = xml.windows(8).position(|w| w == b"</texte>").unwrap();
                xml.splice(end..end, *b" autre");
            }
            let told = self.tell(world, document.operation, xml);
            let Some(told) = told else { continue };
            let document = &mut world.history.documents.lock().unwrap()[number];
            match others {
                true => document.told_of_others.push(told),
                false => document.told.push(told),
            }
        }
        self.hand_in_again(world);
    }

    /// Whoever was not answered, because the process died, tries again.
    fn hand_in_again(&self, world: &World) {
        let known = world.history.documents.lock().unwrap().len();
        for number in 0..known {
            let document = world.history.documents.lock().unwrap()[number].clone();
            if document.told.is_empty()
                && let Some(told) = self.tell(world, document.operation, document.xml)
            {
                world.history.documents.lock().unwrap()[number]
                    .told
                    .push(told);
            }
        }
    }

    /// Hands in, as the API would, and returns what the caller is told.
    fn tell(&self, world: &World, operation: &str, xml: Vec<u8>) -> Option<Told> {
        let draft = Draft {
            form: "simulation".to_owned(),
            version: None,
            operation: operation.to_owned(),
            client: Client {
                name: "simulated".to_owned(),
                paired_at: OffsetDateTime::UNIX_EPOCH,
                practitioners: Vec::new(),
            },
            signer: None,
            xml,
            pdf: None,
        };
        match self.intake.accept(draft) {
            Ok((Accepted::Fresh(_), _)) => Some(Told::Accepted),
            Ok((Accepted::Already(_), _)) => Some(Told::Already),
            Err(IntakeError::Outbox(OutboxError::Conflict(_))) => Some(Told::Taken),
            Err(IntakeError::Xml(_)) => Some(Told::Refused),
            Err(error) => {
                world
                    .history
                    .violate(Rule::Failed, sceau::base::causes(&error));
                None
            }
        }
    }

    /// Weather and people: for a while things go wrong, then all is well, and
    /// everything has to come to rest.
    fn administer(&self, world: &World) {
        for _ in 0..self.stage.chance(|chance| chance.below(12)) {
            let pause = self.stage.chance(|chance| chance.millis(120_000));
            self.stage.sleep(pause);
            self.stage
                .chance(|chance| world.weather.change(&world.climate, chance));
            if world.climate.clock && self.stage.chance(|chance| chance.permille(300)) {
                let off = [0, 0, -3_600_000, -2_000, 2_000, 3_600_000, 400_000];
                let off = self.stage.chance(|chance| chance.pick(&off));
                self.stage.set_clock(off);
            }
            self.press(world);
        }
        world.weather.clear();
        self.stage.set_clock(0);
        self.stage.calm();
        let _ = self.outbox.token_ready();
        let began = self.stage.now();
        while !self.is_at_rest(world) {
            if self.stage.now() - began > REST.as_millis() as i64 {
                break;
            }
            self.stage.sleep(Duration::from_secs(20));
        }
        world.is_done.store(true, Ordering::Relaxed);
        self.stage.give_up();
    }

    /// A person tries something.
    fn press(&self, world: &World) {
        let documents = world.history.documents.lock().unwrap();
        let some = match documents.len() {
            0 => None,
            n => Some(documents[self.stage.chance(|chance| chance.below(n as u64)) as usize].uuid),
        };
        drop(documents);
        if self.stage.chance(|chance| chance.permille(300)) {
            let _ = self.outbox.token_ready();
        }
        if let Some(uuid) = some {
            let _ = self.outbox.retry_now(uuid);
        }
    }

    fn is_at_rest(&self, world: &World) -> bool {
        let documents = world.history.documents.lock().unwrap();
        let answered = documents.iter().all(|document| !document.told.is_empty());
        drop(documents);
        if !answered || *world.to_hand_in.lock().unwrap() > 0 {
            return false;
        }
        let sql = "SELECT count(*) FROM submission WHERE state NOT IN ('receipted', 'rejected') \
                   AND NOT (state = 'unknown' AND operation = 'muet')";
        let eye = self.eye.lock().unwrap();
        let mut statement = eye.prepare_cached(sql).unwrap();
        statement.query_row([], |row| row.get::<_, i64>(0)).unwrap() == 0
    }
}

const INTAKE: &str = "intake";
const INTAKE_INTERACTIVE: &str = "intake, interactive";
const DELIVERY: &str = "delivery";
const DELIVERY_INTERACTIVE: &str = "delivery, interactive";

fn name(queue: Queue) -> &'static str {
    match (queue.stage, queue.interactive) {
        (Step::Intake, false) => INTAKE,
        (Step::Intake, true) => INTAKE_INTERACTIVE,
        (Step::Delivery, false) => DELIVERY,
        (Step::Delivery, true) => DELIVERY_INTERACTIVE,
    }
}

impl World {
    /// A document nobody has seen: its place among all.
    fn new_document(&self, stage: &Stage) -> Option<usize> {
        let mut left = self.to_hand_in.lock().unwrap();
        *left = left.checked_sub(1)?;
        let mut documents = self.history.documents.lock().unwrap();
        let operation = stage.chance(|chance| chance.pick(&self.climate.operations));
        let uuid = uuid(stage);
        let answers = (operation == "annulation").then(|| match documents.len() {
            0 => uuid,
            // Few, so that they race.
            n => documents[stage.chance(|chance| chance.below(n.min(4) as u64)) as usize].uuid,
        });
        let code = stage.chance(|chance| chance.pick(&CODES));
        let refere = answers
            .map(|uuid| format!("<refere>{uuid}</refere>"))
            .unwrap_or_default();
        // Some are too large for a row of the database.
        let large = stage.chance(|chance| chance.permille(20));
        let text = "simulation ".repeat(if large { 2_000 } else { 3 });
        let xml = format!(
            "<document xmlns=\"urn:sceau:test:simulation:1\"><uuid>{uuid}</uuid><code>{code}</code>{refere}<texte>{text}</texte></document>"
        );
        documents.push(Document {
            uuid,
            operation,
            code,
            answers,
            xml: xml.into_bytes(),
            told: Vec::new(),
            told_of_others: Vec::new(),
        });
        Some(documents.len() - 1)
    }
}

/// A version 4 UUID (RFC 9562) of the seed.
fn uuid(stage: &Stage) -> Uuid4 {
    let (high, low) = stage.chance(|chance| (chance.below(1 << 52), chance.below(1 << 52)));
    let digits = hex::encode(&[high.to_be_bytes(), low.to_be_bytes()].concat());
    let (a, b, c, d) = (
        &digits[4..12],
        &digits[12..16],
        &digits[17..20],
        &digits[20..23],
    );
    let text = format!("{a}-{b}-4{c}-8{d}-{}", &digits[20..32]);
    text.parse().unwrap()
}
