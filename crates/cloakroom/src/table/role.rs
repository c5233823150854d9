//! What a column is for. ARCHITECTURE.md says how to add a role.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;

use super::{DynamicFields, DynamicValue, ScopesField, SessionFields};
use crate::database::ColumnType;
use crate::scopes::{AnyScope, Scopes};

/// Makes the list of roles: the enum, and for each role the trait of the tables that have a column with it.
///
/// A line has the role, its name in the attribute `#[session(…)]`, what its values are, and the trait with its one
/// accessor. The derive implements the trait for a struct, and this macro implements it for [`DynamicFields`]. The roles in
/// braces have traits of another form, which stand in files of their own.
macro_rules! roles {
    (
        { $($(#[$other_attribute:meta])* $other:ident, $other_name:literal, $other_kind:ident;)* }
        $(
            $(#[$role_attribute:meta])*
            $role:ident, $name:literal, $kind:ident;
            $(#[$trait_attribute:meta])*
            $trait:ident::$accessor:ident
        )*
    ) => {
        /// What one of the application's own columns is for, so that the library fills it in or reads it.
        ///
        /// A table has at most one column with each role. The derive sets a field's role by the attribute of the same
        /// name; see [`derive(SessionTable)`](derive@crate::SessionTable). A table that is defined at run time has roles
        /// too; see [`FieldDefinition::for_role`](crate::FieldDefinition::for_role).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Role {
            $($(#[$role_attribute])* $role,)*
            $($(#[$other_attribute])* $other,)*
        }

        impl Role {
            /// Every role.
            pub(crate) const ALL: &[Role] = &[$(Role::$role,)* $(Role::$other),*];

            /// Returns the role's name, which is that of its attribute.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$role => $name,)*
                    $(Self::$other => $other_name,)*
                }
            }

            /// Returns what the column's values are.
            const fn kind(self) -> Kind {
                match self {
                    $(Self::$role => Kind::$kind,)*
                    $(Self::$other => Kind::$other_kind,)*
                }
            }
        }

        $(
            $(#[$trait_attribute])*
            pub trait $trait: SessionFields {
                associated_type!($kind);

                /// Returns the value of the column with this role. A table that is defined at run time may have no such
                /// column, and the value of an `Option` may be missing.
                fn $accessor(&self) -> value_of!($kind);
            }

            #[diagnostic::do_not_recommend]
            impl $trait for DynamicFields {
                dynamic_type!($kind);

                fn $accessor(&self) -> value_of!($kind) {
                    read_as!($kind, self.with_role(Role::$role)?)
                }
            }
        )*
    };
}

macro_rules! value_of {
    (Text) => { Option<&str> };
    (Instant) => { Option<OffsetDateTime> };
    (Scopes) => { Option<Cow<'_, Scopes<Self::Scope>>> };
    (OptionalText) => { Option<&str> };
}

macro_rules! read_as {
    (Text, $value:expr) => {
        TextField::text($value)
    };
    (OptionalText, $value:expr) => {
        OptionalTextField::text($value)
    };
    (Instant, $value:expr) => {
        InstantField::instant($value)
    };
    (Scopes, $value:expr) => {
        ScopesField::scopes($value)
    };
}

/// The type that belongs to a trait, if its values are not of the same type in every table.
macro_rules! associated_type {
    (Scopes) => {
        /// What the scopes are: an enum that derives [`Scope`](derive@crate::Scope), or [`String`].
        type Scope: AnyScope;
    };
    ($other:ident) => {};
}

macro_rules! dynamic_type {
    (Scopes) => {
        type Scope = String;
    };
    ($other:ident) => {};
}

roles! {
    {
        /// Whose session it is, such as `user_id`. [`SessionQuery::owner`](crate::SessionQuery::owner) selects the sessions
        /// of one owner; [`Sessions::with_limit`](crate::Sessions::with_limit) limits how many each has.
        Owner, "owner", Any;
        /// How well the session's user has proved who they are, by whatever levels the application has: an integer, or an
        /// enum of its own. [`reauthenticate_as`](crate::Sessions::reauthenticate_as) sets it.
        Assurance, "assurance", Any;
        /// The public half of the key to which the session's browser has bound it (Device Bound Session Credentials), or
        /// null: text that the library writes when the browser registers. It needs the feature `dbsc`.
        DeviceKey, "device_key", DeviceKey;
    }

    /// The token's [hint](crate::TokenFormat::hint), such as `acme_live_7Qx4…k3Fq`: text that the library fills in
    /// whenever it makes a token.
    Hint, "hint", Text;
    /// Fields with a column for the token's hint: `#[session(hint)]`. See [`Session::hint`](crate::Session::hint).
    #[diagnostic::on_unimplemented(
        message = "the table of `{Self}` has no column for the hints of its tokens",
        label = "none of its fields has the role `hint`",
        note = "write `#[session(hint)] hint: String` in `{Self}`, or `Option<String>` where sessions exist already"
    )]
    HasHint::hint

    /// When the session was last used: an instant that the library writes if
    /// [`record_seen`](crate::ConfigBuilder::record_seen) is set.
    LastSeen, "last_seen", Instant;
    /// Fields with a column for when the session was last used: `#[session(last_seen)]`. See
    /// [`Session::last_seen`](crate::Session::last_seen).
    #[diagnostic::on_unimplemented(
        message = "the table of `{Self}` has no column for when its sessions were last seen",
        label = "none of its fields has the role `last_seen`",
        note = "write `#[session(last_seen)] last_seen: Option<OffsetDateTime>` in `{Self}`"
    )]
    HasLastSeen::last_seen

    /// When the session's user last proved who they are, by a password or a passkey for example. The library fills it in
    /// when a session is created, and in [`reauthenticate`](crate::Sessions::reauthenticate).
    AuthenticatedAt, "authenticated_at", Instant;
    /// Fields with a column for when the session's user last proved who they are: `#[session(authenticated_at)]`. See
    /// [`Sessions::reauthenticate`](crate::Sessions::reauthenticate).
    #[diagnostic::on_unimplemented(
        message = "the table of `{Self}` has no column for when its users were authenticated",
        label = "none of its fields has the role `authenticated_at`",
        note = "write `#[session(authenticated_at)] authenticated_at: OffsetDateTime` in `{Self}`, or \
                `Option<OffsetDateTime>` where sessions exist already"
    )]
    HasAuthenticatedAt::authenticated_at

    /// What a session may do, as [`Scopes`]. The application sets them, and [`Session::has_scope`](crate::Session::has_scope)
    /// asks for them.
    Scopes, "scopes", Scopes;
    /// Fields with a column for the session's scopes: `#[session(scopes)]`. See
    /// [`Session::has_scope`](crate::Session::has_scope).
    #[diagnostic::on_unimplemented(
        message = "the table of `{Self}` has no column for the scopes of its sessions",
        label = "none of its fields has the role `scopes`",
        note = "write `#[session(scopes)] scopes: Scopes<Permission>` in `{Self}`, with an enum that derives `Scope`"
    )]
    HasScopes::scopes

    /// Why the session was ended, such as `logged_out`: text that the library fills in whenever it ends a session. See
    /// [`EndReason`](crate::EndReason).
    EndedBecause, "ended_because", OptionalText;
    /// Fields with a column for why the session was ended: `#[session(ended_because)]`. See
    /// [`Session::ended_because`](crate::Session::ended_because).
    #[diagnostic::on_unimplemented(
        message = "the table of `{Self}` has no column for why its sessions were ended",
        label = "none of its fields has the role `ended_because`",
        note = "write `#[session(ended_because)] ended_because: Option<String>` in `{Self}`"
    )]
    HasEndedBecause::ended_because

    /// The address from which the session was last used: text that the library writes together with the instant.
    LastAddress, "last_address", Text;
    /// Fields with a column for the address from which the session was last used: `#[session(last_address)]`. See
    /// [`Session::last_address`](crate::Session::last_address).
    #[diagnostic::on_unimplemented(
        message = "the table of `{Self}` has no column for the addresses from which its sessions were last used",
        label = "none of its fields has the role `last_address`",
        note = "write `#[session(last_address)] last_address: Option<String>` in `{Self}`"
    )]
    HasLastAddress::last_address

    /// The `User-Agent` of the request with which the session was last used: text that the library writes together with
    /// the instant.
    LastUserAgent, "last_user_agent", Text;
    /// Fields with a column for the program with which the session was last used: `#[session(last_user_agent)]`. See
    /// [`Session::last_user_agent`](crate::Session::last_user_agent).
    #[diagnostic::on_unimplemented(
        message = "the table of `{Self}` has no column for the programs with which its sessions were last used",
        label = "none of its fields has the role `last_user_agent`",
        note = "write `#[session(last_user_agent)] last_user_agent: Option<String>` in `{Self}`"
    )]
    HasLastUserAgent::last_user_agent
}

