use cloakroom::SessionFields;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};

use crate::credentials::TokenSource;
use crate::layer::SessionLayer;

impl<T: SessionFields> SessionLayer<T> {
    /// Adds a security scheme to an `OpenAPI` document for each place in which the layer looks for a token. Returns a
    /// requirement for each: as alternatives they say that an operation needs a session.
    ///
    /// The schemes are named after the table:
    ///
    /// | source | name | scheme |
    /// |---|---|---|
    /// | [`Cookie`](TokenSource::Cookie) | `api_keys_cookie` | `apiKey` in the cookie |
    /// | [`Bearer`](TokenSource::Bearer) | `api_keys_bearer` | `http` with `bearer` |
    /// | [`Header`](TokenSource::Header) | `api_keys_x-api-key` | `apiKey` in the header |
    /// | [`Authorization`](TokenSource::Authorization) | `api_keys_authorization_Token` | `apiKey` in the header `Authorization`, with the scheme in the description |
    /// | [`SignedCookie`](TokenSource::SignedCookie) | | none: it is for browsers that have it still |
    ///
    /// The cookie's name is that of a request over TLS.
    ///
    /// ```
    /// # use cloakroom::{SessionTable, Sessions};
    /// # use cloakroom_web::{SessionLayer, TokenSource};
    /// use utoipa::openapi::OpenApi;
    ///
    /// #[derive(Clone, SessionTable)]
    /// #[session(table = "api_keys")]
    /// struct ApiKey {
    ///     user_id: i64,
    /// }
    ///
    /// # fn example(keys: Sessions<ApiKey>, document: &mut OpenApi) -> SessionLayer<ApiKey> {
    /// let layer = SessionLayer::new(keys).sources([TokenSource::Bearer, TokenSource::header("x-api-key")]);
    /// // For the whole document. An operation of its own names `api_keys_bearer`, with the scopes that it needs:
    /// // `#[utoipa::path(post, path = "/orders", security(("api_keys_bearer" = ["write"])))]`.
    /// document.security = Some(layer.add_security_schemes(document));
    /// # layer
    /// # }
    /// ```
    pub fn add_security_schemes(&self, document: &mut OpenApi) -> Vec<SecurityRequirement> {
        let settings = self.settings();
        let table = settings.sessions.definition().table_name();
        let components = document.components.get_or_insert_default();
        let mut requirements = Vec::new();
        for source in &settings.sources {
            let Some((name, scheme)) = scheme(source, settings.cookie.name()) else { continue };
            let name = component_name(&format!("{table}_{name}"));
            requirements.push(SecurityRequirement::new(name.clone(), [] as [String; 0]));
            components.add_security_scheme(name, scheme);
        }
        requirements
    }
}

fn scheme(source: &TokenSource, cookie: &str) -> Option<(String, SecurityScheme)> {
    Some(match source {
        TokenSource::Cookie => {
            ("cookie".to_owned(), SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(cookie))))
        }
        TokenSource::Bearer => {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("opaque");
            ("bearer".to_owned(), SecurityScheme::Http(bearer.build()))
        }
        TokenSource::Authorization(scheme) => {
            let value =
                ApiKeyValue::with_description("Authorization".to_owned(), format!("`{scheme} <token>`"));
            (format!("authorization_{scheme}"), SecurityScheme::ApiKey(ApiKey::Header(value)))
        }
        TokenSource::Header(name) => {
            let value = ApiKeyValue::new(name.as_str());
            (name.as_str().to_owned(), SecurityScheme::ApiKey(ApiKey::Header(value)))
        }
        TokenSource::SignedCookie(_) => return None,
    })
}

/// The characters that the specification allows in a component's name; an underscore in place of others.
fn component_name(name: &str) -> String {
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    name.chars().map(|char| if is_allowed(char) { char } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_has_a_name_that_the_specification_allows() {
        assert_eq!(component_name("api_keys_x-api-key"), "api_keys_x-api-key");
        assert_eq!(component_name("Tenant A?_x!é"), "Tenant_A__x__");
    }
}
