//! The order of things: PDF signature, embedding, XML signature, timestamp,
//! then revocation data. Each step states the level it reached and is verified
//! before anything else sees it. Nothing here sends or stores.

mod isolated;
mod people;

pub use isolated::Isolated;
pub use people::{Delegate, People, PeopleError, Practitioner, Role, Signatory};

use crate::base::{Clock, hex};
use crate::forms::{FormsError, Pack};
use crate::pades::{self, Changes, PadesError};
use crate::token::{self, Identity, Token, TokenError};
use crate::trust::{Call, Evidence, Trust, TrustError};
use crate::validation::{self, ValidationError};
use crate::x509::tsp::TimestampToken;
use crate::x509::{Cert, KeyKind, RsaScheme, SignatureAlgorithm};
use crate::xades::{self, Envelope, Level, Slot, XadesError};
use roxmltree::Document;
use std::sync::Arc;
use time::OffsetDateTime;

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
    /// The self-check found more behind the PDF's signature than what
    /// completes it.
    #[error("the PDF signature does not cover the whole file")]
    PartialPdf,
    /// The XML cannot be signed or completed.
    #[error("the XML could not be signed")]
    Xml(#[source] XadesError),
    /// The document with its PDF does not fit the form or breaks its schema.
    #[error("the PDF could not be embedded")]
    Embed(#[source] FormsError),
    /// The self-check would not accept the document from a stranger.
    #[error("the signed document does not pass validation")]
    SelfCheck(#[source] ValidationError),
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
            | Self::SelfCheck(_)
            | Self::Level { .. } => "ours",
        }
    }
}

/// A signatory's identity, found trustworthy and ready to sign.
pub struct Hand {
    identity: Identity,
    /// From the identity's certificate to the anchor.
    chain: Vec<Cert>,
    algorithm: SignatureAlgorithm,
    /// The time the signatures will claim.
    at: OffsetDateTime,
}

impl Hand {
    /// The certificate whose key will sign.
    pub fn certificate(&self) -> &Cert {
        &self.identity.certificate
    }
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

