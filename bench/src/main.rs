//! Cloakroom against its peers, in turn, in one run: `cargo xtask bench`.

mod arguments;
mod cases;
mod catalogue;
mod contestants;
mod context;
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
    let own_memory = || {
        let mut arguments = std::env::args_os().skip(1);
        (arguments.next()? == cases::memory::ARGUMENT).then(|| arguments.next()).flatten()
    };
    let outcome = match own_memory() {
        Some(file) => cases::memory::measure_own(file.as_ref()),
        None => measure(&Arguments::parse()),
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
    report::can_be_written(&arguments.files)?;
    let results = cases::run(&arguments.cases(), arguments.plan())?;
    report::write(&results, &arguments.files)?;
    let failed = results.failures.join(", ");
    if failed.is_empty() { Ok(()) } else { Err(format!("some cases failed: {failed}").into()) }
}
