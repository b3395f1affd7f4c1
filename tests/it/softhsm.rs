//! A scratch SoftHSM2 token for tests, with keys and certificates imported by
//! the tools of SoftHSM2 and OpenSC.

use crate::sandbox::Sandbox;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    RsaKeySize,
};
use sceau::token::pkcs11::{Settings, WorkerCommand};
use sceau::x509::Cert;
use serde_json::json;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use time::OffsetDateTime;

/// The user PIN of every scratch token.
pub const PIN: &str = "471147";

/// Says past the test harness's capture that a test proved nothing here, and
/// counts how many did.
pub fn skipped(why: &str) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {name}: {why} ({count} skipped so far)"
    );
}

/// Where distributions put SoftHSM2's module.
pub fn module() -> Option<PathBuf> {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
    ];
    places.into_iter().map(PathBuf::from).find(|p| p.exists())
}

/// The kinds of key the tests use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
}

impl Kind {
    fn generate(self) -> KeyPair {
        match self {
            Self::Rsa2048 => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
            }
            Self::Rsa3072 => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072).unwrap()
            }
            Self::Rsa4096 => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096).unwrap()
            }
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        }
    }
}

/// An authority of the tests' own and certificates from it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Issued {
    pub certificate_der: Vec<u8>,
    pub key_pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Test authority");
        let key = Kind::P256.generate();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { issuer }
    }

    pub fn der(&self) -> &[u8] {
        self.issuer.der()
    }

    /// A certificate with `nonRepudiation` alone, as signing certificates are.
    pub fn signing(&self, kind: Kind) -> Issued {
        self.issue(kind.generate(), &signer())
    }

    /// One of limited validity.
    pub fn signing_between(&self, kind: Kind, validity: Validity) -> Issued {
        self.issue(kind.generate(), &between(validity))
    }

    /// Another certificate for the same key and subject.
    pub fn again(&self, issued: &Issued, validity: Validity) -> Vec<u8> {
        let key = KeyPair::from_pem(&issued.key_pem).unwrap();
        self.issue(key, &between(validity)).certificate_der
    }

    /// The authentication certificate that cards carry as well.
    pub fn authentication(&self, kind: Kind) -> Issued {
        let mut params = signer();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        self.issue(kind.generate(), &params)
    }

    fn issue(&self, key: KeyPair, params: &CertificateParams) -> Issued {
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate_der: certificate.der().to_vec(),
            key_pem: key.serialize_pem(),
        }
    }
}

/// From, to.
pub type Validity = (OffsetDateTime, OffsetDateTime);

fn signer() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::ContentCommitment];
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "Dr Testine Exemple");
    params
}

fn between((from, to): Validity) -> CertificateParams {
    let mut params = signer();
    (params.not_before, params.not_after) = (from, to);
    params
}

/// An initialised scratch token; its folder goes with it.
pub struct SoftHsm {
    folder: tempfile::TempDir,
    module: PathBuf,
    pub label: String,
    pub serial: String,
}

