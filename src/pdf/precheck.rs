//! A structural plausibility check against PDF/A.
//!
//! An empty list of violations means: the file claims PDF/A and nothing
//! against the claim was found by this check. It is **not** a validation
//! against ISO 19005. Not looked at, among others: glyph widths and coverage,
//! character maps, the contents of fonts and images, XMP extension schemas,
//! agreement of the document information with XMP, embedded files, tagging.

use super::graph::{self, Page};
use super::painted::{DeviceColours, Painter};
use super::permissions::Permissions;
use super::slot::{Request, append_to};
use super::{PdfError, find_all, load};
use crate::base::limits::PDF_TOKEN_BYTES;
use lopdf::{Dictionary, Document, Object};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use time::OffsetDateTime;

/// Violations one report lists; more tell nobody more.
const VIOLATIONS_MAX: usize = 50;
/// Largest XMP metadata or colour profile that is read, in bytes.
const METADATA_BYTES_MAX: usize = 4 << 20;
/// Most attributes in XMP metadata, counted by their equals signs: the tree
/// parser compares those of an element pair by pair.
const METADATA_ATTRIBUTES_MAX: usize = 10_000;
/// Events of annotations, pages, fields and the document (ISO 32000-1 Tables
/// 194 to 197).
const TRIGGERS: [&[u8]; 20] = [
    b"E", b"X", b"D", b"U", b"Fo", b"Bl", b"PO", b"PC", b"PV", b"PI", b"O", b"C", b"K", b"F", b"V",
    b"WC", b"WS", b"DS", b"WP", b"DP",
];
/// The signature that is tried.
const TRIAL: Request<'_> = Request {
    signing_time: OffsetDateTime::UNIX_EPOCH,
    room: 2 * PDF_TOKEN_BYTES,
    digest: "SHA256",
};
const PDFA_NAMESPACE: &str = "http://www.aiim.org/pdfa/ns/id/";

/// The part and level a file says it conforms to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PdfaClaim {
    /// 1, 2 or 3 (ISO 19005-1 to -3).
    pub part: u8,
    /// `A`, `B` or, from part 2, `U`.
    pub conformance: char,
}

impl fmt::Display for PdfaClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PDF/A-{}{}",
            self.part,
            self.conformance.to_ascii_lowercase()
        )
    }
}

/// One reason why the file cannot be what it claims, or cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Clause of the claimed part of ISO 19005 (part 2 without a claim) and
    /// its subject, e.g. `6.1.3 trailer /ID`; `structure` or `signature` where
    /// the fault is none against ISO 19005.
    pub rule: &'static str,
    /// What was found, for the developer.
    pub message: String,
}

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precheck {
    /// What the file claims, when it does.
    pub claim: Option<PdfaClaim>,
    /// Empty when nothing was found against the claim.
    pub violations: Vec<Violation>,
    /// Number of pages; 0 when the file cannot be read.
    pub pages: usize,
}

/// A rule's name in part 1 and in parts 2 and 3.
#[derive(Clone, Copy)]
pub(super) struct Rule(&'static str, &'static str);

