use super::cms::SignedData;
use super::crl::{Crl, CrlError};
use super::ocsp::{CertIdDigest, OcspError, OcspResponse};
use super::testing::*;
use super::tlv::{self, Reader, tag};
use super::tsp::{TimestampToken, TspError};
use super::*;
use crate::base::digest::sha256;
use rcgen::{KeyPair, SigningKey};
use time::Duration;

/// A fixture made by OpenSSL (tests/fixtures/pki/make.sh).
macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/pki/",
            $name
        ))
        .as_slice()
    };
}

fn cert(der: &[u8]) -> Cert {
    Cert::from_der(der).unwrap()
}

fn root() -> Cert {
    cert(fixture!("root.crt"))
}

fn leaf() -> Cert {
    cert(fixture!("leaf.crt"))
}

mod ocsp_responses;
mod revocation_lists;
mod timestamps;

mod certificates {
    use super::*;

    #[test]
    fn a_foreign_certificate_reads_and_verifies() {
        let leaf = leaf();
        assert_eq!(
            leaf.subject(),
            "CN=Dr Testine Exemple,givenName=Testine,SN=Exemple,C=LU"
        );
        assert_eq!(leaf.issuer(), "CN=Test root,O=Sceau test data,C=LU");
        assert_eq!(leaf.common_name().unwrap(), "Dr Testine Exemple");
        assert_eq!(
            leaf.serial(),
            [0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xef]
        );
        assert_eq!(leaf.key(), KeyKind::P384);
        assert_eq!(root().key(), KeyKind::Rsa { bits: 2048 });
        assert_eq!(leaf.ocsp_urls(), ["http://127.0.0.1/ocsp"]);
        assert_eq!(leaf.crl_urls(), ["http://127.0.0.1/root.crl"]);
        // The ldap address is left out.
        assert_eq!(leaf.ca_issuers_urls(), ["http://127.0.0.1/root.crt"]);
        let usage = leaf.key_usage().unwrap();
        assert!(usage.non_repudiation && !usage.digital_signature && !usage.key_cert_sign);
        let usage = root().key_usage().unwrap();
        assert!(usage.key_cert_sign && usage.crl_sign && !usage.non_repudiation);
        assert!(root().subject_key_id().is_some());
        assert!(root().is_ca() && root().is_self_issued() && !leaf.is_ca());
        assert!(leaf.not_after() - leaf.not_before() == Duration::days(9000));
        assert_eq!(leaf.unknown_critical_extension(), None);
        leaf.verify_issued_by(&root()).unwrap();
        root().verify_issued_by(&root()).unwrap();
        cert(fixture!("pss.crt")).verify_issued_by(&root()).unwrap();
        assert!(cert(fixture!("responder.crt")).ocsp_no_check());
    }

    #[test]
    fn pem_goes_there_and_back() {
        let both = leaf().to_pem() + &root().to_pem();
        assert_eq!(
            Cert::from_pem_many(both.as_bytes()).unwrap(),
            [leaf(), root()]
        );
        assert!(Cert::from_pem_many(b"no certificate").is_err());
    }

