//! What `x509` makes, judged by the OpenSSL command line.

use rcgen::{CertificateParams, KeyPair, SigningKey};
use sceau::base::digest::sha256;
use sceau::x509::{Cert, RsaScheme, SignatureAlgorithm, cms, tsp};
use std::path::Path;
use std::process::Command;

/// Runs `openssl` in `folder`; its output, whether it liked the input or not.
fn openssl(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    let output = command
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn openssl_verifies_our_detached_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("message", b"message");
    write("other", b"Message");
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        let signer = params.self_signed(&key).unwrap();
        let signer = Cert::from_der(signer.der()).unwrap();
        let made_with = SignatureAlgorithm::for_key(signer.key(), RsaScheme::Pkcs1V15).unwrap();
        let digest = made_with.content_digest(&[b"message"]);
        let attributes = cms::signed_attributes(&digest, &signer);
        let signature = key.sign(&attributes).unwrap();
        let cms = cms::assemble(&signer, &[], &attributes, made_with, &signature);
        write("cms", &cms);
        write("root", signer.to_pem().as_bytes());
        let verify = |content| {
            let arguments = [
                "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", "cms",
            ];
            let trust = ["-content", content, "-CAfile", "root", "-purpose", "any"];
            openssl(folder.path(), &[&arguments[..], &trust].concat())
        };
        let (accepted, text) = verify("message");
        assert!(accepted, "{made_with:?}: {text}");
        assert!(!verify("other").0);
    }
}

#[test]
fn openssl_reads_our_timestamp_request() {
    let folder = tempfile::tempdir().unwrap();
    let nonce = *b"\x80nonce nonce non";
    let request = tsp::request(&sha256(b"message"), &nonce, Some("2.999.7"));
    std::fs::write(folder.path().join("q.tsq"), request).unwrap();
    let (read, text) = openssl(folder.path(), &["ts", "-query", "-in", "q.tsq", "-text"]);
    assert!(read, "{text}");
    for line in [
        "Hash Algorithm: sha256",
        "Policy OID: 2.999.7",
        "Nonce: 0x806E6F6E6365206E6F6E6365206E6F6E",
        "Certificate required: yes",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
