use std::time::Duration;

use super::builder::ConfigBuilder;

impl ConfigBuilder {
    /// Sets how long after its [exchange](crate::Sessions::exchange) a token is answered with the same successor again.
    /// Default 30 seconds, at most a day.
    ///
    /// Within this span two tabs that exchange one token at the same time get one successor, and a client whose answer
    /// was lost gets it by asking again. After it, and as soon as the successor has been exchanged in turn, the old token
    /// ends the session. With zero, a token that is presented twice always does.
    ///
    /// Until the grace is over, a thief of the old token who comes before the successor's own exchange gets the
    /// successor. So keep it short, but longer than a client waits for an answer, its repetitions included, and longer
    /// than the clocks of your machines differ. A grace that has begun keeps its end if this setting is changed.
    pub fn exchange_grace(self, grace: Duration) -> Self {
        self.with(|settings| settings.exchange_grace = grace)
    }
}
