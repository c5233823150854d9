use std::collections::HashMap;

use fastrand::Rng;
use regex::Regex;

use super::*;
use crate::token::{MAX_TOKEN_LENGTH, MIN_TOKEN_LENGTH};

fn prefixed(prefix: &str) -> TokenFormat {
    TokenFormat::prefixed(prefix).unwrap()
}

/// A token with the right checksum of a body that the test chooses.
fn token_of(start: &str, body: &str) -> String {
    let checksum = checksum(format!("{start}{body}").as_bytes());
    format!("{start}{body}{}", str::from_utf8(&checksum).unwrap())
}

#[test]
fn a_prefix_has_up_to_32_lower_case_letters_digits_and_underscores_between_them() {
    for prefix in ["a", "7", "acme", "acme_live", "a_b_c", "a__b", &"x".repeat(32)] {
        let format = prefixed(prefix);
        assert_eq!(format.prefix(), Some(prefix));
        assert_eq!(format.length(), prefix.len() + 34);
    }
    for (prefix, error) in [
        ("", TokenPrefixError::Length),
        (&*"x".repeat(33), TokenPrefixError::Length),
        ("Acme", TokenPrefixError::Character),
        ("acme-live", TokenPrefixError::Character),
        ("acme live", TokenPrefixError::Character),
        ("\0", TokenPrefixError::Character),
        ("é", TokenPrefixError::Character),
        ("_acme", TokenPrefixError::Underscore),
        ("acme_", TokenPrefixError::Underscore),
        ("_", TokenPrefixError::Underscore),
    ] {
        assert_eq!(TokenFormat::prefixed(prefix), Err(error), "{prefix:?}");
    }
}

#[test]
fn the_checksum_is_the_crc_32_that_other_programs_compute() {
    // The check value of the algorithm: 0xCBF43926 in the catalogue of parametrised CRCs.
    assert_eq!(CRC.checksum(b"123456789"), 0xCBF4_3926);
    let value = |digits: [u8; CHECKSUM]| {
        let digit = |byte| BASE62.iter().position(|digit| *digit == byte).unwrap() as u64;
        digits.into_iter().fold(0, |value, byte| value * 62 + digit(byte))
    };
    assert_eq!(value(checksum(b"123456789")), 0xCBF4_3926);
    assert_eq!(checksum(b""), *b"000000");
    assert!(62_u64.pow(6) > u64::from(u32::MAX), "the greatest number has six digits too");
}

#[test]
fn a_new_token_has_its_prefix_its_length_and_its_checksum() {
    for prefix in ["a", "acme_live", "a_1_b"] {
        let format = prefixed(prefix);
        for _ in 0..100 {
            let token = format.generate().unwrap();
            assert_eq!(token.expose().len(), format.length());
            assert_eq!(format.parse(token.expose()), Ok(token));
        }
    }
    assert_ne!(prefixed("a").generate().unwrap(), prefixed("a").generate().unwrap());
}

#[test]
fn a_body_has_160_bits_and_what_a_hint_hides_112() {
    let bits = |characters: usize| f64::from(u32::try_from(characters).unwrap()) * 62_f64.log2();
    assert!(bits(BODY) >= 160.0 && bits(BODY - 1) < 160.0);
    assert!(bits(HIDDEN) >= 112.0 && HIDDEN == BODY - 2 * SHOWN);
}

#[test]
fn every_character_of_a_body_is_equally_likely() {
    const TOKENS: usize = 4_000;
    let format = prefixed("a");
    let mut counts = HashMap::new();
    for _ in 0..TOKENS {
        for byte in format.generate().unwrap().expose()[2..2 + BODY].bytes() {
            *counts.entry(byte).or_insert(0_u32) += 1;
        }
    }
    // Seven standard deviations. Without the rejection of the last bytes, eight characters would come a quarter more
    // often, which is nearly nine.
    let expected = f64::from(u32::try_from(TOKENS * BODY).unwrap()) / 62.0;
    let allowed = 7.0 * expected.sqrt();
    for digit in BASE62 {
        let count = f64::from(counts[digit]);
        assert!((count - expected).abs() < allowed, "{}: {count} of {expected}", char::from(*digit));
    }
}

#[test]
fn of_each_byte_four_stand_for_a_digit_and_the_rest_for_none() {
    let digits: Vec<_> = (0..=u8::MAX).filter_map(base62_digit).collect();
    assert_eq!(digits.len(), 4 * 62);
    for digit in BASE62 {
        assert_eq!(digits.iter().filter(|it| **it == char::from(*digit)).count(), 4);
    }
}

