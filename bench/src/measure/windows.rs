//! How long a call waits for its answer, beside something that may hold it up.
//!
//! A caller that is held up does not call meanwhile, so that one long wait stands for all the calls that would have
//! waited too, and percentiles would hardly show it: coordinated omission. [`corrected`](crate::statistics::corrected)
//! makes up for what is left out.

use std::time::Duration;

use super::Sample;

/// The latencies of each window of time, by the ends of the calls. What is left over at the end is no window, unless
/// it is all there is.
pub fn windows(sample: &Sample, length: Duration) -> Vec<Vec<u32>> {
    let whole = (sample.elapsed.as_micros() / length.as_micros().max(1)).max(1) as usize;
    let mut windows = vec![Vec::new(); whole];
    for (latency, end) in sample.latencies.iter().zip(&sample.ends) {
        let window = (u128::from(*end) / length.as_micros().max(1)) as usize;
        if let Some(window) = windows.get_mut(window) {
            window.push(*latency);
        }
    }
    windows.retain(|window| !window.is_empty());
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_belongs_to_the_window_in_which_it_was_over() {
        let sample = |millis, ends: &[u32]| Sample {
            elapsed: Duration::from_millis(millis),
            latencies: ends.to_vec(),
            ends: ends.to_vec(),
            ..Sample::default()
        };
        let window = Duration::from_millis(1);
        assert_eq!(
            windows(&sample(2, &[1, 999, 1000, 1999, 2100]), window),
            [vec![1, 999], vec![1000, 1999]]
        );
        assert_eq!(windows(&sample(0, &[1]), window), [[1]]);
        assert!(windows(&sample(0, &[]), window).is_empty());
    }
}
