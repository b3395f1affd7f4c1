//! Faults of cards, their drivers and the disk.

use super::stream::Events;
use super::{begins, ends, start, told};
use crate::crash::{Paper, token_is, unlock, whole};
use crate::daemon::{Daemon, Setup, on_token, until};
use crate::sandbox::Sandbox;
use crate::softhsm::{PIN, SoftHsm};
use crate::store::disk::Disk;
use crate::token::Faulty;
use serde_json::Value;
use std::path::Path;

/// `CKR_TOKEN_NOT_PRESENT`, `CKR_DEVICE_REMOVED`, `CKF_USER_PIN_LOCKED`.
const NOT_PRESENT: &str = "rv e0";
const REMOVED: &str = "rv 32";
const PIN_LOCKED: &str = "flags 40000";

/// A card behind the module that misbehaves, and its daemon.
struct Desk {
    faulty: Faulty,
    sandbox: Sandbox,
    daemon: Daemon,
    events: Events,
}

impl Desk {
    fn set_up(folder: &Path) -> Option<Self> {
        let sandbox = Sandbox::start(&folder.join("sandbox"));
        let hsm = SoftHsm::empty()?;
        let chain = hsm.take_identity(&sandbox, "p256");
        let faulty = Faulty::before(hsm, chain[0].clone())?;
        let (module, serial) = (faulty.module(), &faulty.hsm.serial);
        let table = format!("kind = \"pkcs11\"\nmodule = {module:?}\nserial = {serial:?}\n");
        let setup = Setup {
            layer: on_token(&table),
            environment: faulty.environment(),
        };
        let daemon = Daemon::start(folder, &sandbox, &setup);
        let events = Events::follow(&daemon, daemon.token(), None);
        Some(Self {
            faulty,
            sandbox,
            daemon,
            events,
        })
    }

    /// The card is not in the reader, until it is put back.
    fn pull(&self) {
        self.faulty.at("C_GetTokenInfo.always", NOT_PRESENT);
    }

    fn put_back(&self) {
        let rule = self.faulty.hsm.path().join("C_GetTokenInfo.always");
        std::fs::remove_file(rule).unwrap();
    }

    fn began(&self, name: &str) -> Value {
        let fault = self
            .events
            .next_of("condition", |c| c["name"] == name && c["change"] == "began");
        assert_eq!(fault["scope"]["kind"], "token");
        fault
    }

    /// The PIN is needed, and once: then the document ends well.
    fn unlocks(&self, paper: &Paper) {
        begins(&self.daemon, "pin-needed", "token");
        assert_eq!(unlock(&self.daemon, PIN).0, 204);
        ends(&self.daemon, "pin-needed");
        paper.ends_well(&self.daemon, &self.sandbox);
        assert_eq!(self.daemon.get("/v1/health")["status"], "ok");
    }
}

#[test]
fn faults_of_cards_and_drivers_show_and_heal() {
    let folder = tempfile::tempdir().unwrap();
    let Some(desk) = Desk::set_up(folder.path()) else {
        return;
    };
    let daemon = &desk.daemon;
    // No card, then a card without its PIN.
    token_is(daemon, "locked");
    desk.pull();
    let paper = Paper::new();
    paper.hand_in(daemon);
    begins(daemon, "token-absent", "token");
    desk.put_back();
    begins(daemon, "pin-needed", "token");
    ends(daemon, "token-absent");
    assert_eq!(told(daemon, "token-absent"), (1, 1));
    desk.unlocks(&paper);

    // Pulled in mid-signature.
    let paper = Paper::new();
    desk.faulty.at("C_Sign", REMOVED);
    desk.pull();
    paper.hand_in(daemon);
    desk.began("token-pulled");
    begins(daemon, "token-pulled", "token");
    desk.put_back();
    desk.unlocks(&paper);
    ends(daemon, "token-pulled");

    // The driver crashes, then hangs.
    for (what, name) in [("crash", "module-crashed"), ("hang", "module-hung")] {
        let paper = Paper::new();
        desk.faulty.at("C_Sign", what);
        paper.hand_in(daemon);
        desk.began(name);
        desk.unlocks(&paper);
        ends(daemon, name);
        assert_eq!(told(daemon, name), (1, 1));
    }

    // Another card than the configured one, in the same reader.
    desk.pull();
    begins(daemon, "token-pulled", "token");
    desk.faulty.at("C_GetTokenInfo.always", "serial");
    begins(daemon, "token-wrong", "token");
    desk.pull();
    begins(daemon, "token-absent", "token");
    // The card comes back with its PIN blocked, and is unblocked elsewhere.
    desk.faulty.at("C_GetTokenInfo.always", PIN_LOCKED);
    begins(daemon, "pin-blocked", "token");
    let paper = Paper::new();
    paper.hand_in(daemon);
    paper.pauses(daemon, "received", "token");
    desk.pull();
    begins(daemon, "token-absent", "token");
    desk.put_back();
    desk.unlocks(&paper);
    whole(daemon);
}

#[test]
fn a_driver_that_does_not_load_shows_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let table = "kind = \"pkcs11\"\nmodule = \"/nonexistent/module.so\"\n";
    let setup = Setup {
        layer: on_token(table),
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    let fault = begins(&daemon, "token-unusable", "token");
    let detail = fault["detail"].as_str().unwrap();
    assert!(detail.contains("/nonexistent/module.so"), "{detail}");
}

#[test]
fn what_is_not_set_up_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let layer = "token = []\npractitioner = []\ndelegate = []\n[trust]\ntimestamp_authority = []\n\
                 [mysecu]\nidentity_url = \"\"\ntoken_url = \"\"\nexchange_url = \"\"\n";
    let setup = Setup {
        layer: layer.to_owned(),
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    for name in ["no-token", "no-timestamp-authority", "no-insurer"] {
        begins(&daemon, name, "installation");
    }
}

#[test]
fn a_full_and_a_failing_disk_show_and_heal() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("sandbox"));
    let disk = Disk::under(&folder.path().join("state"));
    let setup = Setup {
        environment: disk.environment(),
        ..Setup::default()
    };
    let daemon = Daemon::start(folder.path(), &sandbox, &setup);
    for (rule, name) in [
        ("* * 1 0 ENOSPC", "disk-full"),
        ("flush * 1 0 EIO", "store-stopped"),
    ] {
        let paper = Paper::new();
        disk.fail(rule);
        let refused = daemon.hand_in(&paper.xml, &paper.pdf).status;
        assert!([503, 507].contains(&refused), "{refused}");
        let fault = begins(&daemon, name, "installation");
        assert!(fault["detail"].is_string(), "{fault:#}");
        disk.heal();
        ends(&daemon, name);
        until("it is accepted", || {
            let status = daemon.hand_in(&paper.xml, &paper.pdf).status;
            [200, 202].contains(&status).then_some(())
        });
        paper.ends_well(&daemon, &sandbox);
    }
    whole(&daemon);
}

#[test]
fn a_fault_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, daemon) = start(folder.path());
    super::fails(&sandbox, "account", "refuse", None);
    let paper = Paper::new();
    paper.hand_in(&daemon);
    let before = begins(&daemon, "account-blocked", "practitioner");
    daemon.stop();
    let daemon = Daemon::start(folder.path(), &sandbox, &Setup::default());
    // Before its next try, which is an hour away.
    let after = begins(&daemon, "account-blocked", "practitioner");
    assert_eq!(after["since"], before["since"]);
    sandbox.calm();
    paper.hurry(&daemon);
    paper.ends_well(&daemon, &sandbox);
    ends(&daemon, "account-blocked");
}
