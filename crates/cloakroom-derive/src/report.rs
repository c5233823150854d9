use std::fmt::Display;

use quote::ToTokens;
use syn::Error;

/// Collects the errors, so that one compilation reports all of them.
#[derive(Default)]
pub(crate) struct Report {
    error: Option<Error>,
}

impl Report {
    /// Adds an error that underlines `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.add(Error::new_spanned(tokens, message));
    }

    pub(crate) fn add(&mut self, error: Error) {
        match &mut self.error {
            Some(first) => first.combine(error),
            None => self.error = Some(error),
        }
    }

    pub(crate) fn into_error(self) -> Option<Error> {
        self.error
    }
}
