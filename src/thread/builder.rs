//! The options of a thread.

use super::arguments::CallOnce;
use super::handle::Thread;
use super::object::{Object, Panicked, Plan, Then};
use super::run::{Run, short_name};
use super::{current, panics, table};
use crate::error::Result;
use std::fmt;

/// What a thread is to be; from [`Thread::builder`].
#[must_use = "nothing is started yet"]
pub struct ThreadBuilder {
    class: &'static str,
    /// What its name begins with.
    kind: &'static str,
    /// What it runs, where that has a name.
    function: Option<&'static str>,
    name: Option<String>,
    daemon: Option<bool>,
    plan: Plan,
}

type Body = Box<dyn FnOnce() -> Option<Panicked> + Send>;

impl ThreadBuilder {
    pub(super) fn new<F: FnOnce() + Send + 'static>(closure: F) -> Self {
        Self::of(function_name::<F>(), hooked(closure))
    }

    pub(super) fn with_args<F, A>(function: F, arguments: A) -> Self
    where
        F: CallOnce<A> + Send + 'static,
        A: Send + 'static,
    {
        let call = move || drop(function.call_once(arguments));
        Self::of(function_name::<F>(), hooked(call))
    }

    pub(super) fn from_run<T: Run>(mut value: T) -> Self {
        let class = short_name(std::any::type_name::<T>());
        Self {
            class,
            kind: class,
            ..Self::of(None, hooked(move || value.run()))
        }
    }

    /// With a body that catches its panics itself.
    pub(super) fn of(function: Option<&'static str>, body: Body) -> Self {
        Self {
            class: "Thread",
            kind: "Thread",
            function,
            name: None,
            daemon: None,
            plan: Plan { body, stack: None },
        }
    }

    /// What Python calls its class, where that is no subclass with `run`.
    pub(super) fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// Its name. The default is `"Thread-1"`, or `"Thread-1 (function)"`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Is it left alone at the end of the program, instead of being waited for? The default is what the thread is that makes it.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// How many bytes of stack it gets, 32 KiB or more; 0 is the default, which is 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.plan.stack = Some(bytes);
        self
    }

    /// The thread, not started.
    #[must_use]
    pub fn build(self) -> Thread {
        let name = self.name.unwrap_or_else(|| {
            let name = table::next_name(self.kind);
            match self.function {
                Some(function) => format!("{name} ({function})"),
                None => name,
            }
        });
        let daemon = self.daemon.unwrap_or_else(current::is_daemon);
        Thread::of(Object::new(self.class, name, daemon, self.plan))
    }

    /// The thread, started.
    ///
    /// # Errors
    /// As [`Thread::start`].
    pub fn start(self) -> Result<Thread> {
        let thread = self.build();
        thread.start()?;
        Ok(thread)
    }
}

impl fmt::Debug for ThreadBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadBuilder")
            .field("name", &self.name)
            .field("daemon", &self.daemon)
            .field("stack_size", &self.plan.stack)
            .finish_non_exhaustive()
    }
}

/// A body whose panics the hook hears of.
fn hooked(body: impl FnOnce() + Send + 'static) -> Body {
    Box::new(move || {
        let (panic, untold) = panics::catch_for_hook(body).err()?;
        let then = if untold { Then::HookFirst } else { Then::Hook };
        Some(Panicked { panic, then })
    })
}

/// The name of a function item; closures have none.
pub(super) fn function_name<F>() -> Option<&'static str> {
    let path = without_types(std::any::type_name::<F>());
    let name = path.rsplit("::").next().unwrap_or(path);
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let is_name = !name.is_empty() && name.chars().all(plain);
    (size_of::<F>() == 0 && is_name).then_some(name)
}

/// `a::b<T>::c` for `a::b<T>::c<U<V>>`.
fn without_types(path: &str) -> &str {
    if !path.ends_with('>') {
        return path;
    }
    let mut depth = 0;
    let begin = path.rfind(|c| {
        depth += i32::from(c == '>') - i32::from(c == '<');
        depth == 0
    });
    &path[..begin.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shape<T>(T);
    impl<T> Shape<T> {
        fn method() {}
    }
    fn closure<T>(_generic: T) -> Option<&'static str> {
        name(|| ())
    }

    fn item() {}
    fn generic<T>() {}
    fn name<F>(_function: F) -> Option<&'static str> {
        function_name::<F>()
    }

    #[test]
    fn functions_have_names() {
        assert_eq!(name(item), Some("item"));
        assert_eq!(name(generic::<Vec<u8>>), Some("generic"));
        assert_eq!(name(Shape::<Vec<u8>>::method), Some("method"));
        assert_eq!(closure(Vec::<u8>::new()), None);
        let captured = 5;
        assert_eq!(name(|| ()), None);
        assert_eq!(name(move || captured), None);
        assert_eq!(name(item as fn()), None);
        assert_eq!(name(Box::new(item)), None);
        assert_eq!(name(String::from as fn(&'static str) -> String), None);
    }
}
