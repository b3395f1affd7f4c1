//! The order of things: PDF signature, embedding, XML signature, timestamp,
//! then revocation data. Each step states the level it reached and is verified
//! before anything else sees it. Nothing here sends or stores.

mod isolated;

pub use isolated::Isolated;

use crate::base::{Clock, hex};
use crate::forms::{CodePrestataire, FormsError, Operation, Pack};
use crate::pades::{self, PadesError};
use crate::token::{self, Identity, Token, TokenError};
use crate::trust::{Call, Evidence, Trust, TrustError};
use crate::x509::tsp::TimestampToken;
use crate::x509::{Cert, KeyKind, RsaScheme, SignatureAlgorithm};
use crate::xades::{self, Level, Slot, XadesError};
use std::sync::Arc;
use time::OffsetDateTime;

/// Someone in whose name forms are signed and sent (DSR 3.4.1).
#[derive(Debug, Clone)]
pub struct Practitioner {
    /// The code prestataire, eight digits.
    pub code_prestataire: CodePrestataire,
    /// The eHealth ID, ten digits.
    pub ehealth_id: String,
    /// Name for logs and the console.
    pub name: String,
    /// SHA-256 of the signing certificate; `None` takes the token's only one.
    pub certificate: Option<[u8; 32]>,
}

