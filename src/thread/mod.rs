//! What runs on a thread: Python's `threading` and `queue`, for the threads of one process.

mod arguments;
pub(crate) mod panics;
pub(crate) mod queue;
mod run;

pub use arguments::CallOnce;
pub(crate) use panics::{Panic, Scene, catch};
pub use run::Run;
pub(crate) use run::short_name;
