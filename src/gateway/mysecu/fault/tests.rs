//! The table in the documentation is the table in the code.

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/mysecu-faults.md");

fn wait(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds => format!("{} min", seconds / 60),
    }
}

fn who(class: FaultClass) -> &'static str {
    match class {
        Ours => "ours",
        Network => "network",
        ReceiverDown => "receiver",
        Account => "account",
    }
}

fn line(row: &Row) -> String {
    let source = match row.source {
        Detail => "detail",
        Wsse => "wsse",
        Wst => "wst",
        Soap => "soap",
        Here => "Sceau",
    };
    let exchange = match row.verdict {
        Refused => "refused, final".to_owned(),
        Duplicate => "known already: ask".to_owned(),
        Retry(after, class) => format!("again after {} ({})", wait(after), who(class)),
        Renew(after, class) => format!(
            "renew and send once more, then again after {} ({})",
            wait(after),
            who(class)
        ),
        Unknown(class) => format!("unknown: ask ({})", who(class)),
    };
    let (after, class) = before(row.verdict);
    format!(
        "| {source} | `{}` | {exchange} | {} ({}) | {} |",
        row.code,
        wait(after),
        who(class),
        row.text
    )
}

#[test]
fn the_documented_table_is_the_table_in_the_code() {
    let documented: Vec<&str> = DOCUMENT
        .lines()
        .filter(|l| l.starts_with("| ") && !l.starts_with("| from"))
        .collect();
    let expected: Vec<String> = TABLE.iter().map(line).collect();
    assert_eq!(documented, expected, "write:\n{}", expected.join("\n"));
}

#[test]
fn every_foreign_source_ends_with_a_row_for_all_other_codes() {
    for source in [Detail, Wsse, Wst, Soap] {
        let last = TABLE.iter().rev().find(|row| row.source == source);
        assert_eq!(last.map(|row| row.code), Some("*"), "{source:?}");
    }
    assert_eq!(last_resort().code, "fault-unknown");
}
