//! XML that is deep, wide, long, or refers to itself.

use super::{Case, Entry, Expected};
use sceau::base::causes;
use sceau::forms::Packs;
use sceau::xades;
use sceau::xml::path::{Namespaces, Path, Slot};
use sceau::xml::xsd::{Fault, Schema, XsdError};

const ENTRIES: &[(&str, Entry)] = &[
    ("parse", parse),
    ("xsd", xsd),
    ("form", form),
    ("xades", verify),
];
/// Without the parser: the schema validator is only asked of what passed it.
const AFTER_PARSER: &[(&str, Entry)] = &[("xsd", xsd), ("form", form), ("xades", verify)];

fn parse(bytes: &[u8]) -> Result<(), String> {
    sceau::xml::parse(bytes)
        .map(drop)
        .map_err(|error| causes(&error))
}

/// The way of every document: the gate, then the validator.
fn xsd(bytes: &[u8]) -> Result<(), String> {
    let schema = b"<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'>\
        <xs:element name='a'><xs:complexType><xs:sequence>\
        <xs:any processContents='lax' minOccurs='0' maxOccurs='unbounded'/></xs:sequence>\
        </xs:complexType></xs:element></xs:schema>";
    let schema = Schema::compile(&[("a.xsd".to_owned(), schema.to_vec())], "a.xsd");
    let schema = schema.map_err(|error| causes(&error))?;
    sceau::xml::parse(bytes).map_err(|error| causes(&error))?;
    let faults: Result<Vec<Fault>, XsdError> = schema.validate(bytes);
    match faults.map_err(|error| causes(&error))?.first() {
        Some(fault) => Err(fault.message.clone()),
        None => Ok(()),
    }
}

fn form(bytes: &[u8]) -> Result<(), String> {
    let packs = Packs::builtin().map_err(|error| causes(&error))?;
    let pack = packs.pack("memoire-honoraires", None).expect("a pack");
    let checked = pack.check("depot", bytes);
    checked.map(drop).map_err(|rejected| {
        let first = rejected.findings.first();
        first
            .map(|finding| finding.message.clone())
            .unwrap_or_default()
    })
}

fn verify(bytes: &[u8]) -> Result<(), String> {
    let path = Path::parse("/a/b", &Namespaces::new()).expect("a path");
    xades::verify(bytes, &Slot::Wrapper(path))
        .map(drop)
        .map_err(|error| causes(&error))
}

/// Elements inside one another.
pub fn nested(depth: usize) -> Vec<u8> {
    ["<a>".repeat(depth), "</a>".repeat(depth)]
        .concat()
        .into_bytes()
}

fn in_root(content: &str, times: usize) -> Vec<u8> {
    ["<a>", &content.repeat(times), "</a>"]
        .concat()
        .into_bytes()
}

fn doctype(subset: &str, content: &str) -> Vec<u8> {
    format!("<!DOCTYPE a [{subset}]><a>{content}</a>").into_bytes()
}

