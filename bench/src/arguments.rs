use clap::Parser;

use crate::cases::{CASES, Case};
use crate::context::Plan;
use crate::counts;
use crate::report::Files;

/// Cloakroom against its peers, in turn, in one run.
#[derive(Debug, PartialEq, Parser)]
#[command(bin_name = "cargo xtask bench")]
pub struct Arguments {
    /// Short measurements: all cases but `settings` in under two minutes
    #[arg(long)]
    quick: bool,

    /// These cases alone, with commas or more than once; the start of a name is enough
    #[arg(long, value_name = "CASE", value_delimiter = ',', value_parser = start_of_a_case)]
    only: Vec<String>,

    #[command(flatten)]
    pub files: Files,

    #[command(flatten)]
    pub counts: counts::Options,
}

impl Arguments {
    pub fn plan(&self) -> Plan {
        if self.quick { Plan::quick() } else { Plan::whole() }
    }

    /// Returns the cases to run, in their order.
    pub fn cases(&self) -> Vec<&'static Case> {
        CASES.iter().filter(|case| self.wants(case)).collect()
    }

    fn wants(&self, case: &Case) -> bool {
        if self.only.is_empty() {
            !(self.quick && case.is_extra)
        } else {
            self.only.iter().any(|start| case.name.starts_with(start))
        }
    }
}

fn start_of_a_case(start: &str) -> Result<String, String> {
    if !start.is_empty() && CASES.iter().any(|case| case.name.starts_with(start)) {
        Ok(start.to_owned())
    } else {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        Err(format!("unknown case; there are {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([""].into_iter().chain(line.split_whitespace()))
    }

    fn names(line: &str) -> Vec<&'static str> {
        parsed(line).unwrap().cases().into_iter().map(|case| case.name).collect()
    }

    #[test]
    fn nothing_said_means_everything_at_full_length() {
        assert_eq!(names("").len(), CASES.len());
        let arguments = parsed("").unwrap();
        assert!(!arguments.plan().quick);
        assert_eq!(arguments.files, Files::default());
    }

    #[test]
    fn only_may_be_said_more_than_once_and_by_the_start_of_a_name() {
        let wanted = names("--quick --only authenticate --only=create-sqlite,extend");
        assert!(wanted.contains(&"authenticate-postgres") && wanted.contains(&"authenticate-sqlite"));
        assert!(wanted.contains(&"create-sqlite") && !wanted.contains(&"create-postgres"));
    }

    #[test]
    fn a_quick_run_leaves_out_what_is_extra_unless_it_is_asked_for() {
        let extra = CASES.iter().find(|case| case.is_extra).unwrap().name;
        let wants = |line| names(line).contains(&extra);
        assert!(wants("") && wants("--quick --only settings"));
        assert!(!wants("--quick") && !wants("--only cached"));
    }

    #[test]
    fn files_are_named_with_or_without_an_equals_sign() {
        let files = parsed("--json results.json --svg=picture.svg").unwrap().files;
        assert_eq!(files.json, Some("results.json".into()));
        assert_eq!(files.svg, Some("picture.svg".into()));
    }

    #[test]
    fn the_page_takes_the_figures_of_a_whole_run_alone() {
        assert_eq!(parsed("--docs page.md --json x").unwrap().files.docs, Some("page.md".into()));
        for line in ["--docs page.md --quick", "--only cached --docs=page.md"] {
            let kind = parsed(line).unwrap_err().kind();
            assert_eq!(kind, clap::error::ErrorKind::ArgumentConflict, "{line}");
        }
    }

    #[test]
    fn an_unknown_case_is_answered_with_those_that_there_are() {
        let error = parsed("--only nothing").unwrap_err().to_string();
        assert!(CASES.iter().all(|case| error.contains(case.name)), "{error}");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in
            ["fast", "--onyl x", "--only", "--only=", "--only nothing", "--quick=yes", "--json", "--json="]
        {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
