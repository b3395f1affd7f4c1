//! The commands but the demonstration.

use crate::base::{Secret, Uuid4};
use crate::config::{self, Configuration};
use crate::http::{self, Client, Request, Response};
use crate::service::{self, ADMIN_TOKEN_FILE, ENDPOINT_FILE};
use serde_json::Value;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

/// What a command returns.
pub(super) type Done = Result<(), Box<dyn Error>>;

pub(super) fn run(files: &[PathBuf]) -> Done {
    let configuration = config::load(files)?;
    log(&configuration)?;
    service::run(configuration)?;
    Ok(())
}

pub(super) fn check(files: &[PathBuf]) -> Done {
    config::load(files)?;
    println!("The configuration has no faults.");
    Ok(())
}

pub(super) fn unlock(files: &[PathBuf], name: Option<&str>, use_last_try: bool) -> Done {
    let configuration = config::load(files)?;
    let token = administrator(&configuration)?;
    let health = call(&configuration, "/v1/health", None, None)?;
    let health: Value = serde_json::from_slice(&health.body).unwrap_or_default();
    let locked = to_unlock(&health, name)?;
    let (name, last) = (&locked["name"], use_last_try);
    let body = if locked["pin_entry"] == "reader" {
        println!("Enter the PIN on the reader.");
        serde_json::json!({ "token": name, "use_last_try": last })
    } else {
        let pin = Zeroizing::new(rpassword::prompt_password("PIN: ")?);
        serde_json::json!({ "token": name, "pin": *pin, "use_last_try": last })
    };
    let body = Zeroizing::new(serde_json::to_vec(&body)?);
    command(&configuration, "/v1/tokens/unlock", &token, body.to_vec())?;
    println!("The token is unlocked.");
    Ok(())
}

pub(super) fn lock(files: &[PathBuf], name: Option<&str>) -> Done {
    let configuration = config::load(files)?;
    let token = administrator(&configuration)?;
    let body = serde_json::to_vec(&serde_json::json!({ "token": name }))?;
    command(&configuration, "/v1/tokens/lock", &token, body)?;
    println!("Locked.");
    Ok(())
}

/// What the insurer says of a document.
#[derive(Debug, Clone, Copy, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// It accepted it.
    Accepted,
    /// It refused it.
    Refused,
    /// It has not got it; the same bytes are sent again.
    NotReceived,
}

pub(super) fn settle(
    files: &[PathBuf],
    uuid: &str,
    outcome: Outcome,
    insurer_id: Option<&str>,
) -> Done {
    let uuid: Uuid4 = uuid.parse()?;
    let configuration = config::load(files)?;
    let token = administrator(&configuration)?;
    let mut body = serde_json::json!({ "outcome": outcome });
    if let Some(id) = insurer_id {
        body["insurer_id"] = id.into();
    }
    let path = format!("/v1/submissions/{uuid}/settle");
    command(&configuration, &path, &token, serde_json::to_vec(&body)?)?;
    println!("Settled.");
    Ok(())
}

/// The administrator's token of the service that runs.
fn administrator(configuration: &Configuration) -> Result<Secret, Box<dyn Error>> {
    let folder = &configuration.store.folder;
    // Files of a service that was killed may still name an address that
    // somebody else listens on now: a PIN must not go there.
    if !service::is_running(folder) {
        return Err(format!(
            "nothing works on {}: is the service running?",
            folder.display()
        )
        .into());
    }
    let path = folder.join(ADMIN_TOKEN_FILE);
    Secret::from_file(&path).map_err(|error| {
        format!(
            "cannot read {}: {error}; is the service running, and may you read its state folder?",
            path.display()
        )
        .into()
    })
}

/// Tells the service to do something that only an administrator may.
fn command(configuration: &Configuration, path: &str, token: &Secret, body: Vec<u8>) -> Done {
    let token = String::from_utf8_lossy(token.expose()).into_owned();
    let answer = call(configuration, path, Some(&token), Some(body))?;
    if matches!(answer.status, 200 | 204) {
        return Ok(());
    }
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    Err(problem["detail"]
        .as_str()
        .unwrap_or("the service refused")
        .to_owned()
        .into())
}

/// The token of this name, or the only one, in the service's health.
fn to_unlock<'a>(health: &'a Value, name: Option<&str>) -> Result<&'a Value, String> {
    let tokens = health["tokens"].as_array().map(Vec::as_slice);
    let tokens = tokens.unwrap_or_default();
    let found = match (name, tokens) {
        (Some(name), all) => all.iter().find(|token| token["name"] == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let names = tokens.iter().filter_map(|token| token["name"].as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| match names.as_str() {
        "" => "no token is configured".to_owned(),
        _ => format!("name one of the tokens with --token: {names}"),
    })
}

pub(super) fn status(files: &[PathBuf]) -> Done {
    let configuration = config::load(files)?;
    let answer = call(&configuration, "/v1/health", None, None)?;
    println!("{}", String::from_utf8_lossy(&answer.body));
    Ok(())
}

/// Calls the running service.
fn call(
    configuration: &Configuration,
    path: &str,
    token: Option<&str>,
    body: Option<Vec<u8>>,
) -> Result<Response, Box<dyn Error>> {
    let file = configuration.store.folder.join(ENDPOINT_FILE);
    let endpoint = std::fs::read_to_string(&file).map_err(|error| {
        format!(
            "cannot read {}: {error}; is the service running?",
            file.display()
        )
    })?;
    local(&endpoint, path, token, body)
}

/// One request to the local API.
pub(super) fn local(
    endpoint: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Vec<u8>>,
) -> Result<Response, Box<dyn Error>> {
    let client = Client::loopback(&http::Settings {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(150),
        ..http::Settings::default()
    })?;
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(
        authorization
            .as_deref()
            .map(|value| ("authorization", value)),
    );
    Ok(client.send(Request {
        url: &format!("{endpoint}{path}"),
        headers: &headers,
        body,
        answer_bytes_max: crate::base::limits::BODY_BYTES_MAX,
    })?)
}

fn log(configuration: &Configuration) -> Done {
    let filter = EnvFilter::try_new(&configuration.log.level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if configuration.log.json {
        builder.json().init();
    } else {
        builder.init();
    }
    Ok(())
}
