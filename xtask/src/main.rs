//! The workspace's own commands; `cargo xtask help` lists them.

mod arguments;
mod axe;
mod bench;
mod book;
mod browser;
mod cargo;
mod ci;
mod fuzz;
mod install;
mod matrix;
mod mutants;
mod release;
mod serve;
mod summary;
mod test;
mod tools;
mod torture;

use std::env;
use std::process::ExitCode;

use arguments::{Task, USAGE};

fn main() -> ExitCode {
    let task = match arguments::parse(env::args().skip(1)) {
        Ok(task) => task,
        Err(problem) => {
            eprintln!("error: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let result = match task {
        Task::Help => {
            println!("{USAGE}");
            Ok(())
        }
        Task::Test(options) => test::run(&options),
        Task::Ci => ci::run(),
        Task::Release => release::run(),
        Task::Book => book::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Torture(options) => torture::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Matrix(options) => matrix::run(&options),
        Task::Mutants(only) => mutants::run(only),
        Task::Serve(kind) => serve::run(kind),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
