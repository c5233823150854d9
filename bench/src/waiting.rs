//! How long a call waits for its answer, beside something that may hold it up.
//!
//! A caller that is held up does not call meanwhile, so that one long wait stands for all the calls that would have
//! waited too, and percentiles would hardly show it: coordinated omission. What is left out is made up for as
//! `recordValueWithExpectedInterval` of `HdrHistogram` does.

use std::time::Duration;

use crate::measure::Sample;

/// The latencies, and behind each that is longer than `interval` those of the calls that would have followed at this
/// interval, had nothing held them up.
pub fn corrected(latencies: &[u32], interval: u32) -> Vec<u32> {
    let interval = interval.max(1);
    let with_followers = |latency: u32| {
        let followers = std::iter::successors(Some(latency), move |wait| wait.checked_sub(interval));
        followers.take_while(move |wait| *wait == latency || *wait >= interval)
    };
    latencies.iter().copied().flat_map(with_followers).collect()
}

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
    use crate::statistics::percentile_in_thousands as at;

    #[test]
    fn a_long_wait_counts_for_the_calls_that_would_have_waited_too() {
        assert_eq!(corrected(&[5, 100], 10), [5, 100, 90, 80, 70, 60, 50, 40, 30, 20, 10]);
        assert_eq!(corrected(&[25], 10), [25, 15]);
        assert_eq!(corrected(&[10, 9], 10), [10, 9]);
        assert!(corrected(&[], 10).is_empty());
    }

    #[test]
    fn a_stall_shows_in_the_percentile_that_it_would_be_missing_from() {
        // A thousand quick calls, and one that was held up for as long as they all took.
        let mut latencies = vec![1_000_000; 1000];
        latencies.push(1_000_000_000);
        assert_eq!(at(&mut latencies.clone(), 99.0), Some(1000.0));
        let corrected_p99 = at(&mut corrected(&latencies, 1_000_000), 99.0).unwrap();
        assert!((970_000.0..990_000.0).contains(&corrected_p99), "{corrected_p99}");
    }

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
