//! `Context`: a start method for those who do not want the program's.

use super::builder::ProcessBuilder;
use super::handle::Process;
use super::method::{self, StartMethod};
use crate::call::{Arguments, Callable};

/// A start method, and what is made with it: for libraries, which leave the program's own choice alone.
///
/// # Examples
/// ```
/// use multiproc::{Context, StartMethod};
///
/// let context = Context::spawn();
/// let mut process = context.process(|n: u32| assert_eq!(n, 5), (5,));
/// assert_eq!(process.start_method(), StartMethod::Spawn);
/// process.start()?;
/// assert_eq!(process.join()?, 0);
///
/// let pool = Context::fork().pool(1)?;
/// assert_eq!(pool.apply(|n: u32| n + 1, (5,))?, 6);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    method: StartMethod,
}

/// The context of the program's own choice, which is fixed by this as by [`start_method`](crate::start_method).
impl Default for Context {
    fn default() -> Self {
        method::start_method().into()
    }
}

impl From<StartMethod> for Context {
    fn from(method: StartMethod) -> Self {
        Self { method }
    }
}

impl Context {
    /// Children come from the fork server.
    #[must_use]
    pub fn forkserver() -> Self {
        StartMethod::ForkServer.into()
    }

    /// Children are forked from this process.
    #[must_use]
    pub fn fork() -> Self {
        StartMethod::Fork.into()
    }

    /// Children are this program started anew.
    #[must_use]
    pub fn spawn() -> Self {
        StartMethod::Spawn.into()
    }

    /// The start method.
    #[must_use]
    pub fn start_method(self) -> StartMethod {
        self.method
    }

    /// As [`Process::new`].
    pub fn process<F: Callable<A>, A: Arguments>(self, function: F, arguments: A) -> Process {
        self.builder(function, arguments).build()
    }

    /// As [`Process::builder`].
    pub fn builder<F: Callable<A>, A: Arguments>(
        self,
        function: F,
        arguments: A,
    ) -> ProcessBuilder {
        ProcessBuilder::new(function, arguments).start_method(self.method)
    }
}
