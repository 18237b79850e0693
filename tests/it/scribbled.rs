//! One of each primitive and queue, and all their verbs, for a family in which a member writes anything anywhere. What they answer does not matter.

use multiproc::{
    Array, Barrier, BoundedSemaphore, Condition, Error, Event, JoinableQueue, Queue, RLock,
    RawArray, RawValue, Receiver, Result, RwLock, Semaphore, Sender, SimpleQueue, TryAcquireError,
    Value,
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
    bytes: Queue<Vec<u8>>,
    nested: Queue<(u8, Option<Sender<u8>>)>,
    ends: (Sender<u8>, Receiver<u8>),
    simple: SimpleQueue<String>,
    joinable: JoinableQueue<Vec<u8>>,
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
            bytes: Queue::new()?,
            nested: Queue::with_maxsize(100)?,
            ends: Queue::new()?.split()?,
            simple: SimpleQueue::new()?,
            joinable: JoinableQueue::builder().retries(1).build()?,
        })
    }

    /// All verbs that come back by themselves.
    pub(crate) fn used(&self) {
        // Whatever each answers, the next one is called.
        let steps: [fn(&All) -> Result<()>; 11] = [
            All::locks,
            All::semaphores,
            All::waits,
            All::values,
            All::arrays,
            All::raws,
            All::bytes,
            All::ends,
            All::simple,
            All::joinable,
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

    fn bytes(&self) -> Result<()> {
        let lengths = [0, 10, 4096, 5_000, 9_000];
        for length in lengths {
            self.bytes.put_bytes_timeout(&vec![7; length], SHORT).ok();
        }
        let many = lengths.map(|length| vec![7; length]);
        self.bytes.put_many_timeout(many, SHORT).ok();
        let loan = self.bytes.get_loan_timeout(SHORT);
        let sum = loan.map_or(0, |loan| loan.iter().map(|byte| u64::from(*byte)).sum());
        let mut buffer = Vec::new();
        let into = self.bytes.get_into_timeout(&mut buffer, SHORT);
        let batch = self.bytes.get_many_timeout(5, SHORT);
        let count = batch.map_or(0, |batch| batch.filter(Result::is_ok).count());
        println!(" {sum} {:?} {count}", into.ok());
        Ok(())
    }

    fn ends(&self) -> Result<()> {
        let (sender, receiver) = &self.ends;
        sender.send_many_timeout([1; 70], SHORT).ok();
        receiver.recv_timeout(SHORT).ok();
        drop(receiver.recv_many_timeout(100, SHORT));
        let message = (1, Some(sender.clone()));
        self.nested.put_timeout(message, SHORT).ok();
        drop(self.nested.get_many_timeout(3, SHORT));
        drop(self.nested.get_timeout(SHORT));
        let (sender, receiver) = Queue::<u8>::new()?.split()?;
        drop(sender);
        receiver.recv_timeout(SHORT).ok();
        Ok(())
    }

    /// Its verbs have no deadlines: who puts may be told that there is no room, and who gets that there is nothing, for ever.
    fn simple(&self) -> Result<()> {
        self.simple.is_empty()?;
        self.simple.close();
        drop(self.simple.get());
        self.simple.put("x".repeat(5_000)).ok();
        Ok(())
    }

    fn joinable(&self) -> Result<()> {
        let items = [10, 5_000, 0].map(|length| vec![7; length]);
        self.joinable.put_many_timeout(items, SHORT).ok();
        if let Ok(item) = self.joinable.get_timeout(SHORT) {
            item.task_done();
        }
        drop(self.joinable.get_timeout(SHORT));
        if let Ok(item) = self.joinable.get_timeout(SHORT) {
            println!(" {}", item.attempts());
        }
        self.joinable.join_timeout(SHORT)?;
        let fresh = JoinableQueue::new()?;
        fresh.put_timeout(1, SHORT).ok();
        fresh.shutdown(true);
        Ok(())
    }

    fn looks(&self) -> Result<()> {
        let seen = (
            (self.rlock.holder(), self.semaphore.value()),
            self.bounded.each_ref().map(BoundedSemaphore::value),
            (self.barrier.n_waiting(), self.rwlock.readers()),
            (self.joinable.unfinished(), self.joinable.failed()),
            (self.bytes.len(), self.bytes.is_closed()),
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
