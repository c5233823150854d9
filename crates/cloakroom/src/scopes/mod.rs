//! What a key may do: scopes, in the syntax of OAuth 2.0. This room knows no table and no database.

mod set;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

pub use text::ParseScopesError;
use text::is_scope;

/// The scopes that an application knows: an enum that derives [`Scope`](derive@crate::Scope).
///
/// Each variant is one scope. The set of them is [`Scopes`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no enum of scopes",
    label = "this type does not implement `Scope`",
    note = "write `#[derive(Clone, Scope)]` above an enum, each variant of which is a scope"
)]
pub trait Scope: Clone + Send + Sync + 'static {
    /// Every scope, in the order of the enum.
    const ALL: &'static [Self];

    /// Returns the scope's name, such as `read:all`: the text that stands for it in a row, in JSON and in a request.
    ///
    /// It has the syntax of RFC 6749: printable ASCII without spaces, `"` and `\`. The derive checks that, and that no two
    /// scopes have one name.
    fn name(&self) -> &'static str;
}

/// What [`Scopes`] may hold: an enum that derives [`Scope`], or [`String`] for scopes that are known only at run time.
/// There is nothing to implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the scopes of a set",
    label = "neither an enum of scopes nor `String`",
    note = "write `#[derive(Clone, Scope)]` above an enum, each variant of which is a scope; or take `Scopes<String>`"
)]
pub trait AnyScope: Send + Sync + Sized + 'static {
    /// Returns the scope with this name, which has the right syntax, if there is one.
    #[doc(hidden)]
    fn with_name(name: &str) -> Option<Self>;
}

#[diagnostic::do_not_recommend]
impl<E: Scope> AnyScope for E {
    fn with_name(name: &str) -> Option<Self> {
        E::ALL.iter().find(|scope| scope.name() == name).cloned()
    }
}

impl AnyScope for String {
    fn with_name(name: &str) -> Option<Self> {
        Some(name.to_owned())
    }
}

/// A value that names one scope of [`Scopes<E>`](Scopes): the scope itself or a reference to it, and for `Scopes<String>`
/// any text. There is nothing to implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no scope of `Scopes<{E}>`",
    label = "not a scope of this set",
    note = "give a scope of its enum, or a reference to one; text names a scope of `Scopes<String>`"
)]
pub trait NamesScope<E> {
    #[doc(hidden)]
    fn scope_name(&self) -> &str;
}

impl<E: Scope> NamesScope<E> for E {
    fn scope_name(&self) -> &str {
        self.name()
    }
}

impl<E: Scope> NamesScope<E> for &E {
    fn scope_name(&self) -> &str {
        self.name()
    }
}

impl NamesScope<String> for &str {
    fn scope_name(&self) -> &str {
        self
    }
}

impl NamesScope<String> for String {
    fn scope_name(&self) -> &str {
        self
    }
}

impl NamesScope<String> for &String {
    fn scope_name(&self) -> &str {
        self
    }
}

/// A set of scopes: what a key may do. `E` is an enum that derives [`Scope`](derive@crate::Scope), or [`String`].
///
/// ```
/// use cloakroom::{Scope, Scopes};
///
/// #[derive(Clone, Debug, PartialEq, Scope)]
/// enum Permission {
///     Read,
///     Write,
///     #[scope(rename = "read:all")]
///     ReadAll,
/// }
///
/// let scopes: Scopes<Permission> = "write read".parse()?;
/// assert!(scopes.contains(Permission::Write) && !scopes.contains(Permission::ReadAll));
/// assert_eq!(scopes.to_string(), "read write");
/// assert!("read delete".parse::<Scopes<Permission>>().is_err());
/// # Ok::<(), cloakroom::ParseScopesError>(())
/// ```
///
/// # Text
///
/// A set is text in the syntax of [RFC 6749, section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3): names with
/// one space between them, here sorted by their bytes and each once. A name is printable ASCII without spaces, `"` and
/// `\`, and case counts. The empty set is the empty text. The set is written so into a row, by [`Display`](fmt::Display)
/// and, as one string, by serde.
///
/// As a field of a table it is a column of text, which holds 255 characters on PostgreSQL and MariaDB unless `sql_type`
/// gives it another type. A set that is too long is an error, and is never cut. Give the field the role `scopes` if the
/// set says what the session may do; see [`HasScopes`](crate::HasScopes).
///
/// # Scopes that this program does not know
///
/// A row may hold other scopes than those of the enum, because a newer version of the application wrote it, or text in
/// another form. Each word between two spaces is kept when the row is written again, also if other scopes are
/// added and removed. But it is never granted: [`contains`](Self::contains), [`is_subset`](Self::is_subset),
/// [`narrowed_to`](Self::narrowed_to) and iteration know the scopes of the enum alone. In `Scopes<String>` every name of
/// the right syntax is known. [`unknown`](Self::unknown) returns the others.
///
/// Text from elsewhere, which [`FromStr`](std::str::FromStr) and serde read, must hold known scopes alone: a client could
/// otherwise ask for a scope that only the next version knows.
pub struct Scopes<E> {
    /// The names, known and unknown.
    names: BTreeSet<Box<str>>,
    of: PhantomData<fn() -> E>,
}

