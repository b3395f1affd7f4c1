//! ASN.1 that is deep, long or many, alone and inside the shell of each
//! structure that is read.

use super::{Case, Entry, Expected};
use sceau::base::Secret;
use sceau::token::pkcs11::read_frames;
use sceau::token::soft::SoftToken;
use sceau::x509::Cert;
use sceau::x509::cms::SignedData;
use sceau::x509::crl::Crl;
use sceau::x509::ocsp::OcspResponse;
use sceau::x509::tsp::TimestampToken;

/// The same bytes inside the shell of each structure.
const ENTRIES: &[(&str, Entry)] = &[
    ("x509", x509),
    ("x509 subject", x509_subject),
    ("x509 extensions", x509_extensions),
    ("cms", cms),
    ("cms signer", cms_signer),
    ("tsp", tsp),
    ("ocsp", ocsp),
    ("crl", crl),
    ("pkcs12", pkcs12),
];
const ALONE: &[(&str, Entry)] = &[
    ("x509", |der| {
        Cert::from_der(der).map(drop).map_err(|e| e.to_string())
    }),
    ("cms", |der| {
        SignedData::from_der(der)
            .map(drop)
            .map_err(|e| e.to_string())
    }),
    ("tsp", |der| {
        TimestampToken::from_der(der)
            .map(drop)
            .map_err(|e| e.to_string())
    }),
    ("tsp response", |der| {
        TimestampToken::from_response(der)
            .map(drop)
            .map_err(|e| e.to_string())
    }),
    ("ocsp", |der| {
        OcspResponse::from_der(der)
            .map(drop)
            .map_err(|e| e.to_string())
    }),
    ("crl", |der| {
        Crl::from_der(der).map(drop).map_err(|e| e.to_string())
    }),
    ("pkcs12", |der| open(der)),
];

fn element(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let length: usize = content.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short @ ..0x80) => out.push(short),
        _ => {
            out.push(0x84);
            out.extend(u32::try_from(length).unwrap().to_be_bytes());
        }
    }
    out.extend(content.concat());
    out
}

fn sequence(content: &[&[u8]]) -> Vec<u8> {
    element(0x30, content)
}

const VERSION: &[u8] = &[0x02, 0x01, 0x01];
/// ecdsa-with-SHA256, as an AlgorithmIdentifier.
const ALGORITHM: &[u8] = &[
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];
const SIGNATURE: &[u8] = &[0x03, 0x02, 0x00, 0x00];
const VALIDITY: &[u8] = b"\x30\x1e\x17\x0d260101000000Z\x17\x0d270101000000Z";
const SIGNED_DATA: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02,
];
const DATA: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01,
];
const BASIC_OCSP: &[u8] = &[
    0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01,
];

fn certificate(issuer: &[u8], subject: &[u8], extensions: &[u8]) -> Result<(), String> {
    let key = include_bytes!("../../fixtures/pki/leaf.crt");
    let key = Cert::from_der(key).expect("a fixture").spki_der().to_vec();
    let extensions = element(0xa3, &[&sequence(&[extensions])]);
    let content = sequence(&[
        &[0xa0, 0x03, 0x02, 0x01, 0x02],
        VERSION,
        ALGORITHM,
        issuer,
        VALIDITY,
        subject,
        &key,
        &extensions,
    ]);
    let der = sequence(&[&content, ALGORITHM, SIGNATURE]);
    let cert = Cert::from_der(&der).map_err(|error| error.to_string())?;
    let _ = (cert.subject(), cert.issuer(), cert.common_name());
    cert.verify_issued_by(&cert)
        .map_err(|error| error.to_string())
}

