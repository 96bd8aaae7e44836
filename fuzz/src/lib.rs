//! Fuzzing of everything that reads what comes from outside. `.ci/fuzz` runs it.
#![forbid(unsafe_code)]

pub mod bodies;
