use std::collections::BTreeSet;

use cloakroom::device::{DeviceKey, MAX_PROOF_LENGTH, Proof, ProofError};

use crate::{Of, Vector, vectors};

/// Does what a server does with a proof for this challenge and this key.
fn judge(of: Of, proof: &[u8], challenge: &str, key: &str) -> Result<(), ProofError> {
    let proof = Proof::parse(proof)?;
    match of {
        Of::Registration => assert_eq!(proof.self_signed_key()?.to_text(), key),
        Of::Renewal => proof.verify(&key.parse().unwrap())?,
    }
    assert_eq!(proof.challenge(), challenge);
    Ok(())
}

fn good() -> impl Iterator<Item = Vector> {
    vectors().into_iter().filter(|vector| vector.outcome == "ok")
}

#[test]
fn a_proof_is_taken_or_refused_for_what_is_wrong_with_it() {
    let mut wrong = Vec::new();
    for Vector { name, of, outcome, key, challenge, proof, .. } in vectors() {
        let seen = judge(of, proof.as_bytes(), &challenge, &key).map_or_else(ProofError::as_str, |()| "ok");
        if seen != outcome {
            wrong.push(format!("{of:?}, {name}: {seen}, and not {outcome}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn each_reason_for_a_refusal_is_met() {
    let vectors = vectors();
    let met: BTreeSet<&str> = vectors.iter().map(|vector| vector.outcome.as_str()).collect();
    let all = [
        ProofError::TooLong,
        ProofError::Form,
        ProofError::Encoding,
        ProofError::Json,
        ProofError::Members,
        ProofError::Type,
        ProofError::Algorithm,
        ProofError::Header,
        ProofError::NoChallenge,
        ProofError::NoKey,
        ProofError::UnexpectedKey,
        ProofError::Key,
        ProofError::PrivateKey,
        ProofError::KeySize,
        ProofError::Signature,
    ];
    let expected: BTreeSet<&str> = all.into_iter().map(ProofError::as_str).chain(["ok"]).collect();
    assert_eq!(met, expected);
    let said: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), all.len());
}

#[test]
fn a_proof_with_one_character_changed_is_refused() {
    for Vector { name, of, key, challenge, proof, .. } in good().filter(|vector| vector.name.ends_with("256"))
    {
        assert_eq!(judge(of, proof.as_bytes(), &challenge, &key), Ok(()), "{name}");
        for at in 0..proof.len() {
            for other in [b'A', b'z', b'.', b'=', b' ', 0xe9] {
                let mut changed = proof.clone().into_bytes();
                if changed[at] == other {
                    continue;
                }
                changed[at] = other;
                let judged = match Proof::parse(&changed) {
                    Ok(proof) if of == Of::Renewal => proof.verify(&key.parse().unwrap()),
                    Ok(proof) => proof.self_signed_key().map(drop),
                    Err(error) => Err(error),
                };
                assert!(judged.is_err(), "{name}: {other} at {at}");
            }
            assert!(
                Proof::parse(&proof.as_bytes()[at + 1..]).and_then(|rest| rest.self_signed_key()).is_err()
            );
        }
    }
}

#[test]
fn a_proof_is_good_for_the_key_that_has_signed_it_alone() {
    let keys: BTreeSet<String> = good().map(|vector| vector.key).collect();
    assert!(keys.len() > 4);
    for Vector { name, proof, key, .. } in good().filter(|vector| vector.of == Of::Renewal) {
        let proof = Proof::parse(proof.as_bytes()).unwrap();
        for other in &keys {
            let verified = proof.verify(&other.parse().unwrap());
            let is_other_algorithm = other[..5] != key[..5];
            let expected = match (other == &key, is_other_algorithm) {
                (true, _) => Ok(()),
                (_, true) => Err(ProofError::Algorithm),
                (_, false) => Err(ProofError::Signature),
            };
            assert_eq!(verified, expected, "{name}");
        }
        assert_eq!(proof.self_signed_key(), Err(ProofError::NoKey), "{name}");
    }
}

#[test]
fn a_registration_renews_nothing_though_its_key_is_the_right_one() {
    for Vector { name, proof, key, .. } in good().filter(|vector| vector.of == Of::Registration) {
        let proof = Proof::parse(proof.as_bytes()).unwrap();
        let key: DeviceKey = key.parse().unwrap();
        assert_eq!(proof.verify(&key), Err(ProofError::UnexpectedKey), "{name}");
    }
}

#[test]
fn the_length_is_looked_at_before_anything_else() {
    let longest = vec![b'.'; MAX_PROOF_LENGTH];
    assert_eq!(Proof::parse(&longest).unwrap_err(), ProofError::Form);
    assert_eq!(Proof::parse(&[&longest[..], b"."].concat()).unwrap_err(), ProofError::TooLong);
    // There is room for what browsers send.
    let longest = good().map(|vector| vector.proof.len()).max().unwrap();
    assert!((1_700..MAX_PROOF_LENGTH / 2).contains(&longest), "{longest}");
}

#[test]
fn a_proof_shows_neither_its_challenge_nor_its_signature() {
    for Vector { challenge, proof, .. } in good() {
        let shown = format!("{:?}", Proof::parse(proof.as_bytes()).unwrap());
        assert!(!shown.contains(&challenge) && shown.len() < 110, "{shown}");
    }
}
