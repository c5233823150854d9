//! Seals a token under another one, so that the one who has the other can open it and nobody else: the database, which
//! holds the seal, and the other token's digest, cannot.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Token, TokenDigest, TokenError};

/// What the key is for, in [HKDF's](https://www.rfc-editor.org/rfc/rfc5869) second step.
const PURPOSE: &[u8] = b"cloakroom: the successor of an exchanged token, version 1";

/// The first byte of a seal: how it is made.
const VERSION: u8 = 1;

const NONCE: usize = 12;

/// The length of the tag that the cipher adds.
const TAG: usize = 16;

/// What a token is sealed under: the token that it takes the place of.
///
/// The key is derived from that token by HKDF-SHA-256 ([RFC 5869](https://www.rfc-editor.org/rfc/rfc5869)), and the
/// cipher is ChaCha20-Poly1305 ([RFC 8439](https://www.rfc-editor.org/rfc/rfc8439)) with a random nonce. A seal is bound
/// to its session and to the digest under which its row is found, so that a row with another's seal does not open.
pub(crate) struct Seal {
    cipher: ChaCha20Poly1305,
    bound_to: Vec<u8>,
}

impl Seal {
    pub(crate) fn under(predecessor: &[u8], digest: &TokenDigest, session: Uuid) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        let expanded = Hkdf::<Sha256>::new(None, predecessor).expand(PURPOSE, &mut *key);
        expanded.unwrap_or_else(|_| unreachable!("HKDF-SHA-256 makes keys of up to 8,160 bytes"));
        let cipher = ChaCha20Poly1305::new(&Key::from(*key));
        Self { cipher, bound_to: [session.as_bytes(), digest.expose().as_bytes()].concat() }
    }

    /// Returns the sealed token: a version, a nonce and the ciphertext.
    pub(crate) fn seal(&self, token: &Token) -> Result<Vec<u8>, TokenError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(TokenError::Generator)?;
        // It has room for the tag, so that no copy of the token is left behind when it grows.
        let mut text = Zeroizing::new(Vec::with_capacity(token.expose().len() + TAG));
        text.extend_from_slice(token.expose().as_bytes());
        let sealed = self.cipher.encrypt_in_place(&Nonce::from(nonce), &self.bound_to, &mut *text);
        sealed.unwrap_or_else(|_| unreachable!("a token is far shorter than 256 GiB"));
        Ok([&[VERSION], &nonce[..], &text].concat())
    }

    /// Opens what was sealed; `None` if it is not a seal of this token's, or was changed.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Token> {
        let (nonce, ciphertext) = sealed.strip_prefix(&[VERSION])?.split_first_chunk::<NONCE>()?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        self.cipher.decrypt_in_place(&Nonce::from(*nonce), &self.bound_to, &mut *text).ok()?;
        let text = String::from_utf8(std::mem::take(&mut *text)).ok()?;
        Some(Token(Zeroizing::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(predecessor: &str, digest: &str, session: u128) -> Seal {
        let digest = TokenDigest::new(digest.to_owned());
        Seal::under(predecessor.as_bytes(), &digest, Uuid::from_u128(session))
    }

    #[test]
    fn a_token_is_opened_by_its_predecessor_and_by_nothing_else() {
        let token = Token::generate(64).unwrap();
        let sealed = seal("the-predecessor", "d1", 1).seal(&token).unwrap();
        assert_eq!(seal("the-predecessor", "d1", 1).open(&sealed), Some(token));
        for other in [
            seal("the-predecessos", "d1", 1),
            seal("the-predecessor.", "d1", 1),
            seal("d1", "d1", 1),
            seal("", "d1", 1),
            seal("the-predecessor", "d2", 1),
            seal("the-predecessor", "d1", 2),
        ] {
            assert_eq!(other.open(&sealed), None);
        }
    }

    #[test]
    fn a_seal_that_was_changed_anywhere_does_not_open() {
        let seal = seal("the-predecessor", "d1", 1);
        let sealed = seal.seal(&Token::generate(22).unwrap()).unwrap();
        assert_eq!(sealed.len(), 1 + NONCE + 22 + TAG);
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(seal.open(&changed), None, "{place}");
            assert_eq!(seal.open(&sealed[..place]), None, "{place}");
        }
        assert_eq!(seal.open(&[sealed, vec![0]].concat()), None);
    }

    #[test]
    fn a_seal_holds_nothing_that_can_be_read_and_is_another_each_time() {
        let (seal, token) = (seal("the-predecessor", "d1", 1), Token::generate(4096).unwrap());
        let (one, other) = (seal.seal(&token).unwrap(), seal.seal(&token).unwrap());
        assert_ne!(one, other);
        for sealed in [one, other] {
            let bytes = token.expose().as_bytes();
            assert!(!bytes.windows(8).any(|part| sealed.windows(8).any(|sealed| sealed == part)));
        }
    }

    /// So that a seal of today is opened tomorrow. The first half is RFC 5869's HKDF and the second RFC 8439's cipher, as
    /// Python's `cryptography` 48 computes them.
    #[test]
    fn a_seal_of_this_version_is_opened_for_good() {
        let sealed = base16ct::lower::decode_vec(SEALED).unwrap();
        let token = seal("a-predecessor-of-the-client", "c0ffee", 7).open(&sealed).unwrap();
        assert_eq!(token.expose(), "a-successor-of-the-client");
    }

    const SEALED: &str = "01000102030405060708090a0ba2255dc0f750fa0de9954e4054541863e70a5e8c23fd7c25\
        b0194bc83c07d341e6e054a741139ce659";
}
