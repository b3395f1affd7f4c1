//! PDFs whose objects are deep, circular or blow up, and whose cross-reference
//! data lie.

use super::{Case, Entry, Expected};
use lopdf::{Dictionary, Stream};
use sceau::base::causes;
use sceau::x509::{Cert, SignatureAlgorithm};
use sceau::{pades, pdf};
use std::fmt::Write as _;
use std::io::Write as _;
use time::macros::datetime;

const ENTRIES: &[(&str, Entry)] = &[
    ("precheck", precheck),
    ("prepare", prepare),
    ("verify", verify),
];
/// What no structure forbids and nobody follows.
const CHECKED: &[(&str, Entry)] = &[("precheck", precheck), ("verify", verify)];

fn precheck(bytes: &[u8]) -> Result<(), String> {
    let report = pdf::precheck(bytes);
    // The claim is missing in all of these; that alone is no answer.
    let found = report
        .violations
        .iter()
        .find(|found| found.rule == "structure");
    match (found, report.violations.first()) {
        (Some(found), _) | (None, Some(found)) => Err(format!("{}: {}", found.rule, found.message)),
        (None, None) => Ok(()),
    }
}

fn prepare(bytes: &[u8]) -> Result<(), String> {
    let signer = Cert::from_der(include_bytes!("../../fixtures/pki/leaf.crt")).expect("a fixture");
    let time = datetime!(2026-10-05 09:30:00 UTC);
    let prepared = pades::prepare(bytes, &signer, &[], SignatureAlgorithm::EcdsaSha256, time);
    prepared.map(drop).map_err(|error| causes(&error))
}

fn verify(bytes: &[u8]) -> Result<(), String> {
    pades::verify(bytes)
        .map(drop)
        .map_err(|error| causes(&error))
}

/// A file in the making: objects, then a table that is right.
struct Pdf {
    bytes: Vec<u8>,
    offsets: Vec<(u32, usize)>,
    trailer: String,
}

impl Pdf {
    fn new() -> Self {
        Self {
            bytes: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec(),
            offsets: Vec::new(),
            trailer: "/Root 1 0 R/ID[<00><00>]".to_owned(),
        }
    }

    /// Catalog (1), page tree (2) and one page (3); `catalog` and `page` are
    /// added to their dictionaries.
    fn with(catalog: &str, page: &str) -> Self {
        let mut pdf = Self::new();
        pdf.object(1, &format!("<</Type/Catalog/Pages 2 0 R{catalog}>>"));
        pdf.object(2, "<</Type/Pages/Kids[3 0 R]/Count 1>>");
        pdf.object(
            3,
            &format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]{page}>>"),
        );
        pdf
    }

    fn object(&mut self, number: u32, body: &str) {
        self.offsets.push((number, self.bytes.len()));
        write!(self.bytes, "{number} 0 obj\n{body}\nendobj\n").unwrap();
    }

    fn stream(&mut self, number: u32, dictionary: &str, data: &[u8]) {
        self.offsets.push((number, self.bytes.len()));
        write!(
            self.bytes,
            "{number} 0 obj\n<<{dictionary}/Length {}>>stream\n",
            data.len()
        )
        .unwrap();
        self.bytes.extend_from_slice(data);
        self.bytes.extend_from_slice(b"\nendstream\nendobj\n");
    }

    fn next(&self) -> u32 {
        self.offsets
            .iter()
            .map(|(number, _)| number + 1)
            .max()
            .unwrap_or(1)
    }

    fn finish(mut self) -> Vec<u8> {
        let at = self.bytes.len();
        self.offsets.sort_unstable();
        let mut table = String::from("xref\n0 1\n0000000000 65535 f \n");
        for (number, offset) in &self.offsets {
            write!(table, "{number} 1\n{offset:010} 00000 n \n").unwrap();
        }
        let size = self.next();
        write!(
            table,
            "trailer\n<</Size {size}{}>>\nstartxref\n{at}\n%%EOF\n",
            self.trailer
        )
        .unwrap();
        self.bytes.extend_from_slice(table.as_bytes());
        self.bytes
    }
}

/// A chain of objects, each of which names the next under `key`.
fn chain(mut pdf: Pdf, length: u32, own: &str, key: &str) -> Vec<u8> {
    let first = pdf.next();
    for number in first..first + length {
        pdf.object(number, &format!("<<{own}/{key} {} 0 R>>", number + 1));
    }
    pdf.object(first + length, &format!("<<{own}>>"));
    pdf.finish()
}

fn deflate(data: Vec<u8>) -> Vec<u8> {
    let mut stream = Stream::new(Dictionary::new(), data);
    stream.compress().unwrap();
    stream.content
}

/// Deflated blanks that inflate to `mebibytes`.
fn blanks(mebibytes: usize) -> Vec<u8> {
    deflate(vec![b' '; mebibytes << 20])
}

