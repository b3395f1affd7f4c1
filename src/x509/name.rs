//! Distinguished names as text (RFC 4514).

use super::tlv::{Fault, Reader, Tlv, tag};
use crate::base::hex;

/// Attribute types with a short name (RFC 4514 §3, RFC 4519, X.520).
const SHORT_NAMES: &[(&str, &str)] = &[
    (COMMON_NAME, "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "givenName"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];
const COMMON_NAME: &str = "2.5.4.3";

/// The name as RFC 4514 text: last RDN first, unknown types as OID and hex.
pub(super) fn text(name: &[u8]) -> Result<String, Fault> {
    let mut rdns = Vec::new();
    for rdn in Tlv::only_of(name, tag::SEQUENCE)?.reader() {
        let mut parts = Vec::new();
        for attribute in rdn?.expect_tag(tag::SET)?.reader() {
            parts.push(attribute_text(attribute?)?);
        }
        rdns.push(parts.join("+"));
    }
    rdns.reverse();
    Ok(rdns.join(","))
}

/// The last common name.
pub(super) fn common_name(name: &[u8]) -> Result<Option<String>, Fault> {
    let mut found = None;
    for rdn in Tlv::only_of(name, tag::SEQUENCE)?.reader() {
        for attribute in rdn?.expect_tag(tag::SET)?.reader() {
            let (oid, value) = parts(attribute?)?;
            if oid == COMMON_NAME {
                found = string(value);
            }
        }
    }
    Ok(found)
}

fn parts(attribute: Tlv<'_>) -> Result<(String, Tlv<'_>), Fault> {
    let mut reader = attribute.expect_tag(tag::SEQUENCE)?.reader();
    let oid = reader.read()?.dotted()?;
    Ok((oid, reader.read()?))
}

fn attribute_text(attribute: Tlv<'_>) -> Result<String, Fault> {
    let (oid, value) = parts(attribute)?;
    let short = SHORT_NAMES.iter().find(|(dotted, _)| *dotted == oid);
    Ok(match (short, string(value)) {
        (Some((_, short)), Some(text)) => format!("{short}={}", escape(&text)),
        (Some((_, short)), None) => format!("{short}=#{}", hex::encode(value.raw)),
        (None, _) => format!("{oid}=#{}", hex::encode(value.raw)),
    })
}

/// The text of a DirectoryString or IA5String; `None` for other types and for
/// bytes that are not text.
pub(super) fn string(value: Tlv<'_>) -> Option<String> {
    const TELETEX: u8 = 0x14;
    const BMP: u8 = 0x1e;
    match value.tag {
        tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING => {
            String::from_utf8(value.content.to_vec()).ok()
        }
        // In practice Latin 1, whatever T.61 says.
        TELETEX => Some(value.content.iter().map(|b| char::from(*b)).collect()),
        BMP => {
            let (units, rest) = value.content.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            let text = char::decode_utf16(units).collect::<Result<_, _>>().ok();
            text.filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

/// RFC 4514 §2.4; control characters too, because names reach logs.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (index, c) in text.chars().enumerate() {
        let edge = index == 0 || index == last;
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', c]),
            ' ' if edge => out.push_str("\\ "),
            '#' if index == 0 => out.push_str("\\#"),
            c if c.is_control() => {
                let mut utf8 = [0; 4];
                for byte in c.encode_utf8(&mut utf8).bytes() {
                    out.push('\\');
                    out.push_str(&hex::encode(&[byte]));
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Every `uniformResourceIdentifier` in GeneralNames (RFC 5280 §4.2.1.6).
pub(super) fn uris(general_names: Reader<'_>) -> Result<Vec<String>, Fault> {
    let mut out = Vec::new();
    for name in general_names {
        out.extend(uri(name?));
    }
    Ok(out)
}

/// The address when this GeneralName is an `http` or `https` one.
pub(super) fn uri(general_name: Tlv<'_>) -> Option<String> {
    if general_name.tag != tag::context_primitive(6) {
        return None;
    }
    let text = std::str::from_utf8(general_name.content).ok()?;
    let scheme = text.split_once("://")?.0.to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::tlv;
    use const_oid::ObjectIdentifier;

    fn attribute(oid: &str, kind: u8, value: &[u8]) -> Vec<u8> {
        let oid = tlv::oid(ObjectIdentifier::new_unwrap(oid));
        let pair = tlv::element(tag::SEQUENCE, &[&oid, &tlv::element(kind, &[value])]);
        tlv::element(tag::SET, &[&pair])
    }

    fn name_of(oid: &str, kind: u8, value: &[u8]) -> String {
        text(&tlv::element(
            tag::SEQUENCE,
            &[&attribute(oid, kind, value)],
        ))
        .unwrap()
    }

    #[test]
    fn names_read_backwards_with_short_types() {
        let name = tlv::element(
            tag::SEQUENCE,
            &[
                &attribute("2.5.4.6", tag::PRINTABLE_STRING, b"LU"),
                &attribute(COMMON_NAME, tag::UTF8_STRING, "Testine Zoé".as_bytes()),
            ],
        );
        assert_eq!(text(&name).unwrap(), "CN=Testine Zoé,C=LU");
        assert_eq!(common_name(&name).unwrap().unwrap(), "Testine Zoé");
    }

    #[test]
    fn special_characters_are_escaped() {
        let utf8 = tag::UTF8_STRING;
        assert_eq!(
            name_of(COMMON_NAME, utf8, b" #a,b+c "),
            "CN=\\ #a\\,b\\+c\\ "
        );
        assert_eq!(name_of(COMMON_NAME, utf8, b"#a\nb"), "CN=\\#a\\0ab");
    }

    #[test]
    fn unknown_types_and_bytes_that_are_not_text_become_hex() {
        assert_eq!(name_of("1.2.3", tag::UTF8_STRING, b"x"), "1.2.3=#0c0178");
        assert_eq!(
            name_of(COMMON_NAME, tag::UTF8_STRING, &[0xff]),
            "CN=#0c01ff"
        );
        assert_eq!(name_of(COMMON_NAME, 0x1e, b"\0A\0b"), "CN=Ab");
    }
}
