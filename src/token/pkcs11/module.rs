//! The vendor's module, inside the worker process: one open session, the
//! certificates, and the handles of the keys that belong to them. Sessions and
//! handles are kept; a signature costs one `C_SignInit` and one `C_Sign`.
#![expect(
    unsafe_code,
    reason = "C_SignInit and C_Sign are called apart, for keys that want the PIN in between; \
              the cryptoki crate fuses them and adds a length query"
)]

use super::mechanism::Mechanism;
use super::protocol::{Fault, FaultKind, KeyFact, Opened, PinFlags};
use crate::base::limits::CERTIFICATE_BYTES_MAX;
use crate::base::{Secret, digest, hex};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use cryptoki_sys as sys;
use std::path::Path;
use std::ptr;

/// Most certificates read from one token.
const CERTIFICATES_MAX: usize = 64;
/// Most private keys looked at on one token.
const KEYS_MAX: usize = 256;
/// Largest signature taken from a token, in bytes: RSA with 8,192 bits.
const SIGNATURE_BYTES_MAX: usize = 1024;

/// A loaded and initialised module, and the token it has open.
pub(super) struct Module {
    // Field order is drop order: the session closes before the library goes.
    token: Option<OpenToken>,
    context: Pkcs11,
    raw: RawSign,
}

struct OpenToken {
    session: Session,
    slot: Slot,
    serial: String,
    certificates: Vec<Certificate>,
    keys: Vec<Key>,
    /// The token asks its holder for the PIN itself.
    pin_on_reader: bool,
    /// Kept only while logged in and only for keys that want it again.
    pin: Option<Secret>,
}

struct Certificate {
    id: Vec<u8>,
    sha256: String,
    der: Vec<u8>,
}

struct Key {
    certificate: String,
    handle: ObjectHandle,
    always_authenticate: bool,
}

/// Which token to open.
pub(super) struct Wanted<'a> {
    pub(super) serial: Option<&'a str>,
    pub(super) certificate: Option<&'a str>,
}

impl Module {
    pub(super) fn load(path: &Path) -> Result<Self, Fault> {
        // Looks at the function list before cryptoki believes in it.
        let raw = RawSign::load(path)?;
        let context = Pkcs11::new(path).map_err(|error| not_loaded(&error))?;
        let initialised = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        match initialised {
            // One thread makes all the calls, so a module that cannot lock
            // will do as well.
            Err(Error::Pkcs11(RvError::CantLock, _)) => {
                context.initialize(CInitializeArgs::new(CInitializeFlags::empty()))
            }
            other => other,
        }
        .map_err(|error| not_loaded(&error))?;
        Ok(Self {
            token: None,
            context,
            raw,
        })
    }

    pub(super) fn open(&mut self, wanted: &Wanted<'_>) -> Result<Opened, Fault> {
        self.token = None;
        let (mut token, info) = self.search(wanted)?;
        let keys = if info.login_required() {
            None
        } else {
            Some(token.find_keys()?)
        };
        let opened = Opened {
            label: info.label().trim().to_owned(),
            serial: token.serial.clone(),
            flags: flags(&info),
            pin_on_reader: token.pin_on_reader,
            mechanisms: self.mechanisms(token.slot),
            certificates: token.shown(),
            keys,
        };
        self.token = Some(token);
        Ok(opened)
    }

    /// The one token that fits.
    fn search(&self, wanted: &Wanted<'_>) -> Result<(OpenToken, TokenInfo), Fault> {
        let mut found: Vec<(OpenToken, TokenInfo)> = Vec::new();
        let mut others: Vec<String> = Vec::new();
        let mut unread: Option<Fault> = None;
        for slot in self.context.get_slots_with_token().map_err(fault)? {
            // A slot that cannot be read is no reason to miss the right one.
            let Ok(info) = self.context.get_token_info(slot) else {
                continue;
            };
            if !info.token_initialized() {
                continue;
            }
            let serial = info.serial_number().trim();
            if wanted.serial.is_some_and(|wanted| wanted.trim() != serial) {
                others.push(serial.to_owned());
                continue;
            }
            let token = match open_slot(&self.context, slot, &info) {
                Ok(token) => token,
                Err(fault) => {
                    // Unless it was pulled just now.
                    let slot = self.context.get_slot_info(slot);
                    if slot.is_ok_and(|slot| slot.token_present()) {
                        unread.get_or_insert(fault);
                    }
                    continue;
                }
            };
            let holds = |sha256: &str| token.certificates.iter().any(|c| c.sha256 == sha256);
            if wanted.certificate.is_none_or(holds) {
                found.push((token, info));
            } else {
                others.push(token.serial);
            }
        }
        // Where any token will do, it could be the one, and a PIN goes to no other.
        let any = wanted.serial.is_none() && wanted.certificate.is_none();
        if let Some(Fault { detail, .. }) = unread.filter(|_| any || found.is_empty()) {
            let kind = FaultKind::Refused;
            return Err(Fault { kind, detail });
        }
        if found.len() > 1 {
            let names: Vec<String> = found
                .iter()
                .map(|(token, _)| token.serial.clone())
                .collect();
            return Err(Fault {
                kind: FaultKind::Several,
                detail: format!(
                    "several tokens fit; configure one serial: {}",
                    names.join(", ")
                ),
            });
        }
        found.pop().ok_or_else(|| not_found(wanted, &others))
    }