/// A page whose content inflates to 300 MB.
pub fn deflate_bomb() -> Vec<u8> {
    let mut pdf = Pdf::with("", "/Contents 4 0 R");
    pdf.stream(4, "/Filter/FlateDecode", &blanks(300));
    pdf.finish()
}

fn filters_in_a_row() -> Vec<u8> {
    let mut pdf = Pdf::with("/Metadata 5 0 R", "/Contents 4 0 R");
    let bomb = deflate(deflate(blanks(300)));
    let filters = "/Filter[/FlateDecode/FlateDecode/FlateDecode]";
    pdf.stream(4, filters, &bomb);
    pdf.stream(5, &format!("/Type/Metadata/Subtype/XML{filters}"), &bomb);
    pdf.finish()
}

fn many_filters() -> Vec<u8> {
    let mut pdf = Pdf::with("", "/Contents 4 0 R");
    pdf.stream(
        4,
        &format!("/Filter[{}]", "/FlateDecode".repeat(100_000)),
        &blanks(1),
    );
    pdf.finish()
}

/// Pages that share one content stream of 100 MB.
fn pages_that_share() -> Vec<u8> {
    let mut pdf = Pdf::new();
    pdf.object(1, "<</Type/Catalog/Pages 2 0 R>>");
    let kids: String = (4..1_004).map(|number| format!("{number} 0 R ")).collect();
    pdf.object(2, &format!("<</Type/Pages/Kids[{kids}]/Count 1000>>"));
    pdf.stream(3, "/Filter/FlateDecode", &blanks(100));
    for number in 4..1_004 {
        pdf.object(
            number,
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 3 0 R>>",
        );
    }
    pdf.finish()
}

/// `count` streams of one kind, each of which inflates to one mebibyte.
fn many_streams(count: u32, dictionary: &str) -> Vec<u8> {
    let mut pdf = Pdf::with("", "");
    let data = blanks(1);
    for number in 4..4 + count {
        pdf.stream(number, &format!("/Filter/FlateDecode{dictionary}"), &data);
    }
    pdf.finish()
}

/// A file whose objects stand in an object stream, told by a cross-reference
/// stream. `inside` are the objects from number 1, in order.
fn object_stream(inside: &[String], extra: &str, predictor_rows: usize) -> Vec<u8> {
    let (mut head, mut body) = (String::new(), String::new());
    for (number, object) in inside.iter().enumerate() {
        write!(head, "{} {} ", number + 1, body.len()).unwrap();
        body.push_str(object);
        body.push(' ');
    }
    let count = u32::try_from(inside.len()).unwrap();
    let (holder, table) = (count + 1, count + 2);
    let mut pdf = Pdf::new();
    let data = deflate(format!("{head}{body}").into_bytes());
    let dictionary = format!(
        "/Type/ObjStm/N {count}/First {}/Filter/FlateDecode{extra}",
        head.len()
    );
    pdf.stream(holder, &dictionary, &data);
    let holder_at = pdf.offsets[0].1;
    let at = pdf.bytes.len();
    let mut rows = vec![0; 7];
    for index in 0..count {
        rows.push(2);
        rows.extend(holder.to_be_bytes());
        rows.extend(u16::try_from(index).unwrap_or(u16::MAX).to_be_bytes());
    }
    for offset in [holder_at, at] {
        rows.push(1);
        rows.extend(u32::try_from(offset).unwrap().to_be_bytes());
        rows.extend([0, 0]);
    }
    rows.extend(vec![0; 7 * predictor_rows]);
    let dictionary = format!(
        "/Type/XRef/Size {}/W[1 4 2]/Root 1 0 R/Filter/FlateDecode",
        table + 1
    );
    pdf.stream(table, &dictionary, &deflate(rows));
    write!(pdf.bytes, "startxref\n{at}\n%%EOF\n").unwrap();
    pdf.bytes
}

