//! The schemes of one configuration, and a token's digests under them.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::hash::Hash;
use super::scheme::SchemeProblem;
use super::tag::DigestForm;
use super::{DigestError, Scheme, TokenDigest};

/// The greatest number of schemes. Each is one digest more in the statement of a lookup.
pub(crate) const MAX_SCHEMES: usize = 8;

/// The schemes under which tokens are looked up, newest first. New tokens are stored under the first.
#[derive(Clone, Debug)]
pub(crate) struct Schemes(Arc<[Scheme]>);

impl Schemes {
    pub(crate) fn new(schemes: Vec<Scheme>) -> Result<Self, SchemeProblem> {
        if schemes.is_empty() || schemes.len() > MAX_SCHEMES {
            return Err(SchemeProblem::Count);
        }
        if let Some(problem) = schemes.iter().find_map(Scheme::problem) {
            return Err(problem);
        }
        if schemes[0].is_adopted() {
            return Err(SchemeProblem::AdoptedFirst(schemes[0].name().into_owned()));
        }
        let mut tags = HashSet::new();
        match schemes.iter().filter_map(Scheme::tag).find(|tag| !tags.insert(tag.to_ascii_lowercase())) {
            Some(tag) => Err(SchemeProblem::NameTwice(tag.to_owned())),
            None => Ok(Self(schemes.into())),
        }
    }

    pub(crate) fn as_slice(&self) -> &[Scheme] {
        &self.0
    }

    pub(crate) fn newest(&self) -> &Scheme {
        &self.0[0]
    }

    /// Returns `true` if a digest says by its tag which scheme made it.
    pub(crate) fn are_named(&self) -> bool {
        self.0.iter().any(|scheme| scheme.tag().is_some())
    }

    pub(crate) fn has(&self, form: &DigestForm) -> bool {
        self.0.iter().any(|scheme| scheme.form() == *form)
    }

    /// Returns the names of the schemes whose digests have this form, or what else is known of it.
    pub(crate) fn label(&self, form: &DigestForm) -> String {
        let mut names: Vec<_> =
            self.0.iter().filter(|scheme| scheme.form() == *form).map(Scheme::name).collect();
        names.dedup();
        match form {
            _ if !names.is_empty() => names.join(" or "),
            DigestForm::Tagged(tag) => tag.clone(),
            DigestForm::Hex { length } => format!("a hash of {} bits", 8 * length),
            DigestForm::Text => "other text".into(),
        }
    }

    /// Hashes a token under the newest scheme.
    ///
    /// # Errors
    ///
    /// If no scheme can have the token.
    pub(crate) fn hash<'a>(&'a self, token: &'a [u8]) -> Result<HashedToken<'a>, DigestError> {
        let newest = self.newest().hash(token);
        if let Err(error) = newest
            && (self.0.len() == 1 || matches!(error, DigestError::Empty | DigestError::TooLong))
        {
            return Err(error);
        }
        Ok(HashedToken { schemes: self, token, newest: newest.ok() })
    }
}

/// A token and its hash under the newest scheme. The others are made only if the database is asked.
pub(crate) struct HashedToken<'a> {
    schemes: &'a Schemes,
    token: &'a [u8],
    /// `None` if the newest scheme cannot have this token: it is plaintext, and the token is not such text.
    newest: Option<Hash<'a>>,
}

impl Default for Schemes {
    fn default() -> Self {
        Self([Scheme::sha256()].into())
    }
}

impl HashedToken<'_> {
    /// Returns what stands for the token in memory.
    pub(crate) fn key(&self) -> [u8; 32] {
        match &self.newest {
            Some(hash) => hash.key(),
            // As for plaintext that is accepted, so no two tokens have one key.
            None => Sha256::digest(self.token).into(),
        }
    }

    /// Returns the digests under which the token's session may be stored.
    pub(crate) fn digests(&self) -> PossibleDigests {
        let newest = self.newest.as_ref().map(|hash| self.schemes.newest().digest_of(hash));
        let older = self.schemes.0[1..].iter().filter_map(|scheme| {
            let digest = scheme.digest(self.token).ok()?;
            Some(OtherDigest { digest, is_incoming: scheme.is_incoming() })
        });
        PossibleDigests::new(newest, older.collect())
    }
}

/// The digests under which a token's session may be stored: one for each scheme that can have the token.
#[derive(Clone, Debug)]
pub(crate) struct PossibleDigests(Arc<Digests>);

#[derive(Debug)]
struct Digests {
    newest: Option<TokenDigest>,
    others: Vec<OtherDigest>,
}

#[derive(Clone, Debug)]
struct OtherDigest {
    digest: TokenDigest,
    is_incoming: bool,
}

impl PossibleDigests {
    fn new(newest: Option<TokenDigest>, others: Vec<OtherDigest>) -> Self {
        Self(Arc::new(Digests { newest, others }))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &TokenDigest> + Clone {
        self.0.newest.iter().chain(self.0.others.iter().map(|other| &other.digest))
    }

    /// Returns `true` if there are digests beside the newest.
    pub(crate) fn has_others(&self) -> bool {
        !self.0.others.is_empty()
    }

    /// Returns the digests as text, the last one repeated so that there are `count`.
    pub(crate) fn texts(&self, count: usize) -> impl Iterator<Item = &str> {
        let last = self.0.others.last().map(|other| &other.digest).or(self.0.newest.as_ref());
        self.iter().chain(last.into_iter().cycle()).take(count).map(TokenDigest::expose)
    }

    /// Drops the digests that `is_possible` refuses. Returns `None` if none is left.
    pub(crate) fn filter(self, is_possible: impl Fn(&str) -> bool) -> Option<Self> {
        if self.iter().all(|digest| is_possible(digest.expose())) {
            return Some(self);
        }
        let newest = self.0.newest.clone().filter(|digest| is_possible(digest.expose()));
        let others = self.0.others.iter().filter(|other| is_possible(other.digest.expose())).cloned();
        let others: Vec<_> = others.collect();
        (newest.is_some() || !others.is_empty()).then(|| Self::new(newest, others))
    }

    /// Returns which of the digests is the one that `matches`, the newest first.
    pub(crate) fn find(&self, mut matches: impl FnMut(&TokenDigest) -> bool) -> Option<DigestAge<'_>> {
        if let Some(newest) = &self.0.newest
            && matches(newest)
        {
            return Some(DigestAge::Newest);
        }
        let other = self.0.others.iter().find(|other| matches(&other.digest))?;
        Some(match &self.0.newest {
            Some(newest) if !other.is_incoming => DigestAge::Older { stored: &other.digest, newest },
            _ => DigestAge::Newest,
        })
    }
}

/// Under which scheme a session was found.
#[derive(Clone, Copy)]
pub(crate) enum DigestAge<'d> {
    /// Under the newest, or under one that is as good: an incoming one, or one that takes the place of the newest because
    /// that cannot have the token.
    Newest,
    /// Under an older one. It is to be stored under the newest.
    Older { stored: &'d TokenDigest, newest: &'d TokenDigest },
}
