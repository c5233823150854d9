use crate::args::Options;

/// The options that a hinted command has to repeat, so that it concerns the same table.
pub(crate) struct Hints(String);

impl Hints {
    /// The options that were given on the command line. Those from the environment apply to the next command too.
    pub(crate) fn new(options: &Options, is_database_given: bool) -> Self {
        let mut given = String::new();
        let mut push = |name: &str, value: Option<&str>| {
            // A value that a shell cannot pass does not come from a command line.
            if let Some(value) = value.and_then(|value| shlex::try_quote(value).ok()) {
                given.extend([" --", name, " ", &value]);
            }
        };
        if is_database_given {
            push("database", Some(without_secrets(&options.database)));
        }
        push("schema", options.schema.as_deref());
        push("table", Some(&*options.table).filter(|table| *table != DEFAULT_TABLE));
        push("prefix", options.prefix.as_deref());
        push("config", options.config.as_deref().and_then(|file| file.to_str()));
        Self(given)
    }

    pub(crate) fn command(&self, command: &str) -> String {
        format!("cloakroom{} {command}", self.0)
    }
}

/// The value of `--table` if it is not given.
pub(crate) const DEFAULT_TABLE: &str = "sessions";

/// Returns the URL, unless it may hold a password: before the host, or in its parameters.
fn without_secrets(url: &str) -> &str {
    if url.contains(['@', '?']) { "URL" } else { url }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;

    fn hint(
        database: &str,
        is_given: bool,
        schema: Option<&str>,
        table: &str,
        config: Option<&str>,
    ) -> String {
        let options = Options {
            database: database.to_owned(),
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
            config: config.map(Into::into),
            prefix: None,
            format: Format::Json,
        };
        Hints::new(&options, is_given).command("list")
    }

    #[test]
    fn a_hint_repeats_what_was_given_and_no_password() {
        assert_eq!(hint("postgres://u:p@h/d", false, None, "sessions", None), "cloakroom list");
        assert_eq!(
            hint("sqlite:my app.db", true, Some("main"), "api_keys", Some("a.toml")),
            "cloakroom --database 'sqlite:my app.db' --schema main --table api_keys --config a.toml list"
        );
        for url in ["postgres://u:hunter2@h/d", "mysql://h/d?password=hunter2", "sqlite:x?key=hunter2"] {
            assert_eq!(hint(url, true, None, "sessions", None), "cloakroom --database URL list");
        }
    }
}
