//! A copy for the printer: the file written anew, with a drawing on one of its
//! pages. It makes no PDF/A claim and no signature of the original counts in
//! it, so that nobody takes it for the document itself.

use super::{PdfError, graph, load};
use crate::base::digest::sha256_parts;
use crate::base::limits::{PDF_BYTES_MAX, PDF_INFLATED_BYTES_MAX};
use lopdf::content::Content;
use lopdf::{Dictionary, Document, Object, ObjectId, Stream, StringFormat, dictionary};

/// How far up the page tree an inherited attribute is looked for.
const ANCESTORS_MAX: usize = 64;

/// What goes onto a copy.
pub struct Overlay<'a> {
    /// The page, from 1; negative: from the end, the last is -1.
    pub page: i64,
    /// Content stream operators, in points (1/72 inch) from the lower left
    /// corner of the page as it is shown. They name no resources.
    pub operators: &'a str,
    /// Title in the metadata.
    pub title: &'a str,
    /// Description in the metadata: that this is a copy.
    pub description: &'a str,
}

/// Writes a copy of a PDF with the overlay on it. The same input gives the same
/// bytes.
///
/// # Errors
/// [`PdfError::CopyPage`] when there is no such page, [`PdfError::CopyWrite`],
/// [`PdfError::AppendTooLarge`], and those of [`load`] and of pages that are
/// broken.
pub fn print_copy(pdf: &[u8], overlay: &Overlay<'_>) -> Result<Vec<u8>, PdfError> {
    let mut doc = load(pdf)?;
    let page = page_of(&doc, overlay.page)?;
    let shown = Shown::of(&doc, page)?;
    let (before, after) = around(&doc, page)?;
    let drawing = format!(
        "{after}q {} cm /Artifact BMC\n{}\nEMC Q\n",
        shown.matrix, overlay.operators
    );
    draw(&mut doc, page, before, drawing)?;
    unsign(&mut doc)?;
    mark(&mut doc, pdf, overlay)?;
    doc.prune_objects();
    let mut bytes = Vec::with_capacity(pdf.len());
    doc.save_to(&mut bytes).map_err(PdfError::CopyWrite)?;
    bytes.push(b'\n');
    match bytes.len() {
        bytes if bytes > PDF_BYTES_MAX => Err(PdfError::AppendTooLarge { bytes }),
        _ => Ok(bytes),
    }
}

fn page_of(doc: &Document, wanted: i64) -> Result<ObjectId, PdfError> {
    let pages = graph::pages(doc)?;
    let count = pages.len();
    let distance = usize::try_from(wanted.unsigned_abs()).ok();
    let index = match (wanted.signum(), distance) {
        (1, Some(number)) => number.checked_sub(1),
        (-1, Some(number)) => count.checked_sub(number),
        _ => None,
    };
    let page = index.and_then(|index| pages.get(index));
    page.map(|page| page.id).ok_or(PdfError::CopyPage {
        page: wanted,
        pages: count,
    })
}

/// How a page is shown.
struct Shown {
    /// From points of the page as shown to its own space.
    matrix: String,
}

impl Shown {
    fn of(doc: &Document, page: ObjectId) -> Result<Self, PdfError> {
        let media = rectangle(doc, page, b"MediaBox").ok_or(PdfError::Structure {
            what: "a page has no MediaBox",
        })?;
        // A crop box counts as far as it lies on the medium (ISO 32000-1 §14.11.2.1).
        let [left, low, right, high] = rectangle(doc, page, b"CropBox")
            .map(|[l, b, r, t]| {
                let [ml, mb, mr, mt] = media;
                [l.max(ml), b.max(mb), r.min(mr), t.min(mt)]
            })
            .filter(|[l, b, r, t]| l < r && b < t)
            .unwrap_or(media);
        let turn = inherited(doc, page, b"Rotate").and_then(|turn| turn.as_i64().ok());
        let unit = doc.get_dictionary(page).ok();
        let unit = unit.and_then(|dict| graph::get(doc, dict, b"UserUnit"));
        let unit = unit.and_then(|unit| unit.as_float().ok());
        let unit = unit.filter(|unit| *unit > 0.0).map_or(1.0, f64::from);
        let k = 1.0 / unit;
        // Clockwise, in steps of 90 degrees (Table 30).
        let [a, b, c, d, e, f] = match turn.unwrap_or(0).rem_euclid(360) {
            90 => [0.0, k, -k, 0.0, right, low],
            180 => [-k, 0.0, 0.0, -k, right, high],
            270 => [0.0, -k, k, 0.0, left, high],
            _ => [k, 0.0, 0.0, k, left, low],
        };
        let matrix = format!("{a:.6} {b:.6} {c:.6} {d:.6} {e:.6} {f:.6}");
        Ok(Self { matrix })
    }
}

/// The value of a page's attribute, its own or inherited (§7.7.3.4).
fn inherited<'a>(doc: &'a Document, page: ObjectId, key: &[u8]) -> Option<&'a Object> {
    let mut node = doc.get_dictionary(page).ok();
    for _ in 0..ANCESTORS_MAX {
        let dict = node?;
        if let Some(found) = graph::get(doc, dict, key) {
            return Some(found);
        }
        node = graph::get_dict(doc, dict, b"Parent");
    }
    None
}

/// Left, low, right, high; none when it is missing or shows nothing.
fn rectangle(doc: &Document, page: ObjectId, key: &[u8]) -> Option<[f64; 4]> {
    let corners = inherited(doc, page, key)?.as_array().ok()?;
    let number = |at: usize| {
        let corner = graph::resolve(doc, corners.get(at)?);
        corner.as_float().ok().map(f64::from)
    };
    let (x, y, u, v) = (number(0)?, number(1)?, number(2)?, number(3)?);
    let rectangle = [x.min(u), y.min(v), x.max(u), y.max(v)];
    let [left, low, right, high] = rectangle;
    (left < right && low < high).then_some(rectangle)
}

