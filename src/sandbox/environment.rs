//! The folder's layout: remembered ports, and the configuration files that
//! point the daemon at this sandbox.

use crate::oids;
use sceau::base::{file, hex};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// Code prestataire, eHealth id and name of the practitioners the sandbox
/// knows. Test data.
pub const PRACTITIONERS: [(&str, &str, &str); 3] = [
    ("90000001", "9000000001", "Dr Testine Exemple"),
    ("90000002", "9000000002", "Dr Second Exemple"),
    (BLOCKED, "9000000009", "Dr Compte Bloque"),
];
/// The code prestataire whose account is blocked.
pub const BLOCKED: &str = "90000009";
/// Code prestataire, eHealth id and name of the association the sandbox knows.
/// Test data.
pub const ASSOCIATION: (&str, &str, &str) = ("10000010", "9000000010", "Association d'Essai");
/// Codes prestataires of those who may have done what the association bills.
pub const MEMBERS: [&str; 2] = [PRACTITIONERS[0].0, PRACTITIONERS[1].0];
/// Id and name of the assistant who may sign for the first two. Test data.
pub const DELEGATE: (&str, &str) = ("assistante", "Assistante Exemple");

/// Everybody in whose name a document may come, as [`PRACTITIONERS`].
pub fn senders() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    PRACTITIONERS.into_iter().chain([ASSOCIATION])
}

/// Codes prestataires that stand for a crowd under load; the eHealth id of each
/// is its code with two zeros. Test data.
const CROWD: std::ops::Range<u32> = 90_001_000..90_001_100;

/// Whether somebody may send under this code prestataire with this eHealth id.
pub fn knows(code: &str, ehealth: &str) -> bool {
    knows_ehealth(ehealth)
        && (senders().any(|s| (s.0, s.1) == (code, ehealth))
            || ehealth.strip_prefix(code) == Some("00"))
}

/// Whether somebody has this eHealth id.
pub fn knows_ehealth(ehealth: &str) -> bool {
    let crowd = ehealth
        .strip_suffix("00")
        .and_then(|code| code.parse().ok());
    crowd.is_some_and(|code| CROWD.contains(&code)) || senders().any(|s| s.1 == ehealth)
}

/// Assertion consumer the daemon names in its authentication requests.
pub const ASSERTION_CONSUMER: &str = "urn:sceau:sandbox:mysecu";
/// Path of the identity provider.
pub const IDENTITY_PATH: &str = "/esante/authentication";
/// Path of the token service.
pub const TOKEN_PATH: &str = "/ws/soap/trust";
/// Path of the exchange.
pub const EXCHANGE_PATH: &str = "/ws/soap/espinst/syncexchange";

/// The ports of this folder's sandbox. Certificates name them, so they are
/// chosen once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Plain HTTP.
    pub http: u16,
    /// TLS.
    pub tls: u16,
}

/// Both sockets, bound.
#[derive(Debug)]
pub struct Sockets {
    /// Plain HTTP.
    pub http: TcpListener,
    /// TLS.
    pub tls: TcpListener,
}

/// Binds the ports asked for (0: the remembered ones, or free ones at the
/// first start) and remembers them.
///
/// # Errors
/// When a port is taken, or differs from the one this folder's certificates
/// name.
pub fn bind(dir: &Path, asked: Ports) -> io::Result<(Ports, Sockets)> {
    let path = dir.join("ports.json");
    let known: Option<Ports> = match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let choose = |asked: u16, known: Option<u16>| match (asked, known) {
        (0, known) => Ok(known.unwrap_or(0)),
        (asked, Some(known)) if asked != known => Err(io::Error::other(format!(
            "this folder's certificates name port {known}, not {asked}"
        ))),
        (asked, _) => Ok(asked),
    };
    let http = choose(asked.http, known.map(|p| p.http))?;
    let tls = choose(asked.tls, known.map(|p| p.tls))?;
    let listen = |port| {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        socket.set_nonblocking(true)?;
        Ok::<_, io::Error>(socket)
    };
    let sockets = Sockets {
        http: listen(http)?,
        tls: listen(tls)?,
    };
    let ports = Ports {
        http: sockets.http.local_addr()?.port(),
        tls: sockets.tls.local_addr()?.port(),
    };
    if known != Some(ports) {
        file::write_atomic(&path, &serde_json::to_vec(&ports)?)?;
    }
    Ok((ports, sockets))
}

/// Somebody's software token: stem of its files in `pki/`, and the SHA-256 of
/// its certificate.
pub type Signing = (String, [u8; 32]);

