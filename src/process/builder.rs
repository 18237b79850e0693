//! The options of a process.

use super::call::{self, Arguments, Callable};
use super::current::{self, Identity};
use super::handle::Process;
use super::method::{self, StartMethod};
use super::run::{self, Run};
use super::start::{Closure, Plan, Target};
use crate::error::Result;
use crate::wire;
use std::fmt;

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
            encode: Box::new(move || wire::encode(&arguments)),
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
    pub fn from_run<T: Run>(value: T) -> Self {
        let kind = run::short_name(std::any::type_name::<T>());
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
        parent: None,
    }
}
