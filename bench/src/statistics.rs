//! Medians, percentiles, ratios.

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

/// The smallest value that at least `percent` of the values do not exceed (nearest rank). Sorts them.
pub fn percentile(values: &mut [u32], percent: f64) -> Option<u32> {
    values.sort_unstable();
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

/// The same in units that are a thousand times as large: microseconds where the values are nanoseconds.
pub fn percentile_in_thousands(values: &mut [u32], percent: f64) -> Option<f64> {
    percentile(values, percent).map(|value| f64::from(value) / 1000.0)
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
        let mut values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(percentile(&mut values, 50.0), Some(100));
        assert_eq!(percentile(&mut values, 99.0), Some(198));
        assert_eq!(percentile(&mut values, 100.0), Some(200));
        assert_eq!(percentile(&mut values, 0.0), Some(1));
        assert_eq!(percentile(&mut [], 99.0), None);
        assert_eq!(percentile(&mut [7], 99.0), Some(7));
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
