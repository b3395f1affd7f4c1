//! `sceau validate`: the verifier without the service.

use super::report;
use crate::base::clock::parse_rfc3339;
use crate::base::{Clock, SystemClock};
use crate::config;
use crate::trust::{Evidence, Settings, Trust};
use crate::validation::{self, Context, Indication, Report};
use crate::x509::Cert;
use crate::xades::Slot;
use crate::xml::{self, path::namespaces_of};
use clap::Args;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::OffsetDateTime;

/// Not every document is TOTAL-PASSED.
const NOT_PASSED: u8 = 3;
/// The command cannot be carried out.
const USAGE: u8 = 2;

#[derive(Args)]
pub(super) struct Options {
    /// Documents to validate: XML, or PDF by its first bytes.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Configuration file with anchors and tolerances; may be given several
    /// times, later ones win.
    #[arg(long = "config", value_name = "FILE")]
    config: Vec<PathBuf>,
    /// One more trust anchor, in PEM or DER; may be given several times.
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// An OCSP response, a revocation list or a certificate beside the
    /// document, in DER or PEM; may be given several times.
    #[arg(long = "evidence", value_name = "FILE")]
    evidence: Vec<PathBuf>,
    /// The time of validation (RFC 3339) instead of now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<OffsetDateTime>,
    /// Where the signature of an XML document must stand: `end-of-root` or the
    /// path of a wrapper, with the prefixes of the root element. Without it the
    /// place is reported, not required.
    #[arg(long, value_name = "PATH")]
    slot: Option<String>,
    /// Print the report as XML of TS 119 102-2; for one document.
    #[arg(long)]
    xml: bool,
    /// Fetch certificates and revocation data for signatures that carry none
    /// (levels B and T), as the configuration says.
    #[arg(long, requires = "config")]
    online: bool,
}

fn time(text: &str) -> Result<OffsetDateTime, String> {
    parse_rfc3339(text).ok_or_else(|| "not a time as in 2026-11-22T10:00:00Z".to_owned())
}

/// Prints the reports.
pub(super) fn run(options: &Options) -> ExitCode {
    match reports(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_PASSED),
        Err(error) => {
            report(error.as_ref());
            ExitCode::from(USAGE)
        }
    }
}

fn reports(options: &Options) -> Result<bool, Box<dyn Error>> {
    let settings = config::load(&options.config)?.trust;
    let context = context(&settings, options)?;
    let trust = match options.online {
        true => Some(Trust::new(settings, SystemClock::shared())?),
        false => None,
    };
    if options.xml && options.files.len() > 1 {
        return Err("--xml prints one report: give one document".into());
    }
    let mut passed = true;
    let mut out = Vec::new();
    for file in &options.files {
        let bytes = read(file)?;
        let slot = slot(&bytes, options.slot.as_deref())?;
        let validate = |context: &Context| validate(&bytes, slot.as_ref(), context);
        let report = match &trust {
            Some(trust) => validation::online(trust, context.clone(), validate),
            None => validate(&context),
        };
        passed &= report.indication == Indication::TotalPassed;
        if options.xml {
            print!("{}", report.to_etsi_xml());
            return Ok(passed);
        }
        out.push(serde_json::json!({ "file": file, "report": report }));
    }
    println!("{}", serde_json::to_string_pretty(&out)?);
    Ok(passed)
}

fn validate(bytes: &[u8], slot: Option<&Slot>, context: &Context) -> Report {
    match bytes.starts_with(b"%PDF-") {
        true => validation::pdf(bytes, context),
        false => validation::xml(bytes, slot, context),
    }
}

/// The slot, by the prefixes of the document; none when the document cannot be
/// read, which its report will say.
fn slot(bytes: &[u8], text: Option<&str>) -> Result<Option<Slot>, Box<dyn Error>> {
    let (Some(text), Ok(document)) = (text, xml::parse(bytes)) else {
        return Ok(None);
    };
    let namespaces = namespaces_of(document.root_element());
    Ok(Some(Slot::parse(text, &namespaces)?))
}

fn context(settings: &Settings, options: &Options) -> Result<Context, Box<dyn Error>> {
    let now = options.at.unwrap_or_else(|| SystemClock.now());
    let mut context = Context::new(settings, now);
    for file in &options.anchors {
        context.anchors.extend(certificates(file)?);
    }
    for file in &options.evidence {
        let bytes = read(file)?;
        match Evidence::from_der(&unarmoured(&bytes)) {
            Ok(evidence) => context.evidence.push(evidence),
            Err(refused) => match certificates(file) {
                Ok(found) => context.certificates.extend(found),
                Err(_) => return Err(format!("{}: {refused}", file.display()).into()),
            },
        }
    }
    if context.anchors.is_empty() {
        return Err("no trust anchor: give --anchor or --config".into());
    }
    Ok(context)
}

pub(super) fn certificates(file: &Path) -> Result<Vec<Cert>, Box<dyn Error>> {
    let bytes = read(file)?;
    let found = match Cert::from_der(&bytes) {
        Ok(cert) => Ok(vec![cert]),
        Err(_) => Cert::from_pem_many(&bytes),
    };
    found.map_err(|error| format!("{}: {error}", file.display()).into())
}

/// The content of a PEM block (RFC 7468) of whatever label; other bytes as they
/// are.
fn unarmoured(bytes: &[u8]) -> Vec<u8> {
    use base64::Engine;
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(str::trim);
    let body: String = lines
        .skip_while(|line| !line.starts_with("-----BEGIN "))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END "))
        .collect();
    match base64::engine::general_purpose::STANDARD.decode(body) {
        Ok(der) if !der.is_empty() => der,
        Ok(_) | Err(_) => bytes.to_vec(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()).into())
}
