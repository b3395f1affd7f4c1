use super::*;
use time::macros::date;

const ADULT: Option<&str> = Some("1893120105732");
const CHILD: Option<&str> = Some("2016041200186");
const TODAY: Date = date!(2026 - 09 - 14);

fn line<'a>(id: &'a str, act: &'a str) -> Line<'a> {
    Line {
        id,
        day: TODAY,
        has_hour: false,
        act,
        suffixes: Vec::new(),
        count: 1,
        asked: None,
    }
}

fn codes(matricule: Option<&str>, lines: &[Line<'_>]) -> Vec<(String, String)> {
    let found = price(matricule, lines, TODAY).anomalies.into_iter();
    found
        .map(|a| (a.code.into_owned(), a.line.unwrap_or_default()))
        .collect()
}

fn amounts(ruling: &Ruling<'_>) -> Vec<[String; 4]> {
    let text = |p: &Priced<'_>| {
        [p.opposable, p.non_opposable, p.statutory, p.personal].map(|a| a.to_string())
    };
    ruling.lines.iter().map(text).collect()
}

#[test]
fn the_observed_answer_comes_out_of_the_whole_engine() {
    let ruling = price(ADULT, &[line("a", "X0")], TODAY);
    assert_eq!(amounts(&ruling), [["57.70", "0.00", "50.78", "6.92"]]);
    assert!(ruling.anomalies.is_empty());
    let child = price(CHILD, &[line("a", "X0")], TODAY);
    assert_eq!(amounts(&child), [["57.70", "0.00", "57.70", "0.00"]]);
}

#[test]
fn counts_suffixes_and_what_is_asked_make_the_amounts() {
    let mut thrice = line("a", "C1");
    thrice.count = 3;
    thrice.suffixes = vec!["E"];
    thrice.asked = Some(Decimal::new(22000, 2));
    // 62.6 × 1.10 = 68.86 -> 68.9, three times 206.7.
    let ruling = price(ADULT, &[thrice], TODAY);
    assert_eq!(amounts(&ruling), [["206.70", "13.30", "181.90", "24.80"]]);
    let whole = price(CHILD, &[line("b", "X8")], TODAY);
    assert_eq!(amounts(&whole), [["0.00", "20.90", "0.00", "0.00"]]);
}

#[test]
fn a_companion_is_answered_without_amount() {
    let ruling = price(ADULT, &[line("a", "X9")], TODAY);
    let codes: Vec<_> = ruling.lines.iter().map(|p| (&*p.id, p.act)).collect();
    assert_eq!(codes, [("a", "X9"), ("SBX-a", "X9Z")]);
    assert_eq!(amounts(&ruling)[1], ["0.00"; 4]);
}

#[test]
fn what_breaks_a_rule_is_not_covered_and_the_patient_pays_it() {
    let mut unknown = line("a", "Y1");
    unknown.asked = Some(Decimal::new(4000, 2));
    let ruling = price(
        ADULT,
        &[unknown, line("b", "X5"), line("c", "Y2"), line("d", "C1")],
        TODAY,
    );
    let counts: Vec<_> = ruling.lines.iter().map(|p| p.count).collect();
    assert_eq!(counts, [0, 0, 0, 1]);
    let expected = [
        ["0.00", "40.00", "0.00", "0.00"],
        ["0.00", "47.10", "0.00", "0.00"],
        ["0.00", "0.00", "0.00", "0.00"],
        ["62.60", "0.00", "55.09", "7.51"],
    ];
    assert_eq!(amounts(&ruling), expected);
}

#[test]
fn each_rule_is_broken_alone_and_its_near_miss_passes() {
    let with = |act: &'static str, change: fn(&mut Line<'_>)| {
        let mut line = line("7", act);
        change(&mut line);
        line
    };
    let cases = [
        ("SBX-001", with("Y1", |_| ()), with("C1", |_| ())),
        (
            "SBX-002",
            with("X1", |_| ()),
            with("X1", |l| l.day = date!(2025 - 12 - 31)),
        ),
        (
            "SBX-003",
            with("C1", |l| l.suffixes = vec!["Q"]),
            with("C1", |l| l.suffixes = vec!["K"]),
        ),
        (
            "SBX-004",
            with("X2", |l| l.suffixes = vec!["E"]),
            with("X2", |_| ()),
        ),
        ("SBX-005", with("X3", |l| l.count = 2), with("X3", |_| ())),
        ("SBX-007", with("X5", |_| ()), with("X4", |_| ())),
        (
            "SBX-009",
            with("X7", |_| ()),
            with("X7", |l| l.has_hour = true),
        ),
        (
            "SBX-011",
            with("C1", |l| l.day = date!(2026 - 09 - 15)),
            with("C1", |_| ()),
        ),
    ];
    for (code, bad, good) in cases {
        let found = codes(ADULT, &[bad]);
        assert_eq!(found, [(code.to_owned(), "7".to_owned())]);
        assert!(codes(ADULT, &[good]).is_empty(), "{code}");
    }
    assert_eq!(codes(ADULT, &[line("7", "X6")])[0].0, "SBX-008");
    assert!(codes(CHILD, &[line("7", "X6")]).is_empty());
    let mut together = [line("1", "X4"), line("2", "C2")];
    assert_eq!(
        codes(ADULT, &together),
        [("SBX-006".to_owned(), "1".to_owned())]
    );
    together[1].day = date!(2026 - 09 - 13);
    assert!(codes(ADULT, &together).is_empty());
}

#[test]
fn eighteen_is_reached_on_the_birthday() {
    let born = "2008091400000";
    assert!(is_minor(born, date!(2026 - 09 - 13)));
    assert!(!is_minor(born, TODAY));
    assert!(!is_minor("2008000000000", date!(2026 - 01 - 01)));
    assert!(is_minor("2008123400000", date!(2026 - 12 - 31)));
    assert!(!is_minor("short", TODAY));
    assert_eq!(
        price(None, &[line("a", "C1")], TODAY).lines[0].personal,
        Decimal::new(751, 2)
    );
}

#[test]
fn the_page_tells_every_act_with_its_tariff_and_every_code() {
    let page = include_str!("../../../docs/sandbox.md");
    let amount = |amount: Decimal| amount.to_string();
    for act in acts::ACTS {
        let row = page
            .lines()
            .find(|row| row.starts_with("| `") && row.contains(&format!("`{}`", act.code)));
        let row = row.unwrap_or_else(|| panic!("no row for {}", act.code));
        let told = [
            amount(Decimal::new(act.coefficient, 2)),
            amount(tariff::tariff(act.coefficient)),
        ];
        assert!(told.iter().all(|t| row.contains(t)), "{row}: {told:?}");
    }
    for rule in Rule::ALL {
        assert!(
            page.contains(&format!("`{}`", rule.code())),
            "{}",
            rule.code()
        );
    }
}
