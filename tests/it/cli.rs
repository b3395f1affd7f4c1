//! Commands that talk to a running service: what they must not say to others.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn sceau(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let file = folder.join("sceau.toml");
    std::fs::write(&file, "[store]\nfolder = \"state\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sceau"));
    command.args(arguments).arg("--config").arg(file);
    command.envs(environment.iter().copied());
    command.output().unwrap()
}

/// Answers one request with `body`; gives its address.
fn answer_once(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let size = body.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    });
    format!("http://{address}")
}

#[test]
fn a_proxy_does_not_see_what_is_said_to_the_local_service() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("endpoint"), answer_once("the service")).unwrap();
    let proxy = answer_once("the proxy");
    let proxied = [
        ("http_proxy", proxy.as_str()),
        ("no_proxy", ""),
        ("NO_PROXY", ""),
    ];
    let output = sceau(folder.path(), &["status"], &proxied);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the service\n");
}

#[test]
fn a_pin_is_not_asked_for_when_a_killed_service_left_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", other.local_addr().unwrap());
    for (name, content) in [
        ("endpoint", address.as_str()),
        ("admin.token", "left-over"),
        ("sceau.lock", ""),
    ] {
        std::fs::write(state.join(name), content).unwrap();
    }
    let output = sceau(folder.path(), &["unlock"], &[]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is the service running?"), "{said}");
}