/// What the values of a column with a role are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Instant,
    /// Text, which the application sets.
    Scopes,
    /// Text, or null as long as there is nothing to say.
    OptionalText,
    /// Text of a public key, or null until there is one. The library writes it in a statement of its own.
    DeviceKey,
    /// Any value. The library does not fill it in.
    Any,
}

impl Role {
    /// Returns `true` if a write of the column leaves a session as it was for all who have read it.
    pub(crate) fn is_written_behind(self) -> bool {
        matches!(self, Self::LastSeen | Self::LastAddress | Self::LastUserAgent)
    }

    /// Returns `true` if the library writes the column over and over, so that it does not say what was once given.
    pub(crate) fn is_written_by_use(self) -> bool {
        self.is_written_behind() || self == Self::Hint
    }

    /// Returns the field of a table that is defined at run time, for the library to fill in; `None` if it fills in none
    /// with this role.
    pub(super) fn field(self, value: &mut DynamicValue) -> Option<RoleField<'_>> {
        match self.kind() {
            Kind::Text => Some(TextField::field(value)),
            Kind::OptionalText => Some(OptionalTextField::field(value)),
            Kind::Instant => Some(InstantField::field(value)),
            Kind::Scopes | Kind::DeviceKey | Kind::Any => None,
        }
    }

    /// Returns `true` if the text of a column with this role may be longer than that of another.
    pub(crate) fn holds_long_text(self) -> bool {
        self.kind() == Kind::DeviceKey
    }

    /// Returns `true` if blank text says something in a column with this role: the empty text is the empty set.
    pub(super) fn allows_blank(self) -> bool {
        self.kind() == Kind::Scopes
    }

    /// Returns why a column of this type, which may hold null or not, cannot have this role.
    pub(crate) fn objection(self, column_type: &ColumnType, is_nullable: bool) -> Option<String> {
        let (what, fit) = match self.kind() {
            Kind::Text | Kind::OptionalText | Kind::Scopes | Kind::DeviceKey => ("text", ColumnType::Text),
            Kind::Instant => ("instants", ColumnType::Timestamp),
            Kind::Any => return None,
        };
        // The database checks an exact type, such as `varchar(64)`.
        let is_fit = *column_type == fit || matches!(column_type, ColumnType::Exact(_));
        if !is_fit {
            return Some(format!("a column with the role {self} holds {what}, and this one {column_type}"));
        }
        (matches!(self.kind(), Kind::OptionalText | Kind::DeviceKey) && !is_nullable).then(|| {
            format!("a column with the role {self} holds null at first, and this one must not be null")
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the names that [`Display`](fmt::Display) writes.
impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|role| role.name() == name).ok_or(ParseRoleError)
    }
}

