//! What runs on a thread: Python's `threading` and `queue`, for the threads of one process.

pub(crate) mod panics;
mod run;

pub(crate) use panics::{Panic, Scene, catch};
pub use run::Run;
pub(crate) use run::short_name;