    pub(super) fn check(&self) -> Result<PinFlags, Fault> {
        let token = self.token.as_ref().ok_or_else(session_lost)?;
        // Makes OpenSC look at the reader; the other two may be answered from
        // what it remembers of a card that was pulled.
        let slot = self.context.get_slot_info(token.slot).map_err(fault)?;
        if !slot.token_present() {
            return Err(session_lost());
        }
        let info = self.context.get_token_info(token.slot).map_err(fault)?;
        // Another card may have been put into the same reader.
        if info.serial_number().trim() != token.serial {
            return Err(session_lost());
        }
        token.session.get_session_info().map_err(fault)?;
        Ok(flags(&info))
    }

    /// The mechanisms of ours that the token offers; all when it does not say.
    fn mechanisms(&self, slot: Slot) -> Vec<Mechanism> {
        let offered = self.context.get_mechanism_list(slot).unwrap_or_default();
        let codes: Vec<_> = offered.into_iter().map(|mechanism| *mechanism).collect();
        let known = Mechanism::ALL.into_iter();
        known
            .filter(|known| codes.is_empty() || codes.contains(&known.code()))
            .collect()
    }

    /// Makes exactly one `C_Login`; without a PIN the token asks its holder.
    pub(super) fn login(&mut self, pin: Option<Secret>) -> Result<Vec<KeyFact>, Fault> {
        let token = self.token.as_mut().ok_or_else(session_lost)?;
        token.login(UserType::User, pin.as_ref())?;
        let keys = token.find_keys()?;
        // A module that says it is logged in and is not would leave a token
        // that looks ready and has nothing to sign with.
        if keys.is_empty() && token.is_public()? {
            return Err(Fault {
                kind: FaultKind::NotLoggedIn,
                detail: "the module did not log in".into(),
            });
        }
        if token.keys.iter().any(|key| key.always_authenticate) {
            token.pin = pin;
        }
        Ok(keys)
    }

    /// The certificates and keys that can be seen now, after a login.
    pub(super) fn reread(&mut self) -> Result<(Vec<String>, Vec<KeyFact>), Fault> {
        let token = self.token.as_mut().ok_or_else(session_lost)?;
        token.certificates = find_certificates(&token.session)?;
        let keys = token.find_keys()?;
        Ok((token.shown(), keys))
    }

    /// Logs out and closes the session, which ends whatever was begun in it.
    pub(super) fn logout(&mut self) -> Result<(), Fault> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        match token.session.logout() {
            Err(Error::Pkcs11(RvError::UserNotLoggedIn, _)) => Ok(()),
            other => other.map_err(fault),
        }
    }

    pub(super) fn sign(
        &mut self,
        certificate: &str,
        mechanism: Mechanism,
        input: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let token = self.token.as_mut().ok_or_else(session_lost)?;
        let key = token.keys.iter().find(|key| key.certificate == certificate);
        let key = key.ok_or_else(|| Fault {
            kind: FaultKind::NoKey,
            detail: "no key for this certificate".into(),
        })?;
        let handle = key.handle;
        if key.always_authenticate && token.pin_on_reader {
            self.raw.start(&token.session, mechanism, handle)?;
            token.login(UserType::ContextSpecific, None)?;
        } else if key.always_authenticate {
            // The PIN goes back only after the token took it: a refused one is
            // never sent a second time.
            let pin = token.pin.take().ok_or_else(|| Fault {
                kind: FaultKind::NotLoggedIn,
                detail: "the key wants the PIN again".into(),
            })?;
            self.raw.start(&token.session, mechanism, handle)?;
            token.login(UserType::ContextSpecific, Some(&pin))?;
            token.pin = Some(pin);
        } else {
            self.raw.start(&token.session, mechanism, handle)?;
        }
        self.raw.finish(&token.session, input)
    }
}

fn not_found(wanted: &Wanted<'_>, others: &[String]) -> Fault {
    if others.is_empty() {
        return Fault {
            kind: FaultKind::Absent,
            detail: "no token".into(),
        };
    }
    let wanted = match (wanted.serial, wanted.certificate) {
        (Some(serial), _) => format!("serial {}", serial.trim()),
        (None, certificate) => format!("certificate {}", certificate.unwrap_or_default()),
    };
    Fault {
        kind: FaultKind::Wrong,
        detail: format!("serial {} is there, {wanted} is wanted", others.join(", ")),
    }
}

