//! The timestamp authority is away for an hour of fake time while documents
//! wait: the real outbox, intake, signer, trust and delivery on a clock of
//! ours, against the real sandbox. `SCEAU_CAMPAIGN=1` takes 500 documents.

use super::fails;
use crate::daemon::{example, pdf};
use crate::sandbox::Sandbox;
use sceau::base::{Clock, Secret, SystemClock, Uuid4};
use sceau::conditions::{Conditions, Sources};
use sceau::config::{self, Configuration, KeySettings};
use sceau::delivery::Delivery;
use sceau::forms::Packs;
use sceau::gateway::mysecu::MySecu;
use sceau::intake::{Draft, Intake};
use sceau::outbox::{self, Client, Outbox, OutboxError, Stage, State};
use sceau::sign::Signer;
use sceau::store::Store;
use sceau::token::several::{Named, Several};
use sceau::token::soft::SoftToken;
use sceau::trust::Trust;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use time::OffsetDateTime;

/// The machine's clock and some seconds more or less.
struct Shifted(AtomicI64);

impl Clock for Shifted {
    fn now(&self) -> OffsetDateTime {
        SystemClock.now() + time::Duration::seconds(self.0.load(Ordering::Relaxed))
    }
}

/// The service without its server and threads.
struct Service {
    clock: Arc<Shifted>,
    outbox: Arc<Outbox>,
    intake: Arc<Intake>,
    delivery: Delivery,
    conditions: Conditions,
}

fn configuration(folder: &Path, sandbox: &Sandbox) -> Configuration {
    let layer = folder.join("test.toml");
    // At the end the clock is a quarter of an hour ahead of the authority's.
    let text = "[store]\nfolder = \"state\"\n[trust]\nclock_tolerance_seconds = 1200\n";
    std::fs::write(&layer, text).unwrap();
    let files = ["signer.toml", "environment.toml"].map(|name| sandbox.dir.join(name));
    let files: Vec<_> = files.into_iter().chain([layer]).collect();
    config::load(&files).unwrap()
}

fn soft(key: &KeySettings) -> SoftToken {
    let KeySettings::Soft { p12, password_file } = key else {
        panic!("the sandbox's key is a file");
    };
    let password = Secret::from_file(password_file).unwrap();
    SoftToken::open(&std::fs::read(p12).unwrap(), &password).unwrap()
}

impl Service {
    /// An hour ago.
    fn start(folder: &Path, sandbox: &Sandbox) -> Self {
        let configuration = configuration(folder, sandbox);
        let clock = Arc::new(Shifted(AtomicI64::new(-3600)));
        let store = Store::open(&configuration.store, &outbox::migrations()).unwrap();
        let lease = Duration::from_secs(300);
        let outbox = Outbox::open(Arc::new(store), clock.clone(), lease).unwrap();
        let half_an_hour = Some(Duration::from_secs(1800));
        let outbox = Arc::new(outbox.with_stamp_within(half_an_hour));
        let packs = Arc::new(Packs::open(None, None));
        let trust = Arc::new(Trust::new(configuration.trust, clock.clone()).unwrap());
        let named = |token: &config::TokenSettings| Named {
            name: token.name.clone(),
            token: Arc::new(soft(&token.key)),
        };
        let tokens = Arc::new(Several::new(
            configuration.tokens.iter().map(named).collect(),
        ));
        let scheme = configuration.rsa_scheme;
        let signer = Arc::new(Signer::new(tokens.clone(), trust, clock.clone(), scheme));
        let people = Arc::new(configuration.people);
        let environment = Arc::new(configuration.environment);
        // The insurer's clock is the machine's.
        let gateway = MySecu::new(configuration.mysecu.unwrap(), SystemClock::shared()).unwrap();
        let delivery = Delivery::new(
            packs.clone(),
            outbox.clone(),
            Arc::new(gateway),
            people.clone(),
            environment.clone(),
        );
        let intake = Arc::new(Intake::new(
            (packs, outbox.clone(), signer.clone()),
            people,
            environment,
            configuration.pdfs,
            clock.clone(),
        ));
        let conditions = Conditions::new(Sources {
            tokens,
            signer,
            outbox: outbox.clone(),
            clock: clock.clone(),
            delivers: true,
        });
        Self {
            clock,
            outbox,
            intake,
            delivery,
            conditions: conditions.unwrap(),
        }
    }

    fn accept(&self) -> Uuid4 {
        let (uuid, xml) = example("une-ligne.xml");
        let draft = Draft {
            form: "memoire-honoraires".into(),
            version: None,
            operation: "depot".into(),
            client: Client {
                name: "test".into(),
                paired_at: self.clock.now(),
                practitioners: Vec::new(),
            },
            signer: None,
            xml,
            pdf: Some(pdf("memoire-gs-a2b.pdf")),
        };
        self.intake.accept(draft).unwrap();
        uuid.parse().unwrap()
    }

