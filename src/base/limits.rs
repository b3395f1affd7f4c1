//! Every limit, named with its unit: refuse early, refuse cheaply, and name
//! the limit in the refusal.

/// Largest request body the local API reads, in bytes.
pub const BODY_BYTES_MAX: usize = 32 << 20;
/// Largest request head (line and headers), in bytes.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most open connections to the local API.
pub const CONNECTIONS_MAX: usize = 64;
/// Most requests of one paired program under way at once.
pub const PROGRAM_REQUESTS_MAX: usize = CONNECTIONS_MAX / 2;
/// Most documents of one batch.
pub const BATCH_DOCUMENTS_MAX: usize = 500;
/// Most callers that wait for a document's end at once; the others get the
/// present state.
pub const WAITERS_MAX: usize = CONNECTIONS_MAX / 2;
/// Most of these that one program has, so that others find room.
pub const WAITERS_PROGRAM_MAX: usize = WAITERS_MAX / 2;
/// Longest such wait, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 60;
/// Most streams of events at once; each holds a connection.
pub const EVENT_STREAMS_MAX: usize = CONNECTIONS_MAX / 4;
/// Most of these that one program has, so that others find room.
pub const EVENT_STREAMS_PROGRAM_MAX: usize = EVENT_STREAMS_MAX / 4;
/// Most entries of the audit log looked at in one go for a stream of events.
pub const EVENTS_PAGE: i64 = 200;
/// How many entries back a stream of events can begin.
pub const EVENTS_BACK_MAX: i64 = 10_000;
/// Longest silence on a stream of events, in seconds; then a comment is sent.
pub const EVENTS_SILENCE_SECONDS: u64 = 15;
/// Most paused submissions of each stage looked at when the service starts.
pub const PAUSED_SAMPLE: usize = 1_000;
/// Most submissions remembered for one fault.
pub const CONDITION_SUBMISSIONS_MAX: usize = 1_000;
/// Time a client has to send its request head, in seconds.
pub const HEAD_SECONDS_MAX: u64 = 10;
/// Longest time in which a client sends nothing of a body or takes nothing of an
/// answer, in seconds; then its connection ends.
pub const STANDSTILL_SECONDS_MAX: u64 = 30;
/// Time the body of a refused request is read and dropped, in seconds.
pub const DRAIN_SECONDS_MAX: u64 = 10;

/// Largest XML document, in bytes (the embedded PDF included).
pub const XML_BYTES_MAX: usize = 30 << 20;
/// Bytes kept free in a document for its PDF's growth, signature, timestamp and
/// validation data.
pub const SIGNATURE_ROOM_BYTES: usize = 2 << 20;
/// Deepest nesting of elements.
pub const XML_DEPTH_MAX: usize = 64;
/// Most attributes on one element.
pub const XML_ATTRIBUTES_MAX: usize = 64;
/// Most attributes in one document, namespace declarations included.
pub const XML_ATTRIBUTES_TOTAL_MAX: usize = 500_000;
/// Most elements, comments and references in one document.
pub const XML_ELEMENTS_MAX: usize = 50_000;
/// Most namespace declarations in scope at one element.
pub const XML_NAMESPACES_MAX: usize = 64;
/// Longest element or attribute name, in bytes.
pub const XML_NAME_BYTES_MAX: usize = 256;
/// Longest text node other than a base64 document, in bytes.
pub const XML_TEXT_BYTES_MAX: usize = 28 << 20;

/// Largest file of a form pack, in bytes.
pub const PACK_FILE_BYTES_MAX: u64 = 4 << 20;
/// Most files of one form pack: schemas, lists, and the pack itself.
pub const PACK_FILES_MAX: usize = 64;

/// Most parts (elements, groups, attributes) of one content model of a schema,
/// its groups put in. Compiling takes time by their square.
pub const XSD_MODEL_PARTS_MAX: usize = 2_000;
/// Most parts of all content models of a form's schemas together.
pub const XSD_PARTS_MAX: usize = 40_000;

