//! Runs this program under valgrind, and reads what it has counted.

use std::env;
use std::process::Command;

use crate::failure::Outcome;

/// What a program has allocated in its whole life.
pub struct Allocated {
    pub blocks: u64,
    pub bytes: u64,
}

/// Fails if there is no valgrind.
pub fn check() -> Outcome {
    match Command::new("valgrind").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("valgrind counts, and it is not installed: `apt install valgrind`, or the same with this \
                  system's package manager"
            .into()),
    }
}

/// Returns how many instructions this program executes with these arguments.
pub fn instructions(arguments: &[String]) -> Outcome<u64> {
    let report = run(&["--tool=callgrind", "--callgrind-out-file=/dev/null"], arguments)?;
    read_instructions(&report).ok_or_else(|| format!("callgrind has counted nothing:\n{report}").into())
}

/// Returns what it allocates.
pub fn allocated(arguments: &[String]) -> Outcome<Allocated> {
    let report = run(&["--tool=dhat", "--dhat-out-file=/dev/null"], arguments)?;
    read_allocated(&report).ok_or_else(|| format!("dhat has counted nothing:\n{report}").into())
}

/// Threads take turns fairly, so that none spins while the others wait for it.
fn run(tool: &[&str], arguments: &[String]) -> Outcome<String> {
    let mut command = Command::new("valgrind");
    command.args(tool).arg("--fair-sched=yes").arg(env::current_exe()?).args(arguments);
    let output = command.output()?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(report) } else { Err(report.into()) }
}

/// Reads the line `==1== Collected : 1234`.
fn read_instructions(report: &str) -> Option<u64> {
    report.lines().find_map(|line| line.split_once("Collected : "))?.1.trim().parse().ok()
}

/// Reads the line `==1== Total:     1,234 bytes in 56 blocks`.
fn read_allocated(report: &str) -> Option<Allocated> {
    let (bytes, rest) =
        report.lines().find_map(|line| line.split_once("Total:"))?.1.split_once(" bytes in ")?;
    let number = |text: &str| text.trim().replace(',', "").parse().ok();
    Some(Allocated { bytes: number(bytes)?, blocks: number(rest.strip_suffix(" blocks")?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_read_from_the_reports() {
        let report = "==1== Events    : Ir\n==1== Collected : 126996\n==1== \n==1== I   refs:      126,996\n";
        assert_eq!(read_instructions(report), Some(126_996));
        let report =
            "==1== Total:     1,234,567 bytes in 1,010 blocks\n==1== At t-gmax: 10 bytes in 1 blocks\n";
        let allocated = read_allocated(report).unwrap();
        assert_eq!((allocated.bytes, allocated.blocks), (1_234_567, 1_010));
        assert!(read_instructions("").is_none() && read_allocated("").is_none());
    }
}
