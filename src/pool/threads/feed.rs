//! `imap`: items are drawn by the workers, one at a time, and results are taken while others are computed.

use super::crew::{Crew, Job};
use super::result::{LONG, check_generation, look_for_a_while, panicked, terminated};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Gate, WithinProcess};
use crate::sys::atfork;
use crate::sys::atomic::{AtomicBool, Relaxed};
use crate::sys::clock::Deadline;
use crate::sys::private::Private;
use crate::thread::catch;
use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;

/// In which order results are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// That of the items.
    ByItem,
    /// That in which they come.
    AsTheyCome,
}

/// Results that have come and were not given yet.
struct Arrived<R> {
    /// From number [`given`](Self::given) on; those that have not come yet are `None`.
    results: VecDeque<Option<Result<R>>>,
    given: usize,
    /// How many there will be in all, once that is known.
    total: Option<usize>,
}

impl<R> Arrived<R> {
    fn put(&mut self, arrangement: Arrangement, number: usize, result: Result<R>) {
        if arrangement == Arrangement::AsTheyCome {
            return self.results.push_back(Some(result));
        }
        // None before it was given, because it was not there.
        let place = number - self.given;
        while self.results.len() <= place {
            self.results.push_back(None);
        }
        self.results[place] = Some(result);
    }

    /// The next one; `Some(None)` at the end.
    fn take(&mut self) -> Option<Option<Result<R>>> {
        if let Some(first) = self.results.front_mut() {
            let result = first.take()?;
            self.results.pop_front();
            self.given += 1;
            return Some(Some(result));
        }
        (self.total == Some(self.given)).then_some(None)
    }
}

/// What the tasks and the taker of one `imap` share.
struct Stream<R> {
    arrangement: Arrangement,
    arrived: Private<Arrived<R>>,
    gate: Gate,
    /// Nobody takes results any more.
    abandoned: AtomicBool,
    generation: u32,
}

impl<R> Stream<R> {
    fn put(&self, number: usize, result: Result<R>) {
        self.arrived.lock().put(self.arrangement, number, result);
        self.gate.notify::<WithinProcess>(1);
    }

    fn end(&self, total: usize) {
        self.arrived.lock().total = Some(total);
        self.gate.notify::<WithinProcess>(1);
    }

    fn take(&self) -> Option<Option<Result<R>>> {
        self.arrived.lock().take()
    }

    fn wait(&self, deadline: Deadline) -> Option<Option<Result<R>>> {
        let taken = look_for_a_while(|| self.take());
        if taken.is_some() {
            return taken;
        }
        loop {
            let ticket = self.gate.arrive();
            let taken = self.take();
            let slice = deadline.slice(LONG);
            if taken.is_some() || slice.is_zero() {
                return taken;
            }
            self.gate.sleep::<WithinProcess>(ticket, slice);
        }
    }
}

/// What all items of one `imap` need.
struct Common<F, R> {
    stream: Arc<Stream<R>>,
    function: F,
}

/// The job that goes round: it has the items that were not drawn yet.
struct Feed<I, F, R> {
    common: Arc<Common<F, R>>,
    /// How many were drawn, and whether there are more.
    drawn: usize,
    ended: bool,
    items: I,
}

/// Lets the crew draw from `items`.
pub(super) fn start<F, I, R>(
    crew: &Crew,
    function: F,
    items: I,
    arrangement: Arrangement,
) -> Result<ThreadImap<R>>
where
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    I: Iterator + Send + 'static,
    R: Send + 'static,
{
    let stream = Arc::new(Stream {
        arrangement,
        arrived: Private::new(Arrived {
            results: VecDeque::new(),
            given: 0,
            total: None,
        }),
        gate: Gate::default(),
        abandoned: AtomicBool::new(false),
        generation: atfork::generation(),
    });
    crew.begin()?;
    let common = Common {
        stream: Arc::clone(&stream),
        function,
    };
    crew.push(Box::new(Feed {
        common: Arc::new(common),
        drawn: 0,
        ended: false,
        items,
    }));
    Ok(ThreadImap {
        stream,
        over: false,
    })
}

impl<I, F, R> Feed<I, F, R> {
    /// There are no more items, or nobody wants them.
    fn finish(&mut self, crew: &Crew) {
        self.ended = true;
        self.common.stream.end(self.drawn);
        crew.end();
    }
}

impl<I, F, R> Job for Feed<I, F, R>
where
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    I: Iterator + Send + 'static,
    R: Send + 'static,
{
    fn run(mut self: Box<Self>, crew: &Crew) {
        let common = Arc::clone(&self.common);
        if common.stream.abandoned.load(Relaxed) {
            return self.finish(crew);
        }
        let number = self.drawn;
        let item = match catch(true, || self.items.next()) {
            Ok(Some(item)) => item,
            Ok(None) => return self.finish(crew),
            Err(panic) => {
                self.drawn += 1;
                common.stream.put(number, Err(panicked(panic)));
                return self.finish(crew);
            }
        };
        if !crew.is_here() {
            return;
        }
        self.drawn += 1;
        // Another worker may draw the next one meanwhile.
        crew.push(self);
        let called = catch(true, || (common.function)(item));
        common.stream.put(number, called.map_err(panicked));
    }
}

impl<I, F, R> Drop for Feed<I, F, R> {
    /// Without having ended: the pool was terminated, and there is one more result, which says so.
    fn drop(&mut self) {
        if !self.ended {
            let stream = &self.common.stream;
            stream.put(self.drawn, Err(terminated()));
            stream.end(self.drawn + 1);
        }
    }
}

/// The results of [`ThreadPool::imap`](crate::ThreadPool::imap) and [`imap_unordered`](crate::ThreadPool::imap_unordered), as they come.
///
/// A task that panicked is an `Err` in its place, and others follow. When the *items'* own iterator panics, that is the last result, and so is
/// [`ErrorKind::Terminated`] when the pool is terminated. Dropping it ends the drawing of items; those that were drawn are done.
#[must_use = "items are drawn until this is dropped"]
pub struct ThreadImap<R> {
    stream: Arc<Stream<R>>,
    over: bool,
}

impl<R> ThreadImap<R> {
    /// The next result, waiting for `timeout` at most; `None` at the end. A result that does not come in time can be asked for again. In a
    /// forked child, where none comes, an [`ErrorKind::Misuse`] and then the end.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`], and what became of the task, as [`ThreadResult::get`](crate::ThreadResult::get).
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<R>> {
        self.next_until(Deadline::after(timeout))
    }

    fn next_until(&mut self, deadline: Deadline) -> Option<Result<R>> {
        if self.over {
            return None;
        }
        if let Err(error) = check_generation(self.stream.generation) {
            self.over = true;
            return Some(Err(error));
        }
        let Some(next) = self.stream.wait(deadline) else {
            let error = Error::new(ErrorKind::TimedOut, "the next result is not there");
            return Some(Err(error));
        };
        self.over = next.is_none();
        next
    }
}

impl<R> Iterator for ThreadImap<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        self.next_until(Deadline::NEVER)
    }
}

impl<R> FusedIterator for ThreadImap<R> {}

impl<R> Drop for ThreadImap<R> {
    fn drop(&mut self) {
        self.stream.abandoned.store(true, Relaxed);
    }
}

impl<R> fmt::Debug for ThreadImap<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadImap")
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
