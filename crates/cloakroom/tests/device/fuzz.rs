//! Random proofs: none makes the reader panic, and one is taken only if it says and has what a device's has.

use std::collections::BTreeSet;

use base64ct::{Base64UrlUnpadded, Encoding};
use cloakroom::device::{
    BoundSessionId, Challenge, DeviceKey, EndpointPath, Proof, ProofError, challenge_header,
    registration_header,
};
use fastrand::Rng;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Map, Value, json};

use crate::{Of, Vector, vectors};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn rounds() -> u64 {
    setting("CLOAKROOM_FUZZ_ROUNDS", 2_000)
}

fn random() -> Rng {
    Rng::with_seed(setting("CLOAKROOM_FUZZ_SEED", 1))
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

/// Returns bytes that are nearly these.
fn damaged(random: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    const MEANT: &[u8] = b"..--__=+/ \"\\{}[],:\0\xff";
    let mut bytes = bytes.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..=bytes.len());
        let byte = if random.bool() { MEANT[random.usize(..MEANT.len())] } else { random.u8(..) };
        match random.u8(0..5) {
            0 if at < bytes.len() => drop(bytes.remove(at)),
            1 if at < bytes.len() => bytes[at] = byte,
            2 => bytes.insert(at, byte),
            3 => {
                let end = random.usize(at..=bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// What a server makes of it: the key and the challenge that it takes it for.
fn judge(of: Of, proof: &[u8], key: &DeviceKey) -> Result<(DeviceKey, String), ProofError> {
    let proof = Proof::parse(proof)?;
    let key = match of {
        Of::Registration => proof.self_signed_key()?,
        Of::Renewal => proof.verify(key).map(|()| key.clone())?,
    };
    Ok((key, proof.challenge().to_owned()))
}

#[test]
fn a_damaged_proof_is_refused() {
    let random = &mut random();
    let good: Vec<Vector> = vectors().into_iter().filter(|vector| vector.outcome == "ok").collect();
    let mut met = BTreeSet::new();
    for _ in 0..rounds() {
        let vector = &good[random.usize(..good.len())];
        let mut proof = vector.proof.clone().into_bytes();
        if random.bool() {
            proof = damaged(random, &proof);
        } else {
            // Within a part, which is still base64url.
            let mut parts: Vec<String> = vector.proof.split('.').map(str::to_owned).collect();
            let part = &mut parts[random.usize(..3)];
            *part = base64(damaged(random, &Base64UrlUnpadded::decode_vec(part).unwrap()));
            proof = parts.join(".").into_bytes();
        }
        match judge(vector.of, &proof, &vector.key.parse().unwrap()) {
            Ok(_) => assert_eq!(proof, vector.proof.as_bytes(), "{} was changed, and taken", vector.name),
            Err(error) => drop(met.insert(error.as_str())),
        }
    }
    assert!(met.len() > 5, "{met:?}");
}

struct Device {
    pair: EcdsaKeyPair,
    generator: SystemRandom,
}

impl Device {
    fn new() -> Self {
        let generator = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &generator).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &generator).unwrap();
        Self { pair, generator }
    }

    /// The coordinates of its point.
    fn coordinates(&self) -> (String, String) {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        (base64(x), base64(y))
    }

    fn key(&self) -> DeviceKey {
        format!("es256.{}", base64(&self.pair.public_key().as_ref()[1..])).parse().unwrap()
    }

    fn sign(&self, head: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64(head), base64(claims));
        let signature = self.pair.sign(&self.generator, signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64(signature))
    }
}

/// A value that is seldom the right one.
fn value(random: &mut Rng) -> Value {
    match random.u8(0..9) {
        0 => Value::Null,
        1 => json!(["ES256", "dbsc+jwt"]),
        2 => json!({"alg": "ES256", "d": "AA"}),
        3 => random.u32(..).into(),
        4 => "".into(),
        5 => "none".into(),
        6 => "RS256".into(),
        7 => "sig".into(),
        _ => (0..random.usize(0..4)).map(|_| random.char(..)).collect::<String>().into(),
    }
}

/// Writes the members with some more, some fewer, some others, and in any order; and says whether one is there twice.
fn written(
    random: &mut Rng,
    members: &[(&str, Value)],
    names: &[&str],
) -> (String, Map<String, Value>, bool) {
    let mut members: Vec<(String, Value)> =
        members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    while random.u8(0..3) == 0 {
        let at = random.usize(0..=members.len());
        match random.u8(0..3) {
            0 if at < members.len() => drop(members.remove(at)),
            1 if at < members.len() => members[at].1 = value(random),
            _ => members.insert(at, (names[random.usize(..names.len())].to_owned(), value(random))),
        }
    }
    random.shuffle(&mut members);
    let map: Map<String, Value> = members.iter().cloned().collect();
    let is_repeated = map.len() < members.len();
    let space = |random: &mut Rng| if random.u8(0..8) == 0 { " \n" } else { "" };
    let text: Vec<String> = members
        .iter()
        .map(|(name, value)| {
            format!("{}{}{}:{value}", space(random), Value::from(name.as_str()), space(random))
        })
        .collect();
    (format!("{{{}{}}}", text.join(","), space(random)), map, is_repeated)
}

/// What each member is for, told a second time: a member that is none of these is ignored in the header and the claims.
const IN_HEADER: [&str; 14] = [
    "alg", "typ", "jwk", "crit", "b64", "jku", "kid", "x5u", "x5c", "x5t", "x5t#S256", "enc", "zip", "other",
];
const IN_JWK: [&str; 14] =
    ["kty", "crv", "x", "y", "n", "e", "d", "p", "oth", "k", "alg", "use", "key_ops", "other"];

#[test]
fn what_a_device_has_signed_is_taken_if_and_only_if_it_says_what_a_device_says() {
    let random = &mut random();
    let (device, other) = (Device::new(), Device::new());
    let (x, y) = device.coordinates();
    let (mut taken, mut refused) = (0_u64, 0_u64);
    for _ in 0..rounds() {
        let of = if random.bool() { Of::Registration } else { Of::Renewal };
        let point = [("kty", json!("EC")), ("crv", json!("P-256")), ("x", json!(x)), ("y", json!(y))];
        let (jwk, jwk_members, is_jwk_repeated) = written(random, &point, &IN_JWK);
        let mut members = vec![("alg", json!("ES256")), ("typ", json!("dbsc+jwt"))];
        if of == Of::Registration {
            // It is put in afterwards, as it was written.
            members.push(("jwk", json!("JWK")));
        }
        let (head, head_members, is_head_repeated) = written(random, &members, &IN_HEADER);
        let head = head.replacen(r#""JWK""#, &jwk, 1);
        let challenge = Challenge::generate().unwrap();
        let (claims, claim_members, are_claims_repeated) =
            written(random, &[("jti", json!(challenge.as_str()))], &["jti", "aud", "authorization", "exp"]);
        let signer = if random.u8(0..8) == 0 { &other } else { &device };
        let proof = signer.sign(&head, &claims);

        let is_known = |name: &str, known: &[&str]| known.contains(&name);
        let is_head_good = !is_head_repeated
            && head_members.get("alg") == Some(&json!("ES256"))
            && head_members.get("typ") == Some(&json!("dbsc+jwt"))
            && head_members.keys().all(|name| is_known(name, &["alg", "typ", "jwk", "other"]));
        let is_jwk_good = match (of, head_members.get("jwk")) {
            (Of::Renewal, jwk) => jwk.is_none(),
            (Of::Registration, jwk) => {
                jwk == Some(&json!("JWK"))
                    && !is_jwk_repeated
                    && point.iter().all(|(name, value)| jwk_members.get(*name) == Some(value))
                    && jwk_members.get("alg").is_none_or(|alg| alg == "ES256")
                    && jwk_members.get("use").is_none_or(|r#use| r#use == "sig")
                    && jwk_members.keys().all(|name| is_known(name, &["kty", "crv", "x", "y", "alg", "use"]))
            }
        };
        let answered = claim_members.get("jti").and_then(Value::as_str).filter(|text| !text.is_empty());
        let is_good = is_head_good
            && is_jwk_good
            && !are_claims_repeated
            && answered.is_some()
            && std::ptr::eq(signer, &raw const device);
        let judged = judge(of, proof.as_bytes(), &device.key());
        match judged {
            Ok((key, said)) => {
                assert!(is_good, "{of:?}, {head}, {claims}");
                assert_eq!((key, Some(said.as_str())), (device.key(), answered));
                taken += 1;
            }
            Err(error) => {
                assert!(!is_good, "{error}: {of:?}, {head}, {claims}");
                refused += 1;
            }
        }
    }
    assert!(taken > rounds() / 20 && refused > rounds() / 20, "{taken} taken, {refused} refused");
}

#[test]
fn a_key_is_read_as_it_was_written_and_any_other_text_is_an_error_or_a_key() {
    let random = &mut random();
    let good: Vec<Vector> = vectors().into_iter().filter(|vector| vector.outcome == "ok").collect();
    for _ in 0..rounds() {
        let vector = &good[random.usize(..good.len())];
        let text = damaged(random, vector.key.as_bytes());
        let Ok(text) = String::from_utf8(text) else { continue };
        if let Ok(key) = text.parse::<DeviceKey>() {
            assert_eq!(key.to_text(), text);
            assert!(text.len() <= DeviceKey::MAX_TEXT_LENGTH);
        }
    }
}

#[test]
fn a_header_holds_one_line_of_ascii_and_no_more_strings_than_it_should() {
    let random = &mut random();
    let challenge = Challenge::generate().unwrap();
    for _ in 0..rounds() {
        let text = damaged(random, b"/session/device?x=1;y=\"2\"");
        let Ok(text) = String::from_utf8(text) else { continue };
        let mut headers = Vec::new();
        if let Ok(path) = text.parse::<EndpointPath>() {
            assert!(!text.starts_with("//"), "{text}");
            headers.push((registration_header(&path, &challenge), 4));
        }
        if let Ok(id) = text.trim_start_matches('/').parse::<BoundSessionId>() {
            headers.push((challenge_header(&challenge, &id), 4));
        }
        if let Some(challenge) = Challenge::from_stored(&text) {
            headers.push((challenge_header(&challenge, &"a".parse().unwrap()), 4));
        }
        for (header, quotes) in headers {
            assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\'), "{header}");
            assert_eq!(header.matches('"').count(), quotes, "{header}");
        }
    }
}
