//! A smartcard as it is: OpenSC as module, pcscd, a virtual reader
//! (vsmartcard-vpcd) and a PIV card of ours in it (`piv_card.py`), whose signing
//! key (9C) wants the PIN again for each signature. Inserted, pulled, put back,
//! exchanged for another.

use crate::softhsm::{Authority, Kind, PIN, skipped, worker};
use crate::token::{is_locked, pin, sign, unlock, wait_for};
use sceau::token::pkcs11::{Pkcs11Token, Settings};
use sceau::token::{LastTry, Token, TokenError, TokenStatus};
use sceau::x509::Cert;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";

/// OpenSC's module, where distributions put it.
fn opensc() -> Option<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
        "/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
        "/usr/lib64/opensc-pkcs11.so",
    ];
    places.into_iter().map(PathBuf::from).find(|p| p.exists())
}

/// Why there can be no reader here.
fn missing() -> Option<&'static str> {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !has("pcscd") {
        Some("pcscd is not installed")
    } else if !Path::new(DRIVER).exists() {
        Some("vsmartcard-vpcd is not installed")
    } else if opensc().is_none() {
        Some("OpenSC's module is not installed")
    } else if !has("python3") {
        Some("python3 is not installed")
    } else if !rustix::process::geteuid().is_root() {
        Some("pcscd runs as root only")
    } else if another_runs() {
        Some("another pcscd is running")
    } else {
        None
    }
}

/// It would be told that its files are gone.
fn another_runs() -> bool {
    let pid = std::fs::read_to_string("/run/pcscd/pcscd.pid").unwrap_or_default();
    let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.trim()));
    name.is_ok_and(|name| name.trim() == "pcscd")
}

