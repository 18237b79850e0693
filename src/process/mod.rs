//! Something that runs: processes, started by a fork server that nobody has to set up.
//!
//! How a start travels, from the caller to the function and back:
//!
//! 1. [`start`]: [`Process::start`] writes function, arguments and name into a message block ([`call`] says how a function
//!    travels) and reserves a slot for the child.
//! 2. [`client`]: the request goes to the fork server, which is started first if there is none.
//! 3. [`hook`], [`server`]: the server is this very program, taken over before `main`; it forks, answers with a pidfd, reaps.
//! 4. [`child`]: the life of the child in one place: clean signals, the lifeline, the function, the end.
//! 5. [`running`]: `join` waits on the pidfd and learns from the slot how it ended; then the slot is settled.
//! 6. [`exit`]: at the program's normal end non-daemon children are joined and daemons terminated.
//!
//! `docs/design/processes.md` tells why.

mod call;
mod child;
mod client;
mod current;
mod exit;
mod hook;
mod panics;
mod running;
mod server;
mod start;

pub use call::{Arguments, Callable};
pub use current::{CurrentProcess, cpu_count, current_process};
pub use start::{Process, ProcessBuilder};

pub(crate) use call::{Call, Reply, each, task};
pub(crate) use exit::is_ending;
pub(crate) use panics::{Panic, catch};
pub(crate) use running::Running;
pub(crate) use start::launch;
