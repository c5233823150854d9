//! Cloakroom against its peers, in turn, in one run: `cargo xtask bench`.

mod arguments;
mod cases;
mod contestants;
mod cut;
mod goals;
mod ground;
mod http_client;
mod load;
mod machine;
mod measure;
mod payload;
mod progress;
mod random;
mod report;
mod results;
mod statistics;
mod waiting;

use std::error::Error;
use std::process::ExitCode;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use arguments::USAGE;

/// An error. It can only be reported.
type Failure = Box<dyn Error + Send + Sync>;

type Outcome<T = ()> = Result<T, Failure>;

fn main() -> ExitCode {
    let own_memory = || {
        let mut arguments = std::env::args_os().skip(1);
        (arguments.next()? == cases::memory::ARGUMENT).then(|| arguments.next()).flatten()
    };
    if let Some(file) = own_memory() {
        return ended(cases::memory::measure_own(file.as_ref()));
    }
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("error: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if arguments.help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let results =
        report::can_be_written(&arguments).and_then(|()| cases::run(&arguments)).and_then(|results| {
            report::write(&results, &arguments)?;
            Ok(results)
        });
    ended(results.and_then(|results| {
        let failed = results.failures.join(", ");
        if failed.is_empty() { Ok(()) } else { Err(format!("some cases failed: {failed}").into()) }
    }))
}

fn ended(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

const INSTANT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// An instant as Cloakroom's tables hold it on SQLite.
fn time_text(instant: OffsetDateTime) -> String {
    instant.format(INSTANT).expect("an instant of these years has a text")
}

fn instant(text: &str) -> Result<OffsetDateTime, time::error::Parse> {
    time::PrimitiveDateTime::parse(text, INSTANT).map(time::PrimitiveDateTime::assume_utc)
}