impl SoftHsm {
    /// A scratch folder with a configuration and no token yet, or `None` (said
    /// loudly) where the tools are missing.
    fn folder() -> Option<(tempfile::TempDir, PathBuf)> {
        let Some(module) = module() else {
            skipped("SoftHSM2 is not installed");
            return None;
        };
        for tool in ["softhsm2-util", "pkcs11-tool"] {
            if Command::new(tool).arg("--help").output().is_err() {
                skipped(&format!("{tool} is not installed"));
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tokens")).unwrap();
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            folder.path().join("tokens").display()
        );
        std::fs::write(folder.path().join("softhsm2.conf"), configuration).unwrap();
        Some((folder, module))
    }

    /// A token without keys.
    pub fn empty() -> Option<Self> {
        let (folder, module) = Self::folder()?;
        let mut hsm = Self {
            folder,
            module,
            label: "sceau test".into(),
            serial: String::new(),
        };
        hsm.init_token();
        Some(hsm)
    }

    /// A token as cards are: a signing and an authentication certificate of
    /// this kind, and their authority's.
    pub fn card(kind: Kind) -> Option<(Self, Card)> {
        let hsm = Self::empty()?;
        let card = Card::issue(kind);
        hsm.put(&card);
        Some((hsm, card))
    }

    pub fn init_token(&mut self) {
        let label = self.label.clone();
        self.tool(
            "softhsm2-util",
            &[
                "--init-token",
                "--free",
                "--label",
                &label,
                "--pin",
                PIN,
                "--so-pin",
                "80008000",
            ],
        );
        let slots = self.tool("softhsm2-util", &["--show-slots"]);
        let serial = slots
            .lines()
            .find_map(|line| line.trim().strip_prefix("Serial number:"));
        self.serial = serial.unwrap().trim().to_owned();
    }

    pub fn put(&self, card: &Card) {
        for (id, issued) in [("01", &card.authentication), ("02", &card.signing)] {
            self.import(id, &issued.key_pem, &issued.certificate_der);
        }
        self.import_certificate("03", card.authority.der());
    }

    /// Puts a PKCS#8 key and its certificate on the token under one id
    /// (hexadecimal).
    pub fn import(&self, id: &str, key_pem: &str, certificate_der: &[u8]) {
        let key = self.write(&format!("key-{id}.pem"), key_pem.as_bytes());
        let label = self.label.clone();
        let mut arguments = vec!["--import", &key, "--token", &label];
        arguments.extend(["--label", "key", "--id", id, "--pin", PIN]);
        self.tool("softhsm2-util", &arguments);
        self.import_certificate(id, certificate_der);
    }

    pub fn import_certificate(&self, id: &str, der: &[u8]) {
        let file = self.write(&format!("certificate-{id}.der"), der);
        self.pkcs11_tool(&["--write-object", &file, "--type", "cert", "--id", id]);
    }

    /// Puts a signing key of the sandbox's authority on the token with its
    /// certificate alone; the certificates of the authorities.
    pub fn take_identity(&self, sandbox: &Sandbox, kind: &str) -> Vec<Cert> {
        let order = json!({ "key": kind, "name": "Dr Testine Exemple" });
        let identity = sandbox.control("identities", &order.to_string());
        let text = |name: &str| identity[name].as_str().unwrap();
        let certificates = |name: &str| Cert::from_pem_many(text(name).as_bytes()).unwrap();
        let certificate = certificates("certificate_pem");
        self.import("02", text("key_pem"), certificate[0].der());
        certificates("chain_pem")
    }

    /// Runs OpenSC's tool on the token, logged in.
    pub fn pkcs11_tool(&self, arguments: &[&str]) -> String {
        let module = self.module.to_string_lossy().into_owned();
        let mut all = vec!["--module", &module, "--token-label", &self.label];
        all.extend(["--login", "--pin", PIN]);
        all.extend(arguments);
        self.tool("pkcs11-tool", &all)
    }

    /// Takes the token away, as SoftHSM2 sees it when it is initialised.
    pub fn pull(&self) {
        let tokens = self.path().join("tokens");
        std::fs::rename(&tokens, self.path().join("pulled")).unwrap();
        std::fs::create_dir(tokens).unwrap();
    }

    /// Puts the token back.
    pub fn insert(&self) {
        let tokens = self.path().join("tokens");
        std::fs::remove_dir(&tokens).unwrap();
        std::fs::rename(self.path().join("pulled"), tokens).unwrap();
    }

    /// The scratch folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn module(&self) -> &Path {
        &self.module
    }

    /// `SOFTHSM2_CONF`, for processes that load the module.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let configuration = self.folder.path().join("softhsm2.conf");
        vec![("SOFTHSM2_CONF".into(), configuration.into())]
    }

    /// Settings for a `Pkcs11Token` on this token.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.module.clone(), worker(self.environment()));
        settings.token_serial = Some(self.serial.clone());
        settings
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program)
            .args(arguments)
            .envs(self.environment())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// What [`SoftHsm::card`] has put on the token.
pub struct Card {
    pub authority: Authority,
    pub signing: Issued,
    pub authentication: Issued,
}

impl Card {
    pub fn issue(kind: Kind) -> Self {
        let authority = Authority::new();
        let signing = authority.signing(kind);
        let authentication = authority.authentication(kind);
        Self {
            authority,
            signing,
            authentication,
        }
    }
}

/// This build's `sceau token-worker`.
pub fn worker(environment: Vec<(OsString, OsString)>) -> WorkerCommand {
    WorkerCommand {
        program: env!("CARGO_BIN_EXE_sceau").into(),
        arguments: vec!["token-worker".into()],
        environment,
    }
}
