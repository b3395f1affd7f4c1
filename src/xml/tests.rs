use super::*;
use gate::{GateFault, Limits, check};
use path::{Namespaces, Path, PathError};

fn refused(bytes: &[u8]) -> (GateFault, u32, u32) {
    let error = check(bytes, &Limits::default()).unwrap_err();
    (error.kind, error.position.line, error.position.column)
}

fn limit(bytes: &[u8]) -> &'static str {
    match refused(bytes).0 {
        GateFault::Limit { what, .. } => what,
        other => panic!("{other:?} is not a limit"),
    }
}

#[test]
fn gate_passes_plain_documents() {
    assert_eq!(
        check(b"<a x='1'>t<!-- c --><![CDATA[d]]></a>", &Limits::default()),
        Ok("<a x='1'>t<!-- c --><![CDATA[d]]></a>")
    );
    let marked = b"\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><a/>";
    assert!(
        check(marked, &Limits::default())
            .unwrap()
            .starts_with("<?xml")
    );
    assert_eq!(parse(marked).unwrap().root_element().range().start, 38);
}

#[test]
fn gate_refuses_doctype_instructions_and_encodings() {
    assert_eq!(refused(b"\n <!DOCTYPE a><a/>"), (GateFault::Doctype, 2, 2));
    let (kind, line, column) = refused("<a>\u{e9}<?php x?></a>".as_bytes());
    assert_eq!(kind, GateFault::ProcessingInstruction("php".into()));
    assert_eq!((line, column), (1, 5));
    let latin = refused(b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>").0;
    assert_eq!(latin, GateFault::Encoding("it declares ISO-8859-1".into()));
    let (kind, line, column) = refused(b"<a>\n\xE9</a>");
    assert!(matches!(kind, GateFault::Encoding(_)));
    assert_eq!((line, column), (2, 1));
    assert!(matches!(refused(b"\xFF\xFE<\0").0, GateFault::Encoding(_)));
    let eleven = refused(b"<?xml version='1.1'?><a/>").0;
    assert_eq!(eleven, GateFault::Version("1.1".into()));
}

#[test]
fn gate_refuses_two_default_namespaces_on_one_element() {
    let (kind, line, column) = refused(b"<a>\n<b xmlns='u' xmlns='v'/></a>");
    let GateFault::Malformed(reason) = kind else {
        panic!("{kind}");
    };
    assert!(reason.contains("declared twice"), "{reason}");
    assert_eq!((line, column), (2, 1));
    let nested = "<a xmlns='u'><b xmlns='v'/></a>";
    assert!(check(nested.as_bytes(), &Limits::default()).is_ok());
}

#[test]
fn gate_refuses_what_passes_a_limit() {
    let deep = |n| "<a>".repeat(n) + &"</a>".repeat(n);
    assert!(check(deep(64).as_bytes(), &Limits::default()).is_ok());
    assert_eq!(limit(deep(65).as_bytes()), "nested elements");
    let attributes: String = (0..65).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(
        limit(format!("<a{attributes}/>").as_bytes()),
        "attributes on one element"
    );
    let spaces = |n: usize| {
        (0..n)
            .map(|n| format!(" xmlns:p{n}='u'"))
            .collect::<String>()
    };
    let nested = format!("<a{}><b{}/></a>", spaces(40), spaces(40));
    assert_eq!(limit(nested.as_bytes()), "namespaces in scope");
    let siblings = format!("<a><b{}></b><b{}/></a>", spaces(40), spaces(40));
    assert!(check(siblings.as_bytes(), &Limits::default()).is_ok());
    let many = format!("<a>{}</a>", "<!---->".repeat(50_000));
    assert_eq!(limit(many.as_bytes()), "elements, comments and references");
    assert_eq!(
        limit(format!("<{}/>", "n".repeat(257)).as_bytes()),
        "the length of a name in bytes"
    );
}

#[test]
fn gate_and_parser_refuse_malformed_text() {
    for bad in [
        "<a>",
        "<a></b>",
        "<a",
        "<a b></a>",
        "<a>&x;</a>",
        "<p:a/>",
        "",
        "<a/><b/>",
        "<a x='1' x='2'/>",
        "<a xmlns:p=''/>",
    ] {
        assert!(parse(bad.as_bytes()).is_err(), "{bad} was accepted");
    }
    let error = parse(b"<a>\n<p:b/></a>").unwrap_err();
    assert_eq!(error.position().line, 2);
    assert!(!error.to_string().contains("at 2:"), "{error}");
}

#[test]
fn positions_count_characters_and_go_back() {
    let bytes = "a\n\u{e9}\u{1F600}z".as_bytes();
    let mut positions = Positions::new(bytes);
    assert_eq!(positions.at(8), Position { line: 2, column: 3 });
    assert_eq!(positions.at(0), Position { line: 1, column: 1 });
    assert_eq!(position(bytes, 99), Position { line: 2, column: 4 });
    assert_eq!(
        position(b"\xEF\xBB\xBFab", 4),
        Position { line: 1, column: 2 }
    );
}

#[test]
fn xpaths_use_the_documents_prefixes() {
    let doc = parse(b"<x:a xmlns:x='u' xmlns='v'><x:b/><b/><x:b ><c\n/></x:b></x:a>").unwrap();
    let paths: Vec<String> = doc
        .descendants()
        .filter(Node::is_element)
        .map(xpath_of)
        .collect();
    assert_eq!(
        paths,
        [
            "/x:a",
            "/x:a/x:b[1]",
            "/x:a/b",
            "/x:a/x:b[2]",
            "/x:a/x:b[2]/c"
        ]
    );
}

#[test]
fn paths_select_children_and_attributes() {
    let spaces = Namespaces::from([("m".to_owned(), "u".to_owned())]);
    let doc = parse(b"<a xmlns='u'><b c='1'>x<!-- -->y</b><b/><b xmlns=''/></a>").unwrap();
    let path = |text| Path::parse(text, &spaces).unwrap();
    assert_eq!(path("/m:a/m:b").select(doc.root()).len(), 2);
    assert_eq!(path("/m:a/b").select(doc.root()).len(), 1);
    assert_eq!(path("m:b").select(doc.root_element()).len(), 2);
    assert_eq!(path("/m:a/m:b/@c").values(doc.root())[0].text(), "1");
    assert_eq!(path("/m:a/m:b").first(doc.root()).unwrap().text(), "xy");
    assert!(matches!(
        Path::parse("/m:a//b", &spaces),
        Err(PathError::EmptyStep(_))
    ));
    assert!(matches!(
        Path::parse("/m:a[1]", &spaces),
        Err(PathError::NotAName { .. })
    ));
    assert!(matches!(
        Path::parse("/n:a", &spaces),
        Err(PathError::Prefix { .. })
    ));
    assert!(Path::parse("/m:a/@b/c", &spaces).is_err());
}

#[test]
fn escapes_round_trip() {
    let nasty = "a<b>&\"'\r\n\t\u{e9}";
    let doc = format!(
        "<a x=\"{}\">{}</a>",
        escape_attribute(nasty),
        escape_text(nasty)
    );
    let doc = parse(doc.as_bytes()).unwrap();
    assert_eq!(doc.root_element().attribute("x"), Some(nasty));
    assert_eq!(doc.root_element().text(), Some(nasty));
    assert!(matches!(escape_text("plain"), Cow::Borrowed(_)));
}
fn schema(body: &str) -> Result<xsd::Schema, xsd::XsdError> {
    let text = format!("<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'>{body}</xs:schema>");
    xsd::Schema::compile(&[("a.xsd".to_owned(), text.into_bytes())], "a.xsd")
}

#[test]
fn schemas_must_be_whole() {
    let missing = schema("<xs:include schemaLocation='b.xsd'/><xs:element name='a'/>");
    assert!(matches!(missing, Err(xsd::XsdError::Compile { .. })));
    // XSD 1.0 lets a dangling reference pass until it is used; then it must bite.
    let dangling = schema("<xs:element name='a' type='nowhere'/>").unwrap();
    assert_eq!(dangling.validate(b"<a>1</a>").unwrap().len(), 1);
}

#[test]
fn base64_may_stand_in_lines() {
    let schema = schema("<xs:element name='a' type='xs:base64Binary'/>").unwrap();
    for good in ["", "AAAA", "AA\nAA", " \r\n AAAA BBBB\n CA== "] {
        let faults = schema
            .validate(format!("<a>{good}</a>").as_bytes())
            .unwrap();
        assert_eq!(faults, [], "{good}");
    }
    for bad in ["A", "AA-A", "AA AA=", "AB C"] {
        let faults = schema.validate(format!("<a>{bad}</a>").as_bytes()).unwrap();
        assert_eq!(faults.len(), 1, "{bad}");
        assert_eq!(faults[0].constraint, "cvc-datatype-valid");
    }
}

#[test]
fn faults_of_structure_name_what_is_expected() {
    let body = "<xs:element name='a'><xs:complexType><xs:sequence>\
        <xs:element name='b' type='xs:int'/><xs:element name='c'/></xs:sequence>\
        </xs:complexType></xs:element>";
    let schema = schema(body).unwrap();
    let fault = |xml: &str| {
        let mut faults = schema.validate(xml.as_bytes()).unwrap();
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.remove(0)
    };
    let early = fault("<a><b>1</b></a>");
    assert_eq!((early.offset, early.expected), (0, vec!["c".to_owned()]));
    let unexpected = fault("<a><x><y><z/></y></x><c/></a>");
    assert_eq!(
        (unexpected.offset, unexpected.expected),
        (3, vec!["b".to_owned()])
    );
    let attribute = fault("<a><b z='1'>1</b><c/></a>");
    assert_eq!(attribute.xpath, "/a/b/@z");
    assert!(schema.validate(b"<a><b>1</b>").is_err());
}

#[test]
fn what_the_validator_overlooks_is_found() {
    let body = "<xs:element name='a'><xs:complexType><xs:sequence>\
        <xs:element name='b' type='xs:int'/><xs:element name='c' minOccurs='0'><xs:complexType/></xs:element>\
        </xs:sequence></xs:complexType></xs:element>";
    let schema = schema(body).unwrap();
    let instance = "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'";
    let found = |inside: &str| -> Vec<(String, String, usize)> {
        let xml = format!("<a {instance}>{inside}</a>");
        let faults = schema.validate(xml.as_bytes()).unwrap();
        let shift = xml.len() - inside.len() - "</a>".len();
        let offset = |fault: &xsd::Fault| fault.offset.saturating_sub(shift);
        let told = faults.iter().map(|fault| {
            assert!(!fault.message.contains("schema constraint") || fault.xpath == "/a/c");
            (fault.constraint.clone(), fault.xpath.clone(), offset(fault))
        });
        told.collect()
    };
    let one = |constraint: &str, xpath: &str, offset| {
        vec![(constraint.to_owned(), xpath.to_owned(), offset)]
    };
    assert_eq!(found(" \t\r\n<b>1</b><!-- \u{a0} -->"), []);
    assert_eq!(
        found("<b xsi:type='xs:int' xmlns:xs='http://www.w3.org/2001/XMLSchema'>1</b>"),
        []
    );
    assert_eq!(
        found("<b>1</b>&#160; "),
        one("cvc-complex-type.2.3", "/a", 0)
    );
    assert_eq!(
        found("<b>1</b><c>\u{2003}</c>"),
        one("cvc-complex-type.2.1", "/a/c", 8)
    );
    assert_eq!(
        found("<b xsi:other='1'>1</b>"),
        one("cvc-complex-type.3.2.2", "/a/b/@other", 0)
    );
}

#[test]
fn a_schema_serves_several_threads_and_forgets_foreign_names() {
    let schema = schema("<xs:element name='a'><xs:complexType><xs:sequence>\
        <xs:any processContents='lax' maxOccurs='unbounded'/></xs:sequence></xs:complexType></xs:element>").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let schema = &schema;
            scope.spawn(move || {
                for round in 0..3 {
                    let names: String = (0..20_000)
                        .map(|n| format!("<n{thread}-{round}-{n}/>"))
                        .collect();
                    let faults = schema
                        .validate(format!("<a>{names}</a>").as_bytes())
                        .unwrap();
                    assert_eq!(faults, []);
                }
            });
        }
    });
    assert!(schema.names_kept_bytes() <= 4 * (4 << 20));
}