/// Operators in front of and behind what a page paints, so that what follows
/// meets the graphics state as a page begins with: content may leave states
/// open, or close more than it opened.
fn around(doc: &Document, page: ObjectId) -> Result<(String, String), PdfError> {
    let unreadable = PdfError::Structure {
        what: "the content of a page cannot be read",
    };
    let mut content = Vec::new();
    for piece in pieces(doc, page) {
        let stream = graph::resolve(doc, &piece).as_stream();
        let limit = PDF_INFLATED_BYTES_MAX.saturating_sub(content.len());
        let plain = stream.and_then(|stream| stream.get_plain_content_with_limit(limit));
        let Ok(plain) = plain else {
            return Err(unreadable);
        };
        content.extend(plain);
        content.push(b'\n');
    }
    let (mut depth, mut lowest) = (0_i64, 0_i64);
    for operation in Content::decode_iter(&content) {
        match operation.map(|operation| operation.operator).as_deref() {
            Ok("q") => depth += 1,
            Ok("Q") => depth -= 1,
            Ok(_) => {}
            Err(_) => return Err(unreadable),
        }
        lowest = lowest.min(depth);
    }
    let times = |word: &str, count: i64| word.repeat(usize::try_from(count).unwrap_or(0));
    Ok((
        times("q ", 1 - lowest),
        format!("\n{}\n", times("Q ", 1 - lowest + depth)),
    ))
}

/// The streams a page paints, as it names them.
fn pieces(doc: &Document, page: ObjectId) -> Vec<Object> {
    let dict = doc.get_dictionary(page).ok();
    let Some(contents) = dict.and_then(|dict| dict.get(b"Contents").ok()) else {
        return Vec::new();
    };
    match graph::resolve(doc, contents) {
        Object::Array(pieces) => pieces.clone(),
        Object::Null => Vec::new(),
        _ => vec![contents.clone()],
    }
}

fn draw(
    doc: &mut Document,
    page: ObjectId,
    before: String,
    drawing: String,
) -> Result<(), PdfError> {
    let mut contents = pieces(doc, page);
    let mut add = |operators: String| {
        let stream = Stream::new(Dictionary::new(), operators.into_bytes());
        doc.try_add_object(stream).map_err(PdfError::AppendNumbers)
    };
    contents.insert(0, add(before)?.into());
    contents.push(add(drawing)?.into());
    let page = doc.get_dictionary_mut(page);
    page.map_err(|_| NO_DICTIONARY)?.set("Contents", contents);
    Ok(())
}

/// Takes out what an earlier signer left: his signatures say nothing about the
/// copy.
fn unsign(doc: &mut Document) -> Result<(), PdfError> {
    let fields = graph::fields(doc).into_iter();
    let signed: Vec<_> = fields
        .filter(|field| field.kind == Some(b"Sig"))
        .map(|field| field.id)
        .collect();
    for id in signed {
        let field = doc.get_dictionary_mut(id).map_err(|_| NO_DICTIONARY)?;
        field.remove(b"V");
    }
    let catalog = doc.catalog_mut().map_err(|_| NO_DICTIONARY)?;
    catalog.remove(b"Perms");
    catalog.remove(b"DSS");
    let form = match catalog.get_mut(b"AcroForm") {
        Ok(Object::Dictionary(form)) => Some(form),
        Ok(Object::Reference(id)) => {
            let id = *id;
            doc.get_dictionary_mut(id).ok()
        }
        Ok(_) | Err(_) => None,
    };
    if let Some(form) = form {
        form.remove(b"SigFlags");
    }
    Ok(())
}

/// Says in the metadata what this is, and claims nothing.
fn mark(doc: &mut Document, pdf: &[u8], overlay: &Overlay<'_>) -> Result<(), PdfError> {
    let (title, description) = (overlay.title, overlay.description);
    let xmp = xmp(title, description).into_bytes();
    let metadata = dictionary! { "Type" => "Metadata", "Subtype" => "XML" };
    let metadata = Stream::new(metadata, xmp).with_compression(false);
    let information = dictionary! {
        "Title" => lopdf::text_string(title),
        "Subject" => lopdf::text_string(description),
    };
    let metadata = doc.try_add_object(metadata);
    let metadata = metadata.map_err(PdfError::AppendNumbers)?;
    let information = doc.try_add_object(information);
    let information = information.map_err(PdfError::AppendNumbers)?;
    let catalog = doc.catalog_mut().map_err(|_| NO_DICTIONARY)?;
    catalog.set("Metadata", metadata);
    let root = doc.trailer.get(b"Root").map_err(|_| NO_DICTIONARY)?.clone();
    let mut id = sha256_parts(&[pdf, overlay.operators.as_bytes(), title.as_bytes()]).to_vec();
    id.truncate(16);
    let id = Object::String(id, StringFormat::Hexadecimal);
    doc.trailer =
        dictionary! { "Root" => root, "Info" => information, "ID" => vec![id.clone(), id] };
    Ok(())
}

fn xmp(title: &str, description: &str) -> String {
    let [title, description] = [title, description].map(escaped);
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\
         <dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">{title}</rdf:li></rdf:Alt></dc:title>\
         <dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">{description}</rdf:li></rdf:Alt></dc:description>\
         </rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end=\"r\"?>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const NO_DICTIONARY: PdfError = PdfError::Structure {
    what: "a page, a field or the catalog is no dictionary",
};