fn numbered(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

fn billion_laughs() -> Vec<u8> {
    let levels = numbered(9, |n| {
        let inner = format!("&e{n};").repeat(10);
        format!("<!ENTITY e{} '{inner}'>", n + 1)
    });
    doctype(&format!("<!ENTITY e0 'ha'>{levels}"), "&e9;")
}

fn quadratic_entity() -> Vec<u8> {
    let long = format!("<!ENTITY e '{}'>", "x".repeat(100_000));
    doctype(&long, &"&e;".repeat(100_000))
}

/// As many attributes as each element may have, on as many elements as there
/// may be, within the size of a document.
fn attributes_everywhere() -> Vec<u8> {
    let attributes = numbered(64, |n| {
        format!(
            " {}{}=''",
            ['a', 'b', 'c'][n / 26],
            char::from(b'a' + (n % 26) as u8)
        )
    });
    in_root(
        &format!("<b{attributes}/>"),
        30_000_000 / (attributes.len() + 4) - 10,
    )
}

fn namespaces_everywhere() -> Vec<u8> {
    let declarations = numbered(60, |n| format!(" xmlns:p{n}='u{n}'"));
    let each = declarations.len() + 12;
    let elements = numbered(29_000_000 / each, |n| format!("<b{declarations} x='{n}'/>"));
    format!("<a>{elements}</a>").into_bytes()
}

/// A form whose last element is wrong, behind a document of 25 MB: what would
/// have been allowed there is asked of further runs.
fn late_faults() -> Vec<u8> {
    let valid =
        include_str!("../../../xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml");
    let (before, _) = valid
        .split_once("</mh:memoireHonoraires>")
        .expect("the end of the form");
    let document = "QUJD".repeat(6_000_000);
    let wrong = numbered(50, |n| format!("<mh:wrong{n}/>"));
    format!("{before}<mh:document>{document}</mh:document>{wrong}</mh:memoireHonoraires>")
        .into_bytes()
}

/// Every line of the form faulty in several ways.
fn many_faults() -> Vec<u8> {
    let valid =
        include_str!("../../../xsd/memoire-honoraires/2/examples/valid/depot/une-ligne.xml");
    let start = valid.find("<mh:prestation>").expect("a line");
    let end = valid.find("</mh:prestation>").expect("its end") + "</mh:prestation>".len();
    let line = valid[start..end]
        .replace("C1", "c-1")
        .replace("<mh:nombre>1<", "<mh:nombre>x<");
    [&valid[..start], &line.repeat(3_000), &valid[end..]]
        .concat()
        .into_bytes()
}

pub(super) fn cases() -> Vec<Case> {
    let refused = |name, make| Case {
        name,
        make,
        entries: ENTRIES,
        expected: Expected::Refused,
    };
    let validated = |name, make| Case {
        name,
        make,
        entries: AFTER_PARSER,
        expected: Expected::Refused,
    };
    vec![
        refused("100,000 nested elements", || nested(100_000)),
        refused("20,000 nested xmlns", || {
            let open = numbered(20_000, |n| format!("<a xmlns:p{n}='urn:{n}'>"));
            [open, "</a>".repeat(20_000)].concat().into_bytes()
        }),
        refused("20,000 xmlns on one element", || {
            format!(
                "<a{}/>",
                numbered(20_000, |n| format!(" xmlns:p{n}='urn:{n}'"))
            )
            .into_bytes()
        }),
        refused("100,000 attributes", || {
            format!("<a{}/>", numbered(100_000, |n| format!(" b{n}=''"))).into_bytes()
        }),
        refused("64 attributes on each element", attributes_everywhere),
        refused("60 xmlns on each element", namespaces_everywhere),
        refused("5,000,000 elements", || in_root("<b/>", 5_000_000)),
        refused("4,000,000 comments", || in_root("<!---->", 4_000_000)),
        refused("2,000,000 CDATA sections", || {
            in_root("<![CDATA[]]>", 2_000_000)
        }),
        refused("100 MB of text", || in_root("x", 100_000_000)),
        refused("a name of 1 MB", || {
            format!("<{}/>", "a".repeat(1_000_000)).into_bytes()
        }),
        refused("an open attribute of 29 MB", || {
            ["<a b='", &"x".repeat(29_000_000)].concat().into_bytes()
        }),
        refused("29 MB of open tags", || "<".repeat(29_000_000).into_bytes()),
        refused("29 MB of open comments", || {
            "<!--".repeat(7_000_000).into_bytes()
        }),
        refused("29 MB of open CDATA", || {
            "<a><![CDATA[".repeat(2_400_000).into_bytes()
        }),
        refused("billion laughs", billion_laughs),
        refused("quadratic entity", quadratic_entity),
        refused("external entity", || {
            doctype("<!ENTITY e SYSTEM 'file:///etc/passwd'>", "&e;")
        }),
        refused("parameter entities", || {
            doctype("<!ENTITY % p '<!ENTITY &#37; q \"%p;\">'>%p;", "")
        }),
        refused("an undeclared entity", || in_root("&e;", 1)),
        refused("29 MB that are not UTF-8", || vec![0xE9; 29_000_000]),
        validated("5,000,000 references", || in_root("&amp;", 5_000_000)),
        validated("3,000,000 characters by number", || {
            in_root("&#x1F600;", 3_000_000)
        }),
        validated("wrong elements behind 24 MB", late_faults),
        validated("6,000 faulty lines", many_faults),
    ]
}
