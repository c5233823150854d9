//! That no two layers on a route have cookies of one name: each would clear, end and answer by the other's.

use std::sync::Arc;

/// What the layers around a layer are asked, whatever their tables.
pub(crate) trait Neighbour: Send + Sync {
    /// The cookie that it reads and sets for this request, if any.
    fn cookie_name(&self) -> Option<&str>;

    /// The next layer outside of it.
    fn outer(&self) -> Option<&Outer>;

    /// From now on it answers nothing.
    fn refuse(&self);
}

/// The innermost layer so far, as it stands in a request's extensions.
#[derive(Clone)]
pub(crate) struct Outer(pub(crate) Arc<dyn Neighbour>);

/// Whether a layer around has a cookie of this name. Those that do are refused, too.
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
