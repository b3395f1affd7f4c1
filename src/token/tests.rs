use super::*;
use crate::base::Secret;
use crate::token::soft::{LABEL, SoftToken};
use crate::x509;
use std::path::Path;
use std::process::Command;

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
    let kinds = [
        ("rsa:2048", SignatureAlgorithm::RsaPkcs1Sha256),
        ("rsa:3072", SignatureAlgorithm::RsaPkcs1Sha512),
        (
            "ec -pkeyopt ec_paramgen_curve:P-256",
            SignatureAlgorithm::EcdsaSha256,
        ),
        (
            "ec -pkeyopt ec_paramgen_curve:P-384",
            SignatureAlgorithm::EcdsaSha384,
        ),
    ];
    for (new_key, algorithm) in kinds {
        let folder = tempfile::tempdir().unwrap();
        let Some(p12) = openssl_p12(folder.path(), new_key) else {
            return;
        };
        let token = SoftToken::open(&p12, &secret("geheim")).unwrap();
        let identity = choose(&token.identities().unwrap(), None).unwrap();
        assert_eq!(identity.token_label, LABEL);
        assert_eq!(identity.chain.len(), 1, "{new_key}");
        let certificate = identity.certificate;
        let signature = token.sign(&certificate.sha256(), algorithm, b"m").unwrap();
        x509::verify(&certificate, algorithm, b"m", &signature).unwrap();
        assert!(x509::verify(&certificate, algorithm, b"n", &signature).is_err());

        let wrong = match algorithm {
            SignatureAlgorithm::EcdsaSha256 => SignatureAlgorithm::EcdsaSha384,
            _ => SignatureAlgorithm::EcdsaSha256,
        };
        let refused = token.sign(&certificate.sha256(), wrong, b"m");
        assert_eq!(refused, Err(TokenError::Algorithm));
        let unknown = token.sign(&[0; 32], algorithm, b"m");
        assert_eq!(unknown, Err(TokenError::NoSuchCertificate));
    }
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

fn identity(name: &str, usage: rcgen::KeyUsagePurpose) -> Identity {
    let mut params = rcgen::CertificateParams::default();
    params.key_usages = vec![usage];
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity {
        certificate: Cert::from_der(certificate.der()).unwrap(),
        chain: Vec::new(),
        token_label: "t".into(),
        token_serial: "1".into(),
        always_authenticate: false,
    }
}

#[test]
fn the_choice_is_the_one_signing_certificate_or_an_error_that_names_them() {
    use rcgen::KeyUsagePurpose::{ContentCommitment, DigitalSignature};
    let authentication = identity("auth", DigitalSignature);
    let signing = identity("sign", ContentCommitment);
    let other = identity("other", ContentCommitment);
    let sha256 = |identity: &Identity| identity.certificate.sha256();

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
    assert!(matches!(
        choose(&[], None).unwrap_err(),
        TokenError::NotForSigning { .. }
    ));

    let both = [signing.clone(), other.clone()];
    let error = choose(&both, None).unwrap_err();
    let names = ["CN=sign", "CN=other", &hex::encode(&sha256(&other))];
    assert!(matches!(&error, TokenError::Ambiguous { candidates }
        if names.iter().all(|name| candidates.contains(name))));
    let chosen = choose(&both, Some(&sha256(&other))).unwrap();
    assert_eq!(chosen.certificate, other.certificate);
}

#[test]
fn a_digest_info_is_the_one_of_the_standard() {
    // RFC 8017 §9.2 note 1
    let prefixes = [
        (
            SignatureAlgorithm::RsaPkcs1Sha256,
            "3031300d060960864801650304020105000420",
        ),
        (
            SignatureAlgorithm::RsaPkcs1Sha384,
            "3041300d060960864801650304020205000430",
        ),
        (
            SignatureAlgorithm::RsaPkcs1Sha512,
            "3051300d060960864801650304020305000440",
        ),
    ];
    for (algorithm, prefix) in prefixes {
        let (scheme, info) = digest_for(algorithm, KeyKind::Rsa { bits: 2048 }, b"abc").unwrap();
        assert_eq!(scheme, Scheme::Rsa);
        assert!(hex::encode(&info).starts_with(prefix));
        let declared = usize::from(info[1]);
        assert_eq!(info.len(), declared + 2);
    }
    let (_, bare) = digest_for(SignatureAlgorithm::EcdsaSha256, KeyKind::P256, b"abc").unwrap();
    assert_eq!(bare, crate::base::digest::sha256(b"abc"));
}

#[test]
fn an_algorithm_for_another_key_is_refused() {
    let rsa = KeyKind::Rsa { bits: 2048 };
    let pairs = [
        (SignatureAlgorithm::EcdsaSha256, rsa),
        (SignatureAlgorithm::RsaPkcs1Sha256, KeyKind::P256),
        (SignatureAlgorithm::EcdsaSha256, KeyKind::P384),
        (SignatureAlgorithm::EcdsaSha512, KeyKind::P256),
        (SignatureAlgorithm::RsaPssSha256, rsa),
        (SignatureAlgorithm::RsaPkcs1Sha256, KeyKind::Other),
    ];
    for (algorithm, key) in pairs {
        assert_eq!(digest_for(algorithm, key, b"m"), Err(TokenError::Algorithm));
    }
}
