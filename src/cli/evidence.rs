//! `sceau evidence`, and the running service as its own commands speak to it.

use super::commands::Done;
use super::programs;
use crate::base::SystemClock;
use crate::base::file;
use crate::base::limits::EVIDENCE_BYTES_MAX;
use crate::config::{self, Configuration};
use crate::http::{self, Client, Request, Response};
use crate::outbox;
use crate::service::{self, ENDPOINT_FILE};
use crate::store::Store;
use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The running service, with a token of its own for this command.
pub(super) struct Service<'a> {
    configuration: &'a Configuration,
    name: &'static str,
    endpoint: String,
    authorization: String,
    client: Client,
}

impl<'a> Service<'a> {
    /// Pairs `name` with the service of this configuration, which must run, for
    /// as long as this lives.
    pub(super) fn pair(
        configuration: &'a Configuration,
        name: &'static str,
    ) -> Result<Self, Box<dyn Error>> {
        let folder = &configuration.store.folder;
        if !service::is_running(folder) {
            return Err(format!(
                "no service works on {}: start it with `sceau run`",
                folder.display()
            )
            .into());
        }
        let endpoint = std::fs::read_to_string(folder.join(ENDPOINT_FILE))?;
        let token = programs::pair_in(configuration, name, &[])?;
        let client = Client::loopback(&http::Settings {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(150),
            ..http::Settings::default()
        })?;
        Ok(Self {
            configuration,
            name,
            endpoint,
            authorization: format!("Bearer {}", String::from_utf8_lossy(token.expose())),
            client,
        })
    }

    /// A request; with a body a POST of JSON.
    pub(super) fn call(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, Box<dyn Error>> {
        let headers = [
            ("content-type", "application/json"),
            ("authorization", self.authorization.as_str()),
        ];
        let body = body.map(serde_json::to_vec).transpose()?;
        Ok(self.client.send(Request {
            url: &format!("{}{path}", self.endpoint),
            headers: &headers,
            body,
            answer_bytes_max: EVIDENCE_BYTES_MAX,
        })?)
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // Where this fails, the token is void with the next command of its name.
        if let Ok(store) = Store::open(&self.configuration.store, &outbox::migrations()) {
            let _ = outbox::Client::unpair(&store, &SystemClock, self.name);
        }
    }
}

/// Says why an answer is not the one expected.
pub(super) fn refusal(answer: &Response) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |key: &str| problem[key].as_str().unwrap_or_default();
    format!("{} {}: {}", answer.status, text("code"), text("detail"))
}

/// Saves the archive of one document.
pub(super) fn run(files: &[PathBuf], uuid: &str, out: Option<&Path>, documents: bool) -> Done {
    let configuration = config::load(files)?;
    let service = Service::pair(&configuration, "sceau evidence")?;
    let answer = service.call(
        &format!("/v1/submissions/{uuid}/evidence?documents={documents}"),
        None,
    )?;
    if answer.status != 200 {
        return Err(refusal(&answer).into());
    }
    let usual = PathBuf::from(format!("sceau-{uuid}.zip"));
    // With its folder, which is made durable too.
    let out = std::path::absolute(out.unwrap_or(&usual))?;
    file::write_atomic(&out, &answer.body)?;
    println!("{}", out.display());
    Ok(())
}
