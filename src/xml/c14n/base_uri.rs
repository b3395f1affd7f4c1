//! Joining `xml:base` values: the modified RFC 3986 §5.2 algorithm of
//! Canonical XML 1.1, Appendix A. Unlike the RFC's, the base may itself be
//! relative, so leading `..` segments are kept.

use std::borrow::Cow;

/// A URI reference cut at its delimiters (RFC 3986 Appendix B), each part
/// without its delimiter. The fragment is not kept: a base has none.
struct Parts<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

fn split(reference: &str) -> Parts<'_> {
    let rest = reference.split('#').next().unwrap_or_default();
    let (scheme, rest) = match rest.find([':', '/', '?']) {
        Some(at) if at > 0 && rest[at..].starts_with(':') => (Some(&rest[..at]), &rest[at + 1..]),
        _ => (None, rest),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, rest),
    };
    Parts {
        scheme,
        authority,
        path,
        query,
    }
}

/// `reference` resolved against `base`.
pub(super) fn join(base: &str, reference: &str) -> String {
    // "..": a base that ends in dots names a folder (Appendix A, step 1).
    let base = match base.rsplit('/').next() {
        Some("." | "..") => Cow::Owned(format!("{base}/")),
        _ => Cow::Borrowed(base),
    };
    let (b, r) = (split(&base), split(reference));
    let (scheme, authority, path, query) = if r.scheme.is_some() {
        (r.scheme, r.authority, remove_dots(r.path), r.query)
    } else if r.authority.is_some() {
        (b.scheme, r.authority, remove_dots(r.path), r.query)
    } else if r.path.is_empty() {
        (
            b.scheme,
            b.authority,
            b.path.to_owned(),
            r.query.or(b.query),
        )
    } else if r.path.starts_with('/') {
        (b.scheme, b.authority, remove_dots(r.path), r.query)
    } else {
        (
            b.scheme,
            b.authority,
            remove_dots(&merge(&b, r.path)),
            r.query,
        )
    };
    let mut out = String::new();
    if let Some(scheme) = scheme {
        out.extend([scheme, ":"]);
    }
    if let Some(authority) = authority {
        out.extend(["//", authority]);
    }
    out.push_str(&path);
    if let Some(query) = query {
        out.extend(["?", query]);
    }
    out
}

fn merge(base: &Parts<'_>, path: &str) -> String {
    if base.authority.is_some() && base.path.is_empty() {
        return format!("/{path}");
    }
    let folder = base.path.rfind('/').map_or("", |at| &base.path[..=at]);
    format!("{folder}{path}")
}

/// Removes `.` and resolves `..` segments; those that reach above a relative
/// path stay in front, and repeated slashes become one (Appendix A).
fn remove_dots(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    let mut folder = false;
    for segment in path.split('/') {
        folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => match kept.last() {
                Some(&last) if last != ".." => {
                    kept.pop();
                }
                _ if rooted => {}
                _ => kept.push(".."),
            },
            segment => kept.push(segment),
        }
    }
    let mut out = String::from(if rooted { "/" } else { "" });
    out.push_str(&kept.join("/"));
    if folder && !kept.is_empty() {
        out.push('/');
    }
    out
}