#[test]
fn an_error_says_what_is_wrong_with_the_text() {
    let format = prefixed("acme_live");
    let body = "0".repeat(BODY);
    let token = token_of("acme_live_", &body);
    assert!(format.parse(&token).is_ok());
    let parse = |text: &str| format.parse(text).map(drop);
    for other in ["", "acme_live", "acme_test_", "Acme_live_", " acme_live_", &token[1..]] {
        assert_eq!(parse(other), Err(ParseTokenError::Prefix), "{other:?}");
    }
    for other in ["acme_live_", &token[..42], &format!("{token}0"), &format!("{token}\n"), &token.repeat(200)]
    {
        assert_eq!(parse(other), Err(ParseTokenError::Length), "{other:?}");
    }
    for character in ['-', '_', ' ', '/', '\0', '\u{7f}'] {
        let other = format!("{}{character}{}", &token[..20], &token[21..]);
        assert_eq!(parse(&other), Err(ParseTokenError::Character), "{other:?}");
    }
    // A character of two bytes, in place of two.
    assert_eq!(parse(&format!("{}é", &token[..41])), Err(ParseTokenError::Character));
    let other = format!("{}1{}", &token[..20], &token[21..]);
    assert_eq!(parse(&other), Err(ParseTokenError::Checksum));
    // The same number, with digits that are not its own: there is none over 2³².
    assert_eq!(parse(&format!("{}zzzzzz", &token[..37])), Err(ParseTokenError::Checksum));
    for error in [
        ParseTokenError::Prefix,
        ParseTokenError::Length,
        ParseTokenError::Character,
        ParseTokenError::Checksum,
    ] {
        assert!(error.to_string().starts_with("the token "));
    }
}

#[test]
fn a_prefix_may_be_the_beginning_of_another() {
    let (short, long) = (prefixed("acme"), prefixed("acme_live"));
    let (of_short, of_long) = (short.generate().unwrap(), long.generate().unwrap());
    assert!(short.parse(of_long.expose()).is_err() && long.parse(of_short.expose()).is_err());
    assert!(short.parse(of_short.expose()).is_ok() && long.parse(of_long.expose()).is_ok());
}

#[test]
fn a_plain_format_has_one_length_and_url_safe_characters() {
    let format = TokenFormat::plain(24);
    let token = format.generate().unwrap();
    assert_eq!((token.expose().len(), format.length(), format.prefix()), (24, 24, None));
    assert!(format.parse(token.expose()).is_ok());
    assert_eq!(format.parse(&token.expose()[1..]), Err(ParseTokenError::Length));
    assert_eq!(format.parse(&format!("{}.", &token.expose()[1..])), Err(ParseTokenError::Character));
    assert_eq!(format.regex(), None);
    assert_eq!(TokenFormat::default(), TokenFormat::plain(64));
    assert!(TokenFormat::plain(MIN_TOKEN_LENGTH - 1).generate().is_err());
    assert!(TokenFormat::plain(MAX_TOKEN_LENGTH + 1).generate().is_err());
}

/// Calls `with` for the token with every change of one character, and with every two neighbours in each other's place.
fn each_mistake(token: &str, mut with: impl FnMut(&str)) {
    let mut bytes = token.as_bytes().to_vec();
    for place in 0..bytes.len() {
        let original = bytes[place];
        for other in b'!'..=b'~' {
            if other != original {
                bytes[place] = other;
                with(str::from_utf8(&bytes).unwrap());
            }
        }
        bytes[place] = original;
    }
    for place in 1..bytes.len() {
        if bytes[place - 1] != bytes[place] {
            bytes.swap(place - 1, place);
            with(str::from_utf8(&bytes).unwrap());
            bytes.swap(place - 1, place);
        }
    }
}

#[test]
fn every_change_of_one_character_and_every_exchange_of_two_neighbours_is_noticed() {
    for prefix in ["a", "acme_live", "sk_1_test"] {
        let format = prefixed(prefix);
        for _ in 0..20 {
            let token = format.generate().unwrap();
            let mut mistakes = 0;
            each_mistake(token.expose(), |mistyped| {
                mistakes += 1;
                assert!(format.parse(mistyped).is_err(), "{mistyped}");
            });
            assert!(mistakes > 93 * 35, "{mistakes}");
        }
    }
}

