//! `Run`: a type of the user's own that is a thread or a process, as a subclass with `run` is in Python.

/// A value whose `run` can be the body of a thread or a process: Python's subclass of `Thread` or `Process`.
///
/// [`Thread::from_run`](crate::threading::Thread::from_run) moves the value to a new thread and calls `run` there;
/// [`Process::from_run`](crate::Process::from_run) sends it to a new process, for which it must serialise; `run` called directly runs
/// here.
///
/// # Examples
/// ```
/// use multiproc::{Process, Queue, Run};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Piao {
///     who: String,
///     said: Queue<String>,
/// }
///
/// impl Run for Piao {
///     fn run(&mut self) {
///         self.said.put(format!("{} is here", self.who)).expect("somebody reads");
///     }
/// }
///
/// let said = Queue::new()?;
/// let mut process = Process::from_run(Piao { who: "egon".to_owned(), said: said.clone() });
/// assert_eq!(process.name(), "Piao-1");
/// process.start()?;
/// assert_eq!(said.get()?, "egon is here");
/// assert_eq!(process.join()?, 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub trait Run: Send + 'static {
    /// The body of the thread, or of the process.
    fn run(&mut self);
}

/// `Piao` for `program::shapes::Piao<program::Other>`.
pub(crate) fn short_name(path: &'static str) -> &'static str {
    let plain = path.split('<').next().unwrap_or(path);
    plain.rsplit("::").next().unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn names_of_types() {
        assert_eq!(short_name("a::b::Piao"), "Piao");
        assert_eq!(short_name("a::Piao<b::C<d::E>>"), "Piao");
        assert_eq!(short_name("Piao"), "Piao");
    }
}
