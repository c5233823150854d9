//! What may be written on the command line. The comments are the texts of `--help`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use cloakroom::Status;
use time::OffsetDateTime;

use crate::completing;
use crate::condition::Condition;
use crate::hints::DEFAULT_TABLE;
use crate::value::{self, Assignment, Field, Moment, Span};

const EXAMPLES: &str = "\
Examples:
  cloakroom create --set user_id=1234 --data '{\"device_name\":\"Sample Browser\"}'
  cloakroom create --set user_id=1234 | cloakroom authenticate
  cloakroom list --where user_id=1234 --columns id,data.device_name,inserted_at
  cloakroom list --status all --format csv > sessions.csv
  cloakroom count --expires-before +7d
  cloakroom expire --where user_id=1234 --yes
  cloakroom expire --all
  cloakroom prune --older-than 30d --quiet
  cloakroom --database postgres://localhost/app --table api_keys stats
  cloakroom doctor

Exit codes:
  0 done   1 not found, not valid   2 usage   3 trouble with the database

Configuration file (TOML), each line optional:
  token_length = 64           # characters of a new token without a prefix
  token_prefix = \"acme_live\" # new tokens are acme_live_… with a checksum, as with --prefix
  accept_unprefixed = true    # whether tokens without that prefix are accepted too
  hashing = \"sha256\"          # or sha512, sha3-256, blake2b-512, …, or as in ecto_sessions, or \"none\"
  secret_salt = \"…\"           # better: the variable CLOAKROOM_SECRET_SALT
  ttl = \"7d\"                  # or \"12h\", \"never\"
  extend_after = \"1d\"         # what an extension must gain to be written, \"0s\" for anything, or \"never\"
  auto_extend = true          # whether authenticating extends
  max_lifetime = \"never\"      # the end that no extension passes
  schemes = [\"knox4=sha512:decoded-hex\", \"sha512\"]   # further ones under which tokens are found

Keys of the application (see `keys generate`), newest first; new tokens are stored under the first:
  CLOAKROOM_KEYS=\"2026-11:BASE64,2025-04:BASE64\"
With keys, tokens are found under `hashing` and `secret_salt` only if one of them is set. This command
never stores a token that it reads under another scheme.

Schemes: TAG=HASH and steps, in this order: after=CHARACTER (what follows it), decoded-hex or
decoded-base64url (the bytes that it stands for), prepend-env=NAME, append-env=NAME (a secret, in
an environment variable), twice (the hash's hexadecimal form hashed once more).
  sanctum=sha256:after=|   knox4=sha512:decoded-hex   grafana=sha256:append-env=OLD_SECRET";

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
    #[arg(long, global = true, add = ArgValueCompleter::new(completing::schema))]
    pub(crate) schema: Option<String>,
    /// The session table
    #[arg(long, global = true, default_value = DEFAULT_TABLE, add = ArgValueCompleter::new(completing::table))]
    pub(crate) table: String,
    /// The configuration file, in TOML
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// What new tokens begin with: they are `acme_live_…` then, and end in a checksum
    ///
    /// Tokens without the prefix are accepted all the same, unless the configuration file says `accept_unprefixed =
    /// false`. This comes before the file's `token_prefix`.
    #[arg(long, global = true, value_name = "acme_live")]
    pub(crate) prefix: Option<String>,
    /// What standard output gets: a table on a terminal and tab-separated lines elsewhere, CSV, JSON, or JSON lines
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Csv,
    Json,
    /// One JSON value a line
    Jsonl,
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
    ///
    /// With --format csv there is a line of names first, and every cell is what is stored: a spreadsheet may take a cell
    /// that begins with =, +, - or @ for a formula, so have it import all cells as text. Null is an empty cell. No format
    /// has tokens or digests in it.
    List(List),
    /// Count sessions
    Count(Count),
    /// Show one session, with the tokens that were replaced and are still good
    Show(One),
    /// Show what happened to sessions, the latest first, from the table's audit log
    ///
    /// Tab-separated lines are: time, event, session, owner, reason. JSON has the whole event and the entry's id too.
    Log(Log),
    /// Change fields, data or expiry of one session
    ///
    /// What is not named stays as it is. A session that has expired stays so.
    Update(Update),
    /// Move the expiry of one session forward, if that is due
    Extend(One),
    /// Give one session a new token, and print it; the old one is refused from now on
    Rotate(One),
    /// End sessions now; their rows stay, for the record
    Expire(Expire),
    /// Delete sessions
    Delete(Delete),
    /// Delete expired sessions, once or from time to time
    Prune(Prune),
    /// Make sessions that another system has made, from a file
    ///
    /// A file in CSV has a line of names first. In JSON lines each line is an object, also as `list --format jsonl`
    /// writes it. The names are: the table's fields; `token`; `digest` (see --scheme); `id`; `data`, as JSON;
    /// `expires_at` and `inserted_at`, as in 2026-11-23T01:48:09Z. `status`, `updated_at` and `cursor` are passed over;
    /// any other name is an error. An empty cell is null, or what a new session gets; JSON lines tell an empty text from
    /// null. `expires_at` is `never`, or null in
    /// JSON, for a session that does not expire.
    ///
    /// First the whole file is read: if a line is bad, all that are bad are named, and nothing is written. Then it is
    /// written in transactions of a few thousand lines. An import that stopped is run again: what the table has already is
    /// left as it is, and counted. Sessions that were deleted meanwhile come back. Tokens are read from the file alone,
    /// never from an argument, and never shown: not in an error either. Take care of the file as of the tokens.
    Import(Import),
    /// Make tokens and digests, without a database
    #[command(subcommand)]
    Token(Token),
    /// Make keys, without a database
    #[command(subcommand)]
    Keys(Keys),
    /// Count by status, and show newest, oldest, and the owner with most sessions; or count by a field
    Stats(Stats),
    /// Look at the database and the table, and say what is and what should be changed
    ///
    /// Writes nothing. Says which server it is and whether it is a node of a cluster or a standby, whether a pooler is in
    /// between, whether a lookup sees every log-out at once, how far the clocks are apart, what this role may do, which
    /// indexes there are, what `migrate up` would do, how many rows there are, and under which schemes. Exits with 1 if
    /// anything is a warning.
    Doctor,
    /// Print a script that completes this command's arguments in a shell
    ///
    /// For bash: source <(cloakroom completions bash)
    ///
    /// Tables and fields are completed too: for that the database is asked, as the options before the cursor and
    /// `DATABASE_URL` name it. Have the shell read the script anew whenever it starts: it goes with this version.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of this command, or of one of its commands, for man
    ///
    /// cloakroom man > /usr/local/share/man/man1/cloakroom.1
    Man {
        /// The command, such as `list` or `migrate up`
        command: Vec<String>,
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
    /// A column of the table: name, type, `:index` to look up by it, and its role, if it has one
    ///
    /// Types: text, integer, bool, float, bytes, uuid, timestamp, json; with `?` it may be null. Role: `:hint` for what
    /// may be shown of the session's token, as in `shown:text:hint`; it is filled in. `:scopes` for what
    /// the session may do: names with a space between them. `:owner` for whose it is, `:ended_because` for why it was
    /// ended, `:authenticated_at` for when its user last proved who they are, `:last_seen`, `:last_address` and
    /// `:last_user_agent` for its last use. Default: the columns that the table
    /// has, or `user_id:text:index` where there is none.
    #[arg(long = "field", value_name = "NAME:TYPE[?][:index][:ROLE]")]
    pub(crate) fields: Vec<Field>,
}

#[derive(Group)]
pub(crate) struct Create {
    /// A field's value
    ///
    /// Bytes in hexadecimal, times as in 2026-11-23T01:48:09Z. What is left out is null.
    #[arg(long, value_name = "NAME=VALUE", add = ArgValueCompleter::new(completing::assignment))]
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

impl Expiry {
    pub(crate) fn is_by_default(&self) -> bool {
        self.ttl.is_none() && self.expires_at.is_none() && !self.never
    }
}

#[derive(Group)]
pub(crate) struct TokenInput {
    /// Read the token from this file, in place of standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    // Accepted, so that it is refused without being repeated: a user will pass a token here.
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

/// Which sessions, beside their status.
#[derive(Group, Default)]
pub(crate) struct Filter {
    /// Only sessions for which this holds; repeat it for all of several
    ///
    /// NAME is a field, `id`, `expires_at`, `inserted_at`, `updated_at`, or `data.` with the keys that lead to a part of
    /// the data: `data.device.os=iOS`. It is followed by =, !=, <, <=, > or >= and a value, or by ` is null` or
    /// ` is not null`. With `~=` a field must have this scope among others: `scopes~=write`. What is null, or missing in the data, is neither equal nor unequal to a value, neither less nor
    /// greater. Fields compare as the database compares them. In data, numbers compare with a number, and text byte by
    /// byte.
    #[arg(long = "where", value_name = "CONDITION", add = ArgValueCompleter::new(completing::condition))]
    pub(crate) conditions: Vec<Condition>,
    /// Only sessions that expire before this: 2026-11-30, 2026-11-23T01:48:09Z, or from now +7d or -7d
    #[arg(long, value_name = "TIME", value_parser = Moment::from_str, allow_hyphen_values = true)]
    pub(crate) expires_before: Option<Moment>,
    /// Only sessions that expire then or later, and not those that never do
    #[arg(long, value_name = "TIME", value_parser = Moment::from_str, allow_hyphen_values = true)]
    pub(crate) expires_after: Option<Moment>,
    /// Only sessions that were created before this
    #[arg(long, value_name = "TIME", value_parser = Moment::from_str, allow_hyphen_values = true)]
    pub(crate) created_before: Option<Moment>,
    /// Only sessions that were created then or later
    #[arg(long, value_name = "TIME", value_parser = Moment::from_str, allow_hyphen_values = true)]
    pub(crate) created_after: Option<Moment>,
}

impl Filter {
    pub(crate) fn is_empty(&self) -> bool {
        let times = [self.expires_before, self.expires_after, self.created_before, self.created_after];
        self.conditions.is_empty() && times.iter().all(Option::is_none)
    }
}

#[derive(Group)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Which sessions
    #[arg(long, value_enum, default_value_t)]
    pub(crate) status: StatusArg,
    /// At most this many; 100 by default on a terminal, all of them elsewhere
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Only what comes after this session: its id, or the cursor that the page before ended with
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    /// Which columns, in this order, separated by commas
    ///
    /// The table's fields, `id`, `data`, `data.` with the keys that lead to a part of it, `status`, `expires_at`,
    /// `inserted_at`, `updated_at`, `cursor`. A JSON object has these keys then.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', add = ArgValueCompleter::new(completing::columns))]
    pub(crate) columns: Vec<String>,
    /// By which column, with a minus for the greatest first [default: `-inserted_at`]
    ///
    /// Where nulls stand depends on the database. Sorted by another column than `inserted_at`, all that is shown is held
    /// in memory, and there are no pages.
    #[arg(long, value_name = "[-]NAME", allow_hyphen_values = true, add = ArgValueCompleter::new(completing::sort))]
    pub(crate) sort: Option<String>,
}

#[derive(Group)]
pub(crate) struct Log {
    /// Only of this session
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Only of this owner: the value of the column with the role `owner`
    #[arg(long, value_name = "VALUE")]
    pub(crate) owner: Option<String>,
    /// Only this event: created, ended, evicted, reused, …
    #[arg(long, value_name = "NAME")]
    pub(crate) event: Option<String>,
    /// Only what happened then or later: 2026-11-23, -7d, …
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<Moment>,
    /// Only what happened before then
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<Moment>,
    /// Only what comes after this entry in the list: its id
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u64,
}

#[derive(Group)]
pub(crate) struct Count {
    #[command(flatten)]
    pub(crate) filter: Filter,
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

#[derive(Group)]
pub(crate) struct Update {
    #[command(flatten)]
    pub(crate) one: One,
    /// A field's new value
    ///
    /// Bytes in hexadecimal, times as in 2026-11-23T01:48:09Z.
    #[arg(long, value_name = "NAME=VALUE", add = ArgValueCompleter::new(completing::assignment))]
    pub(crate) set: Vec<Assignment>,
    /// A field that becomes null
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completing::field))]
    pub(crate) set_null: Vec<String>,
    /// The session's new data, any JSON, in place of all that it had
    #[arg(long, value_name = "JSON")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) expiry: Expiry,
}

/// One session, those for which something holds, or all.
#[derive(Group)]
pub(crate) struct Target {
    /// The session's id
    #[arg(long, value_name = "UUID", allow_hyphen_values = true, conflicts_with_all = ["Filter", "all"])]
    pub(crate) id: Option<String>,
    /// All sessions of the table; always asks
    #[arg(long, conflicts_with = "Filter")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
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
    /// Of many sessions: which [default: all]
    #[arg(long, value_enum, conflicts_with = "id")]
    pub(crate) status: Option<StatusArg>,
    /// Do not ask, however many sessions it is
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Group)]
pub(crate) struct Prune {
    /// Keep what has expired or was ended less than this ago [default: nothing]
    #[arg(long, value_name = "SPAN", value_parser = value::duration)]
    pub(crate) older_than: Option<Duration>,
    /// Go on, about so often, until interrupted; each run is reported on standard error
    #[arg(long, value_name = "SPAN", value_parser = value::duration)]
    pub(crate) every: Option<Duration>,
    /// Say nothing unless something goes wrong, as for cron
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Group)]
pub(crate) struct Import {
    /// The file, in CSV or JSON lines; standard input if it is left out or `-`
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// What it is [default: as its first character shows]
    #[arg(long, value_enum)]
    pub(crate) from: Option<ImportFormat>,
    /// Take digests, under the name `digest`, which were made under this scheme
    ///
    /// `TAG=HASH` and steps, such as knox4=sha512:decoded-hex: see the end of `cloakroom --help`. Or the name of a scheme
    /// that the configuration has. The digests are in hexadecimal or base64. They are stored with the tag, and tokens are
    /// accepted while the application's configuration has the same scheme under the same tag: try one of the tokens
    /// afterwards. Who can write such a file decides which token is whose.
    #[arg(long, value_name = "TAG=READING")]
    pub(crate) scheme: Option<String>,
    /// Take digests, under the name `digest`, which were hashed and salted as the configuration says
    #[arg(long, conflicts_with = "scheme")]
    pub(crate) digests: bool,
    /// Read a field from what has another name in the file; repeat it for several
    ///
    /// Also for `token`, `inserted_at` and the others: `--map user_id=owner --map token=key`.
    #[arg(long, value_name = "FIELD=NAME")]
    pub(crate) map: Vec<Assignment>,
    /// Give sessions without a token a new one, and write line, id and token of each to this new file, as CSV
    ///
    /// What `list` writes has no tokens. Only its owner may read the new file. Hand the tokens out and delete it. All is
    /// written in one transaction, or nothing: a second run would make other tokens.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) tokens: Option<PathBuf>,
    /// Try everything, in the database too, and undo it
    #[arg(long, conflicts_with = "tokens")]
    pub(crate) dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    Csv,
    Jsonl,
}

#[derive(Group)]
pub(crate) struct Stats {
    /// Count by the value of this field: the values that most sessions have. Or by `scheme`: under which the tokens are
    /// stored, and whether the configuration has it
    #[arg(long, value_name = "FIELD", add = ArgValueCompleter::new(completing::field))]
    pub(crate) by: Option<String>,
    /// How many values
    #[arg(long, value_name = "N", default_value_t = 20, requires = "by")]
    pub(crate) limit: u64,
}

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Print a new key, as an entry of the variable `CLOAKROOM_KEYS`
    ///
    /// Put it first, before the keys that are there: those are needed for the tokens that are stored under them, until
    /// `stats --by scheme` counts none. The application gets the same keys.
    Generate {
        /// The key's name, which is stored with each digest [default: this month, as in 2026-11]
        name: Option<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Token {
    /// Print a new token, of the configured length or with the prefix
    Generate,
    /// Print the regular expression by which programs that search for leaked secrets find tokens with the prefix
    Regex,
    /// Print the digest of the token on standard input, under the configured hashing and salt
    Digest(TokenInput),
}