pub(super) mod rules {
    use super::Rule;
    pub(in crate::pdf) const STRUCTURE: Rule = Rule("structure", "structure");
    pub(super) const SIGNATURE: Rule = Rule("signature", "signature");
    pub(super) const HEADER: Rule = Rule("6.1.2 header", "6.1.2 header");
    pub(super) const END: Rule = Rule("6.1.3 end of file", "6.1.3 end of file");
    pub(super) const ID: Rule = Rule("6.1.3 trailer /ID", "6.1.3 trailer /ID");
    pub(super) const ENCRYPT: Rule = Rule("6.1.3 trailer /Encrypt", "6.1.3 trailer /Encrypt");
    pub(super) const XREF: Rule =
        Rule("6.1.4 cross-reference table", "6.1.4 cross-reference table");
    pub(super) const STREAM: Rule = Rule("6.1.7 streams", "6.1.7.1 streams");
    pub(super) const FILTER: Rule = Rule("6.1.10 filters", "6.1.7.2 filters");
    pub(super) const FILES: Rule = Rule("6.1.11 embedded files", "6.8 embedded files");
    pub(super) const LAYERS: Rule = Rule("6.1.13 optional content", "6.9 optional content");
    pub(super) const INTENT: Rule = Rule("6.2.2 output intent", "6.2.3 output intent");
    pub(super) const COLOUR: Rule = Rule("6.2.3 device colour", "6.2.4.3 device colour");
    pub(in crate::pdf) const IMAGE: Rule = Rule("6.2.4 images", "6.2.8 images");
    pub(in crate::pdf) const XOBJECT: Rule = Rule("6.2.5 XObjects", "6.2.9 XObjects");
    pub(in crate::pdf) const GRAPHICS_STATE: Rule =
        Rule("6.2.8 graphics state", "6.2.5 graphics state");
    pub(in crate::pdf) const FONT: Rule = Rule("6.3.4 embedded fonts", "6.2.11.4 embedded fonts");
    pub(in crate::pdf) const TRANSPARENCY: Rule = Rule("6.4 transparency", "6.2.10 transparency");
    pub(super) const ANNOTATION_TYPE: Rule =
        Rule("6.5.2 annotation types", "6.3.1 annotation types");
    pub(super) const ANNOTATION_FLAGS: Rule =
        Rule("6.5.3 annotation flags", "6.3.2 annotation flags");
    pub(super) const APPEARANCE: Rule = Rule("6.9 appearances", "6.3.3 appearances");
    pub(super) const ACTION: Rule = Rule("6.6.1 actions", "6.5.1 actions");
    pub(super) const TRIGGER: Rule = Rule("6.6.2 trigger events", "6.5.2 trigger events");
    pub(super) const METADATA: Rule = Rule("6.7 metadata", "6.6 metadata");
    pub(super) const CLAIM: Rule =
        Rule("6.7.11 PDF/A identification", "6.6.4 PDF/A identification");
    pub(super) const FORM: Rule = Rule("6.9 forms", "6.4.1 forms");
    pub(super) const XFA: Rule = Rule("6.9 forms /XFA", "6.4.2 forms /XFA");
    pub(super) const PERMISSIONS: Rule = Rule("permissions", "6.1.12 permissions");
    pub(super) const CERTIFIED: Rule = Rule("certification", "certification");
}

/// Collects violations under the claimed part.
pub(super) struct Findings {
    /// The claimed part; 2 without a claim.
    pub(super) part: u8,
    violations: Vec<Violation>,
}

impl Findings {
    pub(super) fn add(&mut self, rule: Rule, message: impl Into<String>) {
        let violation = Violation {
            rule: if self.part == 1 { rule.0 } else { rule.1 },
            message: message.into(),
        };
        if self.violations.len() < VIOLATIONS_MAX && !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }

    fn check(&mut self, holds: bool, rule: Rule, message: &str) {
        if !holds {
            self.add(rule, message);
        }
    }
}

/// Checks whether a file can be the PDF/A it claims to be, and whether it may
/// be signed at all: what is refused here is not accepted and then found
/// unsignable. See the module text for what an empty list of violations does
/// and does not mean.
pub fn precheck(bytes: &[u8]) -> Precheck {
    let mut findings = Findings {
        part: 2,
        violations: Vec::new(),
    };
    let doc = match load(bytes) {
        Ok(doc) => doc,
        Err(error) => {
            let rule = rule_of(&error);
            let cause = error
                .source()
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            findings.add(rule, format!("{}{cause}", reason(&error)));
            return Precheck {
                claim: None,
                violations: findings.violations,
                pages: 0,
            };
        }
    };
    let mut found = Vec::new();
    let claim = claim(&doc, &mut found);
    findings.part = claim.map_or(2, |claim| claim.part);
    for (rule, message) in found {
        findings.add(rule, message);
    }
    file(bytes, &doc, &mut findings);
    objects(&doc, &mut findings);
    catalog(&doc, &mut findings);
    if Permissions::of(&doc).no_changes {
        findings.add(rules::CERTIFIED, reason(&PdfError::AppendForbidden));
    }
    let pages = match graph::pages(&doc) {
        Ok(pages) => {
            contents(&doc, &pages, &mut findings);
            pages.len()
        }
        Err(error) => {
            findings.add(rules::STRUCTURE, error.to_string());
            0
        }
    };
    // Tried here because a file that is accepted and can never be signed would
    // wait for ever.
    if findings.violations.is_empty()
        && let Err(error) = append_to(doc, bytes, TRIAL)
    {
        findings.add(rules::SIGNATURE, reason(&error));
    }
    Precheck {
        claim,
        violations: findings.violations,
        pages,
    }
}

