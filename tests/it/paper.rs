//! QR symbols and print copies, read back by programs that are not ours:
//! poppler draws, zbarimg decodes, qpdf checks the file.

use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, Stream};
use sceau::base::Uuid4;
use sceau::paper::{Place, Symbol, print_copy};
use sceau::pdf;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Dots to the inch at which a millimetre is ten dots.
const DPI: &str = "254";
const DOTS_PER_MM: f64 = 10.0;
const PLACE: Place = Place {
    page: 1,
    x_mm: 150.0,
    y_mm: 20.0,
    size_mm: 30.0,
};

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pdf");
    std::fs::read(folder.join(name)).unwrap()
}

/// Runs a program; its standard output. All output is told when it fails.
pub fn run(program: &str, arguments: &[&str], folder: &Path) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{program} (packaging/dev/ensure.sh test): {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    output.stdout
}

/// What zbarimg reads in an image.
pub fn decoded(image: &Path) -> String {
    let name = image.to_str().unwrap();
    let only = [
        "--quiet",
        "--raw",
        "--nodbus",
        "-Sdisable",
        "-Sqrcode.enable",
    ];
    let text = run(
        "zbarimg",
        &[only.as_slice(), &[name]].concat(),
        Path::new("."),
    );
    String::from_utf8(text).unwrap().trim_end().to_owned()
}

/// The first page of a PDF as an image.
pub fn rendered(pdf: &[u8], folder: &Path) -> PathBuf {
    Drawing::of(pdf, 1, folder, "rendered").1
}

/// A page as drawn: width, height, and the bytes of its pixels, three each.
struct Drawing(usize, usize, Vec<u8>);

impl Drawing {
    fn of(pdf: &[u8], page: usize, folder: &Path, name: &str) -> (Self, PathBuf) {
        let file = folder.join(format!("{name}.pdf"));
        std::fs::write(&file, pdf).unwrap();
        let number = page.to_string();
        let arguments = [
            "-r",
            DPI,
            "-cropbox",
            "-singlefile",
            "-f",
            &number,
            "-l",
            &number,
            file.to_str().unwrap(),
            name,
        ];
        run("pdftoppm", &arguments, folder);
        let image = folder.join(format!("{name}.ppm"));
        let bytes = std::fs::read(&image).unwrap();
        let header: Vec<&[u8]> = bytes.splitn(4, |b| b.is_ascii_whitespace()).collect();
        let number =
            |at: usize| -> usize { std::str::from_utf8(header[at]).unwrap().parse().unwrap() };
        let (width, height) = (number(1), number(2));
        let pixels = bytes[bytes.len() - 3 * width * height..].to_vec();
        (Self(width, height, pixels), image)
    }

    /// Columns and rows at which two drawings differ: left, top, right, bottom.
    fn difference(&self, other: &Self) -> [usize; 4] {
        assert_eq!((self.0, self.1), (other.0, other.1));
        let pixels = self.2.chunks(3).zip(other.2.chunks(3)).enumerate();
        let differing = pixels
            .filter(|(_, (a, b))| a != b)
            .map(|(at, _)| (at % self.0, at / self.0));
        differing.fold([usize::MAX, usize::MAX, 0, 0], |[l, t, r, b], (x, y)| {
            [l.min(x), t.min(y), r.max(x), b.max(y)]
        })
    }
}

