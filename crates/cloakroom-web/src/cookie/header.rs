use http::{HeaderMap, header};

/// Reads the values of the cookies that have exactly this name, byte for byte, in the order in which they stand
/// in the request's `Cookie` headers.
///
/// A browser's promises about a cookie, such as those of the prefix `__Host-`, are about its name. They hold on the
/// server only if both mean the same by "the name". So this function reads a header exactly as
/// [RFC 6265bis](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-the-cookie-header-field) has
/// a browser write it:
///
/// 1. the header is split at each `;`;
/// 2. a space or a horizontal tab around a part does not belong to it. Other white space does: a browser keeps it in
///    names, so to the browser it makes another cookie, with other promises;
/// 3. a part is split at its first `=`; a part without `=` is no cookie;
/// 4. the name is compared byte for byte: case counts, nothing is decoded, and nothing more is trimmed.
///
/// One pair of double quotes around a value is removed, because
/// [RFC 6265](https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1) allows them there. Otherwise a value is any bytes.
///
/// ```
/// # use cloakroom_web::cookie_values;
/// # use http::{HeaderMap, HeaderValue, header};
/// let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("theme=dark; lang=\"de\""))]);
/// assert_eq!(cookie_values(&headers, "lang").collect::<Vec<_>>(), [b"de"]);
/// assert_eq!(cookie_values(&headers, "Lang").count(), 0);
/// ```
pub fn cookie_values<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let headers = headers.get_all(header::COOKIE).iter();
    let parts = headers.flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    parts.filter_map(move |part| {
        let part = trimmed(part);
        let end = part.iter().position(|byte| *byte == b'=')?;
        (&part[..end] == name.as_bytes()).then(|| unquoted(&part[end + 1..]))
    })
}

