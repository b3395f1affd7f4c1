//! The archive of one document.

use super::readme::README;
use super::{Evidence, EvidenceError, Scope};
use crate::audit::{Link, Witness};
use crate::base::clock::{from_unix_ms, rfc3339};
use crate::base::{Uuid4, digest, hex};
use crate::forms::{Shown, ShownValue};
use crate::intake::{Place, Signed};
use crate::outbox::{Kind, OutboxError, Proof, Record};
use crate::validation::Report;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Bodies of a submission: name in the archive, media type, whether it is a
/// document or an answer and so may hold patient data.
const BODIES: [(Kind, &str, &str, bool); 7] = [
    (Kind::RequestXml, "request.xml", "application/xml", true),
    (Kind::RequestPdf, "request.pdf", "application/pdf", true),
    (Kind::Document, SIGNED_XML, "application/xml", true),
    (Kind::Pdf, "signed.pdf", "application/pdf", true),
    (Kind::Timestamp, "timestamp.tst", TIMESTAMP_TOKEN, false),
    (Kind::Answer, "answer.xml", "application/xml", true),
    (Kind::Envelope, "envelope.xml", "application/soap+xml", true),
];

const TIMESTAMP_TOKEN: &str = "application/vnd.etsi.timestamp-token";
const SIGNED_XML: &str = "signed.xml";
/// What is sent of an operation that is not signed.
const UNSIGNED_XML: &str = "sent.xml";

/// A file of the archive.
struct File {
    name: String,
    media_type: &'static str,
    bytes: Vec<u8>,
    /// Named in the manifest, but left out.
    withheld: bool,
}

impl File {
    fn json(name: &str, value: &impl Serialize) -> Result<Self, EvidenceError> {
        let mut bytes = serde_json::to_vec_pretty(value).map_err(EvidenceError::Part)?;
        bytes.push(b'\n');
        Ok(Self {
            name: name.to_owned(),
            media_type: "application/json",
            bytes,
            withheld: false,
        })
    }

    fn listed(&self) -> Value {
        json!({
            "name": self.name,
            "media_type": self.media_type,
            "bytes": self.bytes.len(),
            "sha256": hex::encode(&digest::sha256(&self.bytes)),
            "in_archive": !self.withheld,
        })
    }
}

impl Evidence {
    /// The archive of a submission, as it stands now; `None` when there is no
    /// such submission. Of the same state and at the same time it is the same
    /// bytes.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn archive(&self, uuid: Uuid4, scope: Scope) -> Result<Option<Vec<u8>>, EvidenceError> {
        let Some(mut record) = self.outbox.find(uuid)? else {
            return Ok(None);
        };
        // Nothing may be from before a change and something else from after it.
        let (mut files, proof) = loop {
            let found = (self.bodies(&record, scope)?, self.outbox.proof(uuid)?);
            match self.outbox.find(uuid)? {
                Some(now) if now != record => record = now,
                Some(_) | None => break found,
            }
        };
        self.judge(&record, &mut files)?;
        let history: Vec<Value> = proof.links.iter().map(entry).collect();
        files.push(File::json("history.json", &history)?);
        if let Some(witness) = &proof.witness {
            files.extend(checkpoint(witness)?);
        }
        files.push(File {
            name: "README.txt".to_owned(),
            media_type: "text/plain; charset=utf-8",
            bytes: README.as_bytes().to_vec(),
            withheld: false,
        });
        let manifest = self.manifest(&record, &proof, &files)?;
        files.push(File::json("manifest.json", &manifest)?);
        files.retain(|file| !file.withheld);
        zipped(&files).map(Some).map_err(EvidenceError::Write)
    }

    fn bodies(&self, record: &Record, scope: Scope) -> Result<Vec<File>, EvidenceError> {
        let mut files = Vec::new();
        for (kind, name, media_type, personal) in BODIES {
            let name = match record.signer {
                None if kind == Kind::Document => UNSIGNED_XML,
                None | Some(_) => name,
            };
            files.extend(self.kept(record.uuid, kind)?.map(|bytes| File {
                name: name.to_owned(),
                media_type,
                bytes,
                withheld: personal && scope == Scope::Proofs,
            }));
        }
        Ok(files)
    }

    /// A body, unless it is none or was destroyed when its time had come.
    fn kept(&self, uuid: Uuid4, kind: Kind) -> Result<Option<Vec<u8>>, EvidenceError> {
        match self.outbox.body(uuid, kind) {
            Err(OutboxError::Purged(_)) => Ok(None),
            body => Ok(body?),
        }
    }

    /// Adds the reports on what is signed.
    fn judge(&self, record: &Record, files: &mut Vec<File>) -> Result<(), EvidenceError> {
        let place = Place::Form {
            form: record.form.clone(),
            version: Some(record.version.clone()),
            operation: record.operation.clone(),
        };
        let bytes = |name: &str| {
            let found = files.iter().find(|file| file.name == name);
            found.map(|file| file.bytes.clone())
        };
        let xml = bytes(SIGNED_XML).map(|xml| Signed::Xml(xml, Some(place)));
        let judged = [("xml", xml), ("pdf", bytes("signed.pdf").map(Signed::Pdf))];
        for (what, signed) in judged {
            let Some(signed) = signed else { continue };
            let report = self.intake.validate(&signed);
            files.extend(reports(what, &report.map_err(EvidenceError::Judge)?)?);
        }
        Ok(())
    }

    fn manifest(
        &self,
        record: &Record,
        proof: &Proof,
        files: &[File],
    ) -> Result<Value, EvidenceError> {
        let pack = self
            .intake
            .packs()
            .pack(&record.form, Some(&record.version));
        let (seq, hash) = &proof.head;
        Ok(json!({
            "format": 1,
            "made_at": rfc3339(self.clock.now()),
            "made_by": { "program": "sceau", "version": env!("CARGO_PKG_VERSION") },
            "installation": self.installation,
            "environment": { "name": record.environment, "kind": record.environment_kind.as_str() },
            "document": {
                "uuid": record.uuid.to_string(),
                "form": record.form,
                "version": record.version,
                "operation": record.operation,
                "addressee": pack.map(|pack| pack.addressee.clone()),
                "code_prestataire": record.code_prestataire,
                "signer": record.signer,
                "state": record.state.word(),
                "insurer_id": record.insurer_id,
                "correlation_id": record.correlation_id,
                "received_at": rfc3339(record.received_at),
                "updated_at": rfc3339(record.updated_at),
                "request_sha256": hex::encode(&record.request_sha256),
                "facts": self.public(record.uuid)?,
            },
            "audit": {
                "head": { "seq": seq, "hash": hex::encode(hash) },
                "entries": proof.links.iter().map(|link| json!({ "seq": link.seq, "hash": hex::encode(&link.hash) })).collect::<Vec<_>>(),
            },
            "files": files.iter().map(File::listed).collect::<Vec<_>>(),
        }))
    }

    /// What the pack shows of the document and does not call personal.
    fn public(&self, uuid: Uuid4) -> Result<Value, EvidenceError> {
        let facts = self.kept(uuid, Kind::Facts)?;
        let facts = facts.map(|facts| serde_json::from_slice::<Vec<Shown>>(&facts));
        let facts = facts.transpose().map_err(EvidenceError::Part)?;
        let facts = public_facts(&facts.unwrap_or_default()).into_iter();
        Ok(Value::Object(
            facts.map(|(name, value)| (name, value.into())).collect(),
        ))
    }
}

