/// The columns that every session table has, and how a program reads them. A derive cannot ask the library that re-exports
/// it, so the names stand here once more; a test of the workspace compares them with the library's.
pub(crate) const BUILT_IN: [(&str, &str); 7] = [
    ("id", "read it as `session.id`"),
    ("auth_token_digest", "the library keeps it and looks sessions up by it"),
    ("data", "read it as `session.data`, whose type `#[session(data = …)]` on the struct names"),
    ("expires_at", "read it as `session.expires_at`"),
    ("inserted_at", "read it as `session.inserted_at`"),
    ("updated_at", "read it as `session.updated_at`"),
    ("sliding_seconds", "read it as `session.sliding()`"),
];

/// The columns that a table has beside its field with the role `device_key`; that test compares them too.
pub(crate) const OF_DEVICES: [(&str, &str); 2] = [
    ("device_challenge", "the library keeps in it what the device is to sign next"),
    ("device_token_until", "the library keeps in it until when the present token is good"),
];
