//! A sheet for people: printed as it is, or shown on a terminal. No script, no
//! reference to anything outside.

use crate::xml::escape_text;
use std::fmt::Write;

const STYLE: &str = "body{font:10pt/1.4 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
h1{font-size:16pt}h2{font-size:12pt;margin-top:1.6em;break-after:avoid}table{border-collapse:collapse;width:100%}\
th,td{border:1px solid #999;padding:.25em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
tr{break-inside:avoid}.pass{color:#060}.fail{color:#a00;font-weight:bold}@page{margin:18mm}";

/// A titled list of facts and of tables.
#[derive(Debug, Default)]
pub struct Sheet {
    /// Title.
    pub title: String,
    /// Name and value.
    pub facts: Vec<(String, String)>,
    /// The tables.
    pub sections: Vec<Section>,
}

/// A table under a title.
#[derive(Debug, Default)]
pub struct Section {
    /// Title.
    pub title: String,
    /// A sentence under it; may be empty.
    pub note: String,
    /// Headings.
    pub columns: Vec<&'static str>,
    /// As many cells each as there are headings.
    pub rows: Vec<Vec<Cell>>,
}

/// What stands in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// Whether something is as it must be.
    Verdict(bool),
}

impl Cell {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Verdict(true) => "oui",
            Self::Verdict(false) => "NON",
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl Sheet {
    /// As one HTML file.
    pub fn html(&self) -> String {
        let title = escape_text(&self.title);
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"fr\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<table>\n"
        );
        for (name, value) in &self.facts {
            let (name, value) = (escape_text(name), escape_text(value));
            let _ = writeln!(out, "<tr><th>{name}</th><td>{value}</td></tr>");
        }
        out.push_str("</table>\n");
        for section in &self.sections {
            let _ = writeln!(out, "<h2>{}</h2>", escape_text(&section.title));
            if !section.note.is_empty() {
                let _ = writeln!(out, "<p>{}</p>", escape_text(&section.note));
            }
            out.push_str("<table>\n<tr>");
            for column in &section.columns {
                let _ = write!(out, "<th>{}</th>", escape_text(column));
            }
            out.push_str("</tr>\n");
            for row in &section.rows {
                out.push_str("<tr>");
                for cell in row {
                    let class = match cell {
                        Cell::Text(_) => "",
                        Cell::Verdict(true) => " class=\"pass\"",
                        Cell::Verdict(false) => " class=\"fail\"",
                    };
                    let _ = write!(out, "<td{class}>{}</td>", escape_text(cell.text()));
                }
                out.push_str("</tr>\n");
            }
            out.push_str("</table>\n");
        }
        out.push_str("</body></html>\n");
        out
    }

    /// As plain text.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{}\n{}\n",
            self.title,
            "=".repeat(self.title.chars().count())
        );
        let facts: Vec<_> = self
            .facts
            .iter()
            .map(|(name, value)| [name.as_str(), value])
            .collect();
        aligned(&mut out, facts.iter().map(<[_; 2]>::as_slice).collect());
        for section in &self.sections {
            let _ = write!(
                out,
                "\n{}\n{}\n",
                section.title,
                "-".repeat(section.title.chars().count())
            );
            if !section.note.is_empty() {
                let _ = writeln!(out, "{}", section.note);
            }
            let rows: Vec<Vec<&str>> = std::iter::once(section.columns.clone())
                .chain(
                    section
                        .rows
                        .iter()
                        .map(|row| row.iter().map(Cell::text).collect()),
                )
                .collect();
            aligned(&mut out, rows.iter().map(Vec::as_slice).collect());
        }
        out
    }
}

/// Writes rows with their columns below each other.
fn aligned(out: &mut String, rows: Vec<&[&str]>) {
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_carries_no_markup_of_its_texts_and_nothing_from_outside() {
        let sheet = Sheet {
            title: "Fiche <b>".into(),
            facts: vec![("nom".into(), "<script>alert(1)</script> & co".into())],
            sections: vec![Section {
                title: "essais".into(),
                note: String::new(),
                columns: vec!["cas", "réussi"],
                rows: vec![
                    vec!["premier".into(), Cell::Verdict(true)],
                    vec!["x<y".into(), Cell::Verdict(false)],
                ],
            }],
        };
        let html = sheet.html();
        assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains("src="));
        assert!(!html.contains("href") && !html.contains("http"));
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; co"));
        assert!(html.contains("<td class=\"fail\">NON</td>"));
        assert!(
            sheet
                .text()
                .contains("cas      réussi\npremier  oui\nx<y      NON\n")
        );
    }
}