impl<E: AnyScope> Scopes<E> {
    /// Makes an empty set.
    pub const fn new() -> Self {
        Self::of(BTreeSet::new())
    }

    const fn of(names: BTreeSet<Box<str>>) -> Self {
        Self { names, of: PhantomData }
    }

    /// Makes a set of the scopes with these names.
    ///
    /// ```
    /// # use cloakroom::Scopes;
    /// let scopes = Scopes::<String>::from_names(["write", "read"])?;
    /// assert_eq!(scopes.to_string(), "read write");
    /// assert!(Scopes::<String>::from_names(["read write"]).is_err());
    /// # Ok::<(), cloakroom::ParseScopesError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ParseScopesError`] if a name has not the syntax of a scope, or is not that of a known one.
    pub fn from_names<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, ParseScopesError> {
        let names = names.into_iter().map(|name| text::known::<E>(name.as_ref()));
        Ok(Self::of(names.collect::<Result<_, _>>()?))
    }

    /// Reads a set as a row holds it: what is unknown, and what has not the syntax of a scope, is kept and not granted.
    ///
    /// The fields of a session are read so. Use it for a column that you read yourself, and never for text that a client
    /// has sent.
    pub fn from_stored(text: &str) -> Self {
        // As the databases split it in a condition: other white space is a part of a name.
        Self::of(text.split(' ').filter(|name| !name.is_empty()).map(Box::from).collect())
    }

    /// Returns `true` if this scope is in the set. An unknown scope never is.
    #[expect(clippy::needless_pass_by_value, reason = "a scope is given as it is, or by reference")]
    pub fn contains(&self, scope: impl NamesScope<E>) -> bool {
        let name = scope.scope_name();
        is_scope(name) && self.names.contains(name)
    }

    /// Takes a scope out of the set. Returns `true` if it was there.
    #[expect(clippy::needless_pass_by_value, reason = "a scope is given as it is, or by reference")]
    pub fn remove(&mut self, scope: impl NamesScope<E>) -> bool {
        self.names.remove(scope.scope_name())
    }

