//! The tests of the queue are not beside its code, which is also compiled for a model checker, whose locks only work
//! there.

mod queue;
