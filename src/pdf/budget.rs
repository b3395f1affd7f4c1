//! What a file may cost while it is parsed. The parser bounds the nesting of
//! objects and the size of each stream; but a file of a few kilobytes may name
//! the same object a million times, or let the members of an object stream
//! overlap, and grow without end. So everything parsed is counted, and where
//! the count ends, so does the parsing.

use super::PdfError;
use super::raw;
use crate::base::limits::{PDF_BYTES_MAX, PDF_INFLATED_BYTES_MAX, PDF_VALUES_MAX};
use lopdf::{Document, LoadOptions, Object, ObjectId, Stream};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What is left while a file is parsed on this thread.
#[derive(Clone, Copy)]
struct Left {
    /// Values: numbers, names, strings, arrays, dictionaries.
    values: usize,
    /// Bytes of streams and strings as they stand in the file.
    bytes: usize,
    /// Bytes that object streams inflate to.
    inflated: usize,
}

const ALL: Left = Left {
    values: PDF_VALUES_MAX,
    bytes: 2 * PDF_BYTES_MAX,
    inflated: PDF_INFLATED_BYTES_MAX,
};

thread_local! {
    static LEFT: Cell<Left> = const { Cell::new(ALL) };
}

/// Carried up through the parser: what was used up.
struct UsedUp(&'static str);

/// Parses a file within its budget.
///
/// # Errors
/// [`PdfError::LoadCostly`], and what the parser reports.
pub(super) fn parse(bytes: &[u8], options: LoadOptions) -> Result<Document, PdfError> {
    // One object is counted only once it is there; so none may be too large.
    if !raw::objects_within(bytes, PDF_VALUES_MAX) {
        return Err(costly("values in its objects"));
    }
    LEFT.set(ALL);
    let options = LoadOptions {
        filter: Some(spend),
        ..options
    };
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        Document::load_mem_with_options(bytes, options)
    }));
    match parsed {
        Ok(document) => document.map_err(PdfError::of_load),
        Err(cause) => match cause.downcast::<UsedUp>() {
            Ok(used) => Err(costly(used.0)),
            Err(panic) => resume_unwind(panic),
        },
    }
}

fn costly(what: &'static str) -> PdfError {
    PdfError::LoadCostly { what }
}

/// Called by the parser with every object it has read, before it opens the
/// object when that is an object stream. There is no other way to stop it:
/// this unwinds without being a panic.
fn spend(id: ObjectId, object: &mut Object) -> Option<(ObjectId, Object)> {
    let mut left = LEFT.get();
    if let Err(used) = count(object, &mut left) {
        resume_unwind(Box::new(used));
    }
    LEFT.set(left);
    // What is returned counts for members of object streams alone, among
    // which there is no stream; others the parser keeps as they are.
    let kept = match object {
        Object::Stream(_) => Object::Null,
        other => other.clone(),
    };
    Some((id, kept))
}

fn count(object: &Object, left: &mut Left) -> Result<(), UsedUp> {
    fn take(from: &mut usize, amount: usize, what: &'static str) -> Result<(), UsedUp> {
        *from = from.checked_sub(amount).ok_or(UsedUp(what))?;
        Ok(())
    }
    let mut open = vec![object];
    while let Some(object) = open.pop() {
        take(&mut left.values, 1, "values in its objects")?;
        let bytes = match object {
            Object::Array(items) => {
                open.extend(items);
                0
            }
            Object::Dictionary(dictionary) => {
                open.extend(dictionary.iter().map(|(_, value)| value));
                0
            }
            Object::Stream(stream) => {
                open.extend(stream.dict.iter().map(|(_, value)| value));
                stream.content.len()
            }
            Object::String(bytes, _) | Object::Name(bytes) => bytes.len(),
            Object::Null
            | Object::Boolean(_)
            | Object::Integer(_)
            | Object::Real(_)
            | Object::Reference(_) => 0,
        };
        take(&mut left.bytes, bytes, "bytes in its objects")?;
    }
    match object {
        Object::Stream(stream) if stream.dict.has_type(b"ObjStm") => {
            let content = members(stream, left.inflated)?;
            take(&mut left.inflated, content, "bytes in object streams")
        }
        _ => Ok(()),
    }
}

/// Makes sure that each member of an object stream ends before the next one
/// begins (ISO 32000-1 §7.5.7: their offsets increase), so that they cannot
/// hold more values than the stream has bytes. Returns the stream's size.
fn members(stream: &Stream, most: usize) -> Result<usize, UsedUp> {
    let Ok(content) = stream.get_plain_content_with_limit(most) else {
        // Too large, or not decodable: then the parser refuses it as well,
        // because its limit for one stream is not above this one.
        return Ok(most.min(stream.content.len()));
    };
    let first = stream.dict.get(b"First").and_then(Object::as_i64).ok();
    let parts = first
        .and_then(|first| usize::try_from(first).ok())
        .and_then(|first| content.split_at_checked(first));
    if let Some((index, objects)) = parts
        && !raw::members_apart(index, objects, PDF_VALUES_MAX)
    {
        return Err(UsedUp("members of an object stream in one place"));
    }
    Ok(content.len())
}