/// The rule that a file breaks which cannot be read.
fn rule_of(error: &PdfError) -> Rule {
    match error {
        PdfError::LoadEncrypted => rules::ENCRYPT,
        PdfError::LoadHeader => rules::HEADER,
        PdfError::LoadTooLarge { .. }
        | PdfError::Load(_)
        | PdfError::LoadRepaired
        | PdfError::LoadCostly { .. }
        | PdfError::Structure { .. }
        | PdfError::AppendForbidden
        | PdfError::AppendLocked
        | PdfError::AppendSeed { .. }
        | PdfError::AppendTooLarge { .. }
        | PdfError::AppendRoom { .. }
        | PdfError::AppendNumbers(_)
        | PdfError::AppendWrite(_)
        | PdfError::AppendPlace
        | PdfError::CopyPage { .. }
        | PdfError::CopyWrite(_)
        | PdfError::FillTooLarge { .. } => rules::STRUCTURE,
    }
}

/// What is wrong, without the operation that found it.
fn reason(error: &PdfError) -> String {
    let text = error.to_string();
    let reason = text.split_once(": ").map(|(_, reason)| reason.to_owned());
    reason.unwrap_or(text)
}

/// Reads the claim from the XMP metadata; what is wrong with them is noted
/// apart, because its rule depends on the claim.
fn claim(doc: &Document, found: &mut Vec<(Rule, &'static str)>) -> Option<PdfaClaim> {
    let mut fail = |rule, message| {
        found.push((rule, message));
        None
    };
    let metadata = doc
        .catalog()
        .ok()
        .and_then(|catalog| graph::get(doc, catalog, b"Metadata"))
        .and_then(|metadata| metadata.as_stream().ok());
    let Some(stream) = metadata else {
        return fail(rules::METADATA, "the catalog has no XMP metadata");
    };
    let Ok(xmp) = stream.get_plain_content_with_limit(METADATA_BYTES_MAX) else {
        return fail(rules::METADATA, "the XMP metadata cannot be decoded");
    };
    let Ok(text) = std::str::from_utf8(&xmp) else {
        return fail(rules::METADATA, "the XMP metadata are not UTF-8");
    };
    if text.matches('=').count() > METADATA_ATTRIBUTES_MAX {
        return fail(rules::METADATA, "the XMP metadata have too many attributes");
    }
    let Ok(tree) = roxmltree::Document::parse(text.trim_start_matches('\u{feff}').trim()) else {
        return fail(rules::METADATA, "the XMP metadata are not well-formed");
    };
    let value = |name: &str| {
        tree.descendants().find_map(|node| {
            let own = node
                .has_tag_name((PDFA_NAMESPACE, name))
                .then(|| node.text())
                .flatten();
            own.or_else(|| node.attribute((PDFA_NAMESPACE, name)))
                .map(str::trim)
        })
    };
    let part = value("part").and_then(|part| part.parse::<u8>().ok());
    let level = value("conformance")
        .and_then(|level| <[char; 1]>::try_from(level.chars().collect::<Vec<_>>()).ok());
    let claim = match (part, level) {
        (Some(part @ 1..=3), Some([level])) => PdfaClaim {
            part,
            conformance: level,
        },
        (None, _) => return fail(rules::CLAIM, "the XMP metadata do not claim PDF/A"),
        (Some(_), _) => {
            return fail(
                rules::CLAIM,
                "the PDF/A claim is not of part 1, 2 or 3 with a level",
            );
        }
    };
    if !matches!(
        (claim.part, claim.conformance),
        (_, 'A' | 'B') | (2 | 3, 'U')
    ) {
        return fail(rules::CLAIM, "the claimed PDF/A level does not exist");
    }
    if has_packet_attributes(&tree) {
        found.push((
            rules::METADATA,
            "the XMP packet has a bytes or encoding attribute",
        ));
    }
    if claim.part == 1 && stream.dict.has(b"Filter") {
        found.push((rules::METADATA, "the XMP metadata are compressed"));
    }
    Some(claim)
}

/// The part of ISO 19005 a document claims.
pub(super) fn claimed_part(doc: &Document) -> Option<u8> {
    claim(doc, &mut Vec::new()).map(|claim| claim.part)
}

fn has_packet_attributes(tree: &roxmltree::Document<'_>) -> bool {
    let mut instructions = tree.descendants().filter_map(|node| node.pi());
    let packet = instructions.find(|pi| pi.target == "xpacket");
    let attributes = packet.and_then(|pi| pi.value).unwrap_or_default();
    attributes.contains("bytes=") || attributes.contains("encoding=")
}

/// Header, end and trailer.
fn file(bytes: &[u8], doc: &Document, findings: &mut Findings) {
    let mut lines = bytes.splitn(3, |byte| matches!(byte, b'\n' | b'\r'));
    let header = lines.next().unwrap_or_default();
    let version = header.strip_prefix(b"%PDF-1.").unwrap_or_default();
    findings.check(
        matches!(version, [b'0'..=b'7']),
        rules::HEADER,
        "the first line is not %PDF-1.n",
    );
    // A carriage return before the line feed leaves an empty line between.
    let rest = bytes
        .get(header.len()..)
        .unwrap_or_default()
        .trim_ascii_start();
    let binary =
        matches!(rest, [b'%', a, b, c, d, ..] if [a, b, c, d].iter().all(|byte| **byte > 127));
    findings.check(
        binary,
        rules::HEADER,
        "no comment of four bytes above 127 follows the header",
    );

    let end = bytes
        .strip_suffix(b"\r\n")
        .or_else(|| bytes.strip_suffix(b"\n"))
        .or_else(|| bytes.strip_suffix(b"\r"))
        .unwrap_or(bytes);
    findings.check(
        end.ends_with(b"%%EOF"),
        rules::END,
        "something follows the last %%EOF",
    );

    let lined = find_all(bytes, b"endstream").all(|at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        matches!(before, Some(b'\n' | b'\r'))
    });
    findings.check(
        lined,
        rules::STREAM,
        "an endstream does not stand on a line of its own",
    );

    let id = graph::get_array(doc, &doc.trailer, b"ID")
        .is_some_and(|ids| ids.len() == 2 && ids.iter().all(|id| matches!(id, Object::String(..))));
    findings.check(id, rules::ID, "the trailer has no /ID of two strings");
}

