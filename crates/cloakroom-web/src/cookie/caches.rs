use http::{HeaderMap, HeaderValue, header};

/// Keeps the response out of every cache, unless the application has already done so.
pub(crate) fn keep_out_of_caches(headers: &mut HeaderMap) {
    let is_kept_out = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
        })
    });
    if !is_kept_out {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_application_says_to_caches_is_only_made_stricter() {
        for (said, kept) in [
            (None, "no-store"),
            (Some("public, max-age=60"), "no-store"),
            (Some("private"), "no-store"),
            (Some("private, No-Store"), "private, No-Store"),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(said.map(|said| (header::CACHE_CONTROL, HeaderValue::from_static(said))));
            keep_out_of_caches(&mut headers);
            let values: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().collect();
            assert_eq!(values, [kept]);
        }
    }
}
