//! What the cases showed, for people and for continuous integration.

use super::trial::{Seen, Trial};
use quick_xml::escape::escape;
use std::time::{Duration, Instant};

/// How a case ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// What the software must do.
    pub rule: &'static str,
    /// What it did wrong; none: passed.
    pub faults: Vec<String>,
    /// Its requests, a line each.
    pub requests: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Of a case that has ended.
    pub fn of(trial: Trial, seen: &[Seen], start: Instant) -> Self {
        Self {
            name: trial.name(),
            rule: trial.rule(),
            faults: trial.judge(seen, true),
            requests: seen.iter().map(|seen| seen.line(start)).collect(),
            took: start.elapsed(),
        }
    }
}

/// A case for people to read.
pub fn text(outcome: &Outcome) -> String {
    let verdict = if outcome.faults.is_empty() {
        "passed"
    } else {
        "FAILED"
    };
    let mut out = format!("{verdict}  {:<19} {}\n", outcome.name, outcome.rule);
    for fault in &outcome.faults {
        out += &format!("        {fault}\n");
    }
    if !outcome.faults.is_empty() {
        for request in &outcome.requests {
            out += &format!("        {request}\n");
        }
    }
    out
}

/// All cases in the form of JUnit, which every CI server reads.
pub fn junit(outcomes: &[Outcome]) -> String {
    let failures = outcomes.iter().filter(|o| !o.faults.is_empty()).count();
    let seconds: f32 = outcomes.iter().map(|o| o.took.as_secs_f32()).sum();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"sceau kit\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" time=\"{seconds:.2}\">\n",
        outcomes.len()
    );
    for outcome in outcomes {
        let (name, seconds) = (outcome.name, outcome.took.as_secs_f32());
        out +=
            &format!("<testcase classname=\"sceau.kit\" name=\"{name}\" time=\"{seconds:.2}\">\n");
        if !outcome.faults.is_empty() {
            let faults = outcome.faults.join("\n");
            out += &format!(
                "<failure message=\"{}\">{}</failure>\n",
                escape(outcome.rule),
                escape(faults)
            );
        }
        let requests = outcome.requests.join("\n");
        out += &format!(
            "<system-out>{}</system-out>\n</testcase>\n",
            escape(requests)
        );
    }
    out + "</testsuite>\n</testsuites>\n"
}