#[test]
fn the_regular_expression_matches_what_is_read_and_what_is_mistyped_and_nothing_else() {
    let mut random = Rng::with_seed(7);
    let alphabet: Vec<char> = (' '..='~').collect();
    for prefix in ["a", "acme_live", "a_1__b"] {
        let format = prefixed(prefix);
        let regex = Regex::new(&format.regex().unwrap()).unwrap();
        let whole = Regex::new(&format!("^(?:{})$", format.regex().unwrap())).unwrap();
        for _ in 0..20 {
            let token = format.generate().unwrap();
            let mut check = |text: &str| {
                let is_of_form = matches!(format.parse(text), Ok(_) | Err(ParseTokenError::Checksum));
                assert_eq!(whole.is_match(text), is_of_form, "{text:?}");
            };
            check(token.expose());
            each_mistake(token.expose(), &mut check);
            for _ in 0..1_000 {
                let mut chars: Vec<char> = token.expose().chars().collect();
                for _ in 0..random.usize(1..3) {
                    let at = random.usize(0..chars.len());
                    match random.u8(0..3) {
                        0 => drop(chars.remove(at)),
                        1 => chars.insert(at, random.choice(&alphabet).copied().unwrap()),
                        _ => chars[at] = random.choice(&alphabet).copied().unwrap(),
                    }
                }
                check(&chars.into_iter().collect::<String>());
            }
            // As it stands in a file.
            let token = token.expose();
            for (before, after) in [
                ("", ""),
                ("key = \"", "\""),
                ("Authorization: Bearer ", "\r\n"),
                ("https://example.org/?key=", "&page=2"),
                ("('", "')"),
                ("KEY=", ";"),
            ] {
                let text = format!("{before}{token}{after}");
                assert_eq!(regex.find(&text).map(|found| found.as_str()), Some(token), "{text}");
            }
            for (before, after) in [("x", ""), ("x_", ""), ("", "x"), ("", "_"), ("1", "1")] {
                let text = format!("{before}{token}{after}");
                assert!(!regex.is_match(&text), "{text}");
            }
        }
    }
}

#[test]
fn a_hint_shows_the_prefix_and_both_ends_of_the_body_alone() {
    let format = prefixed("acme_live");
    let body = "7Qx4abcdefghijklmnopqrsk3Fq";
    let token = Token::import(token_of("acme_live_", body)).unwrap();
    assert_eq!(format.hint(&token), "acme_live_7Qx4…k3Fq");
    let longest = prefixed(&"x".repeat(32));
    assert_eq!(longest.hint(&longest.generate().unwrap()).chars().count(), 42);
    let token = Token::import("0123456789".repeat(7)).unwrap();
    assert_eq!(TokenFormat::plain(70).hint(&token), "0123…6789");
}

#[test]
fn a_hint_hides_112_bits_whatever_the_token_is() {
    /// How many characters are hidden of a token of `length` characters.
    fn hidden(format: &TokenFormat, length: usize) -> usize {
        let token = Token::import("a".repeat(length)).unwrap();
        let hint = format.hint(&token);
        let (first, last) = hint.split_once('…').unwrap();
        assert!(first.len() <= 4 && last.len() <= 4 && first.len() - last.len() <= 1, "{hint}");
        assert!(hint.chars().all(|c| c == 'a' || c == '…'));
        length - first.len() - last.len()
    }
    for length in MIN_TOKEN_LENGTH..100 {
        // Six bits each.
        assert!(hidden(&TokenFormat::plain(length), length) * 6 >= 112, "{length}");
    }
    assert_eq!(hidden(&TokenFormat::plain(22), 22), 19);
    assert_eq!(hidden(&TokenFormat::plain(27), 27), 19);
    for format in [prefixed("acme"), TokenFormat::plain(64)] {
        for length in 16..63 {
            // Four bits each, or as much as there is.
            let hidden = hidden(&format, length);
            assert!(hidden * 4 >= 112 || hidden == length, "{length}");
        }
        for odd in ["a\0bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "éàè".repeat(20).as_str(), &" ".repeat(40)]
        {
            assert_eq!(format.hint(&Token::import(odd).unwrap()), "…");
        }
    }
    // The checksum would tell 32 bits of the body.
    let format = prefixed("acme");
    let token = format.generate().unwrap();
    let hint = format.hint(&token);
    assert!(!hint.contains(&token.expose()[token.expose().len() - 4..]));
}

#[test]
fn neither_a_format_nor_an_error_shows_a_token() {
    let format = prefixed("acme_live");
    assert_eq!(format!("{format:?} {:?}", TokenFormat::default()), "Prefixed(\"acme_live\") Plain(64)");
    let token = format.generate().unwrap();
    let error = TokenFormat::prefixed(token.expose()).unwrap_err();
    assert_eq!(error, TokenPrefixError::Length);
    for error in [TokenPrefixError::Length, TokenPrefixError::Character, TokenPrefixError::Underscore] {
        assert!(error.to_string().starts_with("the prefix of a token "));
    }
}