fn trimmed(part: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = part.iter().position(is_text).unwrap_or(part.len());
    let end = part.iter().rposition(is_text).map_or(start, |last| last + 1);
    &part[start..end]
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// Returns `true` if all bytes are `cookie-octet` of [RFC 6265](https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1).
pub(crate) fn is_cookie_value(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NAME: &str = "__Host-Http-session";

    fn values(header: &[u8], name: &str) -> Vec<Vec<u8>> {
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_bytes(header).unwrap())]);
        cookie_values(&headers, name).map(<[u8]>::to_vec).collect()
    }

    fn is_found(written: &[u8]) -> bool {
        let header = [b"theme=dark; ", written, b"=abc; lang=de"].concat();
        !values(&header, NAME).is_empty()
    }

    /// Every byte that a header may hold.
    fn bytes() -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|byte| HeaderValue::from_bytes(&[b'a', *byte, b'a']).is_ok())
    }

    /// Returns the name with `between` inserted at this place.
    fn inserted(place: usize, between: &[u8]) -> Vec<u8> {
        let (before, after) = NAME.as_bytes().split_at(place);
        [before, between, after].concat()
    }

    /// Returns `true` if a header with `between` at this place still has the cookie: white space that separates it from
    /// the cookie before does not belong to the name, and `=` ends the name.
    fn separates(place: usize, between: &[u8]) -> bool {
        let mut before = between.rsplit(|byte| *byte == b';').next().unwrap_or(between).iter();
        (place == 0 && before.all(|byte| matches!(byte, b' ' | b'\t')))
            || (place == NAME.len() && between.starts_with(b"="))
    }

    #[test]
    fn a_name_with_one_byte_more_anywhere_is_another_cookie() {
        assert!(is_found(NAME.as_bytes()));
        assert!(bytes().count() > 220);
        for place in 0..=NAME.len() {
            for byte in bytes() {
                let written = inserted(place, &[byte]);
                assert_eq!(is_found(&written), separates(place, &[byte]), "{:?}", written.escape_ascii());
            }
        }
    }

    #[test]
    fn a_name_with_one_byte_changed_or_missing_is_another_cookie() {
        for place in 0..NAME.len() {
            let mut written = NAME.as_bytes().to_vec();
            for byte in bytes().filter(|byte| *byte != NAME.as_bytes()[place]) {
                written[place] = byte;
                assert!(!is_found(&written), "{:?}", written.escape_ascii());
            }
            written.remove(place);
            assert!(!is_found(&written), "{:?}", written.escape_ascii());
        }
    }

    #[test]
    fn a_name_with_two_bytes_more_anywhere_is_another_cookie() {
        for place in [0, "__Host-".len(), "__Host-Http-".len(), NAME.len()] {
            for first in bytes() {
                for second in bytes() {
                    let between = [first, second];
                    let written = inserted(place, &between);
                    let is_cookie = separates(place, &between);
                    assert_eq!(is_found(&written), is_cookie, "{:?}", written.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn white_space_and_marks_of_unicode_around_or_in_a_name_make_another_cookie() {
        // Characters that some programs call white space, that some call invisible, and that look like nothing or like
        // ASCII.
        let marks =
            ['\u{feff}', '\u{200b}', '\u{200d}', '\u{2060}', '\u{180e}', '\u{ad}', '\u{301}', '\u{ff1d}'];
        let spaces = ('\0'..=char::MAX).filter(|char| char.is_whitespace() && !char.is_ascii());
        let mut tried = 0;
        for char in spaces.chain(marks) {
            let text = char.to_string();
            for place in 0..=NAME.len() {
                assert!(!is_found(&inserted(place, text.as_bytes())), "{char:?} at {place}");
                assert!(!is_found(&inserted(place, format!(" {text} ").as_bytes())), "{char:?} at {place}");
            }
            tried += 1;
        }
        assert!(tried > 25, "{tried}");
    }

    #[test]
    fn another_case_is_another_cookie() {
        for place in 0..NAME.len() {
            let mut written = NAME.as_bytes().to_vec();
            written[place] ^= 0x20;
            let is_letter = NAME.as_bytes()[place].is_ascii_alphabetic();
            let is_possible = HeaderValue::from_bytes(&written).is_ok();
            assert!(!(is_letter || is_possible) || !is_found(&written), "{:?}", written.escape_ascii());
        }
    }

    /// What a browser writes, with names of few different bytes, so that many names are nearly the same.
    #[test]
    fn of_the_cookies_that_a_browser_sends_those_of_the_name_are_found_and_no_others() {
        let alphabet = b"a A\t\xc2\xa0\"";
        let mut names = vec![Vec::new()];
        for length in 0..4 {
            let longest: Vec<_> =
                names.iter().filter(|name: &&Vec<u8>| name.len() == length).cloned().collect();
            for name in longest {
                names.extend(alphabet.iter().map(|byte| [&name[..], &[*byte]].concat()));
            }
        }
        // A browser trims the value that it stores.
        names.retain(|name| trimmed(name) == &name[..]);
        let cookies: Vec<_> =
            names.iter().enumerate().map(|(value, name)| (name.clone(), value.to_string())).collect();
        let pairs: Vec<_> =
            cookies.iter().map(|(name, value)| [name, &b"="[..], value.as_bytes()].concat()).collect();
        let header = pairs.join(&b"; "[..]);
        for (name, value) in &cookies {
            if let Ok(name) = str::from_utf8(name) {
                assert_eq!(values(&header, name), [value.as_bytes()], "{name:?}");
            }
        }
    }

    #[test]
    fn a_part_without_an_equals_sign_is_no_cookie() {
        for header in [NAME, "; ;", "", " ", "a; __Host-Http-session ;b"] {
            assert!(values(header.as_bytes(), NAME).is_empty(), "{header:?}");
        }
    }

    #[test]
    fn a_value_is_all_that_follows_the_first_equals_sign() {
        for (header, value) in [
            ("a=b=c", "b=c"),
            ("a==", "="),
            ("a=", ""),
            (" a=b ", "b"),
            ("a= b", " b"),
            ("a=\"b c\"", "b c"),
            ("a=\"", "\""),
            ("a=\"\"", ""),
            ("x;a=b;", "b"),
        ] {
            assert_eq!(values(header.as_bytes(), "a"), [value.as_bytes()], "{header:?}");
        }
        assert_eq!(values(b"a=\xff\xc2\xa0", "a"), [b"\xff\xc2\xa0"]);
    }

    #[test]
    fn the_order_of_the_headers_and_in_them_is_kept() {
        let of = |value| (header::COOKIE, HeaderValue::from_static(value));
        let headers = HeaderMap::from_iter([of("a=1; b=2; a=3"), of("a=1"), of("c=4")]);
        assert_eq!(cookie_values(&headers, "a").collect::<Vec<_>>(), [b"1", b"3", b"1"]);
    }
}
