//! Simulation: outbox, intake, delivery, workers and store as they are, in one
//! process, under a seeded scheduler with simulated time, insurer, token, trust
//! services and deaths. `SCEAU_SEED=<n> cargo test --test it simulation` plays
//! one seed again; `make simulate SEEDS=<n>` plays many.

mod history;
mod insurer;
mod stage;
mod trust;
mod weather;
mod world;

use history::Rule;
use sceau::base::hold::Defect;
use std::time::Instant;
use weather::Climate;
use world::{Outcome, play, play_in};

/// Documents handed in in one simulation.
const DOCUMENTS: usize = 50;
/// Seeds of a run without `SCEAU_SEEDS`.
const SEEDS: u64 = 25;
/// Seeds after which a planted defect counts as not found.
const SEEDS_MAX: u64 = 2000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn told(seed: u64, outcome: &Outcome) -> String {
    let violations: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    let violations = violations.join("\n  ");
    format!(
        "seed {seed}:\n  {violations}\nagain: SCEAU_SEED={seed} cargo test --test it simulation::whatever"
    )
}

#[test]
fn whatever_fails_each_document_takes_effect_once_or_is_refused_or_seen_to_be_open() {
    let (first, last) = match number("SCEAU_SEED") {
        Some(seed) => (seed, seed),
        None => {
            let first = number("SCEAU_FIRST_SEED").unwrap_or(1);
            (first, first + number("SCEAU_SEEDS").unwrap_or(SEEDS) - 1)
        }
    };
    let (began, mut sum, mut bad) = (Instant::now(), Outcome::default(), Vec::new());
    for seed in first..=last {
        let outcome = play(seed, DOCUMENTS, None);
        sum.documents += outcome.documents;
        sum.acknowledged += outcome.acknowledged;
        sum.effects += outcome.effects;
        sum.arrivals += outcome.arrivals;
        sum.questions += outcome.questions;
        sum.deaths += outcome.deaths;
        sum.points += outcome.points;
        if !outcome.violations.is_empty() {
            bad.push(told(seed, &outcome));
        }
        if seed % 1000 == 0 {
            eprintln!(
                "{seed}: {} documents, {} bad, {:?}",
                sum.documents,
                bad.len(),
                began.elapsed()
            );
        }
    }
    println!(
        "seeds {first} to {last}: documents {}, acknowledged {}, effects {}, arrivals {}, questions {}, deaths {}, points {}, seeds with violations {}, {:?}",
        sum.documents,
        sum.acknowledged,
        sum.effects,
        sum.arrivals,
        sum.questions,
        sum.deaths,
        sum.points,
        bad.len(),
        began.elapsed()
    );
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// In this seed a clock that was ahead is set right between a signature and its
/// timestamp.
#[test]
fn a_clock_set_right_within_a_step_leaves_nothing_behind() {
    let outcome = play(818, DOCUMENTS, None);
    assert!(outcome.violations.is_empty(), "{}", told(818, &outcome));
}

#[test]
fn a_seed_plays_the_same_way_twice() {
    for seed in 1..=8 {
        let (first, second) = (play(seed, 20, None), play(seed, 20, None));
        assert_eq!(
            (first.points, first.trace),
            (second.points, second.trace),
            "seed {seed}"
        );
    }
}

/// What makes a defect show sooner; a campaign does without.
fn provoke(defect: Defect, climate: &mut Climate) {
    match defect {
        Defect::BlindResend => (climate.insurer, climate.knows_uuids) = (true, false),
        Defect::AckBeforeCommit => climate.crash_per_million = 20_000,
        Defect::LeaseWithoutExpiry => {
            (climate.signers, climate.senders) = (2, 2);
            (climate.hangs, climate.operations) = (true, vec!["avis", "simple"]);
        }
        Defect::LostWakeUp => {}
        Defect::Downgrade => {
            (climate.authorities, climate.operations) = (true, vec!["avis", "horodate"]);
        }
    }
}

#[test]
fn each_planted_defect_is_found() {
    let is_campaign = number("SCEAU_SEEDS").is_some();
    for defect in Defect::ALL {
        let change = |climate: &mut Climate| match is_campaign {
            true => {}
            false => provoke(defect, climate),
        };
        let found = (1..=SEEDS_MAX).find_map(|seed| {
            let outcome = play_in(seed, DOCUMENTS, Some(defect), change);
            let rule = outcome.violations.first()?.rule;
            Some((seed, rule))
        });
        let (seed, rule) = found.unwrap_or_else(|| panic!("{defect:?} was not found"));
        println!("{defect:?}: after {seed} seeds, as {rule:?}");
        let breaks: &[Rule] = match defect {
            Defect::BlindResend => &[Rule::EffectTwice],
            Defect::AckBeforeCommit => &[Rule::Lost, Rule::Told, Rule::EffectTwice],
            Defect::LeaseWithoutExpiry => &[Rule::Rest],
            Defect::LostWakeUp => &[Rule::Idle],
            Defect::Downgrade => &[Rule::Level],
        };
        assert!(breaks.contains(&rule), "{defect:?} was found as {rule:?}");
    }
}

/// A document signed by a clock that was ahead is signed again when the clock
/// is right: no timestamp could follow its signature.
#[test]
fn a_clock_that_was_ahead_leaves_nothing_behind() {
    for seed in 1..=6 {
        let outcome = play_in(seed, 12, None, |climate| {
            (climate.clock, climate.operations) = (true, vec!["horodate", "complet"]);
        });
        assert!(
            outcome.violations.is_empty(),
            "seed {seed}: {:?}",
            outcome.violations
        );
    }
}
