//! Refuses two layers on one route with cookies of one name: each would clear and end the other's sessions, and answer
//! with them.

use std::sync::Arc;

/// What a layer asks the layers around it, of any table.
pub(crate) trait Neighbour: Send + Sync {
    /// The cookie that the layer reads and sets for this request, if any.
    fn cookie_name(&self) -> Option<&str>;

    /// The next layer outside of this one.
    fn outer(&self) -> Option<&Outer>;

    /// Makes the layer answer nothing from now on.
    fn refuse(&self);
}

/// The innermost layer so far, as it stands in a request's extensions.
#[derive(Clone)]
pub(crate) struct Outer(pub(crate) Arc<dyn Neighbour>);

/// Returns `true` if a layer around has a cookie of this name. Such layers are refused, too.
pub(crate) fn is_taken(name: &str, outer: Option<&Outer>) -> bool {
    let mut is_taken = false;
    let mut next = outer;
    while let Some(Outer(layer)) = next {
        if layer.cookie_name() == Some(name) {
            layer.refuse();
            is_taken = true;
        }
        next = layer.outer();
    }
    is_taken
}