    #[test]
    fn weak_signatures_and_keys_are_refused() {
        let sha1 = cert(fixture!("sha1.crt")).verify_issued_by(&root());
        assert!(
            matches!(sha1, Err(X509Error::AlgorithmRefused { .. })),
            "{sha1:?}"
        );
        let short = cert(fixture!("short.crt"));
        assert_eq!(short.key(), KeyKind::Rsa { bits: 1024 });
        assert_eq!(
            SignatureAlgorithm::for_key(short.key(), RsaScheme::Pss),
            None
        );
        let verdict = verify(&short, SignatureAlgorithm::RsaPkcs1Sha256, b"", &[0; 128]);
        assert!(
            matches!(verdict, Err(X509Error::KeyMismatch { .. })),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_forged_certificate_is_refused() {
        let root = Builder::new("Root").ca(None).build(None);
        let forger = Builder::new("Root").ca(None).build(None);
        let forged = Builder::new("Leaf").build(Some(&forger)).cert;
        assert_eq!(
            forged.verify_issued_by(&root.cert),
            Err(X509Error::SignatureInvalid)
        );
        let stranger = Builder::new("Stranger").ca(None).build(None);
        assert_eq!(
            forged.verify_issued_by(&stranger.cert),
            Err(X509Error::WrongIssuer)
        );
        let mut changed = leaf().der().to_vec();
        let at = changed.windows(6).position(|w| w == b"Testin").unwrap();
        changed[at] = b'B';
        let changed = cert(&changed).verify_issued_by(&super::root());
        assert_eq!(changed, Err(X509Error::SignatureInvalid));
    }

    #[test]
    fn harmless_breaches_of_der_are_tolerated_byte_for_byte() {
        let root = Builder::new("Root").ca(None).build(None);
        let long = [&[0x7f][..], &[0xab; 23]].concat();
        let padded = [0, 0, 0x12];
        for serial in [long.as_slice(), &padded, &[0x80, 0x01]] {
            let builder = Builder::new("Quirk").serial(serial);
            let quirk = builder.extension("2.5.29.17", Some(false), &sequence(&[]));
            let quirk = quirk.build(Some(&root)).cert;
            assert_eq!(quirk.serial(), serial);
            quirk.verify_issued_by(&root.cert).unwrap();
            assert!(issuer_and_serial(&quirk).ends_with(serial));
        }
    }

    #[test]
    fn an_unknown_critical_extension_is_reported() {
        let unknown = |critical| {
            let builder = Builder::new("X").extension("1.2.3.4", critical, b"");
            let cert = builder.build(None).cert;
            cert.unknown_critical_extension().map(str::to_owned)
        };
        assert_eq!(unknown(Some(true)).as_deref(), Some("1.2.3.4"));
        assert_eq!(unknown(Some(false)), None);
        assert_eq!(unknown(None), None);
    }

    #[test]
    fn unheard_of_identifiers_are_only_unknown() {
        let uuid = tlv::oid_from_dotted("2.25.340282366920938463463374607431768211375").unwrap();
        let purposes = sequence(&[&dotted(TIME_STAMPING), &uuid]);
        let builder = Builder::new("X").extension("2.5.29.37", Some(true), &purposes);
        let cert = builder
            .raw_extension(&sequence(&[&uuid, &octets(b"x")]))
            .build(None)
            .cert;
        assert_eq!(cert.extended_key_usage().unwrap().1.len(), 2);
        assert_eq!(cert.unknown_critical_extension(), None);
        let critical = sequence(&[&uuid, &[1, 1, 255], &octets(b"x")]);
        let cert = Builder::new("X").raw_extension(&critical).build(None).cert;
        assert!(
            cert.unknown_critical_extension()
                .unwrap()
                .starts_with("2.25.")
        );
    }

    #[test]
    fn two_extensions_of_one_kind_are_refused() {
        // The key usage once more under another identifier, then renamed.
        let builder = Builder::new("X").usage(0x80);
        let other = builder
            .extension("2.5.29.16", None, &[3, 2, 0, 6])
            .build(None);
        let mut der = other.cert.der().to_vec();
        let at = der
            .windows(5)
            .position(|w| w == [6, 3, 0x55, 0x1d, 16])
            .unwrap();
        der[at + 4] = 15;
        assert!(Cert::from_der(other.cert.der()).is_ok());
        assert!(matches!(
            Cert::from_der(&der),
            Err(X509Error::Malformed { .. })
        ));
    }

    #[test]
    fn the_signed_algorithm_must_be_the_one_used() {
        // ecdsa-with-SHA256 inside, ecdsa-with-SHA384 outside.
        let mut der = Builder::new("X").build(None).cert.der().to_vec();
        let oid = SignatureAlgorithm::EcdsaSha256.identifier_der();
        let at = der.windows(oid.len()).rposition(|w| w == oid).unwrap();
        der[at + oid.len() - 1] = 3;
        let refused = Cert::from_der(&der);
        assert!(matches!(refused, Err(X509Error::Malformed { .. })));
    }

    #[test]
    fn only_complete_lists_of_the_issuer_are_listed() {
        let point = |rest: &[u8]| {
            let uri = element(0x86, &[b"http://x/1.crl"]);
            let location = element(0xa0, &[&element(0xa0, &[&uri])]);
            let points = sequence(&[&sequence(&[&location, rest])]);
            let builder = Builder::new("X").extension("2.5.29.31", None, &points);
            builder.build(None).cert.crl_urls().to_vec()
        };
        assert_eq!(point(&[]), ["http://x/1.crl"]);
        assert!(point(&[0x81, 2, 1, 6]).is_empty());
        assert!(point(&element(0xa2, &[&element(0xa4, &[&name("Other")])])).is_empty());
    }

    #[test]
    fn damaged_and_huge_input_is_refused_without_panic() {
        let der = leaf().der().to_vec();
        for end in 0..der.len() {
            assert!(Cert::from_der(&der[..end]).is_err());
        }
        let huge = vec![0x30; crate::base::limits::CERTIFICATE_BYTES_MAX + 1];
        assert!(matches!(
            Cert::from_der(&huge),
            Err(X509Error::TooLarge { .. })
        ));
    }
}

mod algorithms {
    use super::*;

    #[test]
    fn identifiers_and_uris_go_there_and_back() {
        use SignatureAlgorithm as A;
        for algorithm in [
            A::RsaPkcs1Sha256,
            A::RsaPkcs1Sha384,
            A::RsaPkcs1Sha512,
            A::EcdsaSha256,
            A::EcdsaSha384,
            A::EcdsaSha512,
            A::RsaPssSha256,
            A::RsaPssSha384,
            A::RsaPssSha512,
        ] {
            let der = algorithm.identifier_der();
            assert_eq!(A::from_identifier_der(&der), Some(algorithm));
            let uri = algorithm.xml_uri().unwrap();
            assert_eq!(A::from_xml_uri(uri), Some(algorithm));
        }
        // PSS with SHA-256, but MGF1 over SHA-384, another mask, a short salt.
        let good = A::RsaPssSha256.identifier_der();
        let change = |from: &[u8], to: &[u8]| {
            let at = good.windows(from.len()).rposition(|w| w == from).unwrap();
            let mut der = good.clone();
            der[at..at + to.len()].copy_from_slice(to);
            A::from_identifier_der(&der)
        };
        assert_eq!(change(&[4, 2, 1], &[4, 2, 2]), None);
        assert_eq!(change(&[1, 1, 8], &[1, 1, 9]), None);
        assert_eq!(change(&[2, 1, 32], &[2, 1, 20]), None);
        // sha1WithRSAEncryption, ecdsa-with-SHA1, PSS with its SHA-1 defaults.
        for weak in [
            "1.2.840.113549.1.1.5",
            "1.2.840.10045.4.1",
            "1.2.840.113549.1.1.10",
        ] {
            let der = sequence(&[&dotted(weak)]);
            assert_eq!(A::from_identifier_der(&der), None);
            let der = sequence(&[&dotted(weak), &sequence(&[])]);
            assert_eq!(A::from_identifier_der(&der), None);
        }
    }

    #[test]
    fn the_key_and_the_scheme_decide_the_algorithm() {
        use RsaScheme::{Pkcs1V15, Pss};
        use SignatureAlgorithm as A;
        let rsa = |bits| KeyKind::Rsa { bits };
        for bits in [2048, 3072, 4096] {
            assert_eq!(A::for_key(rsa(bits), Pkcs1V15), Some(A::RsaPkcs1Sha256));
            assert_eq!(A::for_key(rsa(bits), Pss), Some(A::RsaPssSha256));
        }
        for scheme in [Pkcs1V15, Pss] {
            assert_eq!(A::for_key(KeyKind::P256, scheme), Some(A::EcdsaSha256));
            assert_eq!(A::for_key(KeyKind::P384, scheme), Some(A::EcdsaSha384));
            assert_eq!(A::for_key(rsa(2047), scheme), None);
            assert_eq!(A::for_key(KeyKind::Other, scheme), None);
        }
    }

    #[test]
    fn ecdsa_signatures_convert_both_ways() {
        let mut fixed = [0u8; 64];
        fixed[31] = 0x01;
        fixed[32] = 0x80;
        let der = ecdsa_fixed_to_der(&fixed);
        assert_eq!(der[..5], [0x30, 38, 2, 1, 1]);
        assert_eq!(der[5..9], [2, 33, 0, 0x80]);
        assert_eq!(ecdsa_der_to_fixed(&der, 32).unwrap(), fixed);
        assert_eq!(ecdsa_der_to_fixed(&der, 31), None);
        assert_eq!(
            ecdsa_der_to_fixed(&[0x30, 6, 2, 1, 0x80, 2, 1, 1], 32),
            None
        );
        assert_eq!(ecdsa_der_to_fixed(b"nonsense", 32), None);
    }

    #[test]
    fn a_signature_verifies_only_with_its_key_and_message() {
        let party = Builder::new("A").build(None);
        let other = Builder::new("A").build(None);
        let signature = party.key.sign(b"message").unwrap();
        let algorithm = SignatureAlgorithm::EcdsaSha256;
        verify(&party.cert, algorithm, b"message", &signature).unwrap();
        let wrong = Err(X509Error::SignatureInvalid);
        assert_eq!(
            verify(&party.cert, algorithm, b"Message", &signature),
            wrong
        );
        assert_eq!(
            verify(&other.cert, algorithm, b"message", &signature),
            wrong
        );
        assert_eq!(verify(&party.cert, algorithm, b"message", b""), wrong);
        let mismatch = verify(
            &party.cert,
            SignatureAlgorithm::RsaPkcs1Sha256,
            b"",
            &signature,
        );
        assert!(matches!(mismatch, Err(X509Error::KeyMismatch { .. })));
    }
}

mod tlv_reading {
    use super::*;

    #[test]
    fn times_read_with_fractions() {
        let time = |tag, text: &[u8]| tlv::Tlv::only(&tlv::element(tag, &[text])).unwrap().time();
        let read = |tag, text: &[u8]| time(tag, text).unwrap().to_string();
        assert_eq!(
            read(tag::UTC_TIME, b"491231235959Z"),
            "2049-12-31 23:59:59.0 +00:00:00"
        );
        assert_eq!(
            read(tag::UTC_TIME, b"500101000000Z"),
            "1950-01-01 0:00:00.0 +00:00:00"
        );
        let fraction = read(tag::GENERALIZED_TIME, b"20260615120000.125Z");
        assert_eq!(fraction, "2026-06-15 12:00:00.125 +00:00:00");
        for bad in [
            "20261315120000Z",
            "20260615120000",
            "20260615120000.Z",
            "2026061512000xZ",
        ] {
            assert!(
                time(tag::GENERALIZED_TIME, bad.as_bytes()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn lengths_beyond_the_input_and_odd_tags_are_refused() {
        for bad in [
            &[0x30, 0x85, 1, 1, 1, 1, 1][..],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x82, 1],
            &[0x30, 0x80, 0, 0],
            &[0x3f, 0x81, 0, 0],
            &[0x30],
            &[],
        ] {
            assert!(Reader::new(bad).read().is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn identifiers_of_every_size_go_there_and_back() {
        // Of a UUID (X.667), of the example arc, and of the ordinary sort.
        for text in [
            "2.25.340282366920938463463374607431768211375",
            "2.999.7",
            "2.40.1",
            "1.2.840.113549.1.9.16.1.4",
            "0.4.0.194112.1.2",
        ] {
            let der = tlv::oid_from_dotted(text).unwrap();
            let tlv = tlv::Tlv::only(&der).unwrap();
            assert_eq!(tlv.dotted().unwrap(), text);
            let known = tlv.known_oid().unwrap();
            assert!(known.is_none_or(|oid| oid.to_string() == text));
        }
        assert_eq!(
            tlv::oid_from_dotted("1.2.3.4.1").unwrap(),
            dotted("1.2.3.4.1")
        );
        for bad in [
            "",
            "1",
            "3.1",
            "1.40",
            "1.x",
            "1.2.",
            "2.25.340282366920938463463374607431768211456",
        ] {
            assert_eq!(tlv::oid_from_dotted(bad), None, "{bad}");
        }
        for bad in [&[][..], &[0x2a, 0x86], &[0xff; 40]] {
            assert!(
                tlv::Tlv::only(&element(tag::OID, &[bad]))
                    .unwrap()
                    .dotted()
                    .is_err()
            );
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep: Vec<u8> = [0x30, 0x80].repeat(200_000);
        assert_eq!(tlv::definite(&deep), Err(tlv::Fault("nested too deeply")));
        let unfinished = [0x30, 0x80, 0x02, 1, 1];
        assert!(tlv::definite(&unfinished).is_err());
    }
}

mod signatures {
    use super::*;

    const CONTENT: &[u8] = b"timestamped\n";

    #[test]
    fn foreign_signatures_verify_streamed_ones_too() {
        let cms = SignedData::from_der(fixture!("detached.cms")).unwrap();
        let verified = cms.verify_detached_content(&[CONTENT]).unwrap();
        assert_eq!(verified.signer, leaf());
        assert_eq!(verified.algorithm, SignatureAlgorithm::EcdsaSha256);
        let streamed = SignedData::from_der(fixture!("streamed.cms")).unwrap();
        assert_eq!(streamed.content().unwrap(), CONTENT);
        assert_eq!(streamed.certificates(), [leaf()]);
        assert_eq!(streamed.verify_encapsulated().unwrap().signer, leaf());
    }

    #[test]
    fn our_own_signature_verifies_and_holds_the_chain_once() {
        let root = Builder::new("Root").ca(None).build(None);
        let signer = Builder::new("Signer").build(Some(&root));
        let chain = [signer.cert.clone(), root.cert.clone()];
        let cms = detached(&signer, CONTENT, &chain);
        let cms = SignedData::from_der(&cms).unwrap();
        assert_eq!(cms.certificates().len(), 2);
        assert_eq!(
            cms.verify_detached_content(&[CONTENT]).unwrap().signer,
            signer.cert
        );
        let other = cms.verify_detached_content(&[b"other"]).unwrap_err();
        assert_eq!(other, X509Error::MessageDigest);
    }

    /// A detached signature with other signed attributes.
    fn with_attributes(signer: &Party, attributes: Vec<u8>) -> Result<(), X509Error> {
        let signature = signer.key.sign(&attributes).unwrap();
        let algorithm = SignatureAlgorithm::EcdsaSha256;
        let cms = cms::assemble(&signer.cert, &[], &attributes, algorithm, &signature);
        let cms = SignedData::from_der(&cms).unwrap();
        cms.verify_detached_content(&[CONTENT]).map(|_| ())
    }

    #[test]
    fn the_signature_is_bound_to_the_certificate() {
        let signer = Builder::new("Signer").build(None);
        let twin = Builder::new("Twin").build_for(
            KeyPair::from_pem(&signer.key.serialize_pem()).unwrap(),
            None,
        );
        let digest = sha256(CONTENT);
        let own = cms::signed_attributes(&digest, &signer.cert);
        with_attributes(&signer, own).unwrap();
        let foreign = cms::signed_attributes(&digest, &twin.cert);
        let verdict = with_attributes(&signer, foreign);
        assert_eq!(verdict, Err(X509Error::CertificateBinding));
    }

    #[test]
    fn every_signed_attribute_must_be_there_once() {
        let signer = Builder::new("Signer").build(None);
        let whole = cms::signed_attributes(&sha256(CONTENT), &signer.cert);
        let parts = tlv::Tlv::only(&whole).unwrap().reader();
        let parts: Vec<Vec<u8>> = parts.map(|p| p.unwrap().raw.to_vec()).collect();
        assert_eq!(parts.len(), 3);
        for left_out in 0..3 {
            let mut fewer = parts.clone();
            let one = fewer.remove(left_out);
            let verdict = with_attributes(&signer, tlv::set_of(fewer));
            assert!(
                matches!(verdict, Err(X509Error::Attribute(_))),
                "{verdict:?}"
            );
            let mut more = parts.clone();
            more.push(one);
            let verdict = with_attributes(&signer, tlv::set_of(more));
            assert!(
                matches!(verdict, Err(X509Error::Attribute(_))),
                "{verdict:?}"
            );
        }
        // ESS hash with SHA-1 where SHA-2 is at hand.
        let sha1 = sequence(&[&dotted("1.3.14.3.2.26")]);
        let hash = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            signer.cert.der(),
        );
        let binding = sequence(&[&sha1, &octets(hash.as_ref())]);
        let binding = sequence(&[&sequence(&[&binding])]);
        let weak = sequence(&[
            &dotted("1.2.840.113549.1.9.16.2.47"),
            &tlv::element(tag::SET, &[&binding]),
        ]);
        let mut weaker = parts.clone();
        let longest = weaker.iter().map(Vec::len).max().unwrap();
        let at = weaker.iter().position(|p| p.len() == longest).unwrap();
        weaker[at] = weak;
        let verdict = with_attributes(&signer, tlv::set_of(weaker));
        assert!(
            matches!(verdict, Err(X509Error::AlgorithmRefused { .. })),
            "{verdict:?}"
        );

        let wrong_type = sequence(&[
            &dotted("1.2.840.113549.1.9.3"),
            &tlv::element(tag::SET, &[&dotted("1.2.840.113549.1.9.16.1.4")]),
        ]);
        let mut parts = parts;
        let at = parts
            .iter()
            .position(|p| p.len() == wrong_type.len() - 2)
            .unwrap();
        parts[at] = wrong_type;
        let verdict = with_attributes(&signer, tlv::set_of(parts));
        assert_eq!(verdict, Err(X509Error::ContentType));
    }

    #[test]
    fn other_content_types_and_content_inside_are_not_detached_data() {
        let streamed = SignedData::from_der(fixture!("streamed.cms")).unwrap();
        let verdict = streamed.verify_detached_content(&[CONTENT]).unwrap_err();
        assert_eq!(verdict, X509Error::ContentType);
        let token = super::TimestampToken::from_response(fixture!("timestamp-v2.tsr")).unwrap();
        let mut der = token.der().to_vec();
        let content = SignedData::from_der(&der)
            .unwrap()
            .content()
            .unwrap()
            .to_vec();
        SignedData::from_der(&der)
            .unwrap()
            .verify_encapsulated()
            .unwrap();
        // Taken out, the content is still what was signed, but it is no data.
        let at = der
            .windows(content.len())
            .position(|w| w == content)
            .unwrap();
        let detached = without_content(&der, at, content.len());
        let detached = SignedData::from_der(&detached).unwrap();
        let verdict = detached.verify_detached_content(&[&content]).unwrap_err();
        assert_eq!(verdict, X509Error::ContentType);
        der.truncate(at);
        assert!(SignedData::from_der(&der).is_err());
    }

    /// Cuts the content out of a `ContentInfo` whose lengths take three bytes.
    fn without_content(der: &[u8], at: usize, length: usize) -> Vec<u8> {
        let mut info = tlv::Tlv::only(der).unwrap().reader();
        let kind = info.read().unwrap();
        let data = tlv::Tlv::only(info.read().unwrap().content).unwrap();
        let mut parts = Vec::new();
        for field in data.reader().map(Result::unwrap) {
            let start = field.raw.as_ptr() as usize - der.as_ptr() as usize;
            let holds = (start..start + field.raw.len()).contains(&at);
            parts.push(if holds && field.raw.len() > length {
                let content_type = field.reader().read().unwrap();
                sequence(&[content_type.raw])
            } else {
                field.raw.to_vec()
            });
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let wrapped = tlv::element(tag::context(0), &[&sequence(&parts)]);
        sequence(&[kind.raw, &wrapped])
    }

    #[test]
    fn signatures_with_sha1_are_refused() {
        let weak = SignedData::from_der(fixture!("detached-sha1.cms")).unwrap();
        let verdict = weak.verify_detached_content(&[CONTENT]).unwrap_err();
        assert!(matches!(verdict, X509Error::AlgorithmRefused { .. }));
        let rsa = SignedData::from_der(fixture!("detached-rsa.cms")).unwrap();
        let verified = rsa.verify_detached_content(&[CONTENT]).unwrap();
        assert_eq!(verified.algorithm, SignatureAlgorithm::RsaPkcs1Sha512);
    }

    #[test]
    fn one_signer_whose_key_signed_these_attributes() {
        let signer = Builder::new("Signer").build(None);
        let other = Builder::new("Other").build(None);
        let attributes = cms::signed_attributes(&sha256(CONTENT), &signer.cert);
        let signature = other.key.sign(&attributes).unwrap();
        let algorithm = SignatureAlgorithm::EcdsaSha256;
        let cms = cms::assemble(&signer.cert, &[], &attributes, algorithm, &signature);
        let verdict = SignedData::from_der(&cms)
            .unwrap()
            .verify_detached_content(&[CONTENT]);
        assert_eq!(verdict.unwrap_err(), X509Error::SignatureInvalid);

        // Two signers, and none: the last SET of the structure.
        let cms = detached(&signer, CONTENT, &[]);
        for count in [0, 2] {
            let several = with_signers(&cms, count);
            let several = SignedData::from_der(&several).unwrap();
            let verdict = several.verify_detached_content(&[CONTENT]).unwrap_err();
            assert_eq!(verdict, X509Error::SignerCount { count });
        }
    }

    fn with_signers(cms: &[u8], count: usize) -> Vec<u8> {
        let mut info = tlv::Tlv::only(cms).unwrap().reader();
        let kind = info.read().unwrap();
        let data = tlv::Tlv::only(info.read().unwrap().content).unwrap();
        let fields: Vec<_> = data.reader().map(Result::unwrap).collect();
        let (signers, before) = fields.split_last().unwrap();
        let mut parts: Vec<&[u8]> = before.iter().map(|f| f.raw).collect();
        let signers = tlv::element(tag::SET, &vec![signers.content; count]);
        parts.push(&signers);
        let wrapped = tlv::element(tag::context(0), &[&sequence(&parts)]);
        sequence(&[kind.raw, &wrapped])
    }
}

/// Every byte of every kind of input set to a value that upsets lengths, tags or
/// signs: refused or read, but never a panic.
#[test]
fn damaged_input_never_panics() {
    type Read = fn(&[u8]);
    let inputs: [(&[u8], Read); 8] = [
        (fixture!("leaf.crt"), |b| drop(Cert::from_der(b))),
        (fixture!("pss.crt"), |b| {
            if let Ok(cert) = Cert::from_der(b) {
                drop(cert.verify_issued_by(&root()));
            }
        }),
        (fixture!("streamed.cms"), |b| {
            if let Ok(cms) = SignedData::from_der(b) {
                drop(cms.verify_encapsulated());
            }
        }),
        (fixture!("detached.cms"), |b| {
            if let Ok(cms) = SignedData::from_der(b) {
                drop(cms.verify_detached_content(&[b"timestamped\n"]));
            }
        }),
        (fixture!("timestamp-v1.tsr"), |b| {
            if let Ok(token) = TimestampToken::from_response(b) {
                drop(token.verify(&[0; 32], None));
            }
        }),
        (fixture!("timestamp-v2.tsr"), |b| {
            drop(TimestampToken::from_response(b))
        }),
        (fixture!("both.ocsp"), |b| {
            if let Ok(response) = OcspResponse::from_der(b) {
                drop(response.check(&leaf(), &root()));
            }
        }),
        (fixture!("root.crl"), |b| {
            if let Ok(crl) = Crl::from_der(b) {
                drop(crl.status(&leaf()));
            }
        }),
    ];
    for (input, read) in inputs {
        for at in 0..input.len() {
            let mut damaged = input.to_vec();
            damaged[at] = [0, 0x1f, 0x30, 0x7f, 0x80, 0x84, 0xff][at % 7];
            read(&damaged);
        }
    }
}