    /// Does all that is due now; how many steps of delivery.
    fn work(&self) -> usize {
        while let Some(lease) = self.outbox.claim(Stage::Intake).unwrap() {
            self.intake.step(lease).unwrap();
        }
        let mut delivered = 0;
        while let Some(lease) = self.outbox.claim(Stage::Delivery).unwrap() {
            self.delivery.step(lease).unwrap();
            delivered += 1;
        }
        self.conditions.look_at_records();
        delivered
    }

    /// The faults there are but for the clock, which is ours.
    fn faults(&self) -> Vec<&'static str> {
        let all = self.conditions.look();
        let names = all.iter().map(|c| c.kind.name);
        names.filter(|name| *name != "clock-wrong").collect()
    }

    fn states(&self, uuids: &[Uuid4]) -> BTreeMap<&'static str, usize> {
        let mut all = BTreeMap::new();
        for uuid in uuids {
            let record = self.outbox.find(*uuid).unwrap().unwrap();
            *all.entry(record.state.word()).or_default() += 1;
        }
        all
    }
}

#[test]
fn an_hour_without_timestamps_delays_and_does_nothing_else() {
    let count = match std::env::var_os("SCEAU_CAMPAIGN") {
        Some(_) => 500,
        None => 12,
    };
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    fails(&sandbox, "tsa", "unavailable", None);
    let service = Service::start(folder.path(), &sandbox);
    let uuids: Vec<Uuid4> = (0..count).map(|_| service.accept()).collect();
    while service.clock.0.fetch_add(30, Ordering::Relaxed) < -30 {
        assert_eq!(service.work(), 0, "nothing may leave");
        let overdue = service.clock.0.load(Ordering::Relaxed) > -1700;
        let faults = service.faults();
        assert!(faults.contains(&"tsa-down"), "{faults:?}");
        assert!(!overdue || faults.contains(&"stamp-overdue"), "{faults:?}");
    }
    assert_eq!(service.states(&uuids), BTreeMap::from([("signed", count)]));
    assert_eq!(sandbox.documents().len(), 0);
    let tries: u32 = uuids
        .iter()
        .map(|uuid| service.outbox.find(*uuid).unwrap().unwrap().tries)
        .sum();

    // It is back: nobody does anything, all try again by themselves.
    sandbox.calm();
    let mut minutes = 0;
    while service.states(&uuids) != BTreeMap::from([("receipted", count)]) {
        service.work();
        service.clock.0.fetch_add(60, Ordering::Relaxed);
        minutes += 1;
        assert!(minutes <= 16, "{:?}", service.states(&uuids));
    }
    service.conditions.look_at_records();
    assert_eq!(service.faults(), Vec::<&str>::new());

    each_once_and_in_order(&service, &sandbox, &uuids);
    println!("{count} documents, {tries} tries in the hour, all receipted {minutes} min after it");
}

/// Each document is at the insurer once, stamped, and its history has each step
/// once and in order.
fn each_once_and_in_order(service: &Service, sandbox: &Sandbox, uuids: &[Uuid4]) {
    let held = sandbox.documents();
    assert_eq!(held.len(), uuids.len());
    for document in &held {
        assert_eq!(
            (&document["verdict"], &document["arrivals"]),
            (&"accepted".into(), &1.into())
        );
    }
    for uuid in uuids {
        let history = service.outbox.history(*uuid).unwrap();
        let words: Vec<&str> = history.iter().map(|entry| entry.event.as_str()).collect();
        let place = |word| {
            let mut places = words.iter().enumerate().filter(|(_, w)| **w == word);
            let (place, _) = places.next().expect(word);
            assert!(places.next().is_none(), "{word} twice in {words:?}");
            place
        };
        let order = [
            "signed",
            "stamp-overdue",
            "stamped",
            "sealed",
            "sending",
            "receipted",
        ];
        assert!(order.map(place).is_sorted(), "{words:?}");
        assert_eq!(
            service.outbox.find(*uuid).unwrap().unwrap().state,
            State::Receipted
        );
        assert!(
            sandbox
                .document(&uuid.to_string())
                .contains("SignatureTimeStamp")
        );
    }
}

#[test]
fn a_backup_that_fails_is_told_and_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let service = Service::start(folder.path(), &sandbox);
    let failure = OutboxError::folder(Path::new("backups"))(ErrorKind::StorageFull.into());
    service.outbox.backup_ended(Some(&failure));
    let all = service.conditions.look();
    let told = all
        .iter()
        .find(|c| c.kind.name == "backup-failing")
        .unwrap();
    assert!(!told.holds_up && told.detail.as_ref().unwrap().contains("backups"));
    service.outbox.backup_ended(None);
    assert!(!service.faults().contains(&"backup-failing"));
}
