//! Chains and evidence judged without I/O, as the verifier does.

use super::*;
use crate::x509::CertStatus;

struct Judge {
    root: Party,
    leaf: Cert,
}

fn case() -> Judge {
    let root = Builder::new("Root").ca(None).build(None);
    let leaf = Builder::new("Leaf").build(Some(&root)).cert;
    Judge { root, leaf }
}

impl Judge {
    fn ocsp(&self, ocsp: &Ocsp, by: &Party) -> Evidence {
        let der = ocsp.sign(&self.leaf, &self.root.cert, by);
        Evidence::from_der(&der).unwrap()
    }

    fn list(&self, list: &List) -> Evidence {
        Evidence::from_der(&list.sign(&self.root)).unwrap()
    }

    fn standing(&self, freshness: Freshness, evidence: &[Evidence]) -> Standing {
        self.judged(freshness, evidence).standing
    }

    fn judged(&self, freshness: Freshness, evidence: &[Evidence]) -> Judgement {
        let question = Question {
            cert: &self.leaf,
            issuer: &self.root.cert,
            freshness,
            now: NOW,
            tolerance: Duration::from_secs(60),
        };
        judge(question, evidence)
    }
}

const SINCE: Freshness = Freshness::IssuedSince(NOW);
const CURRENT: Freshness = Freshness::IssuedSinceOrCurrent(NOW);

#[test]
fn the_newest_word_counts_and_revocation_always() {
    let case = case();
    let good = |seconds| case.ocsp(&Ocsp::good(later(seconds)), &case.root);
    let found = case.judged(SINCE, &[good(-9), good(1), good(-5)]);
    assert_eq!(
        found.standing,
        Standing::Good {
            this_update: later(1)
        }
    );
    let (place, finding) = found.basis.unwrap();
    assert_eq!((place, &finding.signer), (1, &case.root.cert));
    let stale = case.standing(SINCE, &[good(-9), good(-5)]);
    assert_eq!(
        stale,
        Standing::Stale {
            this_update: later(-5)
        }
    );
    // Not lapsed at the time in question.
    assert!(matches!(
        case.standing(CURRENT, &[good(-9)]),
        Standing::Good { .. }
    ));
    assert!(matches!(
        case.standing(CURRENT, &[good(-3601)]),
        Standing::Stale { .. }
    ));
    let listed = case.list(&List::revoking(later(-100), case.leaf.serial()));
    let revoked = Standing::Revoked {
        at: later(-100),
        reason: Some(1),
    };
    assert_eq!(case.standing(SINCE, &[good(1), listed.clone()]), revoked);
    assert_eq!(case.standing(SINCE, &[listed]), revoked);
}

#[test]
fn what_is_no_evidence_is_none() {
    let case = case();
    let none = |evidence: &[Evidence]| match case.standing(SINCE, evidence) {
        Standing::NoEvidence { reasons } => reasons,
        other => panic!("{other:?}"),
    };
    assert!(none(&[]).is_empty());
    let forger = Builder::new("Root").ca(None).build(None);
    let forged = case.ocsp(&Ocsp::revoked(NOW), &forger);
    let forged_list = List::revoking(NOW, case.leaf.serial()).sign(&forger);
    let forged_list = Evidence::from_der(&forged_list).unwrap();
    let future = case.ocsp(&Ocsp::good(later(61)), &case.root);
    let other = Builder::new("Other").serial(&[9]).build(Some(&case.root));
    let about_other = Ocsp::good(NOW).sign(&other.cert, &case.root.cert, &case.root);
    let about_other = Evidence::from_der(&about_other).unwrap();
    assert_eq!(none(&[forged, forged_list, future, about_other]).len(), 4);
    let unknown = Ocsp {
        status: CertStatus::Unknown,
        ..Ocsp::good(NOW)
    };
    let unknown = case.ocsp(&unknown, &case.root);
    assert_eq!(case.standing(SINCE, &[unknown]), Standing::Unknown);
    assert!(Evidence::from_der(b"neither").is_err());
}

#[test]
fn a_delegated_responder_must_be_shown_good_by_the_same_evidence() {
    let case = case();
    let serial = [0x0d, 0xe1];
    let responder = Builder::new("Responder").serial(&serial);
    let responder = responder.purposes(false, &[OCSP_SIGNING]);
    let unchecked = responder.clone().no_check().build(Some(&case.root));
    let checked = responder.build(Some(&case.root));
    let by = |party| case.ocsp(&Ocsp::good(NOW), party);
    let good = Standing::Good { this_update: NOW };
    assert_eq!(case.standing(SINCE, &[by(&unchecked)]), good);
    let alone = case.standing(SINCE, &[by(&checked)]);
    assert!(matches!(alone, Standing::NoEvidence { .. }), "{alone:?}");
    // It must not vouch for itself.
    let own = Ocsp::good(NOW).sign(&checked.cert, &case.root.cert, &checked);
    let own = Evidence::from_der(&own).unwrap();
    let vain = case.standing(SINCE, &[by(&checked), own]);
    assert!(matches!(vain, Standing::NoEvidence { .. }), "{vain:?}");
    let by_root = Ocsp::good(NOW).sign(&checked.cert, &case.root.cert, &case.root);
    let by_root = Evidence::from_der(&by_root).unwrap();
    assert_eq!(case.standing(SINCE, &[by(&checked), by_root.clone()]), good);
    let revoked = case.list(&List::revoking(NOW, &serial));
    let spoilt = [by(&checked), by_root, revoked];
    // The list itself says that the leaf is good.
    let (place, _) = case.judged(SINCE, &spoilt).basis.unwrap();
    assert_eq!(place, 2);
}

#[test]
fn a_mesh_of_crossed_authorities_costs_little() {
    // Every authority has certified every other: 20 names, 380 certificates, and
    // far more ways through them than could ever be tried.
    let parties: Vec<Party> = (0..20)
        .map(|n| Builder::new(&format!("CA {n}")).ca(None).build(None))
        .collect();
    let key = |party: &Party| rcgen::KeyPair::from_pem(&party.key.serialize_pem()).unwrap();
    let mut pool = Vec::new();
    for (n, subject) in parties.iter().enumerate() {
        for (m, issuer) in parties.iter().enumerate().filter(|(m, _)| *m != n) {
            let builder = Builder::new(&format!("CA {n}")).serial(&[n as u8 + 1, m as u8]);
            let builder = builder.ca(None);
            pool.push(builder.build_for(key(subject), Some(issuer)).cert);
        }
    }
    let root = Builder::new("Root").ca(None).build(None);
    let leaf = Builder::new("Leaf").build(parties.first()).cert;
    let anchors = [root.cert.clone()];
    let (lost, tries) = chain::counted(&leaf, &pool, &anchors, NOW);
    assert!(
        matches!(lost, Err(TrustError::NotTrusted { .. })),
        "{lost:?}"
    );
    assert_eq!(tries, 256);
    // A way out two authorities up is found, and the shortest of all.
    let bridge = Builder::new("CA 7").serial(&[99]).ca(None);
    let bridge = bridge.build_for(key(&parties[7]), Some(&root)).cert;
    pool.push(bridge.clone());
    let (found, tries) = chain::counted(&leaf, &pool, &anchors, NOW);
    let found = found.unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(found[2..], [bridge, root.cert.clone()]);
    // Once for each certificate of each authority up to the right one.
    assert!(tries <= 19 * 8 + 2, "{tries}");
}
