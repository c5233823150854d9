use std::time::{Duration, Instant};

use crate::arguments::{FuzzOptions, TestOptions};
use crate::test;

/// Runs the tests with random input, each time from another seed, until the time is over or one fails.
pub(crate) fn run(options: &FuzzOptions) -> Result<(), String> {
    let begun = Instant::now();
    let time = Duration::from_secs(options.minutes.saturating_mul(60));
    let mut seed = options.seed;
    loop {
        println!("== seed {seed}");
        let drawn = TestOptions {
            filter: Some("fuzz::".to_owned()),
            fuzz_seed: Some(seed),
            ..TestOptions::default()
        };
        test::run(&drawn).map_err(|problem| format!("seed {seed}: {problem}"))?;
        if begun.elapsed() >= time {
            println!("fuzz: seeds {} to {seed}, nothing found", options.seed);
            return Ok(());
        }
        seed = seed.wrapping_add(1);
    }
}