/// Rules that hold for every object of its kind, reached or not.
fn objects(doc: &Document, findings: &mut Findings) {
    for stream in doc
        .objects
        .values()
        .filter_map(|object| object.as_stream().ok())
    {
        let external = [b"F".as_slice(), b"FFilter", b"FDecodeParms"]
            .iter()
            .any(|key| stream.dict.has(key));
        findings.check(!external, rules::STREAM, "a stream is kept in another file");
        let filters = stream.filters().unwrap_or_default();
        let banned = filters
            .iter()
            .any(|filter| matches!(*filter, b"LZWDecode" | b"LZW" | b"Crypt"));
        findings.check(
            !banned,
            rules::FILTER,
            "a stream is coded with LZW or Crypt",
        );
        if findings.part == 1 {
            let kind = graph::get_name(doc, &stream.dict, b"Type");
            let compressed = matches!(kind, Some(b"XRef" | b"ObjStm"));
            findings.check(
                !compressed,
                rules::XREF,
                "part 1 allows no cross-reference and object streams",
            );
        }
    }
    let table = matches!(
        doc.reference_table.cross_reference_type,
        lopdf::xref::XrefType::CrossReferenceTable
    );
    if findings.part == 1 {
        findings.check(
            table,
            rules::XREF,
            "part 1 allows no cross-reference and object streams",
        );
    }
    let mut lists = HashSet::new();
    for dict in graph::dictionaries(doc) {
        actions(doc, dict, &mut lists, findings);
        let owner = matches!(
            graph::get_name(doc, dict, b"Type"),
            Some(b"Catalog" | b"Page")
        ) || graph::get_name(doc, dict, b"Subtype") == Some(b"Widget")
            || dict.has(b"FT");
        findings.check(
            !(owner && dict.has(b"AA")),
            rules::TRIGGER,
            "the catalog, a page or a field has trigger events (/AA)",
        );
        if findings.part == 1 {
            let embedded = dict.has(b"EF") || dict.has(b"EmbeddedFiles");
            findings.check(!embedded, rules::FILES, "part 1 allows no embedded files");
        }
    }
}

