//! The checks of an operation as `pack.toml` writes them.

use super::{From, Reader, title, whole};
use crate::base::settings::Section;
use crate::forms::Severity;
use crate::forms::pack::{
    Checks, Coded, Condition, CrossReference, DateOrder, Relation, Rule, Sum,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most days between two days of a rule: more than a life.
const DAYS_MAX: i64 = 73_000;

impl Reader<'_, '_> {
    /// Every rule; `None` when one is wrong.
    pub(super) fn checks(&self) -> Option<Checks> {
        let sums = self.rules("sums", |section, from| self.sum(section, from));
        let dates = self.rules("dates", |section, from| self.date(section, from));
        let codes = self.rules("codes", |section, from| self.coded(section, from));
        let references = self.rules("references", |section, from| self.cross(section, from));
        let conditions = self.rules("conditions", |section, from| self.condition(section, from));
        Some(Checks {
            sums: sums?,
            dates: dates?,
            codes: codes?,
            references: references?,
            conditions: conditions?,
        })
    }

    /// Every rule of one kind; `None` when one is wrong.
    fn rules<T>(
        &self,
        key: &str,
        demand: impl Fn(&Section<'_>, From) -> Option<T>,
    ) -> Option<Vec<Rule<T>>> {
        let sections = self.section.tables(key);
        let mut names = BTreeSet::new();
        let read: Vec<_> = sections
            .iter()
            .map(|section| {
                let name = section.text("name");
                if !name.is_empty() && !names.insert(name.clone()) {
                    section.fault("name", format!("\"{name}\" is there twice"));
                }
                let per = self.some_path(section, "per", From::Document);
                // Without `per` there is nothing a relative path could start at.
                let has_per = per.as_ref().is_none_or(Option::is_some);
                self.per.replace(per.clone().flatten());
                let demand = demand(section, if has_per { From::Any } else { From::Document });
                self.per.take();
                let severity = match section.word_or_first("severity", &["error", "warning"]) {
                    "warning" => Severity::Warning,
                    _ => Severity::Error,
                };
                let text = section.has("text").then(|| title(section, "text"));
                Some(Rule {
                    name,
                    per: per?,
                    severity,
                    text: whole(text)?.map(Arc::new),
                    demand: demand?,
                })
            })
            .collect();
        read.into_iter().collect()
    }

    fn sum(&self, section: &Section<'_>, from: From) -> Option<Sum> {
        let plus = self.paths(section, "plus", from);
        if plus.as_ref().is_some_and(Vec::is_empty) {
            section.fault("plus", "names nothing");
        }
        let minus = self.paths(section, "minus", from);
        let relation = match section.word("relation", &["equal", "at-most"]) {
            "at-most" => Relation::AtMost,
            _ => Relation::Equal,
        };
        let total = self.path(section, "total", from);
        Some(Sum {
            plus: plus?,
            minus: minus?,
            relation,
            total: total?,
        })
    }

    fn date(&self, section: &Section<'_>, from: From) -> Option<DateOrder> {
        let earlier = self.path(section, "earlier", from);
        let later = self.path(section, "later", from);
        let days_max = section.some_whole("days_max", 0..=DAYS_MAX);
        Some(DateOrder {
            earlier: earlier?,
            later: later?,
            days_max,
        })
    }

    fn coded(&self, section: &Section<'_>, from: From) -> Option<Coded> {
        let path = self.path(section, "path", from);
        let list = section.text("list");
        let codes = self.lists.get(&list).cloned();
        if codes.is_none() && !list.is_empty() {
            section.fault("list", format!("\"{list}\" is not among [lists]"));
        }
        Some(Coded {
            path: path?,
            list,
            codes: codes?,
        })
    }

    fn cross(&self, section: &Section<'_>, from: From) -> Option<CrossReference> {
        let paths = ["from", "to"].map(|key| self.path(section, key, from));
        let [from, to] = paths;
        Some(CrossReference {
            from: from?,
            to: to?,
        })
    }

    fn condition(&self, section: &Section<'_>, from: From) -> Option<Condition> {
        let when = self.path(section, "when", from);
        let is = section.texts("is");
        let require = self.paths(section, "require", from);
        let forbid = self.paths(section, "forbid", from);
        let (require, forbid) = (require?, forbid?);
        if require.is_empty() && forbid.is_empty() {
            section.fault("require", "neither this nor `forbid` names anything");
        }
        Some(Condition {
            when: when?,
            is,
            require,
            forbid,
        })
    }
}
