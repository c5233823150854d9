//! The formats of one table's tokens, and which tokens they accept.

use super::{ParseTokenError, Token, TokenError, TokenFormat};

#[derive(Clone, Debug, Default)]
pub(crate) struct TokenFormats {
    /// The format of new tokens.
    pub(crate) new: TokenFormat,
    /// Formats that are accepted too.
    pub(crate) others: Vec<TokenFormat>,
}

impl TokenFormats {
    pub(crate) fn all(&self) -> impl Iterator<Item = &TokenFormat> {
        std::iter::once(&self.new).chain(&self.others)
    }

    /// Returns `true` if tokens without a prefix are accepted.
    pub(crate) fn accept_plain(&self) -> bool {
        self.all().any(|format| format.prefix().is_none())
    }

    /// Generates a token that these formats accept.
    pub(crate) fn generate(&self) -> Result<Token, TokenError> {
        loop {
            let token = self.new.generate()?;
            // A plain token may begin with a prefix by chance.
            if self.accept(token.as_ref()) {
                return Ok(token);
            }
        }
    }

    /// Returns `true` if a session may have this token.
    ///
    /// 1. A token that begins with the prefix of a format, and has its length, must have its characters and checksum.
    /// 2. A token that begins with the prefix of a format, but has another length, must be exactly as a plain format has
    ///    it: a plain token may begin with a short prefix by chance.
    /// 3. Any other token needs a plain format, which then stands for all of them: shorter ones of before, and those of
    ///    other systems.
    pub(crate) fn accept(&self, token: &[u8]) -> bool {
        if self.others.is_empty() && self.new.prefix().is_none() {
            // The default, and asked with every token.
            return true;
        }
        let mut begins_with_a_prefix = false;
        for format in self.all().filter(|format| format.prefix().is_some()) {
            match format.check(token) {
                Ok(()) => return true,
                Err(ParseTokenError::Prefix) => {}
                Err(ParseTokenError::Length) => begins_with_a_prefix = true,
                // No other format has this length and this beginning.
                Err(ParseTokenError::Character | ParseTokenError::Checksum) => return false,
            }
        }
        let mut plain = self.all().filter(|format| format.prefix().is_none());
        if begins_with_a_prefix {
            plain.any(|format| format.check(token).is_ok())
        } else {
            plain.next().is_some()
        }
    }

    /// Returns the token's hint, by the format that it has.
    pub(crate) fn hint(&self, token: &Token) -> String {
        let is_its = |format: &&TokenFormat| format.check(token.as_ref()).is_ok();
        self.all().find(is_its).unwrap_or(&self.new).hint(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(new: TokenFormat, others: impl IntoIterator<Item = TokenFormat>) -> TokenFormats {
        TokenFormats { new, others: others.into_iter().collect() }
    }

    fn prefixed(prefix: &str) -> TokenFormat {
        TokenFormat::prefixed(prefix).unwrap()
    }

    fn other_end(token: &Token) -> String {
        let text = token.expose();
        let last = if text.ends_with('0') { '1' } else { '0' };
        format!("{}{last}", &text[..text.len() - 1])
    }

    #[test]
    fn by_default_every_text_may_be_a_token() {
        let all = TokenFormats::default();
        for text in ["", "a", "acme_live_x", "\0", &"é".repeat(5_000)] {
            assert!(all.accept(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn with_prefixed_formats_alone_only_whole_tokens_of_theirs_are_accepted() {
        let (live, test) = (prefixed("acme_live"), prefixed("acme_test"));
        let (of_live, of_test) = (live.generate().unwrap(), test.generate().unwrap());
        let of_default = TokenFormat::default().generate().unwrap();
        let both = formats(live.clone(), [test]);
        for token in [&of_live, &of_test] {
            assert!(both.accept(token.as_ref()));
            assert!(!both.accept(other_end(token).as_bytes()));
        }
        let one = formats(live, []);
        assert!(one.accept(of_live.as_ref()) && !one.accept(of_test.as_ref()));
        for text in [of_default.expose(), "", "acme_live_", "an-imported-token-of-long-ago"] {
            assert!(!one.accept(text.as_bytes()) && !both.accept(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn beside_a_plain_format_every_text_without_a_prefix_is_accepted_and_no_mistyped_key() {
        let live = prefixed("acme_live");
        for both in
            [formats(live.clone(), [TokenFormat::default()]), formats(TokenFormat::default(), [live.clone()])]
        {
            let of_live = live.generate().unwrap();
            assert!(both.accept(of_live.as_ref()));
            for text in [
                other_end(&of_live).as_str(),
                &of_live.expose()[..42],
                "acme_live_",
                &format!("{}0", of_live.expose()),
            ] {
                assert!(!both.accept(text.as_bytes()), "{text}");
            }
            for text in ["", "a", "acme_live", "acme_liveX", "an-imported-token-of-long-ago", "acme_test_0"] {
                assert!(both.accept(text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn a_plain_token_that_begins_with_a_short_prefix_by_chance_is_accepted() {
        let plain = TokenFormat::plain(40);
        let both = formats(prefixed("a"), [plain.clone()]);
        let rest = plain.generate().unwrap();
        let by_chance = format!("a_{}", &rest.expose()[2..]);
        assert!(both.accept(by_chance.as_bytes()));
        for other in [&by_chance[..39], &format!("{by_chance}0"), &format!("{}.", &by_chance[..39])] {
            assert!(!both.accept(other.as_bytes()), "{other}");
        }
        // With the length of a key it is taken for a mistyped one, so none is made.
        let same_length = formats(TokenFormat::plain(35), [prefixed("a")]);
        assert!(!same_length.accept(format!("a_{}", &rest.expose()[..33]).as_bytes()));
        for _ in 0..20_000 {
            let token = same_length.generate().unwrap();
            assert!(!token.expose().starts_with("a_"));
        }
    }

    #[test]
    fn prefixes_of_which_one_begins_with_the_other_are_told_apart_in_any_order() {
        let (short, long) = (prefixed("acme"), prefixed("acme_live"));
        for both in [formats(short.clone(), [long.clone()]), formats(long.clone(), [short.clone()])] {
            for format in [&short, &long] {
                let token = format.generate().unwrap();
                assert!(both.accept(token.as_ref()));
                assert!(!both.accept(other_end(&token).as_bytes()));
                assert_eq!(both.hint(&token), format.hint(&token));
            }
        }
    }

    #[test]
    fn a_hint_is_of_the_format_that_the_token_has() {
        let (live, plain) = (prefixed("acme_live"), TokenFormat::plain(30));
        let both = formats(live.clone(), [plain.clone()]);
        for format in [&live, &plain] {
            let token = format.generate().unwrap();
            assert_eq!(both.hint(&token), format.hint(&token));
            assert!(both.hint(&token).chars().count() >= 9);
        }
        let imported = Token::import("a-token-of-another-system").unwrap();
        assert_eq!(both.hint(&imported), "…");
    }
}
