//! Base64 as other programs write it: in either alphabet, with or without padding.

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

/// Returns the bytes that the text stands for in base64 ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648)), in the
/// standard or the url-safe alphabet, with or without padding. The text is decoded in constant time.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let decode = match (text.ends_with('='), text.contains(['-', '_'])) {
        (true, true) => Base64Url::decode_vec,
        (true, false) => Base64::decode_vec,
        (false, true) => Base64UrlUnpadded::decode_vec,
        (false, false) => Base64Unpadded::decode_vec,
    };
    decode(text).ok().map(Zeroizing::new)
}