/// Writes `environment.toml`, an environment, and `signer.toml`, a machine with
/// the tokens of the practitioners, in their order, and of the delegate, and the
/// association, which has none: configuration layers for the daemon.
///
/// # Errors
/// When a file cannot be written.
pub fn write(dir: &Path, ports: Ports, tokens: &[Signing]) -> io::Result<()> {
    let pki = |name: &str| quoted(&dir.join("pki").join(name).to_string_lossy());
    let (http, tls) = (ports.http, ports.tls);
    let address = |path: &str| quoted(&format!("https://127.0.0.1:{tls}{path}"));
    let text = format!(
        "# Written by sceau-sandbox at every start.\n\
         [environment]\nname = \"sandbox\"\nkind = \"sandbox\"\n\n\
         [trust]\nanchors = [{root}]\n\n\
         [[trust.timestamp_authority]]\nname = \"sandbox\"\n\
         url = \"http://127.0.0.1:{http}/tsa\"\npolicy = \"{policy}\"\n\n\
         [mysecu]\nidentity_url = {identity}\ntoken_url = {token}\nexchange_url = {exchange}\n\
         assertion_consumer = \"{ASSERTION_CONSUMER}\"\n\
         tls_anchor = {root}\nanswer_anchor = {answer}\ntransport = {transport}\n",
        root = pki("root.pem"),
        policy = oids::dotted(oids::TIMESTAMP_POLICY),
        identity = address(IDENTITY_PATH),
        token = address(TOKEN_PATH),
        exchange = address(EXCHANGE_PATH),
        answer = pki("answer.pem"),
        transport = pki("transport.pem"),
    );
    file::write_atomic(&dir.join("environment.toml"), text.as_bytes())?;
    let mut signer = "# Written by sceau-sandbox at every start.\n".to_owned();
    for (stem, _) in tokens {
        signer.push_str(&format!(
            "\n[[token]]\nname = \"{stem}\"\nkind = \"soft\"\np12 = {}\npassword_file = {}\n",
            pki(&format!("{stem}.p12")),
            pki(&format!("{stem}.password")),
        ));
    }
    let fingerprints = tokens.iter().map(|(_, sha256)| hex::encode(sha256));
    for ((code, ehealth, name), sha256) in PRACTITIONERS.into_iter().zip(fingerprints.clone()) {
        signer.push_str(&format!(
            "\n[[practitioner]]\ncode_prestataire = \"{code}\"\nehealth_id = \"{ehealth}\"\n\
             name = \"{name}\"\ncertificate_sha256 = \"{sha256}\"\n"
        ));
    }
    let (code, ehealth, name) = ASSOCIATION;
    signer.push_str(&format!(
        "\n[[practitioner]]\ncode_prestataire = \"{code}\"\nehealth_id = \"{ehealth}\"\n\
         name = \"{name}\"\n"
    ));
    let (id, name) = DELEGATE;
    for sha256 in fingerprints.skip(PRACTITIONERS.len()) {
        signer.push_str(&format!(
            "\n[[delegate]]\nid = \"{id}\"\nname = \"{name}\"\n\
             certificate_sha256 = \"{sha256}\"\nacts_for = [\"{}\", \"{}\"]\n",
            PRACTITIONERS[0].0, PRACTITIONERS[1].0
        ));
    }
    file::write_atomic(&dir.join("signer.toml"), signer.as_bytes())
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_toml_whatever_the_folder_is_called() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("a \"b\" \\ c\u{7f}");
        std::fs::create_dir(&dir).unwrap();
        let tokens = [("signer".to_owned(), [7; 32])];
        write(&dir, Ports { http: 1, tls: 2 }, &tokens).unwrap();
        let read = |name: &str| -> toml::Table {
            std::fs::read_to_string(dir.join(name))
                .unwrap()
                .parse()
                .unwrap()
        };
        let environment = read("environment.toml");
        let anchor = environment["trust"]["anchors"][0].as_str().unwrap();
        assert_eq!(Path::new(anchor), dir.join("pki/root.pem"));
        let p12 = read("signer.toml")["token"][0]["p12"]
            .as_str()
            .map(ToOwned::to_owned);
        assert_eq!(
            p12.as_deref().map(Path::new),
            Some(&*dir.join("pki/signer.p12"))
        );
    }

    #[test]
    fn ports_are_remembered_and_never_changed() {
        let dir = tempfile::tempdir().unwrap();
        let free = Ports { http: 0, tls: 0 };
        let (first, sockets) = bind(dir.path(), free).unwrap();
        drop(sockets);
        let (second, _sockets) = bind(dir.path(), free).unwrap();
        assert_eq!(first, second);
        let other = Ports {
            http: first.http ^ 1,
            tls: 0,
        };
        assert!(bind(dir.path(), other).is_err());
    }
}