fn open_slot(context: &Pkcs11, slot: Slot, info: &TokenInfo) -> Result<OpenToken, Fault> {
    let session = context.open_ro_session(slot).map_err(fault)?;
    let certificates = find_certificates(&session)?;
    Ok(OpenToken {
        session,
        slot,
        serial: info.serial_number().trim().to_owned(),
        certificates,
        keys: Vec::new(),
        pin_on_reader: info.protected_authentication_path(),
        pin: None,
    })
}

fn find_certificates(session: &Session) -> Result<Vec<Certificate>, Fault> {
    let template = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
    ];
    let mut certificates = Vec::new();
    for handle in find(session, &template, CERTIFICATES_MAX)? {
        let wanted = [AttributeType::Value, AttributeType::Id];
        let (mut der, mut id) = (Vec::new(), Vec::new());
        for attribute in session.get_attributes(handle, &wanted).map_err(fault)? {
            match attribute {
                Attribute::Value(value) => der = value,
                Attribute::Id(value) => id = value,
                _ => {}
            }
        }
        if !der.is_empty() && der.len() <= CERTIFICATE_BYTES_MAX {
            let sha256 = hex::encode(&digest::sha256(&der));
            certificates.push(Certificate { id, sha256, der });
        }
    }
    Ok(certificates)
}

/// At most `most` objects: a module may find more without end.
fn find(
    session: &Session,
    template: &[Attribute],
    most: usize,
) -> Result<Vec<ObjectHandle>, Fault> {
    let handles = session.iter_objects(template).map_err(fault)?.take(most);
    handles.map(|handle| handle.map_err(fault)).collect()
}

impl OpenToken {
    /// Its certificates, DER, hexadecimal.
    fn shown(&self) -> Vec<String> {
        let certificates = self.certificates.iter();
        certificates.map(|c| hex::encode(&c.der)).collect()
    }

    fn login(&self, user: UserType, pin: Option<&Secret>) -> Result<(), Fault> {
        let done = match pin {
            Some(pin) => {
                let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
                self.session.login_with_raw(user, &pin)
            }
            None => self.session.login(user, None),
        };
        match done {
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            other => other.map_err(fault),
        }
    }

    /// Whether nobody is logged in, as the module sees it.
    fn is_public(&self) -> Result<bool, Fault> {
        let session = self.session.get_session_info().map_err(fault)?;
        Ok(matches!(
            session.session_state(),
            SessionState::RoPublic | SessionState::RwPublic
        ))
    }

    /// Finds the private keys and pairs them with certificates by `CKA_ID`
    /// (PKCS#11 §4.6.3: the same on both).
    fn find_keys(&mut self) -> Result<Vec<KeyFact>, Fault> {
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
        self.keys.clear();
        for handle in find(&self.session, &template, KEYS_MAX)? {
            let wanted = [AttributeType::Id, AttributeType::AlwaysAuthenticate];
            let (mut id, mut always_authenticate) = (Vec::new(), false);
            for attribute in self
                .session
                .get_attributes(handle, &wanted)
                .map_err(fault)?
            {
                match attribute {
                    Attribute::Id(value) => id = value,
                    Attribute::AlwaysAuthenticate(value) => always_authenticate = value,
                    _ => {}
                }
            }
            let paired = self
                .certificates
                .iter()
                .filter(|c| !id.is_empty() && c.id == id);
            self.keys.extend(paired.map(|certificate| Key {
                certificate: certificate.sha256.clone(),
                handle,
                always_authenticate,
            }));
        }
        let facts = self.keys.iter().map(|key| KeyFact {
            certificate: key.certificate.clone(),
            always_authenticate: key.always_authenticate,
        });
        Ok(facts.collect())
    }
}

/// `C_SignInit` and `C_Sign`, called apart.
struct RawSign {
    init: unsafe extern "C" fn(
        sys::CK_SESSION_HANDLE,
        *mut sys::CK_MECHANISM,
        sys::CK_OBJECT_HANDLE,
    ) -> sys::CK_RV,
    sign: unsafe extern "C" fn(
        sys::CK_SESSION_HANDLE,
        *mut sys::CK_BYTE,
        sys::CK_ULONG,
        *mut sys::CK_BYTE,
        *mut sys::CK_ULONG,
    ) -> sys::CK_RV,
    // Keeps the library mapped for as long as the two pointers are in use.
    _library: sys::Pkcs11,
}

