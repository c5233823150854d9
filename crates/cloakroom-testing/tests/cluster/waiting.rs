use std::time::{Duration, Instant};

/// Nothing here takes this long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Asks again until the answer is yes.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
