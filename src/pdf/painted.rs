//! What the pages paint: fonts, colours, transparency and content streams,
//! reached through the resources the pages really use.

use super::graph::{self, Page};
use super::precheck::{Findings, rules};
use crate::base::limits::PDF_INFLATED_BYTES_MAX;
use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, Stream};
use std::collections::HashSet;

/// Colour spaces may name another one as their base or alternate.
const COLOUR_SPACE_DEPTH_MAX: usize = 4;
/// What a content stream costs of the budget beside its bytes: any number of
/// references may name an empty one.
const STREAM_COST_BYTES: usize = 1 << 10;

/// Device colour spaces used without a default space that replaces them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct DeviceColours {
    pub(super) gray: bool,
    pub(super) rgb: bool,
    pub(super) cmyk: bool,
}

/// One content stream with the resources its names refer to.
struct Painting<'a> {
    content: Vec<u8>,
    resources: Option<&'a Dictionary>,
}

/// Walks everything the pages paint.
pub(super) struct Painter<'a, 'f> {
    doc: &'a Document,
    findings: &'f mut Findings,
    open: Vec<Painting<'a>>,
    seen: HashSet<*const Dictionary>,
    /// Bytes content streams may still inflate to.
    budget: usize,
    colours: DeviceColours,
}

impl<'a, 'f> Painter<'a, 'f> {
    pub(super) fn new(doc: &'a Document, findings: &'f mut Findings) -> Self {
        Self {
            doc,
            findings,
            open: Vec::new(),
            seen: HashSet::new(),
            budget: PDF_INFLATED_BYTES_MAX,
            colours: DeviceColours::default(),
        }
    }

    /// Paints one page.
    pub(super) fn page(&mut self, page: &Page<'a>) {
        self.group(page.dict, "a page");
        let mut content = Vec::new();
        for stream in self.contents(page.dict) {
            content.extend(self.inflate(stream));
            content.push(b'\n');
        }
        self.open.push(Painting {
            content,
            resources: page.resources,
        });
        self.paint();
    }

    /// Paints the appearances of an annotation.
    pub(super) fn annotation(&mut self, annotation: &'a Object) {
        self.appearance(annotation);
        self.paint();
    }

    fn paint(&mut self) {
        while let Some(painting) = self.open.pop() {
            if let Some(resources) = painting.resources {
                self.resources(resources);
            }
            self.operations(&painting);
        }
    }

    /// The device colours all pages used.
    pub(super) fn colours(&self) -> DeviceColours {
        self.colours
    }

