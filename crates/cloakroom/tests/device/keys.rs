use std::collections::BTreeSet;

use cloakroom::device::{DeviceAlgorithm, DeviceKey, Proof};

use crate::{Of, vectors};

fn keys() -> BTreeSet<(String, String)> {
    let good = vectors().into_iter().filter(|vector| vector.outcome == "ok");
    good.map(|vector| (vector.key, vector.thumbprint)).collect()
}

#[test]
fn a_key_is_read_as_it_was_written() {
    let mut longest = 0;
    for (text, thumbprint) in keys() {
        let key: DeviceKey = text.parse().unwrap();
        assert_eq!(key.to_text(), text);
        assert_eq!(key.thumbprint(), thumbprint);
        let is_es256 = text.starts_with("es256.");
        let algorithm = if is_es256 { DeviceAlgorithm::Es256 } else { DeviceAlgorithm::Rs256 };
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(serde_json::to_value(&key).unwrap(), text);
        assert_eq!(serde_json::from_value::<DeviceKey>(text.clone().into()).unwrap(), key);
        longest = longest.max(text.len());
        if is_es256 {
            assert_eq!(text.len(), 92);
        }
    }
    // An exponent of 33 bits has three characters more than the usual one.
    assert_eq!(longest + 3, DeviceKey::MAX_TEXT_LENGTH);
}

#[test]
fn a_key_shows_its_algorithm_and_its_thumbprint_alone() {
    for (text, thumbprint) in keys() {
        let key: DeviceKey = text.parse().unwrap();
        let name = key.algorithm().name();
        assert_eq!(format!("{key:?}"), format!("DeviceKey({name} {thumbprint})"));
    }
}

/// <https://www.rfc-editor.org/rfc/rfc7638#section-3.1>
#[test]
fn a_thumbprint_is_that_of_the_rfc() {
    let modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n\
        3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q\
        MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKn\
        qDKgw";
    let key: DeviceKey = format!("rs256.{modulus}.AQAB").parse().unwrap();
    assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn other_text_is_no_key() {
    for (text, _) in keys() {
        for other in [
            String::new(),
            text[1..].to_owned(),
            text[..text.len() - 1].to_owned(),
            text.to_uppercase(),
            format!("{text} "),
            format!("{text}="),
            format!("{text}\n"),
            format!("{text}.AQAB"),
            format!(" {text}"),
            text.replacen("256", "384", 1),
            text.replacen('.', "..", 1),
            text.replacen('.', "", 1),
            format!("es256.{}", &text[6..].repeat(2)),
            text.replacen("rs", "es", 1).replacen("es256.", "es256.AAAA", 1),
            text.replacen("es", "rs", 1).replacen("rs256.", "rs256.A", 1),
            format!("rs256.{}.AQAB", "A".repeat(342)),
            format!("rs256.{}.AQAB", "_".repeat(DeviceKey::MAX_TEXT_LENGTH)),
        ] {
            let error = other.parse::<DeviceKey>().expect_err(&other);
            assert!(!format!("{error} {error:?}").contains(&text[7..20]));
        }
    }
}

#[test]
fn a_stored_point_that_is_not_on_the_curve_verifies_nothing() {
    let renewals = vectors().into_iter().filter(|vector| vector.of == Of::Renewal && vector.outcome == "ok");
    let points = [format!("es256.{}", "A".repeat(86)), format!("es256.{}w", "_".repeat(85))];
    for vector in renewals.filter(|vector| vector.key.starts_with("es256")) {
        let proof = Proof::parse(vector.proof.as_bytes()).unwrap();
        for point in &points {
            assert!(proof.verify(&point.parse().unwrap()).is_err());
        }
    }
}