/// A name that is not the name of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseRoleError;

impl fmt::Display for ParseRoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
        write!(f, "not the role of a column; the roles are {}", names.join(", "))
    }
}

impl std::error::Error for ParseRoleError {}

/// The field with a role, to be filled in.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "it is for the code that the derive writes")]
pub enum RoleField<'f> {
    Text(&'f mut dyn TextField),
    Instant(&'f mut dyn InstantField),
}

impl RoleField<'_> {
    /// Sets another field with the same role to the value of this one, if there is one.
    pub(crate) fn copy_to(self, other: RoleField<'_>) {
        match (self, other) {
            (Self::Text(from), RoleField::Text(to)) => {
                if let Some(text) = from.text() {
                    to.set_text(text.to_owned());
                }
            }
            (Self::Instant(from), RoleField::Instant(to)) => {
                if let Some(instant) = from.instant() {
                    to.set_instant(instant);
                }
            }
            _ => {}
        }
    }
}

/// A type that a field with a role of text may have.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold the text of a role",
    label = "the library fills in text here",
    note = "use `String`, or `Option<String>` if the column may be null"
)]
pub trait TextField {
    fn text(&self) -> Option<&str>;

    fn set_text(&mut self, text: String);

    fn field(&mut self) -> RoleField<'_>
    where
        Self: Sized,
    {
        RoleField::Text(self)
    }
}

impl TextField for String {
    fn text(&self) -> Option<&str> {
        Some(self)
    }

    fn set_text(&mut self, text: String) {
        *self = text;
    }
}

impl TextField for Option<String> {
    fn text(&self) -> Option<&str> {
        self.as_deref()
    }

    fn set_text(&mut self, text: String) {
        *self = Some(text);
    }
}

/// A type that a field with a role of text may have if there is no text at first.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold the text of this role, which is null at first",
    label = "the library fills in text here later",
    note = "use `Option<String>`"
)]
pub trait OptionalTextField {
    fn text(&self) -> Option<&str>;

    fn field(&mut self) -> RoleField<'_>;
}