/// The actions a dictionary names. `lists` are those looked at already: any
/// number of dictionaries may share one.
fn actions<'a>(
    doc: &'a Document,
    dict: &'a Dictionary,
    lists: &mut HashSet<*const Vec<Object>>,
    findings: &mut Findings,
) {
    for key in [b"A".as_slice(), b"OpenAction", b"Next"] {
        match graph::get(doc, dict, key) {
            Some(Object::Array(several)) if lists.insert(std::ptr::from_ref(several)) => {
                for one in several {
                    action(doc, Some(graph::resolve(doc, one)), findings);
                }
            }
            single => action(doc, single, findings),
        }
    }
    if let Some(triggers) = graph::get_dict(doc, dict, b"AA") {
        for event in TRIGGERS {
            action(doc, graph::get(doc, triggers, event), findings);
        }
    }
}

fn action(doc: &Document, value: Option<&Object>, findings: &mut Findings) {
    let Some(kind) = value
        .and_then(graph::as_dict)
        .and_then(|action| graph::get_name(doc, action, b"S"))
    else {
        return;
    };
    let banned = match kind {
        b"Launch" | b"Sound" | b"Movie" | b"ResetForm" | b"ImportData" | b"JavaScript"
        | b"Hide" | b"SetOCGState" | b"Rendition" | b"Trans" | b"GoTo3DView" | b"SetState"
        | b"NOP" => true,
        b"Named" => {
            let name = value
                .and_then(graph::as_dict)
                .and_then(|action| graph::get_name(doc, action, b"N"));
            !matches!(
                name,
                Some(b"NextPage" | b"PrevPage" | b"FirstPage" | b"LastPage")
            )
        }
        _ => false,
    };
    if banned {
        findings.add(
            rules::ACTION,
            format!("there is a {} action", String::from_utf8_lossy(kind)),
        );
    }
}

/// Names, forms, layers and permissions.
fn catalog(doc: &Document, findings: &mut Findings) {
    let Ok(catalog) = doc.catalog() else {
        findings.add(rules::STRUCTURE, "the catalog is missing");
        return;
    };
    let scripts =
        graph::get_dict(doc, catalog, b"Names").is_some_and(|names| names.has(b"JavaScript"));
    findings.check(!scripts, rules::ACTION, "the document has JavaScript");
    if findings.part == 1 {
        findings.check(
            !catalog.has(b"OCProperties"),
            rules::LAYERS,
            "part 1 allows no optional content",
        );
    }
    if let Some(form) = graph::get_dict(doc, catalog, b"AcroForm") {
        let rendered = matches!(
            graph::get(doc, form, b"NeedAppearances"),
            Some(Object::Boolean(true))
        );
        findings.check(
            !rendered,
            rules::FORM,
            "the form asks readers to draw it (/NeedAppearances)",
        );
        findings.check(!form.has(b"XFA"), rules::XFA, "the form is an XFA form");
    }
    if let Some(permissions) = graph::get_dict(doc, catalog, b"Perms") {
        let known = permissions
            .iter()
            .all(|(key, _)| matches!(key.as_slice(), b"DocMDP" | b"UR3"));
        findings.check(
            known,
            rules::PERMISSIONS,
            "/Perms holds something else than DocMDP and UR3",
        );
    }
}

/// What the pages paint, and whether the output intent covers their colours.
fn contents<'a>(doc: &'a Document, pages: &[Page<'a>], findings: &mut Findings) {
    let mut painter = Painter::new(doc, findings);
    for page in pages {
        painter.page(page);
    }
    let annotations = graph::annotations(doc, pages);
    for annotation in &annotations {
        painter.annotation(annotation);
    }
    let used = painter.colours();
    let intent = output_intent(doc, findings);
    colours(used, intent, findings);
    for annotation in annotations {
        match graph::as_dict(annotation) {
            Some(dict) => annotation_rules(doc, dict, findings),
            None => findings.add(rules::STRUCTURE, "an annotation is missing"),
        }
    }
}

fn colours(used: DeviceColours, intent: Option<[u8; 4]>, findings: &mut Findings) {
    let is = |space: &[u8; 4]| intent.as_ref() == Some(space);
    findings.check(
        !used.rgb || is(b"RGB "),
        rules::COLOUR,
        "DeviceRGB is used without an RGB output intent",
    );
    findings.check(
        !used.cmyk || is(b"CMYK"),
        rules::COLOUR,
        "DeviceCMYK is used without a CMYK output intent",
    );
    findings.check(
        !used.gray || intent.is_some(),
        rules::COLOUR,
        "DeviceGray is used without an output intent",
    );
}

