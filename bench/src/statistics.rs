//! Medians, percentiles, ratios.

use hdrhistogram::Histogram;

/// The middle of the values, or of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        None
    } else if sorted.len() % 2 == 1 {
        Some(sorted[middle])
    } else {
        Some(f64::midpoint(sorted[middle - 1], sorted[middle]))
    }
}

/// Latencies in nanoseconds, kept to three digits.
pub fn histogram(nanoseconds: &[u32]) -> Histogram<u64> {
    corrected(nanoseconds, 0)
}

/// The same, corrected for coordinated omission: behind each latency that is longer than `interval` follow those of the
/// calls that would have been made meanwhile at this interval, had nothing held them up.
pub fn corrected(nanoseconds: &[u32], interval: u32) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_max(u64::from(u32::MAX), 3).expect("three digits are allowed");
    for nanoseconds in nanoseconds {
        // Within the bounds, since they are those of the type; saturating, since an interval follows nothing.
        let _ = histogram.record_correct(u64::from(*nanoseconds), u64::from(interval));
    }
    histogram
}

/// The value that at least `percent` of the values do not exceed; `None` if there are none.
pub fn percentile(histogram: &Histogram<u64>, percent: f64) -> Option<u32> {
    let value = || histogram.value_at_percentile(percent).try_into().unwrap_or(u32::MAX);
    (!histogram.is_empty()).then(value)
}

/// The same in microseconds.
pub fn microseconds(histogram: &Histogram<u64>, percent: f64) -> Option<f64> {
    percentile(histogram, percent).map(|nanoseconds| f64::from(nanoseconds) / 1000.0)
}

/// The ratio of two medians.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    pub of_medians: f64,
    /// The smallest and the largest ratio within a round, where both have the same rounds and more than one.
    pub range: Option<(f64, f64)>,
}

impl Ratio {
    /// How many times the second the first is. `None` where either has no values.
    pub fn between(first: &[f64], second: &[f64]) -> Option<Self> {
        let of_medians = median(first)? / median(second)?;
        let by_round = first.iter().zip(second).map(|(first, second)| first / second);
        let least = by_round.clone().min_by(f64::total_cmp)?;
        let most = by_round.max_by(f64::total_cmp)?;
        let has_rounds = first.len() == second.len() && first.len() > 1;
        Some(Self { of_medians, range: has_rounds.then_some((least, most)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_middle_two() {
        assert_near(median(&[3.0, 1.0, 2.0]).unwrap(), 2.0);
        assert_near(median(&[4.0, 1.0, 2.0, 3.0]).unwrap(), 2.5);
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let of = |values: &[u32], percent| percentile(&histogram(values), percent);
        let values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(of(&values, 50.0), Some(100));
        assert_eq!(of(&values, 99.0), Some(198));
        assert_eq!(of(&values, 100.0), Some(200));
        assert_eq!(of(&values, 0.0), Some(1));
        assert_eq!(of(&[], 99.0), None);
        assert_eq!(of(&[7], 99.0), Some(7));
    }

    #[test]
    fn a_long_wait_counts_for_the_calls_that_would_have_waited_too() {
        let of = |values: &[u32]| {
            let histogram = corrected(values, 10);
            histogram
                .iter_recorded()
                .map(|it| (it.value_iterated_to(), it.count_at_value()))
                .collect::<Vec<_>>()
        };
        let each = |values: &[u64]| values.iter().map(|value| (*value, 1)).collect::<Vec<_>>();
        assert_eq!(of(&[5, 100]), each(&[5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]));
        assert_eq!(of(&[25]), each(&[15, 25]));
        assert_eq!(of(&[10, 9]), each(&[9, 10]));
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn a_stall_shows_in_the_percentile_that_it_would_be_missing_from() {
        // A thousand quick calls, and one that was held up for as long as they all took.
        let mut latencies = vec![1_000_000; 1000];
        latencies.push(1_000_000_000);
        let uncorrected = microseconds(&histogram(&latencies), 99.0).unwrap();
        assert!((999.0..=1001.0).contains(&uncorrected), "{uncorrected}");
        let corrected = microseconds(&corrected(&latencies, 1_000_000), 99.0).unwrap();
        assert!((970_000.0..990_000.0).contains(&corrected), "{corrected}");
    }

    #[test]
    fn a_ratio_tells_its_spread_over_the_rounds() {
        let ratio = Ratio::between(&[10.0, 20.0, 30.0], &[5.0, 5.0, 10.0]).unwrap();
        assert_near(ratio.of_medians, 4.0);
        let (least, most) = ratio.range.unwrap();
        assert_near(least, 2.0);
        assert_near(most, 4.0);
        assert_eq!(Ratio::between(&[], &[]), None);
    }

    #[test]
    fn a_ratio_has_no_spread_without_rounds_in_common() {
        for second in [&[2.0][..], &[2.0, 2.0]] {
            let ratio = Ratio::between(&[1.0], second).unwrap();
            assert_near(ratio.of_medians, 0.5);
            assert_eq!(ratio.range, None);
        }
    }
}