impl RawSign {
    fn load(path: &Path) -> Result<Self, Fault> {
        let broken = |detail: &str| Fault {
            kind: FaultKind::Module,
            detail: detail.to_owned(),
        };
        // SAFETY: the module's initialisers run, which is what this process is
        // for; its symbols have the types PKCS#11 gives them.
        let library = unsafe { sys::Pkcs11::new(path) }
            .map_err(|error| not_loaded(&Error::LibraryLoading(error)))?;
        let get_list = *library
            .C_GetFunctionList
            .as_ref()
            .map_err(|_| broken("the module has no C_GetFunctionList"))?;
        let mut list: sys::CK_FUNCTION_LIST_PTR = ptr::null_mut();
        // SAFETY: `list` is a valid place for the one pointer written.
        let code = unsafe { get_list(&mut list) };
        if code != sys::CKR_OK || list.is_null() {
            return Err(broken("the module has no function list"));
        }
        // SAFETY: checked not null; the module owns the list for as long as it
        // is mapped, and the fields are copied out at once.
        let (init, sign) = unsafe { ((*list).C_SignInit, (*list).C_Sign) };
        match (init, sign) {
            (Some(init), Some(sign)) => Ok(Self {
                init,
                sign,
                _library: library,
            }),
            _ => Err(broken("the module cannot sign")),
        }
    }

    fn start(
        &self,
        session: &Session,
        mechanism: Mechanism,
        key: ObjectHandle,
    ) -> Result<(), Fault> {
        let mut parameters = mechanism.pss_parameters();
        let (parameter, size) = match parameters.as_mut() {
            Some(pss) => (ptr::from_mut(pss).cast(), size_of_val(pss)),
            None => (ptr::null_mut(), 0),
        };
        let mut mechanism = sys::CK_MECHANISM {
            mechanism: mechanism.code(),
            pParameter: parameter,
            ulParameterLen: size as sys::CK_ULONG,
        };
        // SAFETY: the session is open, `mechanism` and its parameters outlive the
        // call; a wrong key handle is answered by a return code.
        returned(unsafe { (self.init)(session.handle(), &mut mechanism, key.handle()) })
    }

    fn finish(&self, session: &Session, input: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut input = input.to_vec();
        let mut signature = vec![0u8; SIGNATURE_BYTES_MAX];
        let mut size = SIGNATURE_BYTES_MAX as sys::CK_ULONG;
        // SAFETY: both buffers live through the call and their lengths are
        // given; the input is a copy, because the interface takes it mutable.
        returned(unsafe {
            (self.sign)(
                session.handle(),
                input.as_mut_ptr(),
                input.len() as sys::CK_ULONG,
                signature.as_mut_ptr(),
                &mut size,
            )
        })?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > SIGNATURE_BYTES_MAX {
            return Err(Fault {
                kind: FaultKind::Refused,
                detail: format!("a signature of {size} bytes"),
            });
        }
        signature.truncate(size);
        Ok(signature)
    }
}

fn flags(info: &TokenInfo) -> PinFlags {
    PinFlags {
        count_low: info.user_pin_count_low(),
        final_try: info.user_pin_final_try(),
        locked: info.user_pin_locked(),
    }
}

fn not_loaded(error: &Error) -> Fault {
    Fault {
        kind: FaultKind::Module,
        detail: match error {
            Error::Pkcs11(code, function) => format!("{function}: {code:?}"),
            // The loader's own words name the file and the missing library or
            // the wrong word size.
            other => other.to_string(),
        },
    }
}

fn session_lost() -> Fault {
    Fault {
        kind: FaultKind::SessionLost,
        detail: "no open session".into(),
    }
}

fn returned(code: sys::CK_RV) -> Result<(), Fault> {
    match cryptoki::error::Rv::from(code) {
        cryptoki::error::Rv::Ok => Ok(()),
        cryptoki::error::Rv::Error(code) => Err(Fault {
            kind: kind_of(code),
            detail: format!("{code:?}"),
        }),
    }
}

fn fault(error: Error) -> Fault {
    match error {
        Error::Pkcs11(code, function) => Fault {
            kind: kind_of(code),
            detail: format!("{function}: {code:?}"),
        },
        other => Fault {
            kind: FaultKind::Refused,
            detail: other.to_string(),
        },
    }
}

/// The meaning of a return code; docs/token.md explains the table.
fn kind_of(code: RvError) -> FaultKind {
    match code {
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
            FaultKind::PinIncorrect
        }
        RvError::PinLocked => FaultKind::PinLocked,
        RvError::FunctionCanceled | RvError::FunctionRejected => FaultKind::PinCancelled,
        RvError::UserNotLoggedIn => FaultKind::NotLoggedIn,
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::DeviceRemoved
        | RvError::DeviceError
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::OperationActive => FaultKind::SessionLost,
        RvError::GeneralError | RvError::FunctionFailed => FaultKind::General,
        _ => FaultKind::Refused,
    }
}