    /// Returns `true` if every scope of this set is in `other` too.
    ///
    /// A set with an unknown scope is no subset of any: this program cannot tell what that scope allows. So
    /// `requested.is_subset(&allowed)` and `needed.is_subset(&allowed)` are never `true` by mistake.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.names.iter().all(|name| is_known::<E>(name) && other.names.contains(name))
    }

    /// Returns `true` if every scope of `other` is in this set too; see [`is_subset`](Self::is_subset).
    pub fn is_superset(&self, other: &Self) -> bool {
        other.is_subset(self)
    }

    /// Returns `true` if the set holds nothing, not even an unknown scope.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the known scopes, in the order of their names.
    pub fn iter(&self) -> Iter<'_, E> {
        Iter { names: self.names.iter(), of: PhantomData }
    }

    /// Returns the names that a row holds and that are not those of known scopes, in their order.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name).filter(|name| !is_known::<E>(name))
    }

    /// Returns the scopes that are in this set and in that of `maker`: what a key may get of what is asked for, if
    /// `maker` makes it. Unknown scopes are left out, also if both have them.
    ///
    /// ```
    /// # use cloakroom::Scopes;
    /// let (asked, maker): (Scopes<String>, Scopes<String>) = ("admin read".parse()?, "read write".parse()?);
    /// assert_eq!(asked.narrowed_to(&maker).to_string(), "read");
    /// # Ok::<(), cloakroom::ParseScopesError>(())
    /// ```
    ///
    /// RFC 6749 allows both answers to a request for too much: this one, of which the client must then be told, or the
    /// refusal that [`within`](Self::within) gives.
    #[must_use]
    pub fn narrowed_to(&self, maker: &Self) -> Self {
        let known = self.names.intersection(&maker.names).filter(|name| is_known::<E>(name));
        Self::of(known.cloned().collect())
    }

    /// Returns this set if `maker` has all of its scopes: no key can be made with more than its maker has.
    ///
    /// ```
    /// # use cloakroom::Scopes;
    /// let (asked, maker): (Scopes<String>, Scopes<String>) = ("admin read".parse()?, "read write".parse()?);
    /// let error = asked.within(&maker).unwrap_err();
    /// assert_eq!(error.excess().collect::<Vec<_>>(), ["admin"]);
    /// # Ok::<(), cloakroom::ParseScopesError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExcessScopesError`], which names what is too much. An unknown scope always is.
    pub fn within(self, maker: &Self) -> Result<Self, ExcessScopesError> {
        let is_excess = |name: &str| !is_known::<E>(name) || !maker.names.contains(name);
        let excess: Vec<Box<str>> = self.names.iter().filter(|name| is_excess(name)).cloned().collect();
        if excess.is_empty() { Ok(self) } else { Err(ExcessScopesError { excess }) }
    }
}

impl<E: Scope> Scopes<E> {
    /// Makes the set of all known scopes.
    pub fn all() -> Self {
        E::ALL.iter().cloned().collect()
    }

    /// Puts a scope into the set. Returns `true` if it was not there before.
    #[expect(clippy::needless_pass_by_value, reason = "as the sets of the standard library")]
    pub fn insert(&mut self, scope: E) -> bool {
        let name = scope.name();
        // Only an implementation by hand can have such a name, which would be read as another, or as two.
        is_scope(name) && self.names.insert(name.into())
    }
}

impl Scopes<String> {
    /// Puts a scope into the set. Returns `true` if it was not there before.
    ///
    /// # Errors
    ///
    /// [`ParseScopesError`] if the name has not the syntax of a scope. With a space in it, it would be read as two.
    pub fn insert(&mut self, scope: impl AsRef<str>) -> Result<bool, ParseScopesError> {
        Ok(self.names.insert(text::known::<String>(scope.as_ref())?))
    }
}

fn is_known<E: AnyScope>(name: &str) -> bool {
    is_scope(name) && E::with_name(name).is_some()
}

/// The known scopes of a set, in the order of their names; see [`Scopes::iter`].
pub struct Iter<'s, E> {
    names: std::collections::btree_set::Iter<'s, Box<str>>,
    of: PhantomData<fn() -> E>,
}

impl<E: AnyScope> Iterator for Iter<'_, E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        self.names.find_map(|name| if is_scope(name) { E::with_name(name) } else { None })
    }
}

impl<E> fmt::Debug for Iter<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Iter")
    }
}

/// The scopes that are asked for and that their giver does not have; see [`Scopes::within`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExcessScopesError {
    excess: Vec<Box<str>>,
}

impl ExcessScopesError {
    /// Returns the names of the scopes that are too much.
    pub fn excess(&self) -> impl Iterator<Item = &str> {
        self.excess.iter().map(|name| &**name)
    }
}

impl fmt::Display for ExcessScopesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.excess().map(text::shown).collect();
        write!(f, "more scopes than may be given: {}", names.join(", "))
    }
}

impl std::error::Error for ExcessScopesError {}

#[cfg(test)]
mod tests;
