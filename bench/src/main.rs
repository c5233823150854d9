//! Cloakroom against its peers, in turn, in one run: `cargo xtask bench`.

mod arguments;
mod cases;
mod catalogue;
mod contestants;
mod context;
mod counts;
mod database;
mod dataset;
mod failure;
mod format;
mod goals;
mod load;
mod measure;
mod network;
mod report;
mod results;
mod statistics;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use failure::Outcome;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // A process of this program's own measures by itself what is about a whole process.
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == cases::memory::ARGUMENT => cases::memory::measure_own(rest),
        Some((first, rest)) if first == counts::ARGUMENT => counts::call(rest),
        _ => measure(&Arguments::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Outcome {
    if arguments.counts.counts {
        return counts::run(&arguments.counts);
    }
    report::can_be_written(&arguments.files)?;
    let results = cases::run(&arguments.cases(), arguments.plan())?;
    report::write(&results, &arguments.files)?;
    let failed = results.failures.join(", ");
    if failed.is_empty() { Ok(()) } else { Err(format!("some cases failed: {failed}").into()) }
}
