use super::*;
use crate::base::Secret;
use crate::token::several::{Named, Several};
use crate::token::soft::{LABEL, SoftToken};
use crate::x509;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use time::macros::datetime;

/// A PKCS#12 file as OpenSSL 3 writes it by default (PBES2 with AES-256-CBC,
/// HMAC SHA-256), holding a signing key, its certificate and its authority's.
fn openssl_p12(folder: &Path, new_key: &str) -> Option<Vec<u8>> {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: openssl is not installed");
        return None;
    }
    let script = format!(
        "set -e; exec 2>&1; cd '{}'
         openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj '/CN=Test authority'
         openssl req -newkey {new_key} -nodes -keyout key.pem -out request.pem -subj '/CN=Dr Testine Exemple'
         printf 'keyUsage=critical,nonRepudiation\\nbasicConstraints=CA:FALSE\\n' > ext
         openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -set_serial 7 -extfile ext -out cert.pem
         openssl pkcs12 -export -in cert.pem -inkey key.pem -certfile ca.pem -out token.p12 -passout pass:geheim",
        folder.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    Some(std::fs::read(folder.join("token.p12")).unwrap())
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

#[test]
fn a_soft_token_signs_with_what_openssl_exported() {
    use SignatureAlgorithm as A;
    let both = [A::RsaPkcs1Sha256, A::RsaPssSha256];
    let kinds: [(&str, &[A]); 5] = [
        (
            "rsa:2048",
            &[both[0], both[1], A::RsaPkcs1Sha384, A::RsaPssSha512],
        ),
        (
            "rsa:3072",
            &[both[0], both[1], A::RsaPkcs1Sha512, A::RsaPssSha384],
        ),
        ("rsa:4096", &both),
        ("ec -pkeyopt ec_paramgen_curve:P-256", &[A::EcdsaSha256]),
        ("ec -pkeyopt ec_paramgen_curve:P-384", &[A::EcdsaSha384]),
    ];
    for (new_key, algorithms) in kinds {
        let folder = tempfile::tempdir().unwrap();
        let Some(p12) = openssl_p12(folder.path(), new_key) else {
            return;
        };
        let token = SoftToken::open(&p12, &secret("geheim")).unwrap();
        let identities = token.identities().unwrap();
        let now = identities[0].certificate.not_before();
        let identity = choose(&identities, None, now).unwrap();
        assert_eq!(identity.token_label, LABEL);
        assert_eq!(identity.chain.len(), 1, "{new_key}");
        let certificate = identity.certificate;
        for algorithm in algorithms.iter().copied() {
            let signature = token.sign(&certificate.sha256(), algorithm, b"m").unwrap();
            x509::verify(&certificate, algorithm, b"m", &signature).unwrap();
            assert!(x509::verify(&certificate, algorithm, b"n", &signature).is_err());
        }
        let wrong = match algorithms[0] {
            A::EcdsaSha256 => A::EcdsaSha384,
            _ => A::EcdsaSha256,
        };
        let refused = token.sign(&certificate.sha256(), wrong, b"m");
        assert_eq!(refused, Err(TokenError::Algorithm));
        let unknown = token.sign(&[0; 32], algorithms[0], b"m");
        assert_eq!(unknown, Err(TokenError::NoSuchCertificate));
    }
}

#[test]
fn a_short_rsa_key_is_refused_by_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let Some(p12) = openssl_p12(folder.path(), "rsa:1024") else {
        return;
    };
    let error = SoftToken::open(&p12, &secret("geheim")).err().unwrap();
    assert_eq!(error, TokenError::KeyTooShort { bits: 1024 });
    let said = "an RSA key of 1024 bits is too short; 2048 bits are needed";
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_soft_token_needs_the_password_and_an_undamaged_file() {
    let folder = tempfile::tempdir().unwrap();
    let new_key = "ec -pkeyopt ec_paramgen_curve:P-256";
    let Some(mut p12) = openssl_p12(folder.path(), new_key) else {
        return;
    };
    let error = SoftToken::open(&p12, &secret("falsch")).err();
    assert_eq!(error, Some(TokenError::Pkcs12Open));
    // Inside the encrypted content: only the MAC can notice.
    let middle = p12.len() / 2;
    p12[middle] ^= 1;
    assert!(SoftToken::open(&p12, &secret("geheim")).is_err());
    assert!(SoftToken::open(b"", &secret("geheim")).is_err());
}

const BEFORE: OffsetDateTime = datetime!(2025-01-01 0:00 UTC);
const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const LATER: OffsetDateTime = datetime!(2027-01-01 0:00 UTC);
const LAST: OffsetDateTime = datetime!(2028-01-01 0:00 UTC);

fn certified(
    key: &rcgen::KeyPair,
    name: &str,
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> Identity {
    use rcgen::KeyUsagePurpose::{ContentCommitment, DigitalSignature};
    let mut params = rcgen::CertificateParams::default();
    let usage = if name == "auth" {
        DigitalSignature
    } else {
        ContentCommitment
    };
    params.key_usages = vec![usage];
    (params.not_before, params.not_after) = (from, to);
    let distinguished = &mut params.distinguished_name;
    distinguished.push(rcgen::DnType::CommonName, name);
    let certificate = params.self_signed(key).unwrap();
    Identity {
        certificate: Cert::from_der(certificate.der()).unwrap(),
        chain: Vec::new(),
        token_label: "t".into(),
        token_serial: "1".into(),
        always_authenticate: false,
    }
}

fn identity(name: &str, from: OffsetDateTime, to: OffsetDateTime) -> Identity {
    certified(&rcgen::KeyPair::generate().unwrap(), name, from, to)
}

#[test]
fn the_choice_is_the_one_signing_certificate_or_an_error_that_names_them() {
    let authentication = identity("auth", BEFORE, LAST);
    let signing = identity("sign", BEFORE, LAST);
    let other = identity("other", BEFORE, LAST);
    let sha256 = |identity: &Identity| identity.certificate.sha256();
    let choose = |list: &[Identity], by: Option<&[u8; 32]>| choose(list, by, NOW);

    let card = [authentication.clone(), signing.clone()];
    let chosen = choose(&card, None).unwrap();
    assert_eq!(chosen.certificate, signing.certificate);
    let by_name = choose(&card, Some(&sha256(&signing))).unwrap();
    assert_eq!(by_name.certificate, signing.certificate);
    let error = choose(&card, Some(&sha256(&authentication))).unwrap_err();
    assert!(
        matches!(&error, TokenError::NotForSigning { candidates } if candidates.contains("CN=auth"))
    );
    assert_eq!(
        choose(&card, Some(&[7; 32])).unwrap_err(),
        TokenError::NoSuchCertificate
    );
    for none in [&[][..], &[authentication]] {
        let error = choose(none, None).unwrap_err();
        assert!(matches!(error, TokenError::NotForSigning { .. }));
    }

    let both = [signing.clone(), other.clone()];
    let error = choose(&both, None).unwrap_err();
    let names = ["CN=sign", "CN=other", &hex::encode(&sha256(&other))];
    assert!(matches!(&error, TokenError::Ambiguous { candidates }
        if names.iter().all(|name| candidates.contains(name))));
    let chosen = choose(&both, Some(&sha256(&other))).unwrap();
    assert_eq!(chosen.certificate, other.certificate);
}

#[test]
fn of_several_signing_certificates_the_valid_one_is_chosen() {
    use Fitness::{Expired, Fits, NotForSigning, NotYetValid, Renewed};
    let expired = identity("sign", BEFORE, NOW - time::Duration::DAY);
    let valid = identity("sign", BEFORE, LATER);
    let next = identity("sign", LATER, LAST);
    let authentication = identity("auth", BEFORE, LAST);
    let card = [expired.clone(), authentication, valid.clone(), next.clone()];
    let verdict = fitness(&card, NOW);
    assert_eq!(verdict, [Expired, NotForSigning, Fits, NotYetValid]);
    let chosen = |list: &[Identity], at| choose(list, None, at).unwrap().certificate;
    assert_eq!(chosen(&card, NOW), valid.certificate);
    assert_eq!(chosen(&card, LATER + time::Duration::DAY), next.certificate);
    // None valid: the refusal is to be about the one that lasted longest.
    let past = [valid.clone(), expired];
    assert_eq!(chosen(&past, LAST), valid.certificate);

    // Two certificates for one key: the renewed one. Of two subjects, or of
    // two keys, a person decides.
    let key = rcgen::KeyPair::generate().unwrap();
    let old = certified(&key, "sign", BEFORE, LATER);
    let new = certified(&key, "sign", BEFORE, LAST);
    let card = [new.clone(), old.clone()];
    assert_eq!(fitness(&card, NOW), [Fits, Renewed]);
    assert_eq!(chosen(&card, NOW), new.certificate);
    let by_name = choose(&card, Some(&old.certificate.sha256()), NOW).unwrap();
    assert_eq!(by_name.certificate, old.certificate);
    let another = certified(&key, "substitute", BEFORE, LAST);
    for pair in [[another, new], [valid, old]] {
        let error = choose(&pair, None, NOW).unwrap_err();
        assert!(matches!(error, TokenError::Ambiguous { .. }), "{error}");
    }
}

#[test]
fn a_weak_key_is_passed_over() {
    let der = include_bytes!("../../tests/fixtures/pki/short.crt");
    let mut weak = identity("sign", BEFORE, LAST);
    weak.certificate = Cert::from_der(der).unwrap();
    let at = weak.certificate.not_before();
    let strong = identity("sign", BEFORE, weak.certificate.not_after());
    let card = [weak, strong];
    assert_eq!(fitness(&card, at), [Fitness::WeakKey, Fitness::Fits]);
    let chosen = choose(&card, None, at).unwrap();
    assert_eq!(chosen.certificate, card[1].certificate);
}

#[test]
fn an_algorithm_for_another_key_is_refused() {
    let rsa = KeyKind::Rsa { bits: 2048 };
    let pairs = [
        (SignatureAlgorithm::EcdsaSha256, rsa),
        (SignatureAlgorithm::RsaPkcs1Sha256, KeyKind::P256),
        (SignatureAlgorithm::EcdsaSha256, KeyKind::P384),
        (SignatureAlgorithm::EcdsaSha512, KeyKind::P256),
        (SignatureAlgorithm::RsaPssSha256, KeyKind::P384),
        (SignatureAlgorithm::RsaPkcs1Sha256, KeyKind::Other),
    ];
    for (algorithm, key) in pairs {
        assert_eq!(fits(algorithm, key), Err(TokenError::Algorithm));
    }
    let short = fits(
        SignatureAlgorithm::RsaPssSha256,
        KeyKind::Rsa { bits: 1024 },
    );
    assert_eq!(short, Err(TokenError::KeyTooShort { bits: 1024 }));
}

/// A token that answers as it is told.
struct Told(Result<Vec<Identity>, TokenError>, u8);

impl Token for Told {
    fn identities(&self) -> Result<Vec<Identity>, TokenError> {
        self.0.clone()
    }

    fn status(&self) -> TokenStatus {
        match self.0 {
            Ok(_) => TokenStatus::Ready,
            Err(_) => TokenStatus::Absent,
        }
    }

    fn pin_entry(&self) -> PinEntry {
        PinEntry::Keyboard
    }

    fn unlock(&self, _pin: Option<Secret>, _last_try: LastTry) -> Result<(), TokenError> {
        Ok(())
    }

    fn lock(&self) {}

    fn sign(
        &self,
        _certificate: &[u8; 32],
        _algorithm: SignatureAlgorithm,
        _message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        Ok(vec![self.1])
    }
}

/// Tokens that are busy until as many as there are have been told to lock.
#[derive(Default)]
struct Busy {
    told: Mutex<usize>,
    more: Condvar,
}

struct OneBusy(Arc<Busy>);

impl Token for OneBusy {
    fn identities(&self) -> Result<Vec<Identity>, TokenError> {
        Err(TokenError::Absent)
    }

    fn status(&self) -> TokenStatus {
        TokenStatus::Ready
    }

    fn pin_entry(&self) -> PinEntry {
        PinEntry::Keyboard
    }

    fn unlock(&self, _pin: Option<Secret>, _last_try: LastTry) -> Result<(), TokenError> {
        Ok(())
    }

    fn lock(&self) {
        let mut told = self.0.told.lock().unwrap();
        *told += 1;
        self.0.more.notify_all();
        let limit = Duration::from_secs(10);
        let wait = |told: &mut usize| *told < 3;
        let (_told, waited) = self.0.more.wait_timeout_while(told, limit, wait).unwrap();
        assert!(!waited.timed_out(), "another is locked only after this one");
    }

    fn sign(
        &self,
        _certificate: &[u8; 32],
        _algorithm: SignatureAlgorithm,
        _message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        Err(TokenError::Absent)
    }
}

#[test]
fn a_busy_token_leaves_no_other_unlocked() {
    let busy = Arc::new(Busy::default());
    let named = [1, 2, 3].map(|n| Named {
        name: format!("card-{n}"),
        token: Arc::new(OneBusy(busy.clone())),
    });
    Several::new(named.into()).lock();
    assert_eq!(*busy.told.lock().unwrap(), 3);
}

#[test]
fn of_several_tokens_each_signs_with_its_own_and_none_holds_up_another() {
    let (one, two) = (identity("one", BEFORE, LAST), identity("two", BEFORE, LAST));
    let several = |tokens: Vec<Told>| {
        let named = tokens.into_iter().map(|told| Named {
            name: format!("card-{}", told.1),
            token: Arc::new(told),
        });
        Several::new(named.collect())
    };
    let sign = |several: &Several, identity: &Identity| {
        let sha256 = identity.certificate.sha256();
        several.sign(&sha256, SignatureAlgorithm::EcdsaSha256, b"m")
    };
    let both = several(vec![
        Told(Ok(vec![one.clone()]), 1),
        Told(Ok(vec![two.clone()]), 2),
    ]);
    assert_eq!(
        (sign(&both, &one), sign(&both, &two)),
        (Ok(vec![1]), Ok(vec![2]))
    );
    assert_eq!(both.identities().unwrap().len(), 2);
    assert_eq!((both.status(), both.trouble()), (TokenStatus::Ready, None));
    // A PIN goes nowhere unless the card is named.
    assert!(both.unlock(None, LastTry::Refuse).is_err());
    assert!(both.named(None).is_none() && both.named(Some("card-2")).is_some());

    let away = several(vec![
        Told(Err(TokenError::Absent), 1),
        Told(Ok(vec![two.clone()]), 2),
    ]);
    assert_eq!(sign(&away, &two), Ok(vec![2]));
    assert_eq!(away.identities().unwrap().len(), 1);
    // The other's certificate is not unknown: its card is away.
    assert_eq!(sign(&away, &one), Err(TokenError::Absent));
    assert_eq!(away.status(), TokenStatus::Absent);

    let none = several(Vec::new());
    assert_eq!(none.identities().unwrap_err(), TokenError::Absent);
    assert_eq!(none.status(), TokenStatus::Absent);
    let locked = several(vec![Told(Err(TokenError::Locked), 1)]);
    assert_eq!(locked.identities().unwrap_err(), TokenError::Locked);
}
