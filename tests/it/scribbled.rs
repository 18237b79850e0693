//! One of each primitive, and all its verbs, for a family in which a member writes anything anywhere. What they answer does not matter.

use multiproc::{
    Array, Barrier, BoundedSemaphore, Condition, Error, Event, RLock, RawArray, RawValue, Result,
    RwLock, Semaphore, TryAcquireError, Value,
};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(2);

/// One of each.
#[derive(Debug)]
pub(crate) struct All {
    rlock: RLock,
    semaphore: Semaphore,
    bounded: [BoundedSemaphore; 2],
    condition: Condition,
    event: Event,
    barrier: Barrier,
    rwlock: RwLock,
    value: Value<u32>,
    array: Array<char>,
    raw: RawValue<u64>,
    raws: RawArray<[u64; 3]>,
}

impl All {
    pub(crate) fn new() -> Result<All> {
        Ok(All {
            rlock: RLock::new()?,
            semaphore: Semaphore::new(2)?,
            bounded: [BoundedSemaphore::new(2)?, BoundedSemaphore::new(100)?],
            condition: Condition::new()?,
            event: Event::new()?,
            barrier: Barrier::new(2)?,
            rwlock: RwLock::new()?,
            value: Value::new(1)?,
            array: Array::from_slice(&['a'; 50])?,
            raw: RawValue::new(1)?,
            raws: RawArray::from_slice(&[[1; 3]; 20])?,
        })
    }

    /// All verbs that come back by themselves.
    pub(crate) fn used(&self) {
        // Whatever each answers, the next one is called.
        let steps: [fn(&All) -> Result<()>; 7] = [
            All::locks,
            All::semaphores,
            All::waits,
            All::values,
            All::arrays,
            All::raws,
            All::looks,
        ];
        for step in steps {
            step(self).ok();
        }
    }

    fn locks(&self) -> Result<()> {
        news(self.rlock.acquire_timeout(SHORT), drop).ok();
        self.rlock.release().ok();
        news(self.rwlock.read_timeout(SHORT), drop).ok();
        news(self.rwlock.write_timeout(SHORT), drop).ok();
        news(self.rwlock.try_read(), drop)
    }

    fn semaphores(&self) -> Result<()> {
        drop(self.semaphore.acquire_timeout(SHORT));
        self.semaphore.release_many(3).ok();
        for bounded in &self.bounded {
            if let Ok(permit) = bounded.acquire_timeout(SHORT) {
                permit.forget();
            }
            drop(bounded.try_acquire());
            bounded.release().ok();
        }
        Ok(())
    }

    fn waits(&self) -> Result<()> {
        self.event.wait_timeout(SHORT).ok();
        self.event.set().ok();
        self.event.clear().ok();
        self.barrier.wait_timeout(SHORT).ok();
        self.barrier.reset().ok();
        let with = |_guard| {
            self.condition.wait_timeout(SHORT).ok();
            self.condition.notify_all().ok();
        };
        news(self.condition.acquire_timeout(SHORT), with)
    }

    fn values(&self) -> Result<()> {
        // With a deadline first: a word may name somebody who lives.
        news(self.value.lock_timeout(SHORT), drop)?;
        self.value.update(|value| *value = value.wrapping_add(1))?;
        drop(self.value.copy()?);
        Ok(())
    }

    fn arrays(&self) -> Result<()> {
        news(self.array.lock_timeout(SHORT), |mut guard| guard[0] = 'b')?;
        self.array.set(49, 'c')?;
        self.array.to_vec()?;
        Ok(())
    }

    fn raws(&self) -> Result<()> {
        self.raw.fetch_add(1)?;
        self.raws.set(19, [2; 3])?;
        self.raws.to_vec()?;
        Ok(())
    }

    fn looks(&self) -> Result<()> {
        let seen = (
            (self.rlock.holder(), self.semaphore.value()),
            self.bounded.each_ref().map(BoundedSemaphore::value),
            (self.barrier.n_waiting(), self.rwlock.readers()),
        );
        println!(" {seen:?} {self:?}");
        Ok(())
    }
}

/// Uses the guard, also one that comes with news.
fn news<G: multiproc::sync::Guard>(
    taken: Result<G, TryAcquireError<G>>,
    with: impl FnOnce(G),
) -> Result<()> {
    match taken {
        Ok(guard) => with(guard),
        Err(TryAcquireError::OwnerDied(news)) => with(news.repaired()),
        Err(error) => return Err(Error::from(error)),
    }
    Ok(())
}
