//! The derive macros of [`cloakroom`](https://docs.rs/cloakroom), which re-exports them. Depend on that crate; this one
//! has no use without it.

#![deny(missing_docs)]

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

mod associated;
mod ast;
mod attr;
mod built_in;
mod expand;
mod fallback;
mod known;
mod report;
mod role;
mod scope;
#[cfg(test)]
mod tests;
mod valid;

/// Makes a struct a session table. Each field is a column, next to the columns that every session has.
///
/// ```
/// use cloakroom::SessionTable;
///
/// #[derive(Clone, Debug, SessionTable)]
/// #[session(schema = "auth", table = "user_sessions")]
/// struct UserSession {
///     #[session(index, belongs_to = "users.id", on_delete = "cascade")]
///     user_id: i64,
///     #[session(sql_type = "varchar(32)")]
///     role: String,
///     device_name: Option<String>,
/// }
///
/// let table = UserSession::definition();
/// assert_eq!(table.table_name(), "user_sessions");
///
/// // A constant for each column, for queries.
/// let _ = UserSession::USER_ID;
/// let _ = UserSession::DEVICE_NAME;
/// ```
///
/// # What it takes
///
/// A struct with named fields and without generic parameters: one struct is one table, and each of its columns has one
/// type. The struct must be [`Clone`], [`Send`] and [`Sync`]. A struct without fields, `struct Ticket {}`, is a table
/// with only the built-in columns.
///
/// A field may have any type that sqlx can store on the databases that `cloakroom` was built for (its trait
/// `FieldType`): strings, integers, floats, `bool`, bytes, UUIDs, instants, JSON, and your own newtypes and enums that
/// derive `sqlx::Type`. The column of an `Option` is nullable. The `Option` must be written out, since a derive cannot
/// see behind a type alias.
///
/// # What it makes
///
/// - Implementations of the traits `SessionFields` and `SessionTable`.
/// - For each [role](#roles), an implementation of its trait, such as `HasHint`, and for `exchange`, `rotation_grace` and
///   `audit_log` those of `ExchangesTokens`, `RotatesWithGrace` and `KeepsAuditLog`.
/// - For each field, a constant with its name in capital letters and with its visibility: `user_id` becomes
///   `UserSession::USER_ID`, `r#type` becomes `TYPE`. The constant stands for the column in queries, with the type of a
///   value in it: `String` for a field of `Option<String>`.
///
/// # Attributes of the struct
///
/// | `#[session(…)]` | meaning | default |
/// |---|---|---|
/// | `table = "api_keys"` | the table's name, at most 40 characters | `sessions` |
/// | `schema = "auth"` | the schema that holds the table; on MariaDB and MySQL this is a database | the connection's own |
/// | `data = DeviceInfo` | the type of a session's `data`, stored as JSON; give it `#[serde(default)]`, see [below](#data-that-changes-with-a-release) | `serde_json::Value`: any JSON |
/// | `crate = my_framework::cloakroom` | where the library is, for a crate that knows it by another path; also as a string | `::cloakroom` |
/// | `exchange` | the table's tokens can be exchanged, as refresh tokens are: `Sessions::exchange` | they cannot |
/// | `rotation_grace` | the old token can stay good for a while after a rotation: `Sessions::rotate_with_grace` | it cannot |
/// | `audit_log` | each change of a session is recorded, in its transaction: `Sessions::audit_log` | none is |
///
/// `exchange` and `rotation_grace` make `migrate` create a second table, `<table>_retired_tokens`, and `audit_log` one of
/// the name `<table>_audit_log`.
///
/// # Attributes of a field
///
/// | `#[session(…)]` | meaning | default |
/// |---|---|---|
/// | `column = "owner_id"` | the column's name; the constant keeps the field's | the field's name |
/// | `index` | an index on the column and `inserted_at`, for listing by this field, newest first | no index |
/// | `belongs_to = "users.id"` | the column holds values of that table's column, and can be preloaded from there | |
/// | `on_delete = "cascade"` | with `belongs_to`: a foreign key, which deletes sessions along with the row they belong to | no foreign key |
/// | `sql_type = "varchar(32)"` | the column's type in SQL, put into the migration as it stands | follows from the field's type |
/// | `hint` | the column holds what may be shown of the session's token, and is [filled in by the library](#roles) | |
/// | `authenticated_at` | the column holds when the user last [proved who they are](#roles) | |
/// | `assurance` | the column holds [how well](#roles) they did | |
/// | `last_seen` | the column holds when the session was [last used](#roles) | |
/// | `scopes` | the column holds [what the session may do](#roles) | |
/// | `owner` | the column says whose the session is: see [roles](#roles) | |
/// | `ended_because` | the column holds why the session was ended, and is [filled in by the library](#roles) | |
/// | `last_address` | the column holds the address from which it was last used | |
/// | `last_user_agent` | the column holds the program with which it was last used | |
/// | `device_key` | the column holds the key to which [the browser has bound the session](#roles) | |
///
/// Several attributes may share one `#[session(…)]` or have one each.
///
/// # Roles
///
/// A role says what a column is for, so that the library fills it in or reads it. A table has at most one column for each
/// role, and a column at most one role. Methods that need a role do not compile for a table without it, and say which
/// attribute is missing.
///
/// | role | field | meaning |
/// |---|---|---|
/// | `hint` | `String`, or `Option<String>` for a table that has sessions | the token's hint, such as `acme_live_7Qx4…k3Fq`: `create`, `rotate` and `import` write it together with the token's digest, in place of what the field held. `Session::hint` reads it |
/// | `authenticated_at` | `OffsetDateTime` or `Option<OffsetDateTime>` | when the user last proved who they are. `create` fills it in with now, unless it is given and earlier, and `Sessions::reauthenticate` with now; `Session::is_fresh` reads it |
/// | `scopes` | `Scopes<E>`, or `Option<Scopes<E>>` for a table that has sessions, with an enum that [derives `Scope`](derive@Scope) or with `String` | what the session may do: the application sets it. `Session::scopes` and `Session::has_scope` read it |
/// | `owner` | any type; give it an `index` too | whose session it is, as in `user_id: i64`. `SessionQuery::owner` selects the sessions of one owner, and `Sessions::with_limit` limits how many each has |
/// | `ended_because` | `Option<String>` | why the session was ended, such as `logged_out`: `expire` and the other operations that end sessions write it in the statement that ends the session. It is null while the session is valid, and stays null if the session reaches its expiry. `Session::ended_because` reads it |
/// | `assurance` | any type: an integer, or an enum of your own | how well the user has proved who they are. `Sessions::reauthenticate_as` sets it |
/// | `last_seen` | `Option<OffsetDateTime>`, null until the session is used; or `OffsetDateTime`, which `create` sets | when the session was last used: with `Config::record_seen`, `authenticate` notes it, and it is written a little later. `Session::last_seen` reads it |
/// | `last_address` | `Option<String>` | the address of that request, as far as `Sessions::seen` was told it. `Session::last_address` reads it |
/// | `last_user_agent` | `Option<String>` | the `User-Agent` of that request, likewise. `Session::last_user_agent` reads it |
/// | `device_key` | `Option<DeviceKey>`, null until the session is bound | the public half of the key by which the browser renews the session's cookie (Device Bound Session Credentials; feature `dbsc`): `Sessions::register_device` writes it, and nothing else should. `Session::is_bound` reads it. `migrate` adds the column to a table that exists, and two of the library's own, `device_challenge` and `device_token_until`; it also makes the second table, as `rotation_grace` does |
///
/// ```
/// use cloakroom::{NewSession, SessionTable};
///
/// #[derive(Clone, Debug, SessionTable)]
/// #[session(table = "api_keys")]
/// struct ApiKey {
///     #[session(index)]
///     user_id: i64,
///     name: String,
///     #[session(hint)]
///     hint: String,
/// }
///
/// // `create` fills in the hint.
/// let _ = NewSession::new(ApiKey { user_id: 1, name: "deploys".into(), hint: String::new() });
/// ```
///
/// # Data that changes with a release
///
/// A session lives for days, so its data may have been stored by an older version of the program. A part that the older
/// version did not store needs a default. Without one the session does not decode: its user is logged out, with an
/// error of the kind `Decode`.
///
/// ```
/// use cloakroom::{NewSession, SessionTable};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Default, Serialize, Deserialize)]
/// #[serde(default)]
/// struct Settings {
///     language: Option<String>,
///     // New in this version: sessions from before have none.
///     theme: Theme,
/// }
///
/// #[derive(Clone, Debug, Default, Serialize, Deserialize)]
/// #[serde(rename_all = "lowercase")]
/// enum Theme {
///     #[default]
///     Light,
///     Dark,
///     // A value that this version does not know, from a newer one that runs beside it.
///     #[serde(other)]
///     Unknown,
/// }
///
/// #[derive(Clone, Debug, SessionTable)]
/// #[session(data = Settings)]
/// struct UserSession {
///     user_id: i64,
/// }
///
/// // The data is `Settings::default()`.
/// let _ = NewSession::new(UserSession { user_id: 1 });
/// ```
///
/// `NewSession::new` gives a session the default of its data type. A type without a `Default` does not compile there;
/// `NewSession::with_data(fields, data)` takes the data itself. These attributes do not exist for a field of an enum
/// type: keep its old variants for as long as the sessions live.
///
/// # Names
///
/// The names of schemas, tables and columns are always quoted, so they may hold any character but control characters,
/// as in `table = "org-42"` and `column = "admin?"`. A table's name holds no dot, since its schema is an attribute of
/// its own. A name has at most 63 bytes. Every session already has the columns `id`, `auth_token_digest`, `data`,
/// `expires_at`, `inserted_at`, `updated_at` and `sliding_seconds`, so no field and no column can have one of these
/// names. A table with the role `device_key` also has `device_challenge` and `device_token_until`. Two column names must differ in more than upper and lower case, since SQLite, MariaDB and MySQL do not distinguish them.
///
/// All of this is checked while the program compiles.
#[proc_macro_derive(SessionTable, attributes(session))]
pub fn derive_session_table(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::derive(&input).into()
}

