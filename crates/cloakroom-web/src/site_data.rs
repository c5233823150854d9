use std::fmt::Write;

use http::{HeaderName, HeaderValue};

pub(crate) const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// What a browser deletes of a site when its user logs out; see
/// [`SessionLayer::clear_site_data`](crate::SessionLayer::clear_site_data).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SiteData {
    /// The responses that the browser has kept of this origin.
    Cache,
    /// Every cookie of the whole registrable domain, including sibling hosts. Chromium then also drops every other
    /// `Set-Cookie` of the same response, such as that of another layer or of the application.
    Cookies,
    /// Everything that scripts of this origin have stored: local storage, `IndexedDB`, service workers. Chromium also
    /// ends device-bound sessions of the origin.
    Storage,
}

/// The header's value; `None` if there is nothing to delete.
pub(crate) fn header(data: impl IntoIterator<Item = SiteData>) -> Option<HeaderValue> {
    let mut value = String::new();
    for kind in data {
        let name = match kind {
            SiteData::Cache => "cache",
            SiteData::Cookies => "cookies",
            SiteData::Storage => "storage",
        };
        let comma = if value.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(value, "{comma}\"{name}\"");
    }
    HeaderValue::try_from(value).ok().filter(|value| !value.is_empty())
}
