//! XAdES against foreign implementations: keys, timestamps and revocation data
//! from OpenSSL, signatures judged by xmlsec1 and signxml.
//!
//! With `SCEAU_KEEP_OUTPUT=<folder>` the signed documents are kept there for
//! further judges: `<case>/signed.xml`, and `root.pem` for all.

use sceau::base::digest::sha256;
use sceau::x509::tsp::TimestampToken;
use sceau::x509::{Cert, CertStatus, RsaScheme, SignatureAlgorithm};
use sceau::xades::{self, Envelope, Level, Slot, Verified, XadesError};
use sceau::xml::path::Namespaces;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use time::OffsetDateTime;

const FORM: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
    <f:form xmlns:f=\"urn:test:form\" xmlns=\"urn:test:other\" f:a='1\n2'>\r\n\
    \t<f:amount><![CDATA[10 < 20 & é]]></f:amount><!-- beside -->\r\n\
    <f:slot/><f:document>JVBERi0=</f:document>\r\n</f:form>\r\n";

/// Runs a program in a folder; `None` when it is not on this machine.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

/// A certificate authority, a timestamp authority, an OCSP responder and
/// signers, made by OpenSSL once a run.
struct Pki {
    folder: tempfile::TempDir,
    root: Cert,
    tsa: Cert,
    responder: Cert,
}

const SIGNERS: [(&str, &str); 3] = [
    ("rsa", "rsa:2048"),
    ("p256", "ec:P-256"),
    ("p384", "ec:P-384"),
];

const CONFIGURATION: &str = "\
[req]\ndistinguished_name = dn\nprompt = no\n[dn]\n\
[root]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\nsubjectKeyIdentifier = hash\n\
[signer]\nkeyUsage = critical,nonRepudiation\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n\
[tsa]\nkeyUsage = critical,digitalSignature\nextendedKeyUsage = critical,timeStamping\nauthorityKeyIdentifier = keyid\n\
[ocsp]\nkeyUsage = critical,digitalSignature\nextendedKeyUsage = OCSPSigning\nnoCheck = yes\nauthorityKeyIdentifier = keyid\n\
[ts]\ncrypto_device = builtin\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256\n\
serial = ts.serial\naccuracy = secs:1\ness_cert_id_alg = sha256\n\
[ca]\ndefault_ca = it\n[it]\ndatabase = index.txt\ndefault_md = sha256\n";

