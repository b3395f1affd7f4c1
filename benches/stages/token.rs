//! A scratch SoftHSM2 token with the sandbox's signing key, used by us through
//! the worker process, by the peers through their own PKCS#11 code, and bare.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use sceau::base::{Secret, file};
use sceau::token::pkcs11::{Pkcs11Token, Settings, WorkerCommand};
use sceau::token::{LastTry, Token};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the configuration to the module.
const CONFIGURATION: &str = "SOFTHSM2_CONF";
/// Names the scratch folder to this program when it starts itself anew.
const FOLDER: &str = "SCEAU_BENCH_FOLDER";
/// Where distributions put the module.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// The token; the folder is the caller's.
pub struct SoftHsm {
    module: PathBuf,
    configuration: PathBuf,
}

impl SoftHsm {
    pub const LABEL: &str = "bench";
    pub const PIN: &str = "471147";
    pub const KEY_ID: &str = "01";

    /// Where the module is, if it is installed with its tools.
    pub fn find() -> Option<PathBuf> {
        let module = MODULES.map(PathBuf::from).into_iter().find(|p| p.exists());
        let tools = ["softhsm2-util", "pkcs11-tool"];
        let usable = |tool: &&str| Command::new(tool).arg("--help").output().is_ok();
        module.filter(|_| tools.iter().all(usable))
    }

    /// The scratch folder, when this program was started anew with it: the
    /// module takes its configuration from the environment alone.
    pub fn folder() -> Option<PathBuf> {
        std::env::var_os(FOLDER).map(PathBuf::from)
    }

    /// Runs this program again with an empty token in `folder`.
    pub fn start_anew(folder: &Path) -> std::process::ExitStatus {
        let configuration = folder.join("softhsm2.conf");
        let tokens = folder.join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        std::fs::write(&configuration, text).unwrap();
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1));
        command
            .env(FOLDER, folder)
            .env(CONFIGURATION, configuration);
        command.status().unwrap()
    }

    /// Initialises the token with a PKCS#8 key and its certificate.
    pub fn make(folder: &Path, module: PathBuf, key_pem: &Path, certificate_der: &[u8]) -> Self {
        let der = folder.join("certificate.der");
        file::write_atomic(&der, certificate_der).unwrap();
        let (key, der, library) = (text(key_pem), text(&der), text(&module));
        let label = ["--token", Self::LABEL, "--pin", Self::PIN];
        run(
            "softhsm2-util",
            &[
                "--init-token",
                "--free",
                "--label",
                Self::LABEL,
                "--so-pin",
                "80008000",
                "--pin",
                Self::PIN,
            ],
        );
        let import = ["--import", &key, "--label", "key", "--id", Self::KEY_ID];
        run("softhsm2-util", &[&import[..], &label].concat());
        run(
            "pkcs11-tool",
            &[
                "--module",
                &library,
                "--token-label",
                Self::LABEL,
                "--login",
                "--pin",
                Self::PIN,
                "--write-object",
                &der,
                "--type",
                "cert",
                "--id",
                Self::KEY_ID,
            ],
        );
        Self {
            module,
            configuration: folder.join("softhsm2.conf"),
        }
    }

    pub fn module(&self) -> &Path {
        &self.module
    }

    /// Our own way to it: the worker process, unlocked.
    pub fn through_the_worker(&self) -> Pkcs11Token {
        let worker = WorkerCommand {
            program: env!("CARGO_BIN_EXE_sceau").into(),
            arguments: vec!["token-worker".into()],
            environment: vec![(
                OsString::from(CONFIGURATION),
                self.configuration.clone().into(),
            )],
        };
        let token = Pkcs11Token::start(Settings::new(self.module.clone(), worker)).unwrap();
        let pin = Secret::new(Self::PIN.as_bytes().to_vec());
        token.identities().unwrap();
        token.unlock(Some(pin), LastTry::Refuse).unwrap();
        token
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

/// The floor: the module in this process, one session, one key handle.
pub struct Raw {
    session: Session,
    key: ObjectHandle,
}

impl Raw {
    pub fn open(token: &SoftHsm) -> Self {
        let module = Pkcs11::new(token.module()).unwrap();
        module
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .unwrap();
        let slot = module.get_slots_with_initialized_token().unwrap()[0];
        let session = module.open_ro_session(slot).unwrap();
        let pin = AuthPin::new(SoftHsm::PIN.into());
        session.login(UserType::User, Some(&pin)).unwrap();
        let id = Attribute::Id(vec![0x01]);
        let private = Attribute::Class(cryptoki::object::ObjectClass::PRIVATE_KEY);
        let key = session.find_objects(&[private, id]).unwrap()[0];
        Self { session, key }
    }

    /// C_SignInit and C_Sign over a DigestInfo of SHA-256 (RFC 8017 §9.2).
    pub fn sign(&self) {
        let mut info = vec![
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x01, 0x05, 0x00, 0x04, 0x20,
        ];
        info.extend([0x5a; 32]);
        self.session
            .sign(&Mechanism::RsaPkcs, self.key, &info)
            .unwrap();
    }
}
