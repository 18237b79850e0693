//! Something that runs: processes, started by a fork server that nobody has to set up.
//!
//! How a start travels, from the caller to the function and back:
//!
//! 1. [`start`]: [`Process::start`] writes function, arguments and name into a message block (`call.rs` says how a function
//!    travels) and reserves a slot for the child.
//! 2. [`client`]: the request goes to the fork server, which is started first if there is none.
//! 3. [`hook`], [`server`]: the server is this very program, taken over before `main`; it forks, answers with a pidfd, reaps.
//! 4. [`child`]: the life of the child in one place: clean signals, the lifeline, the function, the end.
//! 5. [`running`]: `join` waits on the pidfd and learns from the slot how it ended; then the slot is settled.
//! 6. [`exit`]: at the program's normal end non-daemon children are joined and daemons terminated.
//!
//! `docs/design/processes.md` tells why.

mod builder;
mod child;
mod client;
mod connection;
mod context;
mod current;
mod direct;
mod exec;
mod exit;
mod handle;
mod hook;
mod hooks;
mod join_handle;
mod keeping;
mod logging;
mod method;
pub mod os;
mod panics;
mod relatives;
mod report;
mod running;
mod server;
mod settings;
mod spares;
mod start;
mod state;
mod surroundings;
mod watcher;

pub use builder::ProcessBuilder;
pub use context::Context;
pub use current::{CurrentProcess, current_process};
pub use handle::Process;
pub use hook::init;
pub use hooks::{at_exit, at_fork};
pub use join_handle::{JoinHandle, fork, spawn};
pub use logging::log_to_stderr;
pub use method::{
    StartMethod, all_start_methods, force_start_method, set_start_method, start_method,
};
pub use relatives::{ParentProcess, active_children, available_cpus, cpu_count, parent_process};
pub use settings::{set_executable, set_forkserver_preload};
pub use spares::set_spare_children;
pub use state::ProcessState;

pub(crate) use exit::is_ending;
pub(crate) use method::chosen as chosen_method;
pub(crate) use running::Running;
pub(crate) use start::launch_service;
