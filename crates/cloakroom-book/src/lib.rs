//! The pages of the book, in `docs`, as documentation of this crate, so that the tests compile and run their examples.

/// Names a page, whose examples are tests of their own.
macro_rules! pages {
    ($($page:ident = $file:literal),+ $(,)?) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../../docs/", $file))]
            pub mod $page {}
        )+

        /// The files of the pages.
        pub const PAGES: &[&str] = &[$($file),+];
    };
}

pages! {
    introduction = "introduction.md",
    first_steps = "first-steps.md",
    a_site = "a-site.md",
    an_api = "an-api.md",
    web = "web.md",
    actix = "actix.md",
    remember_me = "remember-me.md",
    step_up = "step-up.md",
    keys = "keys.md",
    refresh_tokens = "refresh-tokens.md",
    device_binding = "device-binding.md",
    limits = "limits.md",
    last_seen = "last-seen.md",
    events = "events.md",
    tenants = "tenants.md",
    seaorm = "seaorm.md",
    testing = "testing.md",
    from_tower_sessions = "from-tower-sessions.md",
    from_axum_session = "from-axum-session.md",
    from_actix_session = "from-actix-session.md",
    from_sqlx = "from-sqlx.md",
    from_ecto_sessions = "from-ecto-sessions.md",
    moving = "moving.md",
    databases = "databases.md",
    sizing = "sizing.md",
    adopting = "adopting.md",
    grants = "grants.md",
    pruning = "pruning.md",
    poolers = "poolers.md",
    clusters = "clusters.md",
    key_rotation = "key-rotation.md",
    incident = "incident.md",
    observability = "observability.md",
    doctor = "doctor.md",
    reliability = "reliability.md",
    performance = "performance.md",
    asvs = "asvs.md",
    mutants = "mutants.md",
}