impl Pki {
    /// The shared one; `None`, said aloud, when OpenSSL is missing.
    fn get() -> Option<&'static Self> {
        static PKI: OnceLock<Option<Pki>> = OnceLock::new();
        let pki = PKI.get_or_init(Self::make).as_ref();
        if pki.is_none() {
            eprintln!("SKIPPED: openssl is not on this machine; nothing was signed");
        }
        pki
    }

    fn make() -> Option<Self> {
        let folder = tempfile::tempdir().expect("folder");
        let at = folder.path();
        run(at, "openssl", &["version"])?;
        fs::write(at.join("test.cnf"), CONFIGURATION).expect("configuration");
        fs::write(at.join("ts.serial"), "01\n").expect("serial");
        openssl(
            at,
            "req -x509 -config test.cnf -extensions root -newkey ec -pkeyopt \
             ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem -days 30 \
             -set_serial 1 -subj /CN=Test-root",
        );
        let mut index = String::new();
        let ends = SIGNERS.map(|(name, key)| (name, key, "signer"));
        let others = [("tsa", "rsa:2048", "tsa"), ("ocsp", "ec:P-256", "ocsp")];
        for (number, (name, key, extensions)) in ends.into_iter().chain(others).enumerate() {
            let serial = 0x1000 + number;
            let key = match key.strip_prefix("ec:") {
                Some(curve) => format!("ec -pkeyopt ec_paramgen_curve:{curve}"),
                None => key.to_owned(),
            };
            openssl(
                at,
                &format!(
                    "req -new -config test.cnf -newkey {key} -nodes -keyout {name}.key \
                     -out {name}.csr -subj /C=LU/CN=Dr-Testine-Exemple-{name}"
                ),
            );
            openssl(
                at,
                &format!(
                    "x509 -req -in {name}.csr -CA root.pem -CAkey root.key -set_serial {serial} \
                     -days 20 -sha256 -extfile test.cnf -extensions {extensions} -out {name}.pem"
                ),
            );
            index += &format!("V\t491231235959Z\t\t{serial:X}\tunknown\t/CN={name}\n");
        }
        fs::write(at.join("index.txt"), index).expect("index");
        openssl(
            at,
            "ca -gencrl -config test.cnf -keyfile root.key -cert root.pem -crldays 1 -out crl.pem",
        );
        openssl(at, "crl -in crl.pem -outform DER -out crl.der");
        let read = |name: &str| {
            let pem = fs::read(at.join(name)).expect("certificate");
            Cert::from_pem_many(&pem).expect("certificate").remove(0)
        };
        Some(Self {
            root: read("root.pem"),
            tsa: read("tsa.pem"),
            responder: read("ocsp.pem"),
            folder,
        })
    }

    fn at(&self) -> &Path {
        self.folder.path()
    }

    fn signer(&self, name: &str) -> Cert {
        let pem = fs::read(self.at().join(format!("{name}.pem"))).expect("certificate");
        Cert::from_pem_many(&pem).expect("certificate").remove(0)
    }

    fn sign_b(&self, name: &str, form: &str) -> Vec<u8> {
        let cert = self.signer(name);
        let algorithm =
            SignatureAlgorithm::for_key(cert.key(), RsaScheme::Pkcs1V15).expect("algorithm");
        let time = cert.not_before() + time::Duration::seconds(1);
        let prepared =
            xades::prepare(form.as_bytes(), &slot(), &cert, algorithm, time).expect("prepare");
        let digest = if name == "p384" { "sha384" } else { "sha256" };
        let work = self.scratch();
        fs::write(work.join("tbs"), prepared.to_be_signed()).expect("tbs");
        openssl(
            &work,
            &format!(
                "dgst -{digest} -sign {}/{name}.key -out sig tbs",
                self.at().display()
            ),
        );
        let value = fs::read(work.join("sig")).expect("signature");
        prepared.finish(&value).expect("finish").into_xml()
    }

    /// A timestamp token over these bytes.
    fn token(&self, message: &[u8]) -> TimestampToken {
        let work = self.scratch();
        let at = self.at().display();
        fs::write(work.join("message"), message).expect("message");
        openssl(&work, "ts -query -data message -sha256 -cert -out query");
        fs::write(work.join("ts.serial"), "01\n").expect("serial");
        openssl(
            &work,
            &format!(
                "ts -reply -config {at}/test.cnf -section ts -queryfile query -signer {at}/tsa.pem \
                 -inkey {at}/tsa.key -chain {at}/root.pem -token_out -out token"
            ),
        );
        let der = fs::read(work.join("token")).expect("token");
        TimestampToken::from_der(&der).expect("token")
    }

    fn ocsp(&self, name: &str) -> Vec<u8> {
        let work = self.scratch();
        let at = self.at().display();
        openssl(
            &work,
            &format!("ocsp -issuer {at}/root.pem -cert {at}/{name}.pem -no_nonce -reqout request"),
        );
        openssl(
            &work,
            &format!(
                "ocsp -index {at}/index.txt -CA {at}/root.pem -rsigner {at}/ocsp.pem \
                 -rkey {at}/ocsp.key -rmd sha256 -ndays 1 -reqin request -respout response"
            ),
        );
        fs::read(work.join("response")).expect("response")
    }

    fn crl(&self) -> Vec<u8> {
        fs::read(self.at().join("crl.der")).expect("revocation list")
    }

    fn scratch(&self) -> PathBuf {
        tempfile::tempdir_in(self.at()).expect("folder").keep()
    }

    fn stamp(&self, signed: &[u8]) -> Vec<u8> {
        let mut envelope = open(signed);
        let token = self.token(envelope.timestamp_input());
        envelope.extend_t(token).expect("level T");
        // A rest between changes nothing.
        assert_eq!(
            open(envelope.xml()).timestamp_input(),
            envelope.timestamp_input()
        );
        envelope.into_xml()
    }

    /// Level LT; one signer with OCSP responses, one with a list, one with both.
    fn complete(&self, name: &str, stamped: &[u8]) -> Vec<u8> {
        let certificates = [
            self.signer(name),
            self.root.clone(),
            self.tsa.clone(),
            self.root.clone(),
            self.responder.clone(),
        ];
        let ocsp = match name {
            "p384" => vec![],
            _ => vec![self.ocsp(name), self.ocsp("tsa")],
        };
        let crls = match name {
            "p256" => vec![],
            _ => vec![self.crl()],
        };
        let mut envelope = open(stamped);
        envelope
            .extend_lt(&certificates, &ocsp, &crls)
            .expect("level LT");
        envelope.into_xml()
    }
}

fn openssl(folder: &Path, line: &str) {
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let (done, text) = run(folder, "openssl", &arguments).expect("openssl");
    assert!(done, "openssl {line}: {text}");
}

fn slot() -> Slot {
    let namespaces = Namespaces::from([("f".to_owned(), "urn:test:form".to_owned())]);
    Slot::parse("/f:form/f:slot", &namespaces).expect("path")
}

fn open(xml: &[u8]) -> Envelope {
    Envelope::open(xml.to_vec(), &slot()).expect("verified")
}