fn x509(bomb: &[u8]) -> Result<(), String> {
    let der = sequence(&[&sequence(&[bomb]), ALGORITHM, SIGNATURE]);
    Cert::from_der(&der)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn x509_subject(bomb: &[u8]) -> Result<(), String> {
    certificate(&sequence(&[]), &sequence(&[bomb]), &[])
}

fn x509_extensions(bomb: &[u8]) -> Result<(), String> {
    certificate(&sequence(&[]), &sequence(&[]), bomb)
}

fn signed_data(certificates: &[u8], signers: &[u8]) -> Vec<u8> {
    let content = sequence(&[
        VERSION,
        &element(0x31, &[]),
        &sequence(&[DATA]),
        certificates,
        &element(0x31, &[signers]),
    ]);
    sequence(&[SIGNED_DATA, &element(0xa0, &[&content])])
}

fn cms(bomb: &[u8]) -> Result<(), String> {
    let data = SignedData::from_der(&signed_data(&element(0xa0, &[bomb]), &[]));
    let data = data.map_err(|error| error.to_string())?;
    data.verify_encapsulated()
        .map(drop)
        .map_err(|error| error.to_string())
}

fn cms_signer(bomb: &[u8]) -> Result<(), String> {
    let id = sequence(&[&sequence(&[]), VERSION]);
    let signer = sequence(&[
        VERSION,
        &id,
        ALGORITHM,
        &element(0xa0, &[bomb]),
        ALGORITHM,
        &element(0x04, &[b"x"]),
    ]);
    let data = SignedData::from_der(&signed_data(&[], &signer));
    let data = data.map_err(|error| error.to_string())?;
    data.verify_encapsulated()
        .map(drop)
        .map_err(|error| error.to_string())
}

fn tsp(bomb: &[u8]) -> Result<(), String> {
    let status = sequence(&[&[0x02, 0x01, 0x00]]);
    let der = sequence(&[&status, &signed_data(&element(0xa0, &[bomb]), &[])]);
    TimestampToken::from_response(&der)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn ocsp(bomb: &[u8]) -> Result<(), String> {
    let responder = element(0xa2, &[&element(0x04, &[&[0; 20]])]);
    let data = sequence(&[&responder, b"\x18\x0f20260101000000Z", &sequence(&[bomb])]);
    let basic = element(0x04, &[&sequence(&[&data, ALGORITHM, SIGNATURE])]);
    let der = sequence(&[
        &[0x0a, 0x01, 0x00],
        &element(0xa0, &[&sequence(&[BASIC_OCSP, &basic])]),
    ]);
    let cert = Cert::from_der(include_bytes!("../../fixtures/pki/leaf.crt")).expect("a fixture");
    let response = OcspResponse::from_der(&der).map_err(|error| error.to_string())?;
    response
        .check(&cert, &cert)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn crl(bomb: &[u8]) -> Result<(), String> {
    let update = b"\x17\x0d260101000000Z";
    let content = sequence(&[
        VERSION,
        ALGORITHM,
        &sequence(&[]),
        update,
        update,
        &sequence(&[bomb]),
    ]);
    let der = sequence(&[&content, ALGORITHM, SIGNATURE]);
    let cert = Cert::from_der(include_bytes!("../../fixtures/pki/leaf.crt")).expect("a fixture");
    let list = Crl::from_der(&der).map_err(|error| error.to_string())?;
    let status = list.status(&cert).map_err(|error| error.to_string());
    list.verify(&cert).map_err(|error| error.to_string())?;
    status.map(drop)
}

/// The file the administrator names: not from outside, but parsed all the same.
fn pkcs12(bomb: &[u8]) -> Result<(), String> {
    let content = element(0xa0, &[&element(0x04, &[&sequence(&[bomb])])]);
    open(&sequence(&[
        &[0x02, 0x01, 0x03],
        &sequence(&[DATA, &content]),
    ]))
}

fn open(der: &[u8]) -> Result<(), String> {
    let opened = SoftToken::open(der, &Secret::new(b"password".to_vec()));
    opened.map(drop).map_err(|error| error.to_string())
}

/// Definite lengths, innermost first.
fn deep(depth: usize) -> Vec<u8> {
    let mut lengths = Vec::with_capacity(depth);
    let mut length = 0usize;
    for _ in 0..depth {
        let digits = match length {
            ..0x80 => vec![length as u8],
            _ => [&[0x84][..], &(length as u32).to_be_bytes()].concat(),
        };
        length += 1 + digits.len();
        lengths.push(digits);
    }
    let mut out = Vec::with_capacity(length);
    for digits in lengths.iter().rev() {
        out.push(0x30);
        out.extend(digits);
    }
    out
}

fn frames(bytes: &[u8]) -> Result<(), String> {
    match read_frames(bytes) {
        [0, 0] => Err("no frame".to_owned()),
        read => Ok(assert_eq!(read, [0, 0])),
    }
}

fn frame(head: &[u8], lengths: [u32; 2]) -> Vec<u8> {
    [&lengths[0].to_be_bytes(), &lengths[1].to_be_bytes(), head].concat()
}

fn json_frame(head: &str) -> Vec<u8> {
    frame(head.as_bytes(), [u32::try_from(head.len()).unwrap(), 0])
}

pub(super) fn cases() -> Vec<Case> {
    let case = |name, make, entries| Case {
        name,
        make,
        entries,
        expected: Expected::Refused,
    };
    let inside = |name, make| case(name, make, ENTRIES);
    let alone = |name, make| case(name, make, ALONE);
    let worker = |name, make| case(name, make, &[("worker", frames as Entry)]);
    vec![
        alone("100,000 nested sequences", || deep(100_000)),
        alone("100,000 open sequences", || [0x30, 0x80].repeat(100_000)),
        alone("100,000 open strings", || [0x24, 0x80].repeat(100_000)),
        alone("lengths beyond everything", || {
            b"\x30\x84\xff\xff\xff\xff".repeat(100_000)
        }),
        alone("a length of 126 bytes", || {
            [&[0x30, 0xfe][..], &[0xff; 200]].concat()
        }),
        inside("10,000 nested sequences", || deep(10_000)),
        inside("10,000 open sequences", || [0x30, 0x80].repeat(10_000)),
        inside("1,000,000 empty sets", || [0x31, 0x00].repeat(1_000_000)),
        inside("300,000 empty sequences", || [0x30, 0x00].repeat(300_000)),
        inside("a string in 300,000 pieces", || {
            [
                &[0x24, 0x80][..],
                &[0x04, 0x01, 0x41].repeat(300_000),
                &[0, 0],
            ]
            .concat()
        }),
        inside("an identifier of 1 MB", || {
            element(0x06, &[&vec![0xff; 1 << 20], &[0x01]])
        }),
        inside("an integer of 1 MB", || {
            element(0x02, &[&vec![0x7f; 1 << 20]])
        }),
        inside("80,000 CMS attributes", || {
            let one = sequence(&[&[0x06, 0x01, 0x2a], &element(0x31, &[&[0x02, 0x01, 0x00]])]);
            one.repeat(80_000)
        }),
        inside("60,000 names", || {
            let pair = sequence(&[&[0x06, 0x03, 0x55, 0x04, 0x03], &[0x0c, 0x01, 0x41]]);
            element(0x31, &[&pair]).repeat(60_000)
        }),
        inside("1,200 certificates", || {
            include_bytes!("../../fixtures/pki/root.crt").repeat(1_200)
        }),
        worker("a frame of 4 GB", || frame(b"{}", [u32::MAX, u32::MAX])),
        worker("a frame above the limit", || frame(b"{}", [1 << 20, 1])),
        worker("JSON nested in a frame", || {
            json_frame(&"[".repeat(1_000_000))
        }),
        worker("a frame of unknown words", || {
            json_frame(&format!("{{\"verb\":\"{}\"}}", "x".repeat(1_000_000)))
        }),
        worker("a frame that ends early", || {
            frame(b"{\"verb\":", [1_000_000, 0])
        }),
    ]
}