/// Largest PDF, in bytes.
pub const PDF_BYTES_MAX: usize = 20 << 20;
/// Most bytes a PDF's content streams may inflate to together, and as many
/// again for its object streams; images and fonts are not inflated.
pub const PDF_INFLATED_BYTES_MAX: usize = 64 << 20;
/// Most values (numbers, names, strings, arrays, dictionaries) in a PDF's
/// objects; each takes about a hundred bytes of memory.
pub const PDF_VALUES_MAX: usize = 1_000_000;
/// Bytes kept for a timestamp token in the place of a PDF signature, before
/// hexadecimal coding.
pub const PDF_TOKEN_BYTES: usize = 12 << 10;
/// Most bytes kept for the CMS of a PDF signature, its token included, before
/// hexadecimal coding.
pub const PDF_CMS_BYTES_MAX: usize = 64 << 10;
/// Most fields of one PDF form that are looked at.
pub const PDF_FIELDS_MAX: usize = 10_000;
/// Longest full name of a field of a PDF form, in bytes.
pub const PDF_FIELD_NAME_BYTES_MAX: usize = 4 << 10;
/// Most signed signature fields of one PDF; for each the signed revision is read
/// anew and compared.
pub const PDF_SIGNATURES_MAX: usize = 8;
/// Most bytes the validation data of one PDF may inflate to.
pub const PDF_VALIDATION_BYTES_MAX: usize = 32 << 20;
/// Smallest and largest edge of a QR symbol as an image, in pixels.
pub const QR_PIXELS_MIN: u32 = 64;
/// See [`QR_PIXELS_MIN`].
pub const QR_PIXELS_MAX: u32 = 2048;
/// Bytes shown of what a site's PDF validator says.
pub const VALIDATOR_OUTPUT_BYTES: usize = 2 << 10;

/// Largest evidence archive a command takes from the service, in bytes: request,
/// signed documents and answer, each at its own limit.
pub const EVIDENCE_BYTES_MAX: usize = 256 << 20;

/// Largest certificate, in bytes of DER.
pub const CERTIFICATE_BYTES_MAX: usize = 64 << 10;
/// Largest certificate revocation list, in bytes of DER.
pub const CRL_BYTES_MAX: usize = 10 << 20;
/// Largest OCSP or timestamp response, in bytes of DER.
pub const RESPONSE_BYTES_MAX: usize = 1 << 20;
/// Most calls to the outside for one validation report, all its signatures
/// together.
pub const REPORT_CALLS_MAX: usize = 16;
/// Most time for all these calls together, in seconds.
pub const REPORT_CALLS_SECONDS_MAX: u64 = 30;
/// Most redirects followed from a certificate's or list's address to it.
pub const REDIRECTS_MAX: usize = 3;
/// Longest certificate chain, anchor included.
pub const CHAIN_CERTIFICATES_MAX: usize = 8;

/// Largest SOAP answer read from the insurer, in bytes.
pub const SOAP_BYTES_MAX: usize = 32 << 20;

/// Longest message between the daemon and a token worker, in bytes.
pub const WORKER_FRAME_BYTES_MAX: usize = 1 << 20;

/// Most data a token worker and its module may have in memory, in bytes
/// (`RLIMIT_DATA`).
pub const WORKER_MEMORY_BYTES_MAX: u64 = 1 << 30;

/// Longest name of a dropped document without its ending, in bytes: the names
/// of what is written beside it must fit into 255.
pub const INBOX_NAME_BYTES_MAX: usize = 180;

/// Longest time between two checkpoints of the audit log, in minutes.
pub const CHECKPOINT_MINUTES_MAX: u64 = 60;
/// Longest line of an export of the audit log, in bytes: a checkpoint with its
/// timestamp token in base64.
pub const AUDIT_LINE_BYTES_MAX: u64 = 4 << 20;