fn script(arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/piv_card.py");
    let mut child = Command::new("python3")
        .arg(file)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// A pcscd of our own with a virtual reader, and the hand that plugs cards in.
struct Reader {
    folder: tempfile::TempDir,
    pcscd: Child,
    hand: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    fn start() -> Option<Self> {
        if let Some(why) = missing() {
            skipped(why);
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (pcscd, mut output) = script(&["reader", &folder.path().to_string_lossy()]);
        let port = line(&mut output);
        let (mut hand, answers) = script(&["card", &port, PIN]);
        let orders = hand.stdin.take().unwrap();
        Some(Self {
            folder,
            pcscd,
            hand,
            orders,
            answers,
        })
    }

    fn say(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
        assert_eq!(line(&mut self.answers), "done", "{order}");
    }

    fn insert(&mut self, card: &Card) {
        self.say(&format!("insert {}", card.folder.display()));
    }

    /// A token behind OpenSC and this reader.
    fn token(&self, serial: Option<&str>) -> Pkcs11Token {
        let socket = self.folder.path().join("pcscd.comm");
        let environment = vec![("PCSCLITE_CSOCK_NAME".into(), socket.into())];
        let mut settings = Settings::new(opensc().unwrap(), worker(environment));
        settings.token_serial = serial.map(str::to_owned);
        settings.poll = Duration::from_millis(100);
        Pkcs11Token::start(settings).unwrap()
    }

    /// A card of its own number with a fresh key.
    fn card(&self, number: u8) -> Card {
        let folder = self.folder.path().join(format!("card-{number}"));
        std::fs::create_dir(&folder).unwrap();
        let issued = Authority::new().signing(Kind::P256);
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
        write("certificate.der", &issued.certificate_der);
        write("key.pem", issued.key_pem.as_bytes());
        write("guid", format!("{number:02x}").repeat(16).as_bytes());
        Card {
            certificate: Cert::from_der(&issued.certificate_der).unwrap(),
            folder,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It has files of its own to take away.
        let pcscd = rustix::process::Pid::from_child(&self.pcscd);
        let _ = rustix::process::kill_process(pcscd, rustix::process::Signal::TERM);
        let _ = self.hand.kill();
        for child in [&mut self.hand, &mut self.pcscd] {
            let _ = child.wait();
        }
    }
}

struct Card {
    folder: PathBuf,
    certificate: Cert,
}

impl Card {
    /// How often a PIN was presented to it.
    fn presented(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.join("verified"));
        log.unwrap_or_default().lines().count()
    }
}

/// One test: there is one reader, and pcscd minds another one of its kind.
#[test]
fn a_card_is_inserted_pulled_put_back_and_exchanged() {
    let Some(mut reader) = Reader::start() else {
        return;
    };
    let (card, other) = (reader.card(1), reader.card(2));
    let token = reader.token(None);
    wait_for(&token, |status| *status == TokenStatus::Absent);

    // Inserted: its key wants the PIN for each signature.
    reader.insert(&card);
    wait_for(&token, is_locked);
    let identity = token.identities().unwrap().remove(0);
    assert_eq!(identity.certificate, card.certificate);
    assert_eq!(sign(&token, &card.certificate), Err(TokenError::Locked));
    assert_eq!(card.presented(), 0);
    unlock(&token, PIN).unwrap();
    assert!(token.identities().unwrap()[0].always_authenticate);
    for signatures in 1..=3 {
        sign(&token, &card.certificate).unwrap();
        assert_eq!(card.presented(), 1 + signatures);
    }

    // Pulled and put back: the PIN is asked for again.
    reader.say("remove");
    wait_for(&token, |status| *status == TokenStatus::Absent);
    assert_eq!(sign(&token, &card.certificate), Err(TokenError::Absent));
    reader.insert(&card);
    wait_for(&token, is_locked);
    assert_eq!(sign(&token, &card.certificate), Err(TokenError::Locked));
    assert_eq!(card.presented(), 4);
    unlock(&token, PIN).unwrap();
    sign(&token, &card.certificate).unwrap();

    // Pulled in the middle of a signature.
    reader.say("pull-at-sign");
    assert_eq!(sign(&token, &card.certificate), Err(TokenError::Pulled));
    wait_for(&token, |status| *status == TokenStatus::Absent);
    assert_eq!(token.session(), None);
    reader.insert(&card);
    wait_for(&token, is_locked);
    unlock(&token, PIN).unwrap();
    sign(&token, &card.certificate).unwrap();
    drop(token);

    let token = reader.token(Some(&identity.token_serial));
    another_card_gets_no_pin(&mut reader, &token, &card, &other);
    one_entry_is_one_try(&token, &card);
}

/// Another card in the reader is not this one.
fn another_card_gets_no_pin(reader: &mut Reader, token: &Pkcs11Token, card: &Card, other: &Card) {
    wait_for(token, is_locked);
    unlock(token, PIN).unwrap();
    reader.say("remove");
    reader.insert(other);
    let wrong = |status: &TokenStatus| matches!(status, TokenStatus::Wrong { .. });
    wait_for(token, wrong);
    let refused = unlock(token, PIN);
    assert!(
        matches!(refused, Err(TokenError::Wrong { .. })),
        "{refused:?}"
    );
    assert_eq!(other.presented(), 0);
    reader.say("remove");
    reader.insert(card);
    wait_for(token, is_locked);
}

/// Of wrong PINs; the card's own counter is told, and its end.
fn one_entry_is_one_try(token: &Pkcs11Token, card: &Card) {
    let presented = card.presented();
    for tries in 1..=3 {
        let last = token.unlock(Some(pin("000000")), LastTry::Confirmed);
        let expected = if tries == 3 {
            TokenError::PinLocked
        } else {
            TokenError::PinIncorrect
        };
        assert_eq!(last, Err(expected));
        assert_eq!(card.presented(), presented + tries);
        if tries < 3 {
            let warned = |s: &TokenStatus| matches!(s, TokenStatus::Locked { warning: Some(_) });
            assert!(warned(&token.status()), "{:?}", token.status());
        }
    }
    assert_eq!(token.status(), TokenStatus::Blocked);
    assert_eq!(unlock(token, PIN), Err(TokenError::PinLocked));
    assert_eq!(card.presented(), presented + 3);
}
