use super::*;

fn run(source: &str, options: &Options<'_>) -> String {
    let doc = Document::parse(source).expect("test document");
    let form = canonicalize(&doc, doc.root(), |_| true, options);
    let digest = sha256(&doc, doc.root(), |_| true, options);
    assert_eq!(digest, crate::base::digest::sha256(&form));
    String::from_utf8(form).expect("UTF-8")
}

#[test]
fn a_declaration_is_left_out_however_it_is_spaced() {
    for space in [" ", "\n", "\t", "\r\n"] {
        let source = format!("<?xml{space}version='1.0'?>\n<e/>");
        assert_eq!(run(&source, &Options::EXCLUSIVE), "<e></e>");
    }
}

#[test]
fn texts_of_every_length_are_hashed_as_they_are_written() {
    for length in [0, 1, 4095, 4096, 4097, 10_000] {
        let text = "x".repeat(length);
        let source = format!("<e><a>{text}</a>&lt;<b>{text}&gt;{text}</b></e>");
        assert_eq!(run(&source, &Options::EXCLUSIVE), source);
    }
}

fn inside(source: &str, apex: &str, options: &Options<'_>) -> String {
    let doc = Document::parse(source).expect("test document");
    let apex = doc
        .descendants()
        .find(|n| n.tag_name().name() == apex)
        .expect("apex");
    String::from_utf8(canonicalize(&doc, apex, |_| true, options)).expect("UTF-8")
}

const INCLUSIVE: Options<'static> = Options {
    mode: Mode::Inclusive10,
    comments: false,
    prefixes: &[],
};
const INCLUSIVE11: Options<'static> = Options {
    mode: Mode::Inclusive11,
    comments: true,
    prefixes: &[],
};

#[test]
fn attributes_and_text_are_normalised_and_sorted() {
    let source = "<?xml version='1.0'?>\r\n<e  b:z='1' a='x\ny&#10;&quot;' xmlns:b='urn:b' xmlns='urn:d'\r\n>1 &gt; 0\r\n<![CDATA[<&]]>&#13;</e >";
    assert_eq!(
        run(source, &Options::EXCLUSIVE),
        "<e xmlns=\"urn:d\" xmlns:b=\"urn:b\" a=\"x y&#xA;&quot;\" b:z=\"1\">1 &gt; 0\n&lt;&amp;&#xD;</e>"
    );
}

#[test]
fn top_level_comments_and_instructions_have_their_own_lines() {
    let source = "<!-- a\rb --><?p  q\r\n?><e/><?r?><!--c-->";
    let all = Options {
        comments: true,
        ..Options::EXCLUSIVE
    };
    assert_eq!(
        run(source, &all),
        "<!-- a\nb -->\n<?p q\n?>\n<e></e>\n<?r?>\n<!--c-->"
    );
    assert_eq!(
        run(source, &Options::EXCLUSIVE),
        "<?p q\n?>\n<e></e>\n<?r?>"
    );
}

#[test]
fn no_superfluous_default_undeclaration() {
    let source = "<p:r xmlns:p='urn:p' xmlns='urn:d'><z xmlns=''><y xmlns='urn:d'/></z></p:r>";
    assert_eq!(
        inside(source, "r", &Options::EXCLUSIVE),
        "<p:r xmlns:p=\"urn:p\"><z><y xmlns=\"urn:d\"></y></z></p:r>"
    );
    assert_eq!(
        inside(source, "z", &INCLUSIVE),
        "<z xmlns:p=\"urn:p\"><y xmlns=\"urn:d\"></y></z>"
    );
}

#[test]
fn listed_prefixes_are_treated_inclusively() {
    let source = "<r xmlns='urn:d' xmlns:p='urn:p' xmlns:q='urn:q'><p:a><p:b xmlns=''/></p:a></r>";
    let listed = Options {
        prefixes: &["#default", "q"],
        ..Options::EXCLUSIVE
    };
    assert_eq!(
        inside(source, "a", &listed),
        "<p:a xmlns=\"urn:d\" xmlns:p=\"urn:p\" xmlns:q=\"urn:q\"><p:b xmlns=\"\"></p:b></p:a>"
    );
}

#[test]
fn xml_attributes_are_inherited_as_each_version_says() {
    let source = "<r xml:lang='fr' xml:id='i' xml:base='http://h/a/b'><m xml:base='../c/' xml:lang='de'><e xml:base='d'/></m></r>";
    assert_eq!(
        inside(source, "e", &INCLUSIVE),
        "<e xml:base=\"d\" xml:id=\"i\" xml:lang=\"de\"></e>"
    );
    assert_eq!(
        inside(source, "e", &INCLUSIVE11),
        "<e xml:base=\"http://h/c/d\" xml:lang=\"de\"></e>"
    );
    assert_eq!(
        inside(source, "e", &Options::EXCLUSIVE),
        "<e xml:base=\"d\"></e>"
    );
}

/// Relative bases keep their leading `..`; repeated slashes become one.
#[test]
fn bases_are_joined() {
    for (base, reference, joined) in [
        ("http://www.example.org/", "..", "http://www.example.org/"),
        ("../..", "bar/", "../../bar/"),
        ("foo/bar", "..", ""),
        ("..", "..", "../../"),
        ("a/b/c", "../../../d", "../d"),
        ("http://h", "x", "http://h/x"),
        ("http://h/a?q", "", "http://h/a?q"),
        ("http://h/a", "//g/b//c", "http://g/b/c"),
    ] {
        assert_eq!(
            base_uri::join(base, reference),
            joined,
            "{base} + {reference}"
        );
    }
}

#[test]
fn hidden_nodes_leave_no_trace() {
    let source = "<r xmlns:p='urn:p'><p:a>x<s><t/></s>y</p:a></r>";
    let doc = Document::parse(source).expect("test document");
    let hole = doc
        .descendants()
        .find(|n| n.has_tag_name("s"))
        .expect("hole")
        .range();
    let out = canonicalize(
        &doc,
        doc.root(),
        |n| n.range().start < hole.start || n.range().end > hole.end,
        &Options::EXCLUSIVE,
    );
    assert_eq!(out, b"<r><p:a xmlns:p=\"urn:p\">xy</p:a></r>");
}

#[test]
fn depth_does_not_use_the_stack() {
    let deep = 50_000;
    let source = format!("{}{}", "<a>".repeat(deep), "</a>".repeat(deep));
    assert_eq!(run(&source, &Options::EXCLUSIVE), source);
}
