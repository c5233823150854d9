//! Device Bound Session Credentials, as far as they are no matter of HTTP: the device's key, the challenge, the proof, and
//! what the browser is told.
//!
//! The browser makes a pair of keys for a session, and the private half never leaves the device. It registers the public
//! half, a [`DeviceKey`], and from then on it renews the session's short-lived cookie by signing a [`Challenge`]. What
//! it sends is a [`Proof`].
//!
//! What is read and written here is what Chromium 156 sends and takes. The [draft](https://w3c.github.io/webappsec-dbsc/)
//! differs in places.

mod challenge;
mod error;
mod header;
mod instructions;
mod json;
mod key;
mod proof;

pub use challenge::Challenge;
pub use error::ProofError;
pub use header::{
    BoundSessionId, EndpointPath, ParseBoundSessionIdError, ParseEndpointPathError, challenge_header,
    registration_header,
};
pub use instructions::{BoundCookie, Instructions, InstructionsError, end_of_binding};
pub use key::{DeviceAlgorithm, DeviceKey, ParseDeviceKeyError};
pub use proof::{MAX_PROOF_LENGTH, Proof};