/// Makes an enum the scopes of an application: each variant is one scope. `Scopes` is the set of them, for a field of a
/// table.
///
/// ```
/// use cloakroom::{NewSession, Scope, Scopes, SessionTable};
///
/// #[derive(Clone, Copy, Debug, PartialEq, Eq, Scope)]
/// enum Permission {
///     Read,
///     Write,
///     #[scope(rename = "read:all")]
///     ReadAll,
/// }
///
/// #[derive(Clone, Debug, SessionTable)]
/// #[session(table = "api_keys")]
/// struct ApiKey {
///     #[session(index)]
///     user_id: i64,
///     #[session(scopes)]
///     scopes: Scopes<Permission>,
/// }
///
/// let scopes = Scopes::from([Permission::ReadAll, Permission::Write]);
/// assert_eq!(scopes.to_string(), "read:all write");
/// let _ = NewSession::new(ApiKey { user_id: 1, scopes });
///
/// // A condition for queries: the keys that may write.
/// let _ = ApiKey::SCOPES.contains(Permission::Write);
/// ```
///
/// It takes an enum without parameters, whose variants hold no data, and which is [`Clone`], [`Send`] and [`Sync`]. It makes
/// the implementation of the trait `Scope`: the scopes' names, and the list of them all.
///
/// # Names
///
/// A scope is called like its variant, in `snake_case`: `ReadAll` is `read_all`. The names stand in rows and in what
/// clients send, so keep a variant's name by `rename` if you call the variant otherwise later. A name is printable ASCII
/// without spaces, `"` and `\`, as in [RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-3.3), and no two scopes have
/// one name; case counts. This is checked while the program compiles.
///
/// | `#[scope(…)]` | where | meaning |
/// |---|---|---|
/// | `rename_all = "kebab-case"` | the enum | the style of names: `lowercase`, `UPPERCASE`, `PascalCase`, `camelCase`, `snake_case` (the default), `SCREAMING_SNAKE_CASE`, `kebab-case` or `SCREAMING-KEBAB-CASE`, which write what serde's write |
/// | `crate = my_framework::cloakroom` | the enum | where the library is, for a crate that knows it by another path; also as a string |
/// | `rename = "read:all"` | a variant | the scope's name, to the letter |
#[proc_macro_derive(Scope, attributes(scope))]
pub fn derive_scope(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    scope::derive(&input).into()
}