/// Draws original and copy: the copy differs in the square alone, and there
/// stands the text.
fn assert_stands_there(name: &str, original: &[u8], page: usize, place: &Place) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let uuid = Uuid4::random();
    let text = format!("urn:uuid:{uuid}");
    let copy = print_copy(original, &Symbol::new(&text).unwrap(), place, uuid).unwrap();
    let (before, _) = Drawing::of(original, page, folder.path(), "before");
    let (after, image) = Drawing::of(&copy, page, folder.path(), "after");
    assert_eq!(decoded(&image), text, "{name}");

    let [left, top, right, bottom] = before
        .difference(&after)
        .map(|dots| dots as f64 / DOTS_PER_MM);
    let height = before.1 as f64 / DOTS_PER_MM;
    let square = [
        place.x_mm,
        height - place.y_mm - place.size_mm,
        place.x_mm + place.size_mm,
        height - place.y_mm,
    ];
    // Half a millimetre: the size of the page is rounded to dots. On white the
    // quiet zone does not differ, the symbol's edge lies that much inside.
    let quiet = 5.5;
    for (found, [outer, inner]) in [left, top, right, bottom].into_iter().zip([
        [square[0] - 0.5, square[0] + quiet],
        [square[1] - 0.5, square[1] + quiet],
        [square[2] - quiet, square[2] + 0.5],
        [square[3] - quiet, square[3] + 0.5],
    ]) {
        assert!(
            (outer..=inner).contains(&found),
            "{name}: {found} is not in {outer}..{inner}"
        );
    }
    run("qpdf", &["--check", "after.pdf"], folder.path());
    copy
}

#[test]
fn a_symbol_reads_back_as_image_and_as_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let symbol = Symbol::new("urn:uuid:3f0c2a9e-6f44-4b39-8f4e-0c6d8a1b2c3d").unwrap();
    let png = folder.path().join("symbol.png");
    std::fs::write(&png, symbol.png(200).unwrap()).unwrap();
    assert_eq!(
        decoded(&png),
        "urn:uuid:3f0c2a9e-6f44-4b39-8f4e-0c6d8a1b2c3d"
    );

    // The drawing of the SVG: its one path of rectangles, filled in here.
    let svg = symbol.svg(200);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("width"), Some("200"));
    let edge: usize = root
        .attribute("viewBox")
        .unwrap()
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let path = root
        .children()
        .find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "path")));
    let mut pixels = vec![255_u8; edge * edge];
    for run in path.unwrap().attribute("d").unwrap().split_terminator('z') {
        let numbers: Vec<usize> = run
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse().ok())
            .collect();
        let [x, y, length, 1, back] = numbers[..] else {
            panic!("{run}")
        };
        assert_eq!(length, back);
        pixels[y * edge + x..][..length].fill(0);
    }
    let pgm = folder.path().join("symbol.pgm");
    let scaled: Vec<u8> = (0..edge * 4)
        .flat_map(|y| (0..edge * 4).map(move |x| (x / 4, y / 4)))
        .map(|(x, y)| pixels[y * edge + x])
        .collect();
    let image = [format!("P5 {0} {0} 255\n", edge * 4).into_bytes(), scaled].concat();
    std::fs::write(&pgm, image).unwrap();
    assert_eq!(
        decoded(&pgm),
        "urn:uuid:3f0c2a9e-6f44-4b39-8f4e-0c6d8a1b2c3d"
    );
}

#[test]
fn a_copy_has_the_symbol_at_its_place_and_nothing_else() {
    let names = [
        "memoire-gs-a1b.pdf",
        "memoire-gs-a2b-objstm.pdf",
        "memoire-gs-a2b-hybrid.pdf",
        "memoire-libreoffice-a2b-linearized.pdf",
        "memoire-typst-a3b.pdf",
    ];
    for name in names {
        let original = fixture(name);
        let copy = assert_stands_there(name, &original, 1, &PLACE);
        let uuid = Uuid4::random();
        let make = || print_copy(&original, &Symbol::new("x").unwrap(), &PLACE, uuid).unwrap();
        assert_eq!(make(), make(), "{name}: the same input gives other bytes");
        // Nobody can hand the copy in as the form.
        assert_eq!(pdf::precheck(&copy).claim, None, "{name}");
        let copy = String::from_utf8_lossy(&copy).into_owned();
        assert!(copy.contains("Copie à imprimer, non signée"), "{name}");
    }
}