fn base_objects() -> Vec<String> {
    [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn deep_in_object_stream() -> Vec<u8> {
    let mut inside = base_objects();
    inside.push(["[".repeat(200_000), "]".repeat(200_000)].concat());
    object_stream(&inside, "", 0)
}

/// Every object is the same array of many, so that the text is read again and
/// again: their offsets overlap.
pub fn overlapping_in_object_stream() -> Vec<u8> {
    let count = 20_000;
    let body = format!("[{}]", "0 ".repeat(100_000));
    let head: String = (0..count)
        .map(|number| format!("{} 0 ", number + 4))
        .collect();
    let mut pdf = Pdf::with("", "");
    let data = deflate(format!("{head}{body}").into_bytes());
    let dictionary = format!(
        "/Type/ObjStm/N {count}/First {}/Filter/FlateDecode",
        head.len()
    );
    pdf.stream(count + 10, &dictionary, &data);
    pdf.finish()
}

fn direct(open: &str, close: &str) -> Vec<u8> {
    let mut pdf = Pdf::with("", "");
    pdf.object(4, &[open.repeat(200_000), close.repeat(200_000)].concat());
    pdf.finish()
}

fn content(open: &str, close: &str) -> Vec<u8> {
    let mut pdf = Pdf::with("", "/Contents 4 0 R");
    let text = [&open.repeat(200_000), " ", &close.repeat(200_000)].concat();
    pdf.stream(4, "", text.as_bytes());
    pdf.finish()
}

/// Each level has two kids, both the same next level.
fn page_tree_that_doubles() -> Vec<u8> {
    let mut pdf = Pdf::new();
    pdf.object(1, "<</Type/Catalog/Pages 2 0 R>>");
    for number in 2..42 {
        let kid = number + 1;
        pdf.object(
            number,
            &format!("<</Type/Pages/Kids[{kid} 0 R {kid} 0 R]/Count 2>>"),
        );
    }
    pdf.object(42, "<</Type/Page/MediaBox[0 0 9 9]>>");
    pdf.finish()
}

fn deep_page_tree() -> Vec<u8> {
    let mut pdf = Pdf::new();
    pdf.object(1, "<</Type/Catalog/Pages 2 0 R>>");
    for number in 2..200_002 {
        pdf.object(
            number,
            &format!("<</Type/Pages/Kids[{} 0 R]/Count 1>>", number + 1),
        );
    }
    pdf.object(200_002, "<</Type/Page/MediaBox[0 0 9 9]>>");
    pdf.finish()
}

/// Sections of a cross-reference table, each with the one before it as /Prev.
fn sections(count: usize, last: Option<usize>) -> Vec<u8> {
    let mut bytes = Pdf::with("", "").finish();
    let mut before = last;
    for _ in 0..count {
        let at = bytes.len();
        let prev = before.map_or(String::new(), |at| format!("/Prev {at}"));
        write!(
            bytes,
            "xref\n0 0\ntrailer\n<</Size 4/Root 1 0 R{prev}>>\nstartxref\n{at}\n%%EOF\n"
        )
        .unwrap();
        before = Some(at);
    }
    bytes
}

/// A last section that names itself, under a key.
fn own_section(key: &str) -> Vec<u8> {
    let mut bytes = Pdf::with("", "").finish();
    let at = bytes.len() + 1;
    write!(
        bytes,
        "\nxref\n0 0\ntrailer\n<</Size 4/Root 1 0 R/{key} {at}>>\nstartxref\n{at}\n%%EOF\n"
    )
    .unwrap();
    bytes
}

fn with_trailer(trailer: &str) -> Vec<u8> {
    let mut pdf = Pdf::with("", "");
    pdf.trailer.push_str(trailer);
    pdf.finish()
}

fn own_length() -> Vec<u8> {
    let mut pdf = Pdf::with("", "/Contents 4 0 R");
    pdf.object(4, "<</Length 4 0 R>>stream\nq Q\nendstream");
    pdf.object(5, "<</Length 6 0 R>>stream\nq Q\nendstream");
    pdf.object(6, "<</Length 5 0 R>>stream\nq Q\nendstream");
    pdf.finish()
}

/// The table sends 10,000 numbers to the same large array.
fn named_again() -> Vec<u8> {
    let mut pdf = Pdf::with("", "");
    pdf.object(4, &format!("[{}]", "0 ".repeat(100_000)));
    let at = pdf.offsets[3].1;
    pdf.offsets.extend((5..10_005).map(|number| (number, at)));
    pdf.finish()
}

fn references(length: u32, last: u32) -> Vec<u8> {
    let mut pdf = Pdf::with(
        "/Metadata 4 0 R/AcroForm 4 0 R/Names 4 0 R",
        "/Contents 4 0 R/Annots 4 0 R/Resources 4 0 R",
    );
    for number in 4..4 + length {
        pdf.object(number, &format!("{} 0 R", number + 1));
    }
    pdf.object(4 + length, &format!("{last} 0 R"));
    pdf.finish()
}

/// Forms that paint themselves, and forms that paint the next one twice.
fn painted(itself: bool) -> Vec<u8> {
    let mut pdf = Pdf::with("", "/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>");
    pdf.stream(4, "", b"/X Do");
    for number in 5..65 {
        let next = if itself { number } else { number + 1 };
        let dictionary = format!(
            "/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X {next} 0 R>>>>"
        );
        pdf.stream(number, &dictionary, b"/X Do /X Do");
    }
    pdf.stream(65, "/Type/XObject/Subtype/Form/BBox[0 0 9 9]", b"q Q");
    pdf.finish()
}

fn fields() -> Vec<u8> {
    let mut pdf = Pdf::with("/AcroForm<</Fields[4 0 R]>>", "");
    for number in 4..200_004 {
        pdf.object(
            number,
            &format!(
                "<</T(a)/Parent {} 0 R/Kids[{} 0 R]>>",
                number - 1,
                number + 1
            ),
        );
    }
    pdf.object(200_004, "<</T(a)/FT/Sig>>");
    pdf.finish()
}

fn case(
    name: &'static str,
    make: fn() -> Vec<u8>,
    entries: &'static [(&'static str, Entry)],
    expected: Expected,
) -> Case {
    Case {
        name,
        make,
        entries,
        expected,
    }
}

