use std::time::Duration;

/// How long each part takes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub quick: bool,
    pub rounds: usize,
    /// Before each measurement, because the processor's caches are full of the last contestant's data.
    pub warm_up: Duration,
    pub span: Duration,
}

impl Plan {
    pub fn quick() -> Self {
        let (warm_up, span) = (Duration::from_millis(60), Duration::from_millis(100));
        Self { quick: true, rounds: 3, warm_up, span }
    }

    pub fn whole() -> Self {
        let (warm_up, span) = (Duration::from_millis(200), Duration::from_millis(300));
        Self { quick: false, rounds: 7, warm_up, span }
    }
}
