//! What is sent over a way from producers to consumers: numbers, there and back, after a pause, and many bytes.
//!
//! Whoever carries it is in a crew: member 0 puts and member 1 gets, or members 0 and 1 put and members 2 and 3 get.

use super::clock::now;
use super::crew::{Crew, Place, Timed, Work};
use super::memory::shared;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

/// How long a receiver is idle before a cold message, in nanoseconds.
const PAUSE: u64 = 1_000_000;

/// How many numbers one batch has.
pub(crate) const BATCH: u64 = 64;

/// A way for numbers. A clone is the same way; each member of a crew has its own.
pub(crate) trait Way: Clone + Send + 'static {
    fn put(&self, number: u64);
    fn get(&self) -> u64;
}

/// A way for numbers that takes many at a time.
pub(crate) trait Batches: Clone + Send + 'static {
    fn put_many(&self, numbers: Range<u64>);
    /// Gets at least one and at most so many: how many, and their sum.
    fn get_many(&self, most: u64) -> (u64, u64);
}

/// A way for many bytes at a time.
pub(crate) trait Freight: Clone + Send + 'static {
    fn put(&self, bytes: &[u8]);
    /// Lets `look` see the next bytes: in the buffer, if that is where they go, or where they lie.
    fn get(&self, buffer: &mut Vec<u8>, look: impl FnOnce(&[u8]));
}

/// Who carries it.
#[derive(Clone, Copy)]
pub(crate) enum By {
    /// Each on its own of two CPUs, or half of them.
    Processes,
    /// Wherever the kernel likes, on two CPUs.
    ProcessesAnywhere,
    /// On one CPU, and they know that they have only one.
    ProcessesOnOneCpu,
    /// Each on its own of two CPUs, or half of them.
    Threads,
    ThreadsAnywhere,
}

impl By {
    fn crew(self, size: usize, work: impl Work) -> Crew {
        match self {
            By::Processes => Crew::processes(size, Place::Apart, work),
            By::ProcessesAnywhere => Crew::processes(size, Place::Anywhere, work),
            By::ProcessesOnOneCpu => Crew::processes(size, Place::OneCpu, work),
            By::Threads => Crew::threads(size, Place::Apart, work),
            By::ThreadsAnywhere => Crew::threads(size, Place::Anywhere, work),
        }
    }

    fn pair(self, work: impl Work) -> Timed {
        let crew = self.crew(2, work);
        Box::new(move |rounds| crew.run(rounds))
    }
}

fn sum_below(end: u64) -> u64 {
    (0..end).sum()
}

/// One puts 0, 1, ..., the other gets them in this order.
pub(crate) fn one_to_one(by: By, way: impl Way) -> Timed {
    by.pair(move |member, rounds, number: &AtomicU64| {
        if member == 0 {
            (0..rounds).for_each(|number| way.put(number));
        } else {
            (0..rounds).for_each(|number| assert_eq!(way.get(), number));
        }
        number.fetch_add(rounds, Relaxed);
    })
}

/// The same, so many at a time.
pub(crate) fn in_batches(by: By, way: impl Batches) -> Timed {
    by.pair(move |member, rounds, number: &AtomicU64| {
        if member == 0 {
            let mut next = 0;
            while next < rounds {
                let end = rounds.min(next + BATCH);
                way.put_many(next..end);
                next = end;
            }
        } else {
            let (mut count, mut sum) = (0, 0);
            while count < rounds {
                let (more, theirs) = way.get_many(BATCH.min(rounds - count));
                count += more;
                sum += theirs;
            }
            assert_eq!((count, sum), (rounds, sum_below(rounds)));
        }
        number.fetch_add(rounds, Relaxed);
    })
}

/// Two put and two get; all that is put is got.
pub(crate) fn two_to_two(by: By, way: impl Way) -> Timed {
    let (put, got) = (shared(AtomicU64::new(0)), shared(AtomicU64::new(0)));
    let crew = by.crew(4, move |member, rounds, number: &AtomicU64| {
        if member < 2 {
            (0..rounds).for_each(|number| way.put(number));
            put.fetch_add(sum_below(rounds), SeqCst);
        } else {
            got.fetch_add((0..rounds).map(|_| way.get()).sum(), SeqCst);
        }
        number.fetch_add(rounds, Relaxed);
    });
    Box::new(move |messages| {
        let time = crew.run(messages.div_ceil(2));
        assert_eq!(put.load(SeqCst), got.load(SeqCst), "something was lost");
        time
    })
}

/// Each number comes back before the next one goes.
pub(crate) fn there_and_back(by: By, there: impl Way, back: impl Way) -> Timed {
    by.pair(move |member, rounds, number: &AtomicU64| {
        for round in 0..rounds {
            if member == 0 {
                there.put(round);
                assert_eq!(back.get(), round);
            } else {
                back.put(there.get());
            }
        }
        number.fetch_add(rounds, Relaxed);
    })
}

/// How long each number is on its way, together. Who gets it has been idle for a while, who puts it has not.
pub(crate) fn after_pauses(by: By, way: impl Way) -> Timed {
    let (spent, arrived) = (shared(AtomicU64::new(0)), shared(AtomicU64::new(0)));
    let crew = by.crew(2, move |member, rounds, number: &AtomicU64| {
        for round in 0..rounds {
            if member == 0 {
                while arrived.load(SeqCst) < round {
                    std::hint::spin_loop();
                }
                let begin = now();
                while now() < begin + PAUSE {
                    std::hint::spin_loop();
                }
                way.put(now());
            } else {
                let put = way.get();
                spent.fetch_add(now() - put, SeqCst);
                arrived.fetch_add(1, SeqCst);
            }
        }
        number.fetch_add(rounds, Relaxed);
    });
    Box::new(move |rounds| {
        arrived.store(0, SeqCst);
        spent.store(0, SeqCst);
        crew.run(rounds);
        assert_eq!(arrived.load(SeqCst), rounds, "something was lost");
        Duration::from_nanos(spent.load(SeqCst))
    })
}

/// How well who gets the bytes looks at them.
#[derive(Clone, Copy)]
pub(crate) enum Look {
    /// At both ends.
    Ends,
    /// At every word.
    All,
}

impl Look {
    fn at(self, bytes: &[u8]) -> u64 {
        let words = bytes.as_chunks::<8>().0;
        let word = |word: Option<&[u8; 8]>| u64::from_ne_bytes(*word.expect("eight bytes or more"));
        match self {
            Look::Ends => word(words.first()).wrapping_add(word(words.last())),
            Look::All => {
                let words = words.iter().copied().map(u64::from_ne_bytes);
                words.fold(0, u64::wrapping_add)
            }
        }
    }
}

/// So many bytes at a time, with a number at both ends.
pub(crate) fn freight(by: By, way: impl Freight, (size, look): (usize, Look)) -> Timed {
    by.pair(move |member, rounds, number: &AtomicU64| {
        let mut bytes = vec![0; size];
        for round in 0..rounds {
            if member == 0 {
                bytes[..8].copy_from_slice(&round.to_ne_bytes());
                bytes[size - 8..].copy_from_slice(&round.to_ne_bytes());
                way.put(&bytes);
            } else {
                way.get(&mut bytes, |bytes| {
                    assert_eq!(bytes.len(), size);
                    assert_eq!(look.at(bytes), 2 * round, "something else came");
                });
            }
        }
        number.fetch_add(rounds, Relaxed);
    })
}
