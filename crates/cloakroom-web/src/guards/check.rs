use cloakroom::{Session, SessionFields};
use http::request::Parts;

use crate::extract::required;
use crate::rejection::SessionRejection;
use crate::requirement::Requirement;
use crate::state::State;

/// Returns the request's session if there is one and it is as it must be.
pub(super) async fn check<T: SessionFields>(
    parts: &Parts,
    requirement: Option<&Requirement<T>>,
    is_uncached: bool,
) -> Result<Session<T>, SessionRejection> {
    let session = required::<T>(parts, is_uncached).await?;
    if let Some(requirement) = requirement {
        let exchange = &State::<T>::of(&parts.extensions)?.exchange;
        let met = requirement.check(&session, exchange.sessions().config().now());
        met.map_err(|lack| exchange.lacking(lack, &exchange.places(parts)))?;
    }
    Ok(session)
}
