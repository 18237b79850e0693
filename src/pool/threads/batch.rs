//! `map`: one object for all items, from which the workers take chunk after chunk.

use super::crew::{Crew, Job};
use super::result::{Promise, panicked};
use crate::error::{Error, Result};
use crate::sys::atomic::{AcqRel, AtomicUsize, Relaxed};
use crate::sys::private::Private;
use crate::thread::catch;
use crossbeam::utils::CachePadded;
use std::sync::Arc;

/// Some items, and then their values. Each is in the hands of one thread at a time.
enum Chunk<T, R> {
    Item(T),
    Items(Vec<T>),
    Value(R),
    Values(Vec<R>),
    Failed(Error),
    Away,
}

/// The items of one `map`. When all who have it are gone before all chunks are done, the promise is dropped with it.
struct Batch<F, T, R> {
    // The first field is dropped first: who waits for it does not wait for destructors of the user's.
    promise: Private<Option<Promise<Vec<R>>>>,
    next: CachePadded<AtomicUsize>,
    left: CachePadded<AtomicUsize>,
    chunks: Vec<Private<Chunk<T, R>>>,
    function: F,
}

/// Lets `workers` of the crew call `function` with each of `items`, so many at a time.
pub(super) fn start<F, T, R>(
    crew: &Crew,
    workers: usize,
    function: F,
    items: impl Iterator<Item = T>,
    chunk: usize,
    promise: Promise<Vec<R>>,
) -> Result<()>
where
    F: Fn(T) -> R + Send + Sync + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    let chunks = divide(items, chunk);
    crew.begin()?;
    if chunks.is_empty() {
        promise.keep(Ok(Vec::new()));
        crew.end();
        return Ok(());
    }
    let helpers = workers.min(chunks.len());
    let batch = Arc::new(Batch {
        promise: Private::new(Some(promise)),
        next: CachePadded::new(AtomicUsize::new(0)),
        left: CachePadded::new(AtomicUsize::new(chunks.len())),
        chunks,
        function,
    });
    for _ in 1..helpers {
        crew.push(Box::new(Helper(Arc::clone(&batch))));
    }
    crew.push(Box::new(Helper(batch)));
    crew.end();
    Ok(())
}

fn divide<T, R>(mut items: impl Iterator<Item = T>, chunk: usize) -> Vec<Private<Chunk<T, R>>> {
    if chunk == 1 {
        return items.map(|item| Private::new(Chunk::Item(item))).collect();
    }
    let some = || {
        let some: Vec<T> = items.by_ref().take(chunk).collect();
        (!some.is_empty()).then(|| Private::new(Chunk::Items(some)))
    };
    std::iter::from_fn(some).collect()
}

impl<T, R> Chunk<T, R> {
    fn call(self, function: &impl Fn(T) -> R) -> Self {
        let called = match self {
            Self::Item(item) => catch(true, || Self::Value(function(item))),
            Self::Items(items) => catch(true, || {
                Self::Values(items.into_iter().map(function).collect())
            }),
            other => Ok(other),
        };
        called.unwrap_or_else(|panic| Self::Failed(panicked(panic)))
    }
}

impl<F: Fn(T) -> R, T, R> Batch<F, T, R> {
    /// Takes chunks until there are no more; says how many.
    fn help(&self, crew: &Crew) -> usize {
        let mut done = 0;
        while !crew.is_terminated() && crew.is_here() {
            let Some(place) = self.chunks.get(self.next.fetch_add(1, Relaxed)) else {
                break;
            };
            let chunk = std::mem::replace(&mut *place.lock(), Chunk::Away);
            let chunk = chunk.call(&self.function);
            *place.lock() = chunk;
            done += 1;
        }
        done
    }

    /// All chunks are done: the values, or the first failure in their order.
    fn gather(&self) -> Result<Vec<R>> {
        let mut values = Vec::with_capacity(self.chunks.len());
        for place in &self.chunks {
            match std::mem::replace(&mut *place.lock(), Chunk::Away) {
                Chunk::Value(value) => values.push(value),
                Chunk::Values(some) => values.extend(some),
                Chunk::Failed(error) => return Err(error),
                Chunk::Item(_) | Chunk::Items(_) | Chunk::Away => {}
            }
        }
        Ok(values)
    }
}

/// One worker's part.
struct Helper<F, T, R>(Arc<Batch<F, T, R>>);

impl<F, T, R> Job for Helper<F, T, R>
where
    F: Fn(T) -> R + Send + Sync,
    T: Send,
    R: Send,
{
    fn run(self: Box<Self>, crew: &Crew) {
        let Self(batch) = *self;
        let done = batch.help(crew);
        if done > 0 && batch.left.fetch_sub(done, AcqRel) == done {
            let promise = batch.promise.lock().take();
            if let Some(promise) = promise {
                promise.keep(batch.gather());
            }
        }
    }
}