/// The single values among what is shown that are not personal: they may stand
/// in a manifest or a QR symbol.
pub fn public_facts(shown: &[Shown]) -> Vec<(String, String)> {
    let public = shown.iter().filter(|shown| !shown.personal);
    public
        .filter_map(|shown| match &shown.value {
            ShownValue::Text(text) => Some((shown.name.clone(), text.clone())),
            ShownValue::List(_) => None,
        })
        .collect()
}

fn reports(what: &str, report: &Report) -> Result<[File; 2], EvidenceError> {
    Ok([
        File::json(&format!("validation-{what}.json"), report)?,
        File {
            name: format!("validation-{what}.xml"),
            media_type: "application/xml",
            bytes: report.to_etsi_xml().into_bytes(),
            withheld: false,
        },
    ])
}

/// An entry of the history with what it takes to compute its hash.
fn entry(link: &Link) -> Value {
    json!({
        "seq": link.seq,
        "at": rfc3339(from_unix_ms(link.at_ms)),
        "at_ms": link.at_ms,
        "subject": link.subject,
        "event": link.event,
        "detail": serde_json::from_str::<Value>(&link.detail).unwrap_or_default(),
        "detail_text": link.detail,
        "previous": hex::encode(&link.previous),
        "hash": hex::encode(&link.hash),
    })
}

/// The checkpoint of the log over entries of the history, with what shows that
/// it is over them and when it was.
fn checkpoint(witness: &Witness) -> Result<[File; 2], EvidenceError> {
    let entries = witness.paths.iter().map(|(seq, path)| {
        let path: Vec<String> = path.iter().map(|hash| hex::encode(hash)).collect();
        json!({ "seq": seq, "path": path })
    });
    let proof = json!({
        "key": witness.key,
        "note": witness.note,
        "salt": hex::encode(&witness.salt),
        "certificates": witness.chain,
        "entries": entries.collect::<Vec<_>>(),
    });
    Ok([
        File::json("checkpoint.json", &proof)?,
        File {
            name: "checkpoint.tst".to_owned(),
            media_type: TIMESTAMP_TOKEN,
            bytes: witness.token.clone(),
            withheld: false,
        },
    ])
}

/// Every file under the same time, the first a ZIP file can hold, so that the
/// archive says nothing the files do not.
fn zipped(files: &[File]) -> Result<Vec<u8>, zip::result::ZipError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::DEFAULT)
        .unix_permissions(0o600);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        writer.start_file(file.name.as_str(), options)?;
        writer.write_all(&file.bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}
