//! How much the arena holds: all of it is filled with patterns and emptied, so a block that was given out twice shows.

use multiproc::{Lock, Queue};

/// What fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// New queues (16 KiB blocks) as the heap is found.
    found: usize,
    /// Messages of the smallest block.
    small: usize,
    /// New queues again, after all that was freed: whatever lay in pieces is merged.
    merged: usize,
}

/// A message in a block of its own, because there is a handle in it.
type Small = (Lock, u64, u64);

impl Capacity {
    /// Fills and empties the arena.
    pub(crate) fn measure() -> Self {
        let found = whole_queues();
        let small = small_messages();
        Self {
            found,
            small,
            merged: whole_queues(),
        }
    }

    /// Panics when something is missing; `true` when it was there only after a merge.
    pub(crate) fn compare(self, before: Self) -> bool {
        let same = (self.small, self.merged) == (before.small, before.merged);
        assert!(same, "the arena holds {self:?}, {before:?} before");
        self.found < before.merged
    }
}

/// A pattern of 1 KiB that no other number has.
fn pattern(number: usize) -> Vec<u64> {
    (0..128).map(|n| (number * 1000 + n) as u64).collect()
}

/// Queues until there is no room, each with a message; the number of them.
fn whole_queues() -> usize {
    let mut queues = Vec::new();
    while let Ok(queue) = Queue::<Vec<u64>>::new() {
        queue.put(pattern(queues.len())).unwrap();
        queues.push(queue);
    }
    for (number, queue) in queues.iter().enumerate() {
        let got = queue.get().unwrap();
        assert_eq!(got, pattern(number), "queue {number} of {}", queues.len());
    }
    queues.len()
}

/// Messages in blocks until there is no room; the number of them.
fn small_messages() -> usize {
    let lock = Lock::new().unwrap();
    let queues: Vec<_> = (0..4).map(|_| Queue::<Small>::new().unwrap()).collect();
    let mut number = 0;
    for queue in &queues {
        for _ in 0..1000 {
            if queue.put((lock.clone(), number, !number)).is_err() {
                break;
            }
            number += 1;
        }
    }
    let mut expected = 0;
    for queue in &queues {
        while let Ok((_, number, inverse)) = queue.try_get() {
            assert_eq!((number, inverse), (expected, !expected), "small messages");
            expected += 1;
        }
    }
    assert_eq!(expected, number, "small messages were lost");
    usize::try_from(number).unwrap()
}
