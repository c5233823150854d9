use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use cloakroom::sqlx::mysql::MySqlConnectOptions;
use cloakroom::sqlx::postgres::PgConnectOptions;
use cloakroom::sqlx::sqlite::SqliteConnectOptions;
use cloakroom::{Backend, Config, Database, DynamicFields, Scheme, Sessions, TableDefinition, sqlx};

use crate::args::Options;
use crate::catalog;
use crate::config;
use crate::failure::Failure;
use crate::hints::Hints;
use crate::output::Output;

/// The command that creates a table.
const MAKE: &str = "migrate up --field user_id:text:index";

/// The sessions of a table with fields that are known only at run time.
pub(crate) type Table = Sessions<DynamicFields>;

/// What every command starts from: the table, the database, the settings, and where the answer goes.
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) config: Config,
    /// The scheme that `--scheme` names.
    pub(crate) scheme: Option<Scheme>,
    url: String,
    server: Server,
    opened: OnceCell<Database>,
    schema: Option<String>,
    table: String,
    hints: Hints,
}

impl Context {
    /// Reads the options. Does not ask the database yet.
    pub(crate) fn new(
        options: Options,
        no_extend: bool,
        scheme: Option<&str>,
        is_database_given: bool,
    ) -> Result<Self, Failure> {
        let hints = Hints::new(&options, is_database_given);
        let Options { database: url, schema, table, config, prefix, format } = options;
        let server = Server::of(&url)?;
        let (config, scheme) = config::load(config.as_deref(), prefix, no_extend, scheme)?;
        let output = Output::new(format);
        let context =
            Self { output, config, scheme, url, server, opened: OnceCell::new(), schema, table, hints };
        // A bad name is an error of the command line, before anything is opened or created.
        cloakroom::migrations::down_sql(&context.definition(), context.backend())?;
        Ok(context)
    }

    pub(crate) fn backend(&self) -> Backend {
        self.server.backend()
    }

    /// Returns the table by its name, without any field.
    pub(crate) fn definition(&self) -> TableDefinition {
        let definition = TableDefinition::new(self.table.clone());
        match &self.schema {
            Some(schema) => definition.schema(schema.clone()),
            None => definition,
        }
    }

    /// Returns the table as it is in the database; `None` if there is none.
    pub(crate) async fn existing(&self, database: &Database) -> Result<Option<TableDefinition>, Failure> {
        Ok(DynamicFields::definition_from(database, self.schema.as_deref(), &self.table).await?)
    }

    /// Returns the sessions of the table, which must exist.
    pub(crate) async fn sessions(&self) -> Result<Table, Failure> {
        let database = self.connect().await?;
        match self.existing(&database).await? {
            Some(definition) => self.sessions_of(database, definition),
            None => Err(self.missing_table(&database).await),
        }
    }

    pub(crate) fn sessions_of(
        &self,
        database: Database,
        definition: TableDefinition,
    ) -> Result<Table, Failure> {
        Ok(Sessions::with_definition(database, definition, self.config.clone())?)
    }

    /// Opens the database, which must exist.
    pub(crate) async fn connect(&self) -> Result<Database, Failure> {
        match self.missing_file() {
            Some(file) => {
                let make = self.hints.command(MAKE);
                Err(Failure::trouble(format!("there is no database file {file}; make it with: {make}")))
            }
            None => self.connect_or_make().await,
        }
    }

    /// Opens the database. An embedded one is created if it does not exist.
    pub(crate) async fn connect_or_make(&self) -> Result<Database, Failure> {
        let what = match self.server.file() {
            Some(file) => format!("the database file {}", file.display()),
            None => format!("the {} database", self.backend()),
        };
        let opened = Database::connect(&self.url).await.map_err(Failure::unreachable);
        let database = opened.map_err(|failure| failure.context(format!("cannot open {what}")))?;
        Ok(self.opened.get_or_init(|| database).clone())
    }

    /// Closes the database, so that an embedded one puts its files in order.
    pub(crate) async fn close(self) {
        if let Some(database) = self.opened.get() {
            database.close().await;
        }
    }

    /// Returns the file of an embedded database that does not exist yet.
    pub(crate) fn missing_file(&self) -> Option<String> {
        self.server.file().filter(|file| !file.exists()).map(|file| file.display().to_string())
    }

    /// Returns the hint for a missing table: which tables there are, and how to create this one.
    async fn missing_table(&self, database: &Database) -> Failure {
        let table = self.definition();
        let make = self.hints.command(MAKE);
        let missing = Failure::trouble(format!("there is no table {table}; make it with: {make}"));
        // A hint that cannot be given is no error of its own.
        let mut others = catalog::session_tables(database).await.unwrap_or_default();
        if others.iter().any(|found| found.schema.is_none()) {
            others.retain(|found| found.schema.is_none());
        }
        if others.is_empty() {
            return missing;
        }
        let others: Vec<String> = others.iter().map(catalog::Found::options).collect();
        missing.details(vec![format!("session tables that there are: {}", others.join(", "))])
    }

    /// Returns a command for the user to type next, with the options that were given to this one.
    pub(crate) fn hint(&self, command: &str) -> String {
        self.hints.command(command)
    }
}

/// The database that a URL names.
pub(crate) enum Server {
    /// A file, unless the database is held in memory.
    Sqlite(Option<PathBuf>),
    Postgres,
    MySql,
}

impl Server {
    /// Nothing of the URL goes into the errors: it may hold a password.
    pub(crate) fn of(url: &str) -> Result<Self, Failure> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let unreadable =
            |error: sqlx::Error| Failure::usage("--database is no URL of a database").caused_by(&error);
        match scheme {
            "sqlite" => {
                let options: SqliteConnectOptions = url.parse().map_err(unreadable)?;
                let (name, query) = url.split_once('?').unwrap_or((url, ""));
                let is_in_memory = name.trim_start_matches("sqlite:").trim_start_matches("//") == ":memory:"
                    || query.split('&').any(|pair| pair == "mode=memory");
                Ok(Self::Sqlite((!is_in_memory).then(|| options.get_filename().to_owned())))
            }
            "postgres" | "postgresql" => {
                url.parse::<PgConnectOptions>().map(|_| Self::Postgres).map_err(unreadable)
            }
            "mysql" | "mariadb" => {
                url.parse::<MySqlConnectOptions>().map(|_| Self::MySql).map_err(unreadable)
            }
            _ => Err(Failure::usage("--database takes a URL that begins with sqlite:, postgres: or mysql:")),
        }
    }

    fn backend(&self) -> Backend {
        match self {
            Self::Sqlite(_) => Backend::Sqlite,
            Self::Postgres => Backend::Postgres,
            Self::MySql => Backend::MySql,
        }
    }

    /// Returns the file of an embedded database.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(file) => file.as_deref(),
            Self::Postgres | Self::MySql => None,
        }
    }
}