impl OptionalTextField for Option<String> {
    fn text(&self) -> Option<&str> {
        TextField::text(self)
    }

    fn field(&mut self) -> RoleField<'_> {
        TextField::field(self)
    }
}

#[diagnostic::do_not_recommend]
impl OptionalTextField for DynamicValue {
    fn text(&self) -> Option<&str> {
        TextField::text(self)
    }

    fn field(&mut self) -> RoleField<'_> {
        TextField::field(self)
    }
}

#[diagnostic::do_not_recommend]
impl TextField for DynamicValue {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn set_text(&mut self, text: String) {
        *self = Self::Text(text);
    }
}

/// A type that a field with a role of instants may have.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold the instant of a role",
    label = "the library fills in an instant here",
    note = "use `OffsetDateTime` of the crate `time`, or `Option<OffsetDateTime>` if the column may be null"
)]
pub trait InstantField {
    fn instant(&self) -> Option<OffsetDateTime>;

    fn set_instant(&mut self, instant: OffsetDateTime);

    fn field(&mut self) -> RoleField<'_>
    where
        Self: Sized,
    {
        RoleField::Instant(self)
    }
}

impl InstantField for OffsetDateTime {
    fn instant(&self) -> Option<OffsetDateTime> {
        Some(*self)
    }

    fn set_instant(&mut self, instant: OffsetDateTime) {
        *self = instant;
    }
}

impl InstantField for Option<OffsetDateTime> {
    fn instant(&self) -> Option<OffsetDateTime> {
        *self
    }

    fn set_instant(&mut self, instant: OffsetDateTime) {
        *self = Some(instant);
    }
}

#[diagnostic::do_not_recommend]
impl InstantField for DynamicValue {
    fn instant(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Timestamp(instant) => Some(*instant),
            _ => None,
        }
    }

    fn set_instant(&mut self, instant: OffsetDateTime) {
        *self = Self::Timestamp(instant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Backend;
    use crate::{FieldDefinition, TableDefinition};

    #[test]
    fn a_role_is_read_as_it_is_written() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(*role));
        }
        let error = "hnit".parse::<Role>().unwrap_err().to_string();
        assert!(error.contains("hint"), "{error}");
    }

    #[test]
    fn fields_known_only_at_run_time_find_the_role_in_the_definition() {
        let shown = FieldDefinition::dynamic("shown", ColumnType::Text);
        let table =
            TableDefinition::new("api_keys").field(FieldDefinition::dynamic("name", ColumnType::Text));
        let with_role = table.clone().field(shown.clone().for_role(Role::Hint));
        for backend in Backend::ALL {
            let mut fields = DynamicFields::new(&with_role, backend);
            assert_eq!(fields.hint(), None);
            let Some(RoleField::Text(field)) = fields.role_mut(Role::Hint) else {
                panic!("the field is there");
            };
            field.set_text("abcd…wxyz".to_owned());
            assert_eq!(fields.hint(), Some("abcd…wxyz"));
            assert_eq!(fields.get("shown"), Some(&DynamicValue::Text("abcd…wxyz".to_owned())));
            let mut fields = DynamicFields::new(&table.clone().field(shown.clone()), backend);
            assert!(fields.role_mut(Role::Hint).is_none() && fields.hint().is_none());
        }
    }

    #[test]
    fn an_instant_known_only_at_run_time_is_written_and_read() {
        let table = TableDefinition::new("api_keys").field(
            FieldDefinition::dynamic("used", ColumnType::Timestamp).nullable().for_role(Role::LastSeen),
        );
        let mut fields = DynamicFields::new(&table, Backend::Sqlite);
        assert_eq!(fields.last_seen(), None);
        let Some(RoleField::Instant(field)) = fields.role_mut(Role::LastSeen) else {
            panic!("the field is there");
        };
        field.set_instant(OffsetDateTime::UNIX_EPOCH);
        assert_eq!(fields.last_seen(), Some(OffsetDateTime::UNIX_EPOCH));
    }

    #[test]
    fn a_column_of_another_kind_does_not_suit_a_role() {
        let exact = || ColumnType::Exact("timestamp".into());
        assert_eq!(
            Role::LastSeen
                .objection(&ColumnType::Timestamp, true)
                .or(Role::LastSeen.objection(&exact(), false)),
            None
        );
        let text = Role::LastSeen.objection(&ColumnType::Text, true).unwrap();
        assert!(text.contains("last_seen holds instants, and this one text"), "{text}");
        let instant = Role::Hint.objection(&ColumnType::Timestamp, false).unwrap();
        assert!(instant.contains("hint holds text, and this one timestamp"), "{instant}");
    }
}
