//! What kind of client asks, as far as its request tells. This file knows no framework.

use http::{HeaderMap, Method, header};

/// Who gets the answer to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Client {
    /// A browser that opens a page. It can be sent elsewhere and come back.
    Page,
    /// A browser that sends a form. Its user reads the answer, and the form could not be sent again later.
    Form,
    /// Anything else: an API client, or a script of a page.
    #[default]
    Program,
}

impl Client {
    /// Tells it from `Sec-Fetch-Mode`, which no script can set, and from `Accept` where a client does not send that.
    pub(crate) fn of(method: &Method, headers: &HeaderMap, has_api_credential: bool) -> Self {
        if has_api_credential || !navigates(headers) {
            Self::Program
        } else if matches!(*method, Method::GET | Method::HEAD) {
            Self::Page
        } else {
            Self::Form
        }
    }
}

fn navigates(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode.as_bytes().eq_ignore_ascii_case(b"navigate"),
        None => prefers_html(headers),
    }
}

/// Returns `true` if `Accept` names `text/html`, and nothing with a greater weight, and no JSON with the same.
fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut json, mut best) = (0, 0, 0);
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.map_or(1000, thousandths);
        best = best.max(weight);
        if name == "text/html" {
            html = weight;
        } else if name == "application/json" || name.ends_with("+json") {
            json = json.max(weight);
        }
    }
    html > 0 && html == best && html > json
}

/// Reads a weight such as `0.85`. One that is none counts as 0.
fn thousandths(weight: &str) -> u32 {
    let weight: f32 = weight.trim().parse().unwrap_or(0.0);
    // From 0 to 1000, so nothing is cut off.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
    let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u32;
    thousandths
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn client(method: &Method, headers: &[(&'static str, &'static str)]) -> Client {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Client::of(method, &headers.collect(), false)
    }

    #[test]
    fn a_navigation_is_told_by_the_mode_if_the_browser_sends_it() {
        let navigate = ("sec-fetch-mode", "navigate");
        assert_eq!(client(&Method::GET, &[navigate]), Client::Page);
        assert_eq!(client(&Method::HEAD, &[navigate, ("accept", "*/*")]), Client::Page);
        assert_eq!(client(&Method::POST, &[navigate]), Client::Form);
        for mode in ["cors", "no-cors", "same-origin", "websocket", ""] {
            let headers = [("sec-fetch-mode", mode), ("accept", "text/html")];
            assert_eq!(client(&Method::GET, &headers), Client::Program, "{mode}");
        }
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("sec-fetch-mode"),
            HeaderValue::from_static("navigate"),
        )]);
        assert_eq!(Client::of(&Method::GET, &headers, true), Client::Program);
    }

    #[test]
    fn without_the_mode_a_navigation_is_told_by_what_is_accepted() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
            "TEXT/HTML;q=0.5, text/plain;q=0.2",
            "text/html, application/json;q=0.9",
            "text/html, */*",
        ] {
            assert_eq!(client(&Method::GET, &[("accept", accept)]), Client::Page, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/json, text/html;q=0.9",
            "application/json, text/html",
            "application/problem+json, text/html",
            "text/html;q=0",
            "text/html;q=x",
            "text/plain, text/html;q=0.5",
            "text/htmlx",
        ] {
            assert_eq!(client(&Method::GET, &[("accept", accept)]), Client::Program, "{accept}");
        }
        assert_eq!(client(&Method::GET, &[]), Client::Program);
    }
}