    /// Who signs, with what, now. An expired or untrusted certificate is
    /// refused here, before the key is used.
    ///
    /// # Errors
    /// [`SignError::Token`], [`SignError::KeyKind`], [`SignError::Trust`].
    pub fn hand(&self, signatory: &Signatory, calls: &mut Vec<Call>) -> Result<Hand, SignError> {
        let at = self.clock.now();
        let identity = self.identity(signatory)?;
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

    /// PAdES-B-B (EN 319 142-1 §6.3). Exactly one private-key operation. What
    /// becomes of the PDF must pass [`Signer::check_pdf`].
    ///
    /// # Errors
    /// [`SignError::PdfRefused`] when the PDF can take no signature.
    pub fn pdf_signature(&self, hand: &Hand, pdf: &[u8]) -> Result<Vec<u8>, SignError> {
        let issuers = hand.chain.get(1..).unwrap_or_default();
        let prepared = pades::prepare(pdf, hand.certificate(), issuers, hand.algorithm, hand.at)
            .map_err(SignError::PdfRefused)?;
        let signature = self.private_key(hand, prepared.to_be_signed())?;
        prepared.finish(&signature).map_err(SignError::Pdf)
    }

    /// RFC 3161 timestamp over the last signature of a PDF: PAdES-B-T.
    ///
    /// # Errors
    /// [`SignError::Timestamp`] when no authority answered rightly.
    pub fn stamp_pdf(
        &self,
        pdf: &[u8],
        calls: &mut Vec<Call>,
    ) -> Result<(Vec<u8>, TimestampToken), SignError> {
        let input = pades::timestamp_input(pdf).map_err(SignError::Pdf)?;
        let token = self
            .trust
            .timestamp(&input, calls)
            .map_err(SignError::Timestamp)?;
        let stamped = pades::extend_t(pdf, token.der()).map_err(SignError::Pdf)?;
        Ok((stamped, token))
    }

    /// Certificates and revocation data of a stamped PDF: PAdES-B-LT.
    fn seal_pdf(
        &self,
        pdf: &[u8],
        (signer, token): (&Cert, &TimestampToken),
        calls: &mut Vec<Call>,
    ) -> Result<Vec<u8>, SignError> {
        let data = self.validation_data(signer, token, calls)?;
        pades::extend_lt(pdf, &data.certificates, &data.ocsp, &data.crls).map_err(SignError::Pdf)
    }

    /// The self-check of a PDF: its last signature, read afresh, is of this
    /// level and by this certificate, and nothing but validation data follows it. At level LT, which
    /// needs nothing from outside, it is TOTAL-PASSED (EN 319 102-1).
    ///
    /// # Errors
    /// [`SignError::Pdf`], [`SignError::PartialPdf`], [`SignError::Level`],
    /// [`SignError::SelfCheck`].
    pub fn check_pdf(&self, pdf: &[u8], wanted: Level, signer: &Cert) -> Result<(), SignError> {
        if wanted == Level::LT {
            let now = self.clock.now();
            let report =
                validation::offline(&self.trust, now, |context| validation::pdf(pdf, context));
            return validation::self_check(&report, "PAdES-B-LT", signer)
                .map_err(SignError::SelfCheck);
        }
        let own = pades::verify(pdf).map_err(SignError::Pdf)?;
        if own.changes_after != Changes::None {
            return Err(SignError::PartialPdf);
        }
        own_signer(&own.signer, signer)?;
        if own.level != wanted {
            let reached = own.level;
            return Err(SignError::Level { reached, wanted });
        }
        Ok(())
    }

    /// Embedding of the PDF, if any, with the XSD of the whole, then XAdES-B-B in the pack's slot
    /// (EN 319 132-1 §6.3): all with one parse. Exactly one private-key
    /// operation. What becomes of the envelope must pass [`Signer::check`].
    ///
    /// # Errors
    /// [`SignError::Embed`], also for an operation that is not signed;
    /// [`SignError::Xml`], [`SignError::Token`].
    pub fn form_signature(
        &self,
        hand: &Hand,
        (pack, name): (&Pack, &str),
        (xml, pdf): (&[u8], Option<&[u8]>),
    ) -> Result<Envelope, SignError> {
        let operation = pack.operation(name).map_err(SignError::Embed)?;
        let place = operation.signed().map_err(SignError::Embed)?;
        let whole = pack.assemble(name, xml, pdf).map_err(SignError::Embed)?;
        let tree = pack.read_whole(name, &whole).map_err(SignError::Embed)?;
        self.xml_signature(hand, (&whole, &tree), &place.slot)
    }

    fn xml_signature(
        &self,
        hand: &Hand,
        document: (&[u8], &Document<'_>),
        slot: &Slot,
    ) -> Result<Envelope, SignError> {
        let signer = hand.certificate();
        let prepared = xades::prepare_parsed(document, slot, signer, hand.algorithm, hand.at)
            .map_err(SignError::Xml)?;
        let signature = self.private_key(hand, prepared.to_be_signed())?;
        prepared.finish(&signature).map_err(SignError::Xml)
    }

    /// RFC 3161 timestamp over the signature value: XAdES-B-T.
    ///
    /// # Errors
    /// [`SignError::Timestamp`] when no authority answered rightly; the
    /// envelope is as it was then.
    pub fn stamp(&self, envelope: &mut Envelope, calls: &mut Vec<Call>) -> Result<(), SignError> {
        let token = self
            .trust
            .timestamp(envelope.timestamp_input(), calls)
            .map_err(SignError::Timestamp)?;
        envelope.extend_t(token).map_err(SignError::Xml)
    }

    /// Adds certificates and revocation data of the signer's and the
    /// authority's chains, fetched after the timestamp: XAdES-B-LT. Returns how
    /// many OCSP answers and CRLs were added.
    ///
    /// # Errors
    /// [`SignError::ValidationData`] when data are missing, too old, or say
    /// "revoked"; the envelope is as it was then.
    pub fn seal(&self, envelope: &mut Envelope, calls: &mut Vec<Call>) -> Result<usize, SignError> {
        let token = envelope.token().ok_or(SignError::Level {
            reached: envelope.level(),
            wanted: Level::T,
        })?;
        let data = self.validation_data(envelope.signer(), token, calls)?;
        envelope
            .extend_lt(&data.certificates, &data.ocsp, &data.crls)
            .map_err(SignError::Xml)?;
        Ok(data.ocsp.len() + data.crls.len())
    }

    /// The self-check: the final bytes, read afresh and verified as those of a
    /// stranger, are of the level the envelope claims and by its signer. At level LT, which needs
    /// nothing from outside, they are TOTAL-PASSED (EN 319 102-1).
    ///
    /// # Errors
    /// [`SignError::Xml`], [`SignError::Level`], [`SignError::SelfCheck`].
    pub fn check(&self, envelope: Envelope, slot: &Slot) -> Result<Vec<u8>, SignError> {
        let wanted = envelope.level();
        let signer = envelope.signer().clone();
        let document = envelope.into_xml();
        match wanted {
            Level::B | Level::T => {
                let own = xades::verify(&document, slot).map_err(SignError::Xml)?;
                own_signer(&own.signer, &signer)?;
                let reached = own.level;
                if reached != wanted {
                    return Err(SignError::Level { reached, wanted });
                }
            }
            Level::LT => {
                let now = self.clock.now();
                let report = validation::offline(&self.trust, now, |context| {
                    validation::xml(&document, Some(slot), context)
                });
                validation::self_check(&report, "XAdES-B-LT", &signer)
                    .map_err(SignError::SelfCheck)?;
            }
        }
        Ok(document)
    }

    /// What level LT adds: the chains of signer and timestamp authority to
    /// their anchors, and revocation data as new as the timestamp.
    fn validation_data(
        &self,
        signer: &Cert,
        token: &TimestampToken,
        calls: &mut Vec<Call>,
    ) -> Result<ValidationData, SignError> {
        let at = token.gen_time();
        let pool = self.token_chain(signer);
        let mut data = ValidationData::default();
        for (leaf, pool) in [
            (signer, pool.as_slice()),
            (token.signer(), token.certificates()),
        ] {
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

    /// The identity a signatory signs with.
    ///
    /// # Errors
    /// [`SignError::Token`] when it is absent or ambiguous.
    pub fn identity(&self, signatory: &Signatory) -> Result<Identity, SignError> {
        let identities = self.token.identities().map_err(SignError::Token)?;
        let named = signatory.certificate.as_ref();
        let chosen = token::choose(&identities, named, self.clock.now());
        chosen.map_err(|error| match error {
            // It may be on the card that is not there.
            TokenError::NoSuchCertificate => {
                SignError::Token(self.token.trouble().unwrap_or(error))
            }
            other => SignError::Token(other),
        })
    }

    fn private_key(&self, hand: &Hand, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let certificate = hand.certificate().sha256();
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

fn own_signer(found: &Cert, signer: &Cert) -> Result<(), SignError> {
    match found == signer {
        true => Ok(()),
        false => Err(SignError::SelfCheck(ValidationError::SelfCheckSigner)),
    }
}