#[test]
fn turned_and_cropped_pages_have_it_where_they_are_shown() {
    let number = |n: i64| Object::Integer(n);
    type Change<'a> = &'a dyn Fn(&mut Dictionary);
    let cases: [(&str, Change<'_>); 7] = [
        ("turned 90", &|page| page.set("Rotate", 90)),
        ("turned 180", &|page| page.set("Rotate", 180)),
        ("turned 270", &|page| page.set("Rotate", -90)),
        ("cropped", &|page| {
            page.set("CropBox", [30, 40, 560, 800].map(number).to_vec())
        }),
        ("cropped and turned", &|page| {
            page.set("CropBox", [30, 40, 560, 800].map(number).to_vec());
            page.set("Rotate", 90);
        }),
        ("a medium from its upper right corner", &|page| {
            page.set("MediaBox", [575, 822, -20, -20].map(number).to_vec());
        }),
        ("without resources and contents", &|page| {
            page.remove(b"Resources");
            page.remove(b"Contents");
        }),
    ];
    for (name, change) in cases {
        let mut doc = Document::load_mem(&fixture("memoire-gs-a2b.pdf")).unwrap();
        let page = *doc.get_pages().get(&1).unwrap();
        change(doc.get_dictionary_mut(page).unwrap());
        let mut original = Vec::new();
        doc.save_to(&mut original).unwrap();
        original.push(b'\n');
        let place = Place {
            x_mm: 100.0,
            y_mm: 12.0,
            size_mm: 25.0,
            ..PLACE
        };
        assert_stands_there(name, &original, 1, &place);
    }
}

#[test]
fn content_that_leaves_or_closes_too_many_states_does_not_move_it() {
    let operation = |name: &str, operands: &[i64]| {
        let operands = operands.iter().map(|n| Object::Integer(*n)).collect();
        Operation::new(name, operands)
    };
    let contents = [
        vec![operation("q", &[]), operation("cm", &[2, 0, 0, 2, 50, 50])],
        vec![
            operation("Q", &[]),
            operation("Q", &[]),
            operation("cm", &[2, 0, 0, 2, 50, 50]),
        ],
    ];
    for operations in contents {
        let mut doc = Document::load_mem(&fixture("memoire-gs-a2b.pdf")).unwrap();
        let page = *doc.get_pages().get(&1).unwrap();
        let content = Content { operations }.encode().unwrap();
        let stream = doc.add_object(Stream::new(Dictionary::new(), content));
        doc.get_dictionary_mut(page)
            .unwrap()
            .set("Contents", stream);
        let mut original = Vec::new();
        doc.save_to(&mut original).unwrap();
        original.push(b'\n');
        assert_stands_there("unbalanced", &original, 1, &PLACE);
    }
}

#[test]
fn the_page_is_counted_from_either_end() {
    let original = fixture("memoire-typst-a2b-pages.pdf");
    let pages = Document::load_mem(&original).unwrap().get_pages().len();
    assert!(pages > 1);
    assert_stands_there("the last", &original, pages, &Place { page: -1, ..PLACE });
    assert_stands_there("the second", &original, 2, &Place { page: 2, ..PLACE });
    let beyond = i64::try_from(pages).unwrap() + 1;
    for page in [0, beyond, -beyond] {
        let symbol = Symbol::new("x").unwrap();
        let refused = print_copy(
            &original,
            &symbol,
            &Place { page, ..PLACE },
            Uuid4::random(),
        );
        assert!(refused.is_err(), "page {page}");
    }
}

fn signatures(pdf: &[u8]) -> usize {
    pdf::SignedPdf::open(pdf).unwrap().signatures().len()
}

#[test]
fn earlier_signatures_are_not_in_the_copy() {
    for name in [
        "memoire-gs-a2b-signed.pdf",
        "memoire-gs-a2b-certified-p1.pdf",
    ] {
        let original = fixture(name);
        assert!(signatures(&original) > 0, "{name}");
        let symbol = Symbol::new("x").unwrap();
        let copy = print_copy(&original, &symbol, &PLACE, Uuid4::random()).unwrap();
        assert_eq!(signatures(&copy), 0, "{name}");
        assert!(
            !String::from_utf8_lossy(&copy).contains("/ByteRange"),
            "{name}"
        );
    }
}
