//! Which text is a place on this origin for every browser.
//!
//! A browser reads a relative reference by the [URL standard](https://url.spec.whatwg.org/#concept-basic-url-parser). It
//! cuts control characters and spaces off both ends, drops each tab and line break wherever it stands, takes `\` for `/`,
//! and reads a host after two slashes. So `/\t/evil.example`, `/\evil.example` and `\\evil.example` lead to another host.
//! Here nothing is mended: text with any of it is refused. What remains begins with exactly one slash, and the standard
//! then has no way to another host.

/// Longer places are refused, so that the head of a redirect to a page with it stays small.
const LONGEST: usize = 1024;

/// Returns `true` if the text is a path of this origin, with or without a query.
pub(super) fn is_on_this_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    text.len() <= LONGEST
        && text.bytes().all(is_of_url)
        && !path.starts_with('/')
        && !begins_with_encoded_slash(path)
        && !path.split('/').any(is_dots)
}

/// The printable ASCII that browsers send in a path or a query as it is. `\` is a slash to them.
fn is_of_url(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'`')
}

/// What a server or proxy may decode and then read as another host.
fn begins_with_encoded_slash(path: &str) -> bool {
    let start = path.get(..3).map(str::to_ascii_lowercase);
    matches!(start.as_deref(), Some("%2f" | "%5c" | "%09" | "%0a" | "%0d"))
}

/// Browsers resolve `.` and `..` before they send a path, so no page has them in its own.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use url::Url;

    use super::*;

    /// Returns `true` if a browser that gets this text as a link or a `Location` stays on the origin.
    fn stays(text: &str) -> bool {
        ["https://site.example/login", "https://site.example/a/b?next=x#y", "http://localhost:3000/"]
            .iter()
            .all(|base| {
                let base = Url::parse(base).unwrap();
                base.join(text).is_ok_and(|url| url.origin() == base.origin())
            })
    }

    #[test]
    fn a_path_of_the_site_is_kept() {
        for text in [
            "/",
            "/account",
            "/a/b/?page=2&sort=-name",
            "/a//b",
            "/search?q=https://other.example/%2F%0A",
            "/~user/(x)/@y;z=1,2'!$*+",
            "/a#part",
            "/.well-known/x",
            "/...",
            "/%C3%A9?",
        ] {
            assert!(is_on_this_origin(text) && stays(text), "{text}");
        }
        let longest = format!("/{}", "a".repeat(LONGEST - 1));
        assert!(is_on_this_origin(&longest) && !is_on_this_origin(&format!("{longest}a")));
    }

    #[test]
    fn no_form_of_another_origin_is_kept() {
        for text in [
            "",
            "account",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r/evil.example",
            "\t//evil.example",
            " //evil.example",
            "\0//evil.example",
            "/\t\\evil.example",
            "/\u{a0}/evil.example",
            "/\u{ff0f}evil.example",
            "/\u{3000}",
            "/\u{7f}",
            "/a b",
            "/a\r\nSet-Cookie: a=b",
            "https://evil.example",
            "HTTPS:evil.example",
            "https:/evil.example",
            "https:\\\\evil.example",
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "//site.example@evil.example",
            "@evil.example",
            ".evil.example",
            ":80",
            "?next=x",
            "#x",
            "/%2f/evil.example",
            "/%2F%2Fevil.example",
            "/%5cevil.example",
            "/%09/evil.example",
            "/%0d%0aSet-Cookie:a=b",
            "/.",
            "/./",
            "/.//evil.example",
            "/..//evil.example",
            "/%2e%2e//evil.example",
            "/.%2E/x",
            "/a/../..//evil.example",
            "/a\\b",
            "/\"><script>",
            "/é",
        ] {
            assert!(!is_on_this_origin(text), "{text:?}");
        }
    }

    #[test]
    fn whatever_is_kept_stays_on_the_origin_by_the_url_standard() {
        const PARTS: [&str; 28] = [
            "/",
            "/",
            "//",
            "\\",
            "\t",
            "\n",
            "\r",
            "\0",
            " ",
            "\u{1f}",
            "\u{7f}",
            "\u{a0}",
            "\u{ff0f}",
            ":",
            "@",
            "?",
            "#",
            ".",
            "..",
            "%2f",
            "%5C",
            "%09",
            "evil.example",
            "https:",
            "a",
            "[::1]",
            "127.1",
            ";",
        ];
        let random = &mut Rng::with_seed(1);
        let (mut kept, mut leading_elsewhere) = (0, 0);
        for _ in 0..50_000 {
            let mut text = if random.u8(..4) > 0 { "/".to_owned() } else { String::new() };
            for _ in 0..random.usize(1..7) {
                text.push_str(PARTS[random.usize(..PARTS.len())]);
            }
            let stays = stays(&text);
            leading_elsewhere += usize::from(!stays);
            if is_on_this_origin(&text) {
                kept += 1;
                assert!(stays, "{text:?}");
            }
        }
        // The texts are such that the test means something.
        assert!(kept > 1_000 && leading_elsewhere > 1_000, "{kept} {leading_elsewhere}");
    }
}
