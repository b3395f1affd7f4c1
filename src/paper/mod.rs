//! What goes onto paper: the QR symbol of a document, as an image and as
//! operators of a PDF, and the print copy that carries it. What the symbol says
//! and where it stands is the pack's word; the signed PDF is never touched.

use crate::base::Uuid4;
use crate::base::limits::{QR_PIXELS_MAX, QR_PIXELS_MIN};
use crate::pdf::{self, PdfError};
use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;

/// Light modules around a symbol (ISO/IEC 18004 §6.3.8).
const QUIET_ZONE: i32 = 4;
/// Points (1/72 inch) in a millimetre.
const POINTS_PER_MM: f64 = 72.0 / 25.4;
/// What the metadata of a copy say, for whoever finds one.
const DESCRIPTION: &str =
    "Copie à imprimer, non signée · Druckkopie, nicht signiert · Print copy, unsigned";

/// Why there is no symbol or no copy.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// The text is longer than a symbol can hold.
    #[error("make a QR symbol: its text of {bytes} bytes is too long")]
    SymbolText {
        /// Length of the text in UTF-8.
        bytes: usize,
    },
    /// The image cannot be written.
    #[error("make a QR symbol: the image cannot be written")]
    SymbolImage(#[source] png::EncodingError),
    /// The PDF takes no copy.
    #[error("make a print copy")]
    Copy(#[source] PdfError),
}

/// Where a symbol stands on paper. Millimetres from the lower left corner of the
/// page as it is shown; the quiet zone is inside.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The page, from 1; negative: from the end.
    pub page: i64,
    /// Left edge.
    pub x_mm: f64,
    /// Lower edge.
    pub y_mm: f64,
    /// Length of an edge.
    pub size_mm: f64,
}

/// A QR symbol with its quiet zone.
pub struct Symbol(QrCode);

impl Symbol {
    /// The symbol for a text, at error correction level M or better.
    ///
    /// # Errors
    /// [`PaperError::SymbolText`].
    pub fn new(text: &str) -> Result<Self, PaperError> {
        let bytes = text.len();
        let code = QrCode::encode_text(text, QrCodeEcc::Medium);
        Ok(Self(code.map_err(|_| PaperError::SymbolText { bytes })?))
    }

    /// Modules along an edge, quiet zone included.
    fn edge(&self) -> i32 {
        self.0.size() + 2 * QUIET_ZONE
    }

    /// The dark modules as runs: column, row from above, length.
    fn runs(&self) -> Vec<(i32, i32, i32)> {
        let mut runs: Vec<(i32, i32, i32)> = Vec::new();
        for y in 0..self.edge() {
            for x in 0..self.edge() {
                if !self.0.get_module(x - QUIET_ZONE, y - QUIET_ZONE) {
                    continue;
                }
                match runs.last_mut() {
                    Some((start, row, length)) if *row == y && *start + *length == x => {
                        *length += 1
                    }
                    Some(_) | None => runs.push((x, y, 1)),
                }
            }
        }
        runs
    }

    /// The symbol as SVG of `pixels` by `pixels`.
    pub fn svg(&self, pixels: u32) -> String {
        let edge = self.edge();
        let mut path = String::new();
        for (x, y, length) in self.runs() {
            let _ = write!(path, "M{x} {y}h{length}v1h-{length}z");
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"{pixels}\" height=\"{pixels}\" \
             viewBox=\"0 0 {edge} {edge}\" shape-rendering=\"crispEdges\">\
             <rect width=\"{edge}\" height=\"{edge}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>\n"
        )
    }

    /// The symbol as PNG of `pixels` by `pixels`, each module the same whole
    /// number of pixels wide; larger where the symbol needs more than one each.
    ///
    /// # Errors
    /// [`PaperError::SymbolImage`].
    pub fn png(&self, pixels: u32) -> Result<Vec<u8>, PaperError> {
        let edge = self.edge().unsigned_abs();
        let pixels = pixels.clamp(QR_PIXELS_MIN, QR_PIXELS_MAX).max(edge);
        let module = pixels / edge;
        let margin = (pixels - module * edge) / 2;
        let row_bytes = pixels.div_ceil(8);
        let mut image = vec![0xff_u8; (row_bytes * pixels) as usize];
        for (x, y, length) in self.runs() {
            let [x, y, length] = [x, y, length].map(i32::unsigned_abs);
            for row in margin + y * module..margin + (y + 1) * module {
                for column in margin + x * module..margin + (x + length) * module {
                    if let Some(byte) = image.get_mut((row * row_bytes + column / 8) as usize) {
                        *byte &= !(0x80 >> (column % 8));
                    }
                }
            }
        }
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, pixels, pixels);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder
            .write_header()
            .and_then(|mut writer| {
                writer.write_image_data(&image)?;
                writer.finish()
            })
            .map_err(PaperError::SymbolImage)?;
        Ok(out)
    }

    /// The symbol as operators of a PDF, on a white square.
    fn operators(&self, place: &Place) -> String {
        let edge = self.edge();
        let edges = [place.x_mm, place.y_mm, place.size_mm];
        let [x, y, size] = edges.map(|mm| mm * POINTS_PER_MM);
        let module = size / f64::from(edge);
        let mut out =
            format!("{module:.6} 0 0 {module:.6} {x:.4} {y:.4} cm 1 g 0 0 {edge} {edge} re f 0 g");
        for (column, row, length) in self.runs() {
            let _ = write!(out, "\n{column} {} {length} 1 re", edge - 1 - row);
        }
        out.push_str(" f");
        out
    }
}

/// A copy of `pdf` for the printer, with the symbol where the pack says. It is
/// not signed, claims no PDF/A, and says in its metadata what it is.
///
/// # Errors
/// [`PaperError::Copy`] when the PDF has no such page or is broken.
pub fn print_copy(
    pdf: &[u8],
    symbol: &Symbol,
    place: &Place,
    uuid: Uuid4,
) -> Result<Vec<u8>, PaperError> {
    let overlay = pdf::Overlay {
        page: place.page,
        operators: &symbol.operators(place),
        title: &uuid.to_string(),
        description: DESCRIPTION,
    };
    pdf::print_copy(pdf, &overlay).map_err(PaperError::Copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_the_size_asked_for_or_a_pixel_for_each_module() {
        let small = Symbol::new("a").unwrap();
        let large = Symbol::new(&"a".repeat(1000)).unwrap();
        let edge = large.edge().unsigned_abs();
        assert!(edge > QR_PIXELS_MIN);
        for (symbol, asked, given) in [(&small, 300, 300), (&large, QR_PIXELS_MIN, edge)] {
            let png = symbol.png(asked).unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(png))
                .read_info()
                .unwrap();
            let mut rows = vec![0; reader.output_buffer_size().unwrap()];
            let frame = reader.next_frame(&mut rows).unwrap();
            assert_eq!((frame.width, frame.height), (given, given));
        }
    }

    #[test]
    fn a_text_that_no_symbol_holds_is_refused() {
        let refused = Symbol::new(&"a".repeat(4000)).err().unwrap();
        assert!(matches!(refused, PaperError::SymbolText { bytes: 4000 }));
    }
}
