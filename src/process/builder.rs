//! The options of a process.

use super::current::{self, Identity};
use super::handle::Process;
use super::logging;
use super::method::{self, StartMethod};
use super::start::{Closure, Plan, Target};
use super::surroundings::Change;
use crate::call::{self, Arguments, Callable};
use crate::error::Result;
use crate::thread::{Run, short_name};
use crate::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Options of a process; from [`Process::builder`].
#[must_use = "call `start` or `build`"]
pub struct ProcessBuilder {
    kind: &'static str,
    name: Option<String>,
    daemon: Option<bool>,
    plan: Plan,
}

impl ProcessBuilder {
    /// A process that will call `function` with `arguments`, as [`Process::new`].
    pub fn new<F: Callable<A>, A: Arguments>(function: F, arguments: A) -> Self {
        Self::of(Target::Sent {
            call: call::target::<F, A>(function),
            answers: false,
            encode: Box::new(move || wire::encode_laden(&arguments)),
        })
    }

    /// A process that will run a copied closure, as [`Process::fork`].
    pub fn fork(closure: impl FnOnce() + Send + 'static) -> Self {
        Self::of(Target::Copied(Closure::new(move || {
            closure();
            None
        })))
    }

    /// A process that will run a value, as [`Process::from_run`].
    pub fn from_run<T: Run + Serialize + DeserializeOwned>(value: T) -> Self {
        let kind = short_name(std::any::type_name::<T>());
        let builder = Self::new(|mut value: T| value.run(), (value,));
        Self { kind, ..builder }
    }

    pub(super) fn of(target: Target) -> Self {
        Self {
            kind: "Process",
            name: None,
            daemon: None,
            plan: Plan::new(target),
        }
    }

    /// Its name. The default is `"Process-N"`, numbered among the children of this process.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Terminated at this program's end, instead of joined. A daemon may not have children. The default is what this process is
    /// itself.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// How it comes to be. The default is the program's ([`set_start_method`](crate::set_start_method)); a copied closure is always
    /// forked.
    ///
    /// # Examples
    /// ```
    /// use multiproc::{Process, StartMethod};
    ///
    /// let process = Process::builder(|| (), ()).start_method(StartMethod::Spawn).start()?;
    /// assert_eq!(process.join()?, 0);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.plan.method = Some(method);
        self
    }

    /// It outlives this process: it is not killed with it, and at its end neither joined nor terminated.
    ///
    /// # Examples
    /// ```
    /// let process = multiproc::Process::builder(|| (), ()).detach().start()?;
    /// assert_eq!(process.join()?, 0, "who started it may wait for it all the same");
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn detach(mut self) -> Self {
        self.plan.detached = true;
        self
    }

    /// The directory in which it runs. The default is this process's at the start. When the child cannot go there, it ends with exit
    /// code 1 and a message, as for all these options.
    ///
    /// # Examples
    /// ```
    /// use multiproc::Process;
    ///
    /// let here = || assert_eq!(std::env::current_dir().unwrap().as_os_str(), "/");
    /// assert_eq!(Process::builder(here, ()).cwd("/").start()?.join()?, 0);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.plan.options.cwd = Some(directory.into());
        self
    }

    /// Sets a variable of its environment. The default environment is this process's at the start.
    ///
    /// # Examples
    /// ```
    /// use multiproc::Process;
    ///
    /// let set = || assert_eq!(std::env::var("COLOUR").unwrap(), "red");
    /// assert_eq!(Process::builder(set, ()).env("COLOUR", "red").start()?.join()?, 0);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let change = Change::Set(name.into(), value.into());
        self.plan.options.env.push(change);
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.plan.options.env.push(Change::Remove(name.into()));
        self
    }

    /// Takes all variables out of its environment, but those that are set afterwards.
    pub fn env_clear(mut self) -> Self {
        self.plan.options.env.push(Change::Clear);
        self
    }

    /// Its file mode creation mask, as `0o022`.
    pub fn umask(mut self, mask: u32) -> Self {
        self.plan.options.umask = Some(mask);
        self
    }

    /// Added to the niceness that this process has at the start. To be less nice takes rights.
    pub fn nice(mut self, more: i32) -> Self {
        self.plan.options.nice = Some(more);
        self
    }

    /// The CPUs that it may run on, counted from 0.
    ///
    /// # Examples
    /// ```
    /// let one = || assert_eq!(multiproc::available_cpus(), 1);
    /// let process = multiproc::Process::builder(one, ()).cpu_affinity([0]).build();
    /// ```
    pub fn cpu_affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        // A number that does not fit is as wrong as one that no machine has.
        let cpus = cpus
            .into_iter()
            .map(|cpu| u32::try_from(cpu).unwrap_or(u32::MAX));
        self.plan.options.cpus = Some(cpus.collect());
        self
    }

    /// How many bytes of private memory it may have (`RLIMIT_DATA`): heap, stacks, writable data. An allocation beyond it fails, which
    /// ends a Rust program with SIGABRT. The arena does not count; what a fork has copied does.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.plan.options.memory = Some(bytes);
        self
    }

    /// How many seconds it may spend on CPUs (`RLIMIT_CPU`): SIGXCPU ends it then, and SIGKILL a second later if it handles that.
    pub fn cpu_time_limit(mut self, seconds: u64) -> Self {
        self.plan.options.cpu_seconds = Some(seconds);
        self
    }

    /// In a process group of its own, the default, it does not hear the terminal's keys: Ctrl-C is for this process, which decides.
    /// `false`: it is in this process's group.
    pub fn new_process_group(mut self, own: bool) -> Self {
        self.plan.options.parents_group = !own;
        self
    }

    /// The process, not started.
    #[must_use]
    pub fn build(self) -> Process {
        let identity = new_identity(self.kind, self.name, self.daemon);
        Process::ready(identity, self.plan)
    }

    /// The process, started.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start(self) -> Result<Process> {
        let mut process = self.build();
        process.start()?;
        Ok(process)
    }
}

impl fmt::Debug for ProcessBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessBuilder")
            .field("name", &self.name)
            .field("daemon", &self.daemon)
            .field("plan", &self.plan)
            .finish()
    }
}

/// What a child of this process will be told of itself.
pub(super) fn new_identity(kind: &str, name: Option<String>, daemon: Option<bool>) -> Identity {
    let own = current::identity();
    let path = current::next_path();
    let name = name.unwrap_or_else(|| {
        let numbers: Vec<String> = path.iter().map(ToString::to_string).collect();
        format!("{kind}-{}", numbers.join(":"))
    });
    Identity {
        name,
        daemon: daemon.unwrap_or(own.daemon),
        path,
        authkey: own.authkey.clone(),
        method: method::chosen(),
        log_level: logging::level(),
        parent: None,
    }
}
