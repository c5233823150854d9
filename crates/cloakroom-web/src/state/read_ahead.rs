use http::HeaderMap;

/// Returns `true` if the browser fetches a page that its user may never open. The browser says so in `Sec-Purpose`,
/// which no script can set: `prefetch` alone, or with parameters, as in `prefetch;prerender` and
/// `prefetch;anonymous-client-ip`.
///
/// See [Fetch](https://fetch.spec.whatwg.org/#sec-purpose-header).
pub(crate) fn reads_ahead(headers: &HeaderMap) -> bool {
    let values = headers.get_all("sec-purpose").iter().filter_map(|value| value.to_str().ok());
    let mut purposes = values.flat_map(|value| value.split(','));
    purposes.any(|purpose| {
        let name = purpose.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("prefetch")
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_ahead(value: &'static str) -> bool {
        reads_ahead(&HeaderMap::from_iter([(
            "sec-purpose".parse().unwrap(),
            HeaderValue::from_static(value),
        )]))
    }

    #[test]
    fn prefetch_reads_ahead_with_and_without_parameters() {
        for value in [
            "prefetch",
            "prefetch;prerender",
            "prefetch; prerender",
            "prefetch;anonymous-client-ip",
            "Prefetch",
        ] {
            assert!(is_ahead(value), "{value}");
        }
    }

    #[test]
    fn no_other_purpose_reads_ahead() {
        for value in ["", "prerender", "prefetched", "a;prefetch", "pre fetch"] {
            assert!(!is_ahead(value), "{value}");
        }
        assert!(!reads_ahead(&HeaderMap::new()));
    }
}