    fn contents(&mut self, page: &'a Dictionary) -> Vec<&'a Stream> {
        if self.budget == 0 {
            self.undecoded();
            return Vec::new();
        }
        let pieces = match graph::get(self.doc, page, b"Contents") {
            Some(Object::Array(items)) => {
                items.iter().map(|i| graph::resolve(self.doc, i)).collect()
            }
            Some(single) => vec![single],
            None => Vec::new(),
        };
        let streams: Vec<_> = pieces
            .iter()
            .filter_map(|piece| piece.as_stream().ok())
            .collect();
        if streams.len() != pieces.len() {
            self.findings
                .add(rules::STRUCTURE, "a page names contents that are missing");
        }
        streams
    }

    fn inflate(&mut self, stream: &Stream) -> Vec<u8> {
        self.budget = self.budget.saturating_sub(STREAM_COST_BYTES);
        let content = match self.budget {
            0 => None,
            limit => stream.get_plain_content_with_limit(limit).ok(),
        };
        match content {
            Some(content) => {
                self.budget = self.budget.saturating_sub(content.len());
                content
            }
            None => {
                // The attempt cost as much as a success may have; the next
                // reference to the same stream must not cost it again.
                self.budget = 0;
                self.undecoded();
                Vec::new()
            }
        }
    }

    fn undecoded(&mut self) {
        self.findings.add(
            rules::STRUCTURE,
            "a content stream cannot be decoded or inflates beyond the limit",
        );
    }

    fn appearance(&mut self, annotation: &'a Object) {
        let normal = graph::as_dict(annotation)
            .and_then(|dict| graph::get_dict(self.doc, dict, b"AP"))
            .and_then(|ap| graph::get(self.doc, ap, b"N"));
        match normal {
            Some(Object::Stream(stream)) => self.form(stream, None),
            Some(Object::Dictionary(states)) if self.seen.insert(std::ptr::from_ref(states)) => {
                for (_, state) in states {
                    if let Ok(stream) = graph::resolve(self.doc, state).as_stream() {
                        self.form(stream, None);
                    }
                }
            }
            Some(_) | None => {}
        }
    }

    /// Queues a form XObject, tiling pattern or glyph procedure once.
    fn form(&mut self, stream: &'a Stream, outer: Option<&'a Dictionary>) {
        if !self.seen.insert(&raw const stream.dict) {
            return;
        }
        self.group(&stream.dict, "a form XObject");
        for key in [b"OPI".as_slice(), b"PS", b"Ref"] {
            if stream.dict.has(key) {
                let key = String::from_utf8_lossy(key);
                self.findings
                    .add(rules::XOBJECT, format!("a form XObject has /{key}"));
            }
        }
        let resources = graph::get_dict(self.doc, &stream.dict, b"Resources").or(outer);
        let content = self.inflate(stream);
        self.open.push(Painting { content, resources });
    }

    fn group(&mut self, owner: &Dictionary, what: &str) {
        let transparent = graph::get_dict(self.doc, owner, b"Group")
            .is_some_and(|group| graph::get_name(self.doc, group, b"S") == Some(b"Transparency"));
        if transparent && self.findings.part == 1 {
            self.findings.add(
                rules::TRANSPARENCY,
                format!("{what} has a transparency group"),
            );
        }
    }

    fn resources(&mut self, resources: &'a Dictionary) {
        if !self.seen.insert(std::ptr::from_ref(resources)) {
            return;
        }
        for (_, font) in self.entries(resources, b"Font") {
            match graph::as_dict(font) {
                Some(font) => self.font(font, resources),
                None => self.findings.add(rules::STRUCTURE, "a font is missing"),
            }
        }
        for (_, state) in self.entries(resources, b"ExtGState") {
            if let Some(state) = graph::as_dict(state) {
                self.graphics_state(state);
            }
        }
        for (name, object) in self.entries(resources, b"XObject") {
            match object.as_stream() {
                Ok(stream) => self.xobject(stream, resources),
                Err(_) => self.findings.add(
                    rules::STRUCTURE,
                    format!("the XObject /{} is missing", String::from_utf8_lossy(name)),
                ),
            }
        }
        for (_, pattern) in self.entries(resources, b"Pattern") {
            if let Ok(stream) = pattern.as_stream() {
                self.form(stream, Some(resources));
            } else if let Some(pattern) = graph::as_dict(pattern) {
                self.shading(graph::get(self.doc, pattern, b"Shading"), resources);
            }
        }
        for (_, shading) in self.entries(resources, b"Shading") {
            self.shading(Some(shading), resources);
        }
    }

    /// The entries of one kind of resources, the first time they are met:
    /// any number of resource dictionaries may share them.
    fn entries(&mut self, resources: &'a Dictionary, key: &[u8]) -> Vec<(&'a Vec<u8>, &'a Object)> {
        graph::get_dict(self.doc, resources, key)
            .filter(|entries| self.seen.insert(std::ptr::from_ref(*entries)))
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, graph::resolve(self.doc, value)))
            .collect()
    }

    fn shading(&mut self, shading: Option<&'a Object>, resources: &'a Dictionary) {
        let space = shading
            .and_then(graph::as_dict)
            .and_then(|shading| graph::get(self.doc, shading, b"ColorSpace"));
        if let Some(space) = space {
            self.colour_space(space, Some(resources));
        }
    }

    fn font(&mut self, font: &'a Dictionary, resources: &'a Dictionary) {
        if !self.seen.insert(std::ptr::from_ref(font)) {
            return;
        }
        let described = match graph::get_name(self.doc, font, b"Subtype") {
            Some(b"Type3") => {
                let inner = graph::get_dict(self.doc, font, b"Resources").unwrap_or(resources);
                for (_, glyph) in self.entries(font, b"CharProcs") {
                    if let Ok(stream) = glyph.as_stream() {
                        self.form(stream, Some(inner));
                    }
                }
                return;
            }
            Some(b"Type0") => graph::get_array(self.doc, font, b"DescendantFonts")
                .and_then(|fonts| fonts.first())
                .and_then(|first| graph::as_dict(graph::resolve(self.doc, first))),
            Some(_) | None => Some(font),
        };
        let embedded = described
            .and_then(|font| graph::get_dict(self.doc, font, b"FontDescriptor"))
            .is_some_and(|descriptor| {
                [b"FontFile".as_slice(), b"FontFile2", b"FontFile3"]
                    .iter()
                    .any(|key| {
                        matches!(
                            graph::get(self.doc, descriptor, key),
                            Some(Object::Stream(_))
                        )
                    })
            });
        if !embedded {
            let name = graph::get_name(self.doc, font, b"BaseFont").unwrap_or(b"without a name");
            let name = String::from_utf8_lossy(name);
            self.findings
                .add(rules::FONT, format!("the font {name} is not embedded"));
        }
    }

    fn graphics_state(&mut self, state: &Dictionary) {
        let named = |key| graph::get_name(self.doc, state, key);
        if state.has(b"TR") || named(b"TR2").is_some_and(|name| name != b"Default") {
            self.findings.add(
                rules::GRAPHICS_STATE,
                "a graphics state has a transfer function",
            );
        }
        if self.findings.part != 1 {
            return;
        }
        let opaque = |key| {
            graph::get(self.doc, state, key)
                .is_none_or(|alpha| alpha.as_float().is_ok_and(|alpha| alpha >= 1.0))
        };
        let blend = named(b"BM").is_none_or(|mode| matches!(mode, b"Normal" | b"Compatible"));
        let mask = graph::get(self.doc, state, b"SMask")
            .is_none_or(|mask| mask.as_name().is_ok_and(|name| name == b"None"));
        if !(opaque(b"CA") && opaque(b"ca") && blend && mask) {
            self.findings
                .add(rules::TRANSPARENCY, "a graphics state is transparent");
        }
    }

    fn xobject(&mut self, stream: &'a Stream, resources: &'a Dictionary) {
        match graph::get_name(self.doc, &stream.dict, b"Subtype") {
            Some(b"Image") => self.image(&stream.dict, resources),
            Some(b"PS") => self
                .findings
                .add(rules::XOBJECT, "a PostScript XObject is painted"),
            Some(_) | None => {
                if graph::get_name(self.doc, &stream.dict, b"Subtype2") == Some(b"PS") {
                    self.findings
                        .add(rules::XOBJECT, "a PostScript XObject is painted");
                }
                self.form(stream, Some(resources));
            }
        }
    }

    fn image(&mut self, image: &'a Dictionary, resources: &'a Dictionary) {
        for key in [b"Alternates".as_slice(), b"OPI"] {
            if image.has(key) {
                let key = String::from_utf8_lossy(key);
                self.findings
                    .add(rules::IMAGE, format!("an image has /{key}"));
            }
        }
        if matches!(
            graph::get(self.doc, image, b"Interpolate"),
            Some(Object::Boolean(true))
        ) {
            self.findings
                .add(rules::IMAGE, "an image asks for interpolation");
        }
        let masked =
            graph::get(self.doc, image, b"SMask").is_some_and(|mask| mask.as_name().is_err());
        if masked && self.findings.part == 1 {
            self.findings
                .add(rules::TRANSPARENCY, "an image has a soft mask");
        }
        if let Some(space) = graph::get(self.doc, image, b"ColorSpace") {
            self.colour_space(space, Some(resources));
        }
    }

    fn operations(&mut self, painting: &Painting<'a>) {
        for operation in Content::decode_iter(&painting.content) {
            match operation {
                Ok(operation) => self.operation(&operation, painting.resources),
                Err(_) => {
                    self.findings
                        .add(rules::STRUCTURE, "a content stream cannot be read");
                    return;
                }
            }
        }
    }

    fn operation(&mut self, operation: &Operation, resources: Option<&'a Dictionary>) {
        match operation.operator.as_str() {
            "g" | "G" => self.device(b"DeviceGray", resources),
            "rg" | "RG" => self.device(b"DeviceRGB", resources),
            "k" | "K" => self.device(b"DeviceCMYK", resources),
            "cs" | "CS" => {
                let Some(Ok(name)) = operation.operands.first().map(Object::as_name) else {
                    return;
                };
                let known = resources
                    .and_then(|r| graph::get_dict(self.doc, r, b"ColorSpace"))
                    .and_then(|spaces| graph::get(self.doc, spaces, name));
                match known {
                    Some(space) => self.colour_space(space, resources),
                    None => self.device(name, resources),
                }
            }
            "BI" => {
                let space = operation
                    .operands
                    .first()
                    .and_then(graph::as_dict)
                    .and_then(|image| image.get(b"ColorSpace").or_else(|_| image.get(b"CS")).ok())
                    .and_then(|space| space.as_name().ok());
                match space {
                    Some(b"G") => self.device(b"DeviceGray", resources),
                    Some(b"RGB") => self.device(b"DeviceRGB", resources),
                    Some(b"CMYK") => self.device(b"DeviceCMYK", resources),
                    Some(name) => self.device(name, resources),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// Notes the device space a colour space is, or is based on.
    fn colour_space(&mut self, space: &Object, resources: Option<&'a Dictionary>) {
        let mut space = space;
        for _ in 0..COLOUR_SPACE_DEPTH_MAX {
            match space {
                Object::Name(name) => return self.device(name, resources),
                Object::Array(parts) => {
                    let base = match parts.first().map(|p| graph::resolve(self.doc, p).as_name()) {
                        Some(Ok(b"Indexed" | b"Pattern")) => parts.get(1),
                        Some(Ok(b"Separation" | b"DeviceN")) => parts.get(2),
                        Some(Ok(b"DeviceGray" | b"DeviceRGB" | b"DeviceCMYK")) => parts.first(),
                        Some(_) | None => None,
                    };
                    match base {
                        Some(base) => space = graph::resolve(self.doc, base),
                        None => return,
                    }
                }
                _ => return,
            }
        }
    }

    fn device(&mut self, name: &[u8], resources: Option<&'a Dictionary>) {
        let (used, default) = match name {
            b"DeviceGray" => (&mut self.colours.gray, b"DefaultGray".as_slice()),
            b"DeviceRGB" => (&mut self.colours.rgb, b"DefaultRGB".as_slice()),
            b"DeviceCMYK" => (&mut self.colours.cmyk, b"DefaultCMYK".as_slice()),
            _ => return,
        };
        let replaced = resources
            .and_then(|r| graph::get_dict(self.doc, r, b"ColorSpace"))
            .is_some_and(|spaces| spaces.has(default));
        *used |= !replaced;
    }
}
