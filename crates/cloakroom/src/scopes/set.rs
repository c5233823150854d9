//! What sets of the standard library do, too.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Sub, SubAssign};

use super::{AnyScope, Iter, Scope, Scopes};

impl<E: AnyScope> Scopes<E> {
    /// Returns the scopes that are in this set or in `other`, unknown ones too.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::of(self.names.union(&other.names).cloned().collect())
    }

    /// Returns the scopes that are in this set and in `other`, unknown ones too. For what a new key may get, use
    /// [`narrowed_to`](Self::narrowed_to), which leaves them out.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self::of(self.names.intersection(&other.names).cloned().collect())
    }

    /// Returns the scopes that are in this set and not in `other`, unknown ones too.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self::of(self.names.difference(&other.names).cloned().collect())
    }

    /// Returns `true` if no scope is in both sets.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.names.is_disjoint(&other.names)
    }
}

macro_rules! operator {
    ($operator:ident::$by_value:ident, $assigning:ident::$in_place:ident, $method:ident) => {
        #[doc = concat!("See [`", stringify!($method), "`](Scopes::", stringify!($method), ").")]
        impl<E: AnyScope> $operator for Scopes<E> {
            type Output = Self;

            fn $by_value(self, other: Self) -> Self {
                self.$method(&other)
            }
        }

        #[doc = concat!("See [`", stringify!($method), "`](Scopes::", stringify!($method), ").")]
        impl<E: AnyScope> $operator for &Scopes<E> {
            type Output = Scopes<E>;

            fn $by_value(self, other: Self) -> Scopes<E> {
                self.$method(other)
            }
        }

        #[doc = concat!("See [`", stringify!($method), "`](Scopes::", stringify!($method), ").")]
        impl<E: AnyScope> $assigning for Scopes<E> {
            fn $in_place(&mut self, other: Self) {
                *self = self.$method(&other);
            }
        }

        #[doc = concat!("See [`", stringify!($method), "`](Scopes::", stringify!($method), ").")]
        impl<E: AnyScope> $assigning<&Self> for Scopes<E> {
            fn $in_place(&mut self, other: &Self) {
                *self = self.$method(other);
            }
        }
    };
}

operator!(BitOr::bitor, BitOrAssign::bitor_assign, union);
operator!(BitAnd::bitand, BitAndAssign::bitand_assign, intersection);
operator!(Sub::sub, SubAssign::sub_assign, difference);

impl<E: Scope> Extend<E> for Scopes<E> {
    fn extend<I: IntoIterator<Item = E>>(&mut self, scopes: I) {
        for scope in scopes {
            self.insert(scope);
        }
    }
}

impl<E: Scope> FromIterator<E> for Scopes<E> {
    fn from_iter<I: IntoIterator<Item = E>>(scopes: I) -> Self {
        let mut set = Self::new();
        set.extend(scopes);
        set
    }
}

impl<E: Scope, const N: usize> From<[E; N]> for Scopes<E> {
    fn from(scopes: [E; N]) -> Self {
        scopes.into_iter().collect()
    }
}

/// Returns the known scopes; see [`iter`](Scopes::iter).
impl<'s, E: AnyScope> IntoIterator for &'s Scopes<E> {
    type Item = E;
    type IntoIter = Iter<'s, E>;

    fn into_iter(self) -> Iter<'s, E> {
        self.iter()
    }
}

// Not derived, since a derive would ask the same of the enum. A set is compared, copied and hashed by its names.

impl<E> Clone for Scopes<E> {
    fn clone(&self) -> Self {
        Self { names: self.names.clone(), of: self.of }
    }
}

impl<E: AnyScope> Default for Scopes<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// Two sets are equal if they hold the same names, unknown ones too.
impl<E> PartialEq for Scopes<E> {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl<E> Eq for Scopes<E> {}

impl<E> Hash for Scopes<E> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.names.hash(state);
    }
}

impl<E> fmt::Debug for Scopes<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scopes").field(&self.to_string()).finish()
    }
}