/// The colour space of the PDF/A output intent's profile.
fn output_intent(doc: &Document, findings: &mut Findings) -> Option<[u8; 4]> {
    let catalog = doc.catalog().ok()?;
    let intents = graph::get_array(doc, catalog, b"OutputIntents")?;
    let profile = intents
        .iter()
        .filter_map(|intent| graph::as_dict(graph::resolve(doc, intent)))
        .filter(|intent| graph::get_name(doc, intent, b"S") == Some(b"GTS_PDFA1"))
        .find_map(|intent| {
            graph::get(doc, intent, b"DestOutputProfile")?
                .as_stream()
                .ok()
        })?;
    let icc = profile
        .get_plain_content_with_limit(METADATA_BYTES_MAX)
        .unwrap_or_default();
    // ICC.1: version at 8, class at 12, colour space at 16, signature at 36.
    let newest = if findings.part == 1 { 2 } else { 4 };
    let plausible = icc.get(36..40) == Some(b"acsp")
        && matches!(icc.get(12..16), Some(b"prtr" | b"mntr"))
        && icc.get(8).is_some_and(|version| *version <= newest);
    if !plausible {
        findings.add(rules::INTENT, "the output intent has no usable ICC profile");
        return None;
    }
    icc.get(16..20).and_then(|space| space.try_into().ok())
}

fn annotation_rules(doc: &Document, dict: &Dictionary, findings: &mut Findings) {
    let kind = graph::get_name(doc, dict, b"Subtype").unwrap_or_default();
    let first = matches!(
        kind,
        b"Text"
            | b"Link"
            | b"FreeText"
            | b"Line"
            | b"Square"
            | b"Circle"
            | b"Highlight"
            | b"Underline"
            | b"Squiggly"
            | b"StrikeOut"
            | b"Stamp"
            | b"Ink"
            | b"Popup"
            | b"Widget"
            | b"PrinterMark"
            | b"TrapNet"
    );
    let later = matches!(
        kind,
        b"Polygon" | b"PolyLine" | b"Caret" | b"FileAttachment" | b"Watermark" | b"Redact"
    );
    if !(first || later && findings.part > 1) {
        let kind = String::from_utf8_lossy(kind);
        findings.add(
            rules::ANNOTATION_TYPE,
            format!("an annotation is of the type {kind:?}"),
        );
    }
    // Print set; Invisible, Hidden, NoView and, from part 2, ToggleNoView clear.
    let banned = if findings.part == 1 {
        0b10_0011
    } else {
        0b1_0010_0011
    };
    let flags = graph::get_int(doc, dict, b"F");
    let visible = flags.is_some_and(|flags| flags & 4 != 0 && flags & banned == 0);
    let exempt = flags.is_none() && kind == b"Popup" && findings.part > 1;
    findings.check(
        visible || exempt,
        rules::ANNOTATION_FLAGS,
        "an annotation is hidden or not printed",
    );

    appearance(doc, dict, kind, findings);
    findings.check(
        !(kind == b"Widget" && dict.has(b"A")),
        rules::FORM,
        "a form field has an action (/A)",
    );
}

/// An annotation looks as its one appearance stream says, and nothing else.
fn appearance(doc: &Document, dict: &Dictionary, kind: &[u8], findings: &mut Findings) {
    let widget = kind == b"Widget";
    let appearance = graph::get_dict(doc, dict, b"AP");
    let empty =
        graph::get_array(doc, dict, b"Rect").is_some_and(|rect| graph::is_empty_rectangle(rect));
    let needed = if findings.part == 1 {
        widget
    } else {
        !empty && !matches!(kind, b"Popup" | b"Link")
    };
    findings.check(
        appearance.is_some() || !needed,
        rules::APPEARANCE,
        "an annotation has no appearance (/AP)",
    );
    if let Some(appearance) = appearance {
        let only_normal = appearance.iter().all(|(key, _)| key == b"N");
        let button = widget && graph::get_name(doc, dict, b"FT") == Some(b"Btn");
        // A radio button inherits its type, so the dictionary of states is
        // accepted of every widget without one of its own.
        let states = button || widget && !dict.has(b"FT");
        let normal = match graph::get(doc, appearance, b"N") {
            Some(Object::Stream(_)) => true,
            Some(Object::Dictionary(_)) => states,
            Some(_) | None => false,
        };
        findings.check(
            only_normal && normal,
            rules::APPEARANCE,
            "an appearance is more or other than /N",
        );
    }
}