fn check(xml: &[u8]) -> Result<Verified, XadesError> {
    xades::verify(xml, &slot())
}

fn keep(name: &str, bytes: &[u8]) {
    if let Some(folder) = std::env::var_os("SCEAU_KEEP_OUTPUT") {
        let file = Path::new(&folder).join(name);
        fs::create_dir_all(file.parent().expect("folder")).expect("folder");
        fs::write(file, bytes).expect("output");
    }
}

/// xmlsec1 and signxml on one document; what is missing is said aloud.
/// signxml is given the certificate, because it refuses to build a chain for
/// one whose key usage is nonRepudiation alone.
fn judge(pki: &Pki, key: &str, name: &str, xml: &[u8], valid: bool) {
    let work = pki.scratch();
    fs::write(work.join("signed.xml"), xml).expect("document");
    let at = pki.at().to_str().expect("path");
    let (root, signer) = (format!("{at}/root.pem"), format!("{at}/{key}.pem"));
    let arguments = [
        "--verify",
        "--trusted-pem",
        &root,
        "--id-attr:Id",
        "http://uri.etsi.org/01903/v1.3.2#:SignedProperties",
        "signed.xml",
    ];
    match run(&work, "xmlsec1", &arguments) {
        Some((done, text)) => assert_eq!(done, valid, "xmlsec1 on {name}: {text}"),
        None => eprintln!("SKIPPED: xmlsec1 is not on this machine ({name})"),
    }
    let script = "import sys\n\
        try:\n    from signxml.xades import XAdESVerifier\n\
        except ImportError:\n    sys.exit(77)\n\
        from signxml import SignatureConfiguration\n\
        c = SignatureConfiguration(expect_references=2)\n\
        XAdESVerifier().verify(open('signed.xml','rb').read(), x509_cert=open(sys.argv[1]).read(), expect_config=c)\n";
    match Command::new("python3")
        .args(["-c", script, &signer])
        .current_dir(&work)
        .output()
    {
        Ok(output) if output.status.code() != Some(77) => {
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), valid, "signxml on {name}: {text}");
        }
        _ => eprintln!("SKIPPED: signxml is not on this machine ({name})"),
    }
}

#[test]
fn every_level_is_accepted_by_foreign_verifiers() {
    let Some(pki) = Pki::get() else { return };
    keep("root.pem", pki.root.to_pem().as_bytes());
    for (name, _) in SIGNERS {
        let b = pki.sign_b(name, FORM);
        let t = pki.stamp(&b);
        let lt = pki.complete(name, &t);
        for (xml, level, word) in [
            (&b, Level::B, "b"),
            (&t, Level::T, "t"),
            (&lt, Level::LT, "lt"),
        ] {
            let file = format!("xades-{name}-{word}/signed.xml");
            keep(&file, xml);
            let verified = check(xml).expect(&file);
            assert_eq!(verified.level, level, "{file}");
            assert_eq!(verified.signer, pki.signer(name), "{file}");
            judge(pki, name, &file, xml, true);
        }
    }
}

#[test]
fn validation_data_comes_out_as_it_went_in() {
    let Some(pki) = Pki::get() else { return };
    let lt = pki.complete("rsa", &pki.stamp(&pki.sign_b("rsa", FORM)));
    let verified = check(&lt).expect("verified");
    // The signer's certificate is in KeyInfo, the root was given twice.
    assert_eq!(
        verified.certificates,
        [pki.root.clone(), pki.tsa.clone(), pki.responder.clone()]
    );
    assert_eq!(verified.crls.len(), 1);
    assert_eq!(verified.crls[0].der(), pki.crl());
    let token = verified.token.expect("token");
    assert_eq!(token.signer(), &pki.tsa);
    assert_eq!(token.imprint(), sha256(open(&lt).timestamp_input()));
    for (response, cert) in verified
        .ocsp
        .iter()
        .zip([pki.signer("rsa"), pki.tsa.clone()])
    {
        let finding = response.check(&cert, &pki.root).expect("finding");
        assert_eq!(finding.status, CertStatus::Good);
        assert_eq!(finding.responder, pki.responder);
    }
    assert_eq!(verified.ocsp.len(), 2);
}

#[test]
fn a_timestamp_over_another_signature_is_refused() {
    let Some(pki) = Pki::get() else { return };
    let one = pki.sign_b("p256", FORM);
    let other = pki.sign_b("rsa", FORM);
    let token = pki.token(open(&other).timestamp_input());
    assert!(matches!(
        open(&one).extend_t(token),
        Err(XadesError::Timestamp(_))
    ));
    // Put in by force: the stamped signature's token into the other document.
    let stamped = String::from_utf8(pki.stamp(&other)).expect("UTF-8");
    let from = stamped.find("<xades:UnsignedProperties>").expect("start");
    let end = "</xades:UnsignedProperties>";
    let to = stamped.find(end).expect("end") + end.len();
    let place = "</xades:SignedProperties>";
    let forced = String::from_utf8(one)
        .expect("UTF-8")
        .replace(place, &format!("{place}{}", &stamped[from..to]));
    assert!(matches!(
        check(forced.as_bytes()),
        Err(XadesError::Timestamp(_))
    ));
}

