//! What may be written on the command line. The comments are the texts of `--help`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use cloakroom::Status;
use time::OffsetDateTime;

use crate::value::{self, Assignment, Field, Span};

const EXAMPLES: &str = "\
Examples:
  cloakroom create --set user_id=1234 --data '{\"device_name\":\"Sample Browser\"}'
  cloakroom create --set user_id=1234 | cloakroom authenticate
  cloakroom list --where user_id=1234
  cloakroom expire --where user_id=1234 --yes
  cloakroom --database postgres://localhost/app --table api_keys stats

Exit codes:
  0 done   1 not found, not valid   2 usage   3 trouble with the database

Configuration file (TOML), each line optional:
  token_length = 64           # characters of a new token
  hashing = \"sha256\"          # or sha512, sha3-256, blake2b-512, … or \"none\"
  secret_salt = \"…\"           # better: the variable CLOAKROOM_SECRET_SALT
  ttl = \"7d\"                  # or \"12h\", \"never\"
  extend_after = \"1d\"         # what an extension must gain to be written, or \"never\"
  auto_extend = true          # whether authenticating extends
  max_lifetime = \"never\"      # the end that no extension passes";

/// Sessions and API keys in a database: opaque tokens, of which the database holds only digests.
///
/// Works on SQLite, PostgreSQL and MariaDB/MySQL, on any table that the library cloakroom or
/// `ecto_sessions` made. A token is printed once, when its session is created, and read from standard input,
/// never from an argument.
#[derive(Parser)]
#[command(name = "cloakroom", version, after_long_help = EXAMPLES, after_help = "See --help for examples.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Group)]
#[command(next_help_heading = "Options for every command")]
pub(crate) struct Options {
    /// The database: sqlite:FILE, postgres://… or mysql://…
    // The URL may hold a password, which `--help` must not show.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite:cloakroom.db"
    )]
    pub(crate) database: String,
    /// The schema that holds the table (on MariaDB/MySQL: the database)
    #[arg(long, global = true)]
    pub(crate) schema: Option<String>,
    /// The session table
    #[arg(long, global = true, default_value = "sessions")]
    pub(crate) table: String,
    /// The configuration file, in TOML
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What standard output gets: a table on a terminal and tab-separated lines elsewhere, or JSON
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make the session table, drop it, look what was done
    #[command(subcommand)]
    Migrate(Migrate),
    /// Make a session and print its token
    ///
    /// The token stands alone on standard output; what the session is goes to standard error. An SQLite
    /// database without a session table gets one, with the fields that are set here, as indexed text.
    Create(Create),
    /// Show the session that the token on standard input stands for
    ///
    /// Exits with 1 where no valid session has the token. Extends the session when that is due.
    Authenticate(Authenticate),
    /// Show sessions, newest first
    ///
    /// Tab-separated lines are: id, the table's fields in order, status, `expires_at`, `inserted_at`, data. A narrow
    /// terminal is shown less than that; `show` tells all of one session.
    List(List),
    /// Count sessions
    Count(Count),
    /// Show one session
    Show(One),
    /// Move the expiry of one session forward, if that is due
    Extend(One),
    /// End sessions now; their rows stay, for the record
    Expire(Expire),
    /// Delete sessions
    Delete(Delete),
    /// Delete expired sessions, once or from time to time
    Prune(Prune),
    /// Make tokens and digests, without a database
    #[command(subcommand)]
    Token(Token),
    /// Count by status, and show newest, oldest, and the owner with most sessions
    Stats,
    /// Print a script that completes this command's arguments in a shell
    ///
    /// For bash: source <(cloakroom completions bash)
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand)]
pub(crate) enum Migrate {
    /// Make the table and its indexes, or what is missing of them
    Up {
        #[command(flatten)]
        fields: Fields,
    },
    /// Drop the table with all sessions in it
    Down {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Show which migrations were applied
    Status,
    /// Print the statements of `up` (or of `down`), for migrations of your own
    Sql {
        #[command(flatten)]
        fields: Fields,
        /// The statements that drop the table
        #[arg(long)]
        down: bool,
        /// The statements that build the indexes of a table that is in use, while others read and write it
        #[arg(long, conflicts_with = "down")]
        indexes: bool,
    },
}

#[derive(Group)]
pub(crate) struct Fields {
    /// A column of the table: name, type, and `:index` to look up by it
    ///
    /// Types: text, integer, bool, float, bytes, uuid, timestamp, json; with `?` it may be null. Default:
    /// the columns that the table has, or `user_id:text:index` where there is none.
    #[arg(long = "field", value_name = "NAME:TYPE[?][:index]")]
    pub(crate) fields: Vec<Field>,
}

#[derive(Group)]
pub(crate) struct Create {
    /// A field's value
    ///
    /// Bytes in hexadecimal, times as in 2026-11-23T01:48:09Z. What is left out is null.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<Assignment>,
    /// The session's data, any JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) expiry: Expiry,
}

#[derive(Group)]
#[group(multiple = false)]
pub(crate) struct Expiry {
    /// How long the session lives: 7d, 12h, …
    #[arg(long, value_name = "SPAN")]
    pub(crate) ttl: Option<Span>,
    /// When the session expires, as in 2026-11-23T01:48:09Z
    #[arg(long, value_name = "TIME", value_parser = value::instant)]
    pub(crate) expires_at: Option<OffsetDateTime>,
    /// The session does not expire
    #[arg(long)]
    pub(crate) never: bool,
}

#[derive(Group)]
pub(crate) struct TokenInput {
    /// Read the token from this file, in place of standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    // Taken, to be refused without being repeated: somebody will pass a token here.
    #[arg(hide = true, allow_hyphen_values = true)]
    pub(crate) refused: Vec<std::ffi::OsString>,
}

#[derive(Group)]
pub(crate) struct Authenticate {
    #[command(flatten)]
    pub(crate) token: TokenInput,
    /// Leave the expiry as it is
    #[arg(long)]
    pub(crate) no_extend: bool,
}

#[derive(Group)]
pub(crate) struct Where {
    /// Only sessions with this value in a field, or in `id`; repeat it for all of several
    #[arg(long = "where", value_name = "NAME=VALUE")]
    pub(crate) conditions: Vec<Assignment>,
}

#[derive(Group)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filter: Where,
    /// Which sessions
    #[arg(long, value_enum, default_value_t)]
    pub(crate) status: StatusArg,
    /// At most this many; 100 by default on a terminal, all of them elsewhere
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

#[derive(Group)]
pub(crate) struct Count {
    #[command(flatten)]
    pub(crate) filter: Where,
    /// Which sessions
    #[arg(long, value_enum, default_value_t)]
    pub(crate) status: StatusArg,
    /// Count no further than this
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum StatusArg {
    #[default]
    Valid,
    Expired,
    All,
}

impl From<StatusArg> for Status {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Valid => Self::Valid,
            StatusArg::Expired => Self::Expired,
            StatusArg::All => Self::All,
        }
    }
}

