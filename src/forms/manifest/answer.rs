//! The answer of an operation as `pack.toml` writes it.

use super::{From, Reader};
use crate::base::settings::Section;
use crate::forms::pack::{AnomalyPaths, AnswerPaths};

impl Reader<'_, '_> {
    pub(super) fn answer(&self, section: &Section<'_>) -> Option<AnswerPaths> {
        let root = self.name(section, "root");
        let uuid = self.path(section, "uuid", From::Element);
        let some = |key| self.some_path(section, key, From::Element);
        let (insurer_id, status) = (some("insurer_id"), some("status"));
        let (accepted, refused) = (section.texts("accepted"), section.texts("refused"));
        let has_status = status.as_ref().is_none_or(Option::is_some);
        for (key, words) in [("accepted", &accepted), ("refused", &refused)] {
            if has_status && words.is_empty() {
                section.fault(key, "has no word, and there is a status");
            } else if !has_status && !words.is_empty() {
                section.fault(key, "has words, but there is no status");
            }
        }
        for word in accepted.iter().filter(|word| refused.contains(word)) {
            section.fault("refused", format!("\"{word}\" is a word of acceptance too"));
        }
        let anomaly = self.anomaly(section);
        let show = self.shows(section, From::Element);
        Some(AnswerPaths {
            root: root?,
            uuid: uuid?,
            insurer_id: insurer_id?,
            status: status?,
            accepted,
            refused,
            anomaly: anomaly?,
            show,
        })
    }

    /// The remarks; `None` when one is wrong.
    fn anomaly(&self, section: &Section<'_>) -> Option<Option<AnomalyPaths>> {
        let some = |key| self.some_path(section, key, From::Element);
        let each = some("anomaly");
        let [code, kind, text, line] = [
            "anomaly_code",
            "anomaly_kind",
            "anomaly_text",
            "anomaly_line",
        ]
        .map(some);
        let (code, kind, text, line) = (code?, kind?, text?, line?);
        match (each?, code) {
            (Some(each), Some(code)) => Some(Some(AnomalyPaths {
                each,
                code,
                kind,
                text,
                line,
            })),
            (None, None) if kind.is_none() && text.is_none() && line.is_none() => Some(None),
            (Some(_), None) => {
                section.fault("anomaly_code", "is missing");
                None
            }
            (None, _) => {
                section.fault("anomaly", "is missing");
                None
            }
        }
    }
}