fn refused(name: &'static str, make: fn() -> Vec<u8>) -> Case {
    case(name, make, ENTRIES, Expected::Refused)
}

fn harmless(name: &'static str, make: fn() -> Vec<u8>, why: &'static str) -> Case {
    case(name, make, ENTRIES, Expected::Harmless(why))
}

fn checked(name: &'static str, make: fn() -> Vec<u8>) -> Case {
    case(name, make, CHECKED, Expected::Refused)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = deep();
    cases.extend(misleading());
    cases.extend(inflating());
    cases
}

/// Objects inside objects.
fn deep() -> Vec<Case> {
    vec![
        refused("200,000 nested arrays", || direct("[", "]")),
        refused("200,000 nested dictionaries", || direct("<</A", ">>")),
        refused("200,000 open arrays", || direct("[", "")),
        refused("200,000 nested parentheses", || direct("(", ")")),
        refused("deep arrays in an object stream", deep_in_object_stream),
        checked("200,000 arrays in a content", || content("[", "]")),
        checked("200,000 dictionaries in a content", || {
            content("<</A", ">>")
        }),
        checked("200,000 saved states", || content("q ", "Q ")),
        refused("a page tree 200,000 deep", deep_page_tree),
        refused("a page tree that doubles", page_tree_that_doubles),
        refused("fields 200,000 deep", fields),
        refused("200,000 outlines, each the first", || {
            chain(
                Pdf::with("/Outlines 4 0 R", ""),
                200_000,
                "/Title(a)",
                "First",
            )
        }),
        refused("200,000 actions in a row", || {
            chain(
                Pdf::with("/OpenAction 4 0 R", ""),
                200_000,
                "/S/GoTo/D[3 0 R/Fit]",
                "Next",
            )
        }),
    ]
}

/// Cross-reference data and references that lie.
fn misleading() -> Vec<Case> {
    vec![
        refused("100,000 sections", || sections(100_000, None)),
        refused("a section before itself", || own_section("Prev")),
        refused("a section beside itself", || own_section("XRefStm")),
        refused("sections beyond the file", || {
            sections(1, Some(usize::MAX >> 2))
        }),
        harmless(
            "a table of 2^60 objects",
            || with_trailer("/Size 1152921504606846976/Index[0 1152921504606846976]"),
            "nothing is reserved for a size",
        ),
        harmless(
            "lengths that name each other",
            own_length,
            "the streams end at endstream",
        ),
        refused("an array of 9,000,000 numbers", || {
            let mut pdf = Pdf::with("", "");
            pdf.object(4, &format!("[{}]", "0 ".repeat(9_000_000)));
            pdf.finish()
        }),
        refused("an object named 10,000 times", named_again),
        harmless(
            "200,000 references in a row",
            || references(200_000, 3),
            "nobody follows more than a few",
        ),
        harmless(
            "references in a circle",
            || references(1_000, 4),
            "nobody follows more than a few",
        ),
    ]
}

/// Streams that grow.
fn inflating() -> Vec<Case> {
    vec![
        checked("forms that paint themselves", || painted(true)),
        checked("forms that paint twice", || painted(false)),
        checked("300 MB in one stream", deflate_bomb),
        checked("three deflates in a row", filters_in_a_row),
        checked("100,000 filters", many_filters),
        checked("1,000 pages of the same 100 MB", pages_that_share),
        checked("10,000 object streams of 1 MB", || {
            many_streams(10_000, "/Type/ObjStm/N 1/First 5")
        }),
        checked("10,000 hidden object streams", || {
            many_streams(10_000, "/Type/Obj#53tm/N 1/First 5")
        }),
        checked("10,000 tables of 1 MB", || {
            many_streams(10_000, "/Type/XRef/W[1 2 1]/Size 9")
        }),
        checked("objects that overlap", overlapping_in_object_stream),
        harmless(
            "a table of 100 MB",
            || object_stream(&base_objects(), "", 15_000_000),
            "more rows than /Size are not read",
        ),
        refused("an object stream in itself", || {
            object_stream(&base_objects(), "/Extends 4 0 R/Length 1 0 R", 0)
        }),
    ]
}
