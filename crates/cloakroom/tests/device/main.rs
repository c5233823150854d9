//! What browsers and others send as a proof of their device, and what the library says to it.

mod fuzz;
mod keys;
mod proofs;
mod recorded;
mod words;

use serde::Deserialize;

/// A proof of vectors.json, which vectors.mjs has made.
#[derive(Deserialize)]
struct Vector {
    name: String,
    of: Of,
    /// `ok`, or the word of a `ProofError`.
    outcome: String,
    /// The key that is registered, or that the row has.
    key: String,
    thumbprint: String,
    challenge: String,
    proof: String,
}

#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Of {
    Registration,
    Renewal,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}
