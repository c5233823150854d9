//! The tests of the queue. They are not beside its code, because that is also compiled for a model checker, and its
//! locks work only there.

mod queue;
