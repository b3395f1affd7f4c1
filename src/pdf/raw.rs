//! Objects as the file spells them. The parser tells what an object means, not
//! where its parts stand or that a key stands there twice; for a signature
//! value both decide what was signed.

use std::ops::Range;

/// Longest dictionary that is read, in bytes.
const BYTES_MAX: usize = 4 << 20;
/// Longest trailer that is read, in bytes.
const TRAILER_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting that is skipped over.
const DEPTH_MAX: usize = 64;

/// How often the text of a file may be read when its objects are counted.
const READINGS_MAX: usize = 16;

/// A key of a dictionary, `#`-escapes resolved, and where its value stands.
pub(super) type Entry = (Vec<u8>, Range<usize>);

/// The entries of the dictionary that is the indirect object at `offset`, in
/// their order and with repetitions; `None` when there is no such object.
pub(super) fn object_entries(bytes: &[u8], offset: usize) -> Option<Vec<Entry>> {
    let mut scan = Scan::new(bytes, offset, BYTES_MAX);
    scan.number()?;
    scan.number()?;
    scan.word(b"obj")?;
    scan.entries()
}

/// The entries of the trailer that begins at `offset` or behind white space.
pub(super) fn trailer_entries(bytes: &[u8], offset: usize) -> Option<Vec<Entry>> {
    Scan::new(bytes, offset, TRAILER_BYTES_MAX).entries()
}

/// Whether the values of all indirect objects, wherever the file has the words
/// that begin one, are not more than `most`. Objects inside one another count
/// each time, as a parser that is sent there would read them.
pub(super) fn objects_within(bytes: &[u8], most: usize) -> bool {
    let mut left = most;
    // Text may be read many times where one object begins inside another.
    let mut work = bytes.len().saturating_mul(READINGS_MAX);
    for at in super::find_all(bytes, b"obj") {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        if before.is_some_and(|byte| is_space(*byte) || byte.is_ascii_digit()) {
            let mut scan = Scan { bytes, at: at + 3 };
            let _ = scan.counted(&mut left);
            work = work.saturating_sub(scan.at - at);
            if left == 0 || work == 0 {
                return false;
            }
        }
    }
    true
}

/// Whether the members of an object stream, told by pairs of number and offset
/// in `index`, stand one behind the other and have at most `most` values.
pub(super) fn members_apart(index: &[u8], objects: &[u8], most: usize) -> bool {
    let Ok(index) = std::str::from_utf8(index) else {
        return true; // no parser reads members then
    };
    let lines = index.split(['\r', '\n']);
    let numbers = lines.flat_map(|line| {
        line.split('%')
            .next()
            .unwrap_or_default()
            .split_whitespace()
    });
    let offsets: Vec<Option<usize>> = numbers.skip(1).step_by(2).map(|n| n.parse().ok()).collect();
    let mut left = most;
    let ends = offsets.iter().skip(1).copied().chain([Some(objects.len())]);
    offsets.iter().zip(ends).all(|(start, end)| {
        let (Some(start), Some(end)) = (*start, end) else {
            return false;
        };
        let Some(bytes) = objects.get(start..end.min(objects.len())) else {
            return start >= objects.len() && start <= end;
        };
        let mut scan = Scan { bytes, at: 0 };
        scan.counted(&mut left).is_some() || {
            scan.space();
            scan.rest().is_empty()
        }
    }) && left > 0
}

/// A position in the file.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

fn is_regular(byte: u8) -> bool {
    !is_space(byte) && !b"()<>[]{}/%".contains(&byte)
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a [u8], at: usize, limit: usize) -> Self {
        let end = at.saturating_add(limit).min(bytes.len());
        let bytes = bytes.get(..end).unwrap_or_default();
        Self { bytes, at }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// White space and comments (ISO 32000-1 §7.2.2).
    fn space(&mut self) {
        while let Some(byte) = self.rest().first() {
            if *byte == b'%' {
                let line = |b: &u8| matches!(b, b'\n' | b'\r');
                self.at += self.rest().iter().take_while(|b| !line(b)).count();
            } else if is_space(*byte) {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn take(&mut self, token: &[u8]) -> Option<()> {
        self.space();
        self.rest().starts_with(token).then(|| {
            self.at += token.len();
        })
    }

    fn regular(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().take_while(|byte| is_regular(**byte)).count();
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn word(&mut self, wanted: &[u8]) -> Option<()> {
        self.space();
        (self.regular() == wanted).then_some(())
    }

    /// A number without sign.
    fn number(&mut self) -> Option<()> {
        self.space();
        let digits = self.regular();
        (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(())
    }

    fn name(&mut self) -> Option<Vec<u8>> {
        self.take(b"/")?;
        let mut name = Vec::new();
        let mut raw = self.regular();
        while let Some((first, rest)) = raw.split_first() {
            let escaped = (*first == b'#')
                .then(|| std::str::from_utf8(rest.get(..2)?).ok())
                .flatten()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            name.push(escaped.unwrap_or(*first));
            raw = match escaped {
                Some(_) => rest.get(2..)?,
                None => rest,
            };
        }
        Some(name)
    }

    fn entries(&mut self) -> Option<Vec<Entry>> {
        self.take(b"<<")?;
        let mut found = Vec::new();
        while self.take(b">>").is_none() {
            let key = self.name()?;
            self.space();
            let start = self.at;
            self.value()?;
            found.push((key, start..self.at));
        }
        Some(found)
    }

    /// Steps over one object; of an indirect reference over all three parts.
    fn value(&mut self) -> Option<()> {
        let mut endless = usize::MAX;
        self.counted(&mut endless)
    }

    /// The same, as long as there is something `left` for its values.
    fn counted(&mut self, left: &mut usize) -> Option<()> {
        let mut depth = 0usize;
        loop {
            *left = left.checked_sub(1)?;
            self.space();
            let rest = self.rest();
            match rest.first()? {
                b'<' if rest.starts_with(b"<<") => (self.at, depth) = (self.at + 2, depth + 1),
                b'>' if rest.starts_with(b">>") => {
                    (self.at, depth) = (self.at + 2, depth.checked_sub(1)?);
                }
                b'[' => (self.at, depth) = (self.at + 1, depth + 1),
                b']' => (self.at, depth) = (self.at + 1, depth.checked_sub(1)?),
                b'<' => self.hexadecimal()?,
                b'(' => self.literal()?,
                b'/' => drop(self.name()?),
                _ if self.regular().is_empty() => return None,
                _ => {}
            }
            if depth > DEPTH_MAX {
                return None;
            }
            if depth == 0 {
                self.reference();
                return Some(());
            }
        }
    }

    /// After a number, the rest of a reference when it is one.
    fn reference(&mut self) {
        let before = self.at;
        if self.number().is_none() || self.word(b"R").is_none() {
            self.at = before;
        }
    }

    /// A literal string with its balanced parentheses and escapes.
    fn literal(&mut self) -> Option<()> {
        let mut depth = 0usize;
        let mut escaped = false;
        for (index, byte) in self.rest().iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'(' => depth += 1,
                b')' if depth == 1 => {
                    self.at += index + 1;
                    return Some(());
                }
                b')' => depth -= 1,
                _ => {}
            }
        }
        self.at = self.bytes.len();
        None
    }

    fn hexadecimal(&mut self) -> Option<()> {
        let length = self.rest().iter().position(|byte| *byte == b'>');
        self.at = length.map_or(self.bytes.len(), |length| self.at + length + 1);
        length.map(drop)
    }
}
