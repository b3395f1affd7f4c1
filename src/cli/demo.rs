//! The demonstration: sandbox and service as two processes of their own, one
//! example, the whole way to the receipt, told step by step.

use super::commands::{self, Done};
use super::stage::Stage;
use crate::base::clock::{self, Clock, SystemClock};
use crate::base::{Secret, file};
use crate::http::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

const EXAMPLE_XML: &[u8] =
    include_bytes!("../../xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml");
const EXAMPLE_PDF: &[u8] = include_bytes!("../../tests/fixtures/pdf/memoire-gs-a2b.pdf");
/// The API's usual port; another is taken when it is in use.
const PORT: u16 = 7733;
const RECEIPT_LIMIT: Duration = Duration::from_secs(60);

/// Steps of the story: event, words.
const STORY: [(&str, &str); 7] = [
    (
        "checked",
        "checked    the XML against schema and rules, the PDF against PDF/A (plausibility)",
    ),
    (
        "received",
        "received   durable since here; the answer 202 was given",
    ),
    (
        "signed",
        "signed     PDF: PAdES-B-B, embedded; XML: XAdES-B-B",
    ),
    ("stamped", "stamped    RFC 3161 timestamp: XAdES-B-T"),
    (
        "sealed",
        "sealed     certificates and revocation data: XAdES-B-LT, self-verified",
    ),
    ("sending", "delivered  over the mySecu dialogue"),
    (
        "receipted",
        "receipted  the insurer's signed answer is verified and stored",
    ),
];

pub(super) fn run(folder: &Path, keep: bool) -> Done {
    let folder = std::path::absolute(folder)?;
    println!("Sceau demonstration: software token and sandbox, no card, no network.\n");
    let port = match TcpListener::bind(("127.0.0.1", PORT)) {
        Ok(_) => PORT,
        Err(_) => 0,
    };
    let stage = Stage::start(&folder, port)?;
    let endpoint = stage.endpoint.clone();
    println!(
        "sandbox    {} (trust services), {} (insurer)",
        stage.sandbox["http"].as_str().unwrap_or_default(),
        stage.sandbox["tls"].as_str().unwrap_or_default()
    );
    println!("service    {endpoint}\n");

    let token = stage.pair("demo")?;
    file::write_atomic(&folder.join("token"), token.expose())?;
    let token = text(&token);
    let started = SystemClock.now();
    let uuid = hand_in(&endpoint, &token)?;
    let submission = follow(&endpoint, &token, &uuid)?;
    tell(&submission, started);
    save(&folder, &endpoint, &token, &uuid)?;
    println!("\nThe API answers at {endpoint}/v1 (description: {endpoint}/v1/openapi.json).");
    if keep {
        keep_running(&folder, &endpoint)?;
    }
    Ok(())
}

fn hand_in(endpoint: &str, token: &str) -> Result<String, Box<dyn Error>> {
    let body = json!({
        "xml": String::from_utf8_lossy(EXAMPLE_XML),
        "pdf": STANDARD.encode(EXAMPLE_PDF),
    });
    let path = "/v1/forms/memoire-honoraires/depot";
    let answer = commands::local(
        endpoint,
        path,
        Some(token),
        Some(serde_json::to_vec(&body)?),
    )?;
    let submission = parse(&answer, 202)?;
    Ok(submission["uuid"].as_str().unwrap_or_default().to_owned())
}

fn follow(endpoint: &str, token: &str, uuid: &str) -> Result<Value, Box<dyn Error>> {
    let path = format!("/v1/submissions/{uuid}");
    let started = Instant::now();
    loop {
        let submission = parse(&commands::local(endpoint, &path, Some(token), None)?, 200)?;
        match submission["state"].as_str() {
            Some("receipted") => return Ok(submission),
            Some("rejected") => {
                return Err(format!("the sandbox refused the document: {submission:#}").into());
            }
            _ if started.elapsed() > RECEIPT_LIMIT => {
                return Err(
                    format!("there is no receipt after {RECEIPT_LIMIT:?}: {submission:#}").into(),
                );
            }
            _ => std::thread::sleep(Duration::from_millis(25)),
        }
    }
}

fn tell(submission: &Value, started: OffsetDateTime) {
    println!(
        "Document {} (mémoire d'honoraires, depot):\n",
        submission["uuid"].as_str().unwrap_or_default()
    );
    let history = submission["history"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for (event, words) in STORY {
        let step = history.iter().find(|step| step["event"] == event);
        let at = step.and_then(|step| clock::parse_rfc3339(step["at"].as_str()?));
        if let Some(at) = at {
            println!("  {:>6} ms  {words}", (at - started).whole_milliseconds());
        }
    }
    println!(
        "\nInsurer's id {}, correlation id {}.",
        submission["insurer_id"], submission["correlation_id"]
    );
}

fn save(folder: &Path, endpoint: &str, token: &str, uuid: &str) -> Done {
    fs::write(folder.join("before.pdf"), EXAMPLE_PDF)?;
    let parts = [
        ("xml", "signed.xml", "Signed XML"),
        ("pdf", "signed.pdf", "Signed PDF"),
        ("timestamp", "timestamp.der", "Timestamp"),
        ("receipt", "receipt.xml", "Receipt"),
    ];
    println!();
    for (part, name, title) in parts {
        let path = format!("/v1/submissions/{uuid}/{part}");
        let answer = commands::local(endpoint, &path, Some(token), None)?;
        if answer.status != 200 {
            return Err(format!(
                "there is no {part}: {}",
                String::from_utf8_lossy(&answer.body)
            )
            .into());
        }
        let file = folder.join(name);
        fs::write(&file, &answer.body)?;
        println!("{title:<11} {}", file.display());
    }
    Ok(())
}

fn keep_running(folder: &Path, endpoint: &str) -> Done {
    println!("\nBoth keep running until Ctrl-C. Hand a document in with:\n");
    println!(
        "  curl -H \"Authorization: Bearer $(cat {})\" \\",
        folder.join("token").display()
    );
    println!(
        "       -F xml=@your.xml -F pdf=@your.pdf {endpoint}/v1/forms/memoire-honoraires/depot\n"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(tokio::signal::ctrl_c())?;
    Ok(())
}

fn parse(answer: &Response, expected: u16) -> Result<Value, Box<dyn Error>> {
    if answer.status != expected {
        let body = String::from_utf8_lossy(&answer.body);
        return Err(format!("the service answered {}: {body}", answer.status).into());
    }
    Ok(serde_json::from_slice(&answer.body)?)
}

fn text(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}
