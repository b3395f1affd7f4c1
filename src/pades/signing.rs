//! Level B: prepared here, signed elsewhere, put together here.

use super::PadesError;
use crate::base::limits::PDF_TOKEN_BYTES;
use crate::pdf::{self, Request, Slot};
use crate::x509::cms;
use crate::x509::{Cert, SignatureAlgorithm};
use time::OffsetDateTime;

/// Bytes of a CMS signature beside its certificates and its timestamp: signed
/// attributes, identifiers, and a signature value of up to 8192 bits.
const STRUCTURE_BYTES: usize = 2 << 10;

/// A PDF that waits for its signature.
#[derive(Debug)]
pub struct Prepared {
    slot: Slot,
    signed_attributes: Vec<u8>,
    signer: Cert,
    chain: Vec<Cert>,
    algorithm: SignatureAlgorithm,
}

/// Appends an empty signature to a PDF, whose bytes stay unchanged: in the
/// first empty signature field that may be signed, otherwise in a new,
/// invisible one. There is room for a timestamp.
///
/// `chain` are the certificates to embed beside the signer's; `signing_time`
/// becomes the claimed time `/M`. Whether the file is plausible PDF/A is asked
/// before, with [`pdf::precheck`].
///
/// # Errors
/// [`PadesError::Prepare`]: damaged, encrypted, closed to changes, or with a
/// field whose author asks for what is not done here.
pub fn prepare(
    pdf: &[u8],
    signer: &Cert,
    chain: &[Cert],
    algorithm: SignatureAlgorithm,
    signing_time: OffsetDateTime,
) -> Result<Prepared, PadesError> {
    let certificates = chain.iter().chain([signer]).map(|cert| cert.der().len());
    let request = Request {
        signing_time,
        room: STRUCTURE_BYTES + PDF_TOKEN_BYTES + certificates.sum::<usize>(),
        digest: match algorithm.content_digest(&[]).len() {
            48 => "SHA384",
            64 => "SHA512",
            _ => "SHA256",
        },
    };
    let slot = pdf::append_signature(pdf, request).map_err(PadesError::Prepare)?;
    let digest = algorithm.content_digest(&slot.signed());
    Ok(Prepared {
        signed_attributes: cms::signed_attributes(&digest, signer),
        slot,
        signer: signer.clone(),
        chain: chain.to_vec(),
        algorithm,
    })
}

impl Prepared {
    /// The bytes to be signed: the signed attributes in DER.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.signed_attributes
    }

    /// Puts the signature value in: PKCS#1, or the DER form for ECDSA.
    ///
    /// # Errors
    /// [`PadesError::Finish`] when it does not fit into what was reserved.
    pub fn finish(self, signature: &[u8]) -> Result<Vec<u8>, PadesError> {
        let cms = cms::assemble(
            &self.signer,
            &self.chain,
            &self.signed_attributes,
            self.algorithm,
            signature,
        );
        self.slot.fill(&cms).map_err(PadesError::Finish)
    }
}