#[test]
fn a_token_in_ber_is_embedded_byte_for_byte() {
    let Some(pki) = Pki::get() else { return };
    let mut envelope = open(&pki.sign_b("p256", FORM));
    let token = pki.token(envelope.timestamp_input());
    // The outermost length made indefinite (X.690 §8.1.3.6).
    let der = token.der();
    assert_eq!(der[..2], [0x30, 0x82]);
    let ber = [&[0x30, 0x80], &der[4..], &[0, 0]].concat();
    let token = TimestampToken::from_der(&ber).expect("token");
    envelope.extend_t(token).expect("level T");
    let stamped = envelope.into_xml();
    let text = String::from_utf8_lossy(&stamped);
    assert!(
        text.contains("EncapsulatedTimeStamp Encoding=\"http://uri.etsi.org/01903/v1.2.2#BER\">")
    );
    let complete = pki.complete("p256", &stamped);
    assert_eq!(
        check(&complete)
            .expect("level LT")
            .token
            .expect("token")
            .der(),
        ber
    );
    judge(pki, "p256", "ber-token", &complete, true);
}

#[test]
fn a_changed_document_is_refused_by_all() {
    let Some(pki) = Pki::get() else { return };
    let signed = String::from_utf8(pki.sign_b("p384", FORM)).expect("UTF-8");
    let changed = signed.replace("10 < 20", "10 < 21");
    assert!(matches!(
        check(changed.as_bytes()),
        Err(XadesError::Digest(_))
    ));
    judge(pki, "p384", "changed", changed.as_bytes(), false);
}

#[test]
fn levels_are_climbed_once() {
    let Some(pki) = Pki::get() else { return };
    let t = pki.stamp(&pki.sign_b("p256", FORM));
    let token = pki.token(open(&t).timestamp_input());
    assert!(matches!(
        open(&t).extend_t(token),
        Err(XadesError::Level { have: Level::T, .. })
    ));
    let lt = pki.complete("p256", &t);
    assert!(matches!(
        open(&lt).extend_lt(&[], &[pki.ocsp("p256")], &[]),
        Err(XadesError::Level {
            have: Level::LT,
            ..
        })
    ));
    assert!(matches!(
        open(&t).extend_lt(std::slice::from_ref(&pki.root), &[], &[]),
        Err(XadesError::Profile(_))
    ));
}

#[test]
fn extending_inserts_and_changes_nothing() {
    let Some(pki) = Pki::get() else { return };
    let b = pki.sign_b("p256", FORM);
    let lt = pki.complete("p256", &pki.stamp(&b));
    let lt = String::from_utf8(lt).expect("UTF-8");
    let from = lt.find("<xades:UnsignedProperties>").expect("start");
    let end = "</xades:UnsignedProperties>";
    let to = lt.find(end).expect("end") + end.len();
    let without = [&lt[..from], &lt[to..]].concat();
    assert_eq!(without.into_bytes(), b);
}

/// A time far from any clock keeps its second and loses its fraction.
#[test]
fn signing_time_is_written_in_utc() {
    let Some(pki) = Pki::get() else { return };
    let cert = pki.signer("p256");
    let time = OffsetDateTime::from_unix_timestamp_nanos(1_900_000_000_900_000_000)
        .expect("time")
        .to_offset(time::macros::offset!(+2));
    let algorithm = SignatureAlgorithm::EcdsaSha256;
    let prepared =
        xades::prepare(FORM.as_bytes(), &slot(), &cert, algorithm, time).expect("prepare");
    let work = pki.scratch();
    fs::write(work.join("tbs"), prepared.to_be_signed()).expect("tbs");
    let key = pki.at().join("p256.key");
    openssl(
        &work,
        &format!("dgst -sha256 -sign {} -out sig tbs", key.display()),
    );
    let signed = prepared
        .finish(&fs::read(work.join("sig")).expect("signature"))
        .expect("finish")
        .into_xml();
    let text = String::from_utf8(signed.clone()).expect("UTF-8");
    assert!(text.contains("<xades:SigningTime>2030-03-17T17:46:40Z</xades:SigningTime>"));
    let verified = check(&signed).expect("verified");
    assert_eq!(verified.signing_time.unix_timestamp(), 1_900_000_000);
}
