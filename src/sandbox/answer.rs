//! The XML of answers: for forms known here as their schemas say, for others
//! from the places their packs name.

use crate::anomaly::Anomaly;
use crate::ledger::{Entry, Verdict};
use crate::services::Shape;
use sceau::xml::path::Namespaces;
use sceau::xml::{escape_attribute, escape_text};

/// An element with text or children; enough to fill the places of a pack.
#[derive(Debug, Default)]
pub struct Tree {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Tree>,
    /// XML that stands in place of the element.
    instead: Option<String>,
}

impl Tree {
    /// An empty element.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Declares prefixes.
    pub fn declare(&mut self, namespaces: &Namespaces) {
        let declared = namespaces
            .iter()
            .map(|(prefix, uri)| (format!("xmlns:{prefix}"), uri.clone()));
        self.attributes.extend(declared);
    }

    /// Puts `text` at a relative path such as `a:b/a:c` or `a:b/@d`, behind
    /// what is there. Steps are shared with the element put last.
    pub fn put(&mut self, path: &str, text: &str) {
        match path
            .split_once("/@")
            .or_else(|| Some(("", path.strip_prefix('@')?)))
        {
            Some((path, attribute)) => {
                let pair = (attribute.to_owned(), text.to_owned());
                self.element(path).attributes.push(pair);
            }
            None => self.element(path).text = text.to_owned(),
        }
    }

    /// Puts ready XML where the element at the path would stand.
    pub fn graft(&mut self, path: &str, xml: String) {
        self.element(path).instead = Some(xml);
    }

    /// A new element at a path; for an empty path this one.
    pub fn element(&mut self, path: &str) -> &mut Self {
        let (first, rest) = match path.split_once('/') {
            _ if path.is_empty() => return self,
            Some((first, rest)) => (first, rest),
            None => (path, ""),
        };
        let shared = self
            .children
            .last()
            .is_some_and(|last| !rest.is_empty() && last.name == first && last.text.is_empty());
        if !shared {
            self.children.push(Self::new(first));
        }
        let index = self.children.len() - 1;
        self.children[index].element(rest)
    }

    /// The XML.
    pub fn xml(&self) -> String {
        if let Some(instead) = &self.instead {
            return instead.clone();
        }
        let attributes = self.attributes.iter();
        let attributes: String = attributes
            .map(|(name, value)| format!(" {name}=\"{}\"", escape_attribute(value)))
            .collect();
        let name = &self.name;
        let inside: String = self.children.iter().map(Self::xml).collect();
        format!(
            "<{name}{attributes}>{}{inside}</{name}>",
            escape_text(&self.text)
        )
    }
}

/// The answer of a form known here. A refused document has no `uuidSecu`.
pub fn known(shape: Shape, namespace: &str, entry: &Entry) -> String {
    let Shape { prefix, root } = shape;
    let (word, secu_id) = match entry.verdict {
        Verdict::Accepted => {
            let id = format!("<{prefix}:uuidSecu>{}</{prefix}:uuidSecu>", entry.secu_id);
            ("accepte", id)
        }
        Verdict::Refused(_) => ("refuse", String::new()),
    };
    let anomalies: String = entry.anomalies.iter().map(|a| anomaly(prefix, a)).collect();
    let anomalies = match anomalies.is_empty() {
        true => anomalies,
        false => format!("<{prefix}:anomalies>{anomalies}</{prefix}:anomalies>"),
    };
    format!(
        "<{prefix}:{root} xmlns:{prefix}=\"{namespace}\"><{prefix}:uuidPrestataire>{}\
         </{prefix}:uuidPrestataire>{secu_id}<{prefix}:statut>{word}</{prefix}:statut>\
         <{prefix}:dateReception>{}</{prefix}:dateReception>{}{anomalies}</{prefix}:{root}>",
        entry.uuid, entry.received_at, entry.content,
    )
}

fn anomaly(prefix: &str, anomaly: &Anomaly) -> String {
    let element = |name: &str, text: &str| {
        format!("<{prefix}:{name}>{}</{prefix}:{name}>", escape_text(text))
    };
    let line = anomaly.line.as_deref().map(|line| element("ligne", line));
    let parts = [
        element("type", &anomaly.kind),
        element("code", &anomaly.code),
        element("motif", &anomaly.text),
        line.unwrap_or_default(),
    ];
    format!("<{prefix}:anomalie>{}</{prefix}:anomalie>", parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in_order_and_share_their_steps() {
        let mut tree = Tree::new("a:answer");
        let names = [("a".to_owned(), "urn:a&b".to_owned())];
        tree.declare(&names.into());
        tree.put("a:head/a:uuid", "1");
        tree.put("a:head/a:id", "<2>");
        tree.put("a:state/@a:word", "ok");
        for code in ["X", "Y"] {
            let item = tree.element("a:remarks/a:remark");
            item.put("a:code", code);
        }
        tree.graft("a:rest/a:inner", "<z/>".to_owned());
        assert_eq!(
            tree.xml(),
            "<a:answer xmlns:a=\"urn:a&amp;b\"><a:head><a:uuid>1</a:uuid><a:id>&lt;2&gt;</a:id>\
             </a:head><a:state a:word=\"ok\"></a:state><a:remarks><a:remark><a:code>X</a:code>\
             </a:remark><a:remark><a:code>Y</a:code></a:remark></a:remarks><a:rest><z/></a:rest>\
             </a:answer>"
        );
    }
}
