use std::path::PathBuf;
use std::time::Duration;

use crate::cases::{CASES, Case};

pub const USAGE: &str = "\
Cloakroom against its peers, in turn, in one run.

Usage: cargo xtask bench [OPTIONS]

  --quick        Short measurements: all cases but `settings` in under two minutes.
  --only CASE    These cases alone; may be said more than once, or with commas. The start of
                 a name will do: `authenticate` is the case on every database.
  --json FILE    Write the results as JSON.
  --svg FILE     Write the principal ratios as a picture.
  --docs FILE    Put the tables into this page, in place of those that are there. Of a whole
                 run only: not with --quick, nor with --only.
  --help         Print this.";

#[derive(Debug, Default, PartialEq)]
pub struct Arguments {
    pub help: bool,
    pub quick: bool,
    /// Which cases to run; all of them if it is empty.
    pub only: Vec<String>,
    pub json: Option<PathBuf>,
    pub svg: Option<PathBuf>,
    pub docs: Option<PathBuf>,
}

/// How long each part takes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub quick: bool,
    pub rounds: usize,
    /// Before each measurement, because the processor's caches are full of the last contestant's data.
    pub warm_up: Duration,
    pub span: Duration,
}

impl Arguments {
    pub fn plan(&self) -> Plan {
        if self.quick {
            let (warm_up, span) = (Duration::from_millis(60), Duration::from_millis(100));
            Plan { quick: true, rounds: 3, warm_up, span }
        } else {
            let (warm_up, span) = (Duration::from_millis(200), Duration::from_millis(300));
            Plan { quick: false, rounds: 7, warm_up, span }
        }
    }

    pub fn wants(&self, case: &Case) -> bool {
        if self.only.is_empty() {
            !(self.quick && case.is_extra)
        } else {
            self.only.iter().any(|start| case.name.starts_with(start))
        }
    }
}

pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments::default();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = || match value.clone().or_else(|| arguments.next()) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(format!("{option} needs a value")),
        };
        match option {
            "--only" => parsed.only.extend(cases(&value()?)?),
            "--json" => parsed.json = Some(value()?.into()),
            "--docs" => parsed.docs = Some(value()?.into()),
            "--svg" => parsed.svg = Some(value()?.into()),
            _ => match argument.as_str() {
                "--quick" => parsed.quick = true,
                "--help" | "-h" => parsed.help = true,
                _ => return Err(format!("unknown argument: {argument}")),
            },
        }
    }
    if parsed.docs.is_some() && (parsed.quick || !parsed.only.is_empty()) {
        return Err(
            "the page has the figures of a whole run: --docs goes neither with --quick nor with --only"
                .into(),
        );
    }
    Ok(parsed)
}

fn cases(names: &str) -> Result<Vec<String>, String> {
    let known = |start: &str| CASES.iter().any(|case| case.name.starts_with(start));
    names
        .split(',')
        .map(
            |name| {
                if !name.is_empty() && known(name) { Ok(name.to_owned()) } else { Err(unknown_case(name)) }
            },
        )
        .collect()
}

fn unknown_case(name: &str) -> String {
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    format!("unknown case: {name:?}; there are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_said_means_everything_at_full_length() {
        let arguments = parsed("").unwrap();
        assert_eq!(arguments, Arguments::default());
        assert!(CASES.iter().all(|case| arguments.wants(case)));
        assert!(!arguments.plan().quick);
    }

    #[test]
    fn only_may_be_said_more_than_once_and_by_the_start_of_a_name() {
        let arguments = parsed("--quick --only authenticate --only=create-sqlite,extend").unwrap();
        let wanted: Vec<&str> =
            CASES.iter().filter(|case| arguments.wants(case)).map(|case| case.name).collect();
        assert!(wanted.contains(&"authenticate-postgres") && wanted.contains(&"authenticate-sqlite"));
        assert!(wanted.contains(&"create-sqlite") && !wanted.contains(&"create-postgres"));
    }

    #[test]
    fn a_quick_run_leaves_out_what_is_extra_unless_it_is_asked_for() {
        let wants = |line| parsed(line).unwrap().wants(CASES.iter().find(|case| case.is_extra).unwrap());
        assert!(wants("") && wants("--quick --only settings"));
        assert!(!wants("--quick") && !wants("--only cached"));
    }

    #[test]
    fn files_are_named_with_or_without_an_equals_sign() {
        let arguments = parsed("--json results.json --svg=picture.svg").unwrap();
        assert_eq!(arguments.json, Some("results.json".into()));
        assert_eq!(arguments.svg, Some("picture.svg".into()));
    }

    #[test]
    fn the_page_takes_the_figures_of_a_whole_run_alone() {
        assert_eq!(parsed("--docs page.md --json x").unwrap().docs, Some("page.md".into()));
        for line in ["--docs page.md --quick", "--only cached --docs=page.md"] {
            assert!(parsed(line).unwrap_err().contains("whole run"), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["fast", "--onyl x", "--only", "--only=", "--only nothing", "--quick=yes", "--json"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
