//! What runs on a thread: Python's `threading` and `queue`, for the threads of one process.

mod arguments;
mod builder;
mod current;
mod end;
mod handle;
mod hook;
mod join_handle;
mod life;
mod local;
mod object;
pub(crate) mod panics;
pub(crate) mod queue;
mod run;
mod table;
mod timer;

pub use arguments::CallOnce;
pub use builder::ThreadBuilder;
pub use current::{active_count, current_thread, enumerate, get_ident, get_native_id, main_thread};
pub(crate) use current::{become_main, name_for_message};
pub(crate) use end::{flush_waited, join_all};
pub use handle::Thread;
pub use hook::{ExceptHookArgs, default_excepthook, excepthook, reset_excepthook, set_excepthook};
pub use join_handle::{JoinHandle, spawn};
pub use life::{set_stack_size, stack_size};
pub use local::Local;
pub(crate) use local::register_locals;
pub(crate) use panics::{Panic, Scene, catch, register_panics};
pub use run::Run;
pub(crate) use run::short_name;
pub(crate) use table::register;
pub use timer::Timer;