#[derive(Group)]
pub(crate) struct One {
    /// The session's id
    #[arg(long, value_name = "UUID", allow_hyphen_values = true)]
    pub(crate) id: String,
}

/// One session, or those with some value.
#[derive(Group)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// The session's id
    #[arg(long, value_name = "UUID", allow_hyphen_values = true)]
    pub(crate) id: Option<String>,
    /// All sessions with this value in a field; repeat it for all of several
    #[arg(long = "where", value_name = "NAME=VALUE")]
    pub(crate) conditions: Vec<Assignment>,
}

#[derive(Group)]
pub(crate) struct Expire {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Do not ask, however many sessions it is
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Group)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) target: Target,
    /// With --where: which sessions [default: all]
    #[arg(long, value_enum, conflicts_with = "id")]
    pub(crate) status: Option<StatusArg>,
    /// Do not ask, however many sessions it is
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Group)]
pub(crate) struct Prune {
    /// Go on, about so often, until interrupted; each run is reported on standard error
    #[arg(long, value_name = "SPAN", value_parser = value::duration)]
    pub(crate) every: Option<Duration>,
}

#[derive(Subcommand)]
pub(crate) enum Token {
    /// Print a new token, of the configured length
    Generate,
    /// Print the digest of the token on standard input, under the configured hashing and salt
    Digest(TokenInput),
}