/// Why a document does not get further.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The token cannot sign now.
    #[error("the token could not sign")]
    Token(#[source] TokenError),
    /// The signer's certificate leads to no anchor, or is not valid now.
    #[error("the signer's certificate is not trusted")]
    Trust(#[source] TrustError),
    /// There is no timestamp, so level T is not reached.
    #[error("no timestamp could be had")]
    Timestamp(#[source] TrustError),
    /// Certificates or revocation data are missing or say "revoked", so level
    /// LT is not reached.
    #[error("the validation data could not be had")]
    ValidationData(#[source] TrustError),
    /// The key is of a kind no profile allows.
    #[error(
        "the key of {subject} is {key}; RSA with at least 2048 bits, EC on P-256 or EC on P-384 is needed"
    )]
    KeyKind {
        /// Whose key.
        subject: String,
        /// What it is.
        key: KeyKind,
    },
    /// The PDF as it came cannot take a signature.
    #[error("the PDF cannot take a signature")]
    PdfRefused(#[source] PadesError),
    /// The PDF's signature could not be made or completed.
    #[error("the PDF could not be signed")]
    Pdf(#[source] PadesError),
    /// The self-check found bytes of the PDF outside the signature.
    #[error("the PDF signature does not cover the whole file")]
    PartialPdf,
    /// The XML cannot be signed or completed.
    #[error("the XML could not be signed")]
    Xml(#[source] XadesError),
    /// The document with its PDF does not fit the form or breaks its schema.
    #[error("the PDF could not be embedded")]
    Embed(#[source] FormsError),
    /// The self-check found another level than the one aimed at.
    #[error("the signature reached level {reached:?}, not {wanted:?}")]
    Level {
        /// What the verifier found.
        reached: Level,
        /// What the step promises.
        wanted: Level,
    },
}

impl SignError {
    /// Whose fault it is: `token`, `tsa`, `ocsp`, `network` or `ours`.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Trust(error) | Self::Timestamp(error) | Self::ValidationData(error) => {
                error.class()
            }
            Self::KeyKind { .. }
            | Self::PdfRefused(_)
            | Self::Pdf(_)
            | Self::PartialPdf
            | Self::Xml(_)
            | Self::Embed(_)
            | Self::Level { .. } => "ours",
        }
    }
}

/// What signing made: level XAdES-B-B with a PAdES-B-B PDF inside.
#[derive(Debug)]
pub struct Signed {
    /// The XML with its signature and the signed PDF.
    pub document: Vec<u8>,
    /// The signed PDF.
    pub pdf: Vec<u8>,
    /// Who signed.
    pub certificate: Cert,
    /// The time claimed inside both signatures.
    pub signing_time: OffsetDateTime,
}

/// What timestamping made: level XAdES-B-T.
#[derive(Debug)]
pub struct Stamped {
    /// The XML with the timestamp.
    pub document: Vec<u8>,
    /// The RFC 3161 token.
    pub token: Vec<u8>,
    /// The time the authority states.
    pub gen_time: OffsetDateTime,
}

/// What completing made: level XAdES-B-LT, self-verified.
#[derive(Debug)]
pub struct Sealed {
    /// The XML with all validation data.
    pub document: Vec<u8>,
    /// How many OCSP answers and CRLs it carries.
    pub revocation_values: usize,
}

/// Signs with one token and one set of trust services.
pub struct Signer {
    token: Arc<dyn Token>,
    trust: Arc<Trust>,
    clock: Arc<dyn Clock>,
    rsa_scheme: RsaScheme,
}

impl Signer {
    /// A signer over a token and trust services; `rsa_scheme` is how RSA keys sign.
    pub fn new(
        token: Arc<dyn Token>,
        trust: Arc<Trust>,
        clock: Arc<dyn Clock>,
        rsa_scheme: RsaScheme,
    ) -> Self {
        Self {
            token,
            trust,
            clock,
            rsa_scheme,
        }
    }

    /// The time signatures would claim now.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// The token, for its status and to unlock it.
    pub fn token(&self) -> &Arc<dyn Token> {
        &self.token
    }

    /// The trust services, for their health.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// PAdES-B-B on the PDF, embedding with the XSD of the whole, XAdES-B-B in the
    /// pack's slot (EN 319 142-1 §6.3, EN 319 132-1 §6.3). Exactly two private-key operations.
    ///
    /// # Errors
    /// [`SignError`]; nothing has been sent anywhere.
    pub fn sign(
        &self,
        (pack, name): (&Pack, &str),
        practitioner: &Practitioner,
        (xml, pdf): (&[u8], &[u8]),
        calls: &mut Vec<Call>,
    ) -> Result<Signed, SignError> {
        let operation = pack.operation(name).map_err(SignError::Embed)?;
        let slot = &operation.signature.slot;
        let hand = self.hand(practitioner, calls)?;
        let pdf = self.pdf_signature(&hand, pdf)?;
        let own = pades::verify(&pdf).map_err(SignError::Pdf)?;
        if own.changes_after != pades::Changes::None {
            return Err(SignError::PartialPdf);
        }
        let whole = pack.embed(name, xml, &pdf).map_err(SignError::Embed)?;
        let document = self.xml_signature(&hand, &whole, slot)?;
        reached(&document, slot, Level::B)?;
        Ok(Signed {
            document,
            pdf,
            certificate: hand.identity.certificate,
            signing_time: hand.at,
        })
    }

    /// RFC 3161 timestamp over the signature value: XAdES-B-T.
    ///
    /// # Errors
    /// [`SignError::Timestamp`] when no authority answered rightly.
    pub fn stamp(
        &self,
        operation: &Operation,
        document: &[u8],
        calls: &mut Vec<Call>,
    ) -> Result<Stamped, SignError> {
        let (document, token) = self.xml_timestamp(document, calls)?;
        reached(&document, &operation.signature.slot, Level::T)?;
        Ok(Stamped {
            document,
            gen_time: token.gen_time(),
            token: token.der().to_vec(),
        })
    }

    /// Adds certificates and revocation data of the signer's and the
    /// authority's chains, fetched after the timestamp: XAdES-B-LT.
    ///
    /// # Errors
    /// [`SignError::ValidationData`] when data are missing, too old, or say "revoked".
    pub fn seal(
        &self,
        operation: &Operation,
        document: &[u8],
        calls: &mut Vec<Call>,
    ) -> Result<Sealed, SignError> {
        let slot = &operation.signature.slot;
        let verified = xades::verify(document, slot).map_err(SignError::Xml)?;
        let token = verified.token.ok_or(SignError::Level {
            reached: verified.level,
            wanted: Level::T,
        })?;
        let pool = self.token_chain(&verified.signer);
        let data = self.validation_data((&verified.signer, &pool), &token, calls)?;
        let document = xades::extend_lt(document, &data.certificates, &data.ocsp, &data.crls)
            .map_err(SignError::Xml)?;
        reached(&document, slot, Level::LT)?;
        Ok(Sealed {
            document,
            revocation_values: data.ocsp.len() + data.crls.len(),
        })
    }

    /// Who signs, with what, now. An expired or untrusted certificate is
    /// refused here, before the key is used.
    fn hand(&self, practitioner: &Practitioner, calls: &mut Vec<Call>) -> Result<Hand, SignError> {
        let at = self.clock.now();
        let identity = self.identity(practitioner)?;
        let certificate = &identity.certificate;
        let algorithm = SignatureAlgorithm::for_key(certificate.key(), self.rsa_scheme)
            .ok_or_else(|| SignError::KeyKind {
                subject: certificate.subject(),
                key: certificate.key(),
            })?;
        let chain = self
            .trust
            .chain(certificate, &identity.chain, at, calls)
            .map_err(SignError::Trust)?;
        Ok(Hand {
            identity,
            chain,
            algorithm,
            at,
        })
    }

    /// PAdES-B-B: one private-key operation.
    fn pdf_signature(&self, hand: &Hand, pdf: &[u8]) -> Result<Vec<u8>, SignError> {
        let issuers = hand.chain.get(1..).unwrap_or_default();
        let certificate = &hand.identity.certificate;
        let prepared = pades::prepare(pdf, certificate, issuers, hand.algorithm, hand.at)
            .map_err(SignError::PdfRefused)?;
        let signature = self.private_key(hand, prepared.to_be_signed())?;
        prepared.finish(&signature).map_err(SignError::Pdf)
    }

    /// XAdES-B-B: one private-key operation.
    fn xml_signature(&self, hand: &Hand, xml: &[u8], slot: &Slot) -> Result<Vec<u8>, SignError> {
        let certificate = &hand.identity.certificate;
        let prepared = xades::prepare(xml, slot, certificate, hand.algorithm, hand.at)
            .map_err(SignError::Xml)?;
        let signature = self.private_key(hand, prepared.to_be_signed())?;
        prepared.finish(&signature).map_err(SignError::Xml)
    }

    fn xml_timestamp(
        &self,
        document: &[u8],
        calls: &mut Vec<Call>,
    ) -> Result<(Vec<u8>, TimestampToken), SignError> {
        let input = xades::timestamp_input(document).map_err(SignError::Xml)?;
        let token = self
            .trust
            .timestamp(&input, calls)
            .map_err(SignError::Timestamp)?;
        let document = xades::extend_t(document, token.der()).map_err(SignError::Xml)?;
        Ok((document, token))
    }

    /// What level LT adds: the chains of signer and timestamp authority to
    /// their anchors, and revocation data as new as the timestamp.
    fn validation_data(
        &self,
        (signer, pool): (&Cert, &[Cert]),
        token: &TimestampToken,
        calls: &mut Vec<Call>,
    ) -> Result<ValidationData, SignError> {
        let at = token.gen_time();
        let mut data = ValidationData::default();
        for (leaf, pool) in [(signer, pool), (token.signer(), token.certificates())] {
            let chain = self
                .trust
                .chain(leaf, pool, at, calls)
                .map_err(SignError::ValidationData)?;
            let evidence = if leaf == token.signer() {
                self.trust.timestamp_revocation(token, &chain, calls)
            } else {
                self.trust.revocation(&chain, at, calls)
            };
            data.add(chain, evidence.map_err(SignError::ValidationData)?);
        }
        Ok(data)
    }

    /// The identity a practitioner signs with.
    ///
    /// # Errors
    /// [`SignError::Token`] when it is absent or ambiguous.
    pub fn identity(&self, practitioner: &Practitioner) -> Result<Identity, SignError> {
        let identities = self.token.identities().map_err(SignError::Token)?;
        token::choose(
            &identities,
            practitioner.certificate.as_ref(),
            self.clock.now(),
        )
        .map_err(SignError::Token)
    }

    fn private_key(&self, hand: &Hand, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let certificate = hand.identity.certificate.sha256();
        self.token
            .sign(&certificate, hand.algorithm, message)
            .map_err(SignError::Token)
    }

    /// Issuers the token carries; none when it is not there, AIA serves then.
    fn token_chain(&self, signer: &Cert) -> Vec<Cert> {
        let identities = self.token.identities().unwrap_or_default();
        let own = identities.into_iter().find(|i| i.certificate == *signer);
        own.map(|identity| identity.chain).unwrap_or_default()
    }
}

fn reached(document: &[u8], slot: &Slot, wanted: Level) -> Result<(), SignError> {
    let verified = xades::verify(document, slot).map_err(SignError::Xml)?;
    if verified.level == wanted {
        Ok(())
    } else {
        Err(SignError::Level {
            reached: verified.level,
            wanted,
        })
    }
}

/// One identity, ready to sign.
struct Hand {
    identity: Identity,
    /// From the identity's certificate to the anchor.
    chain: Vec<Cert>,
    algorithm: SignatureAlgorithm,
    /// The time the signatures will claim.
    at: OffsetDateTime,
}

/// Certificates and revocation data, each once.
#[derive(Default)]
struct ValidationData {
    certificates: Vec<Cert>,
    ocsp: Vec<Vec<u8>>,
    crls: Vec<Vec<u8>>,
}

impl ValidationData {
    fn add(&mut self, chain: Vec<Cert>, evidence: Vec<Evidence>) {
        let mut certificates = chain;
        for item in evidence {
            match item {
                Evidence::Ocsp(response) => {
                    certificates.extend(response.certificates().iter().cloned());
                    push_once(&mut self.ocsp, response.der().to_vec());
                }
                Evidence::Crl(list) => push_once(&mut self.crls, list.der().to_vec()),
            }
        }
        for certificate in certificates {
            push_once(&mut self.certificates, certificate);
        }
    }
}

fn push_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// The certificate's fingerprint as shown to people.
pub fn fingerprint(certificate: &Cert) -> String {
    hex::encode(&certificate.sha256())
}
