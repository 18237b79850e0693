//! A heap that a panicking comparison leaves as it was: all comparisons come before the first move.

use super::order::give_back;

/// The smallest item is at 0, and none is smaller than the one at half its number.
#[derive(Debug)]
pub(super) struct Heap<T>(Vec<T>);

/// Where an item goes: up from the end, so many steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    steps: u32,
}

/// A way down from the top: bit `n` says whether step `n` goes to the second child.
#[derive(Clone, Copy, Debug)]
struct Way {
    turns: u64,
    steps: u32,
}

const fn parent(index: usize) -> usize {
    (index - 1) / 2
}

impl Way {
    fn child(self, parent: usize, step: u32) -> usize {
        2 * parent + 1 + usize::from(self.turns >> step & 1 == 1)
    }

    /// Where it ends.
    fn end(self) -> usize {
        (0..self.steps).fold(0, |index, step| self.child(index, step))
    }
}

impl<T> Default for Heap<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Heap<T> {
    /// Where `item` would go. Changes nothing.
    pub(super) fn place_for(&self, item: &T) -> Place {
        let mut index = self.0.len();
        let mut steps = 0;
        while index > 0 && *item < self.0[parent(index)] {
            index = parent(index);
            steps += 1;
        }
        Place { steps }
    }

    /// Puts `item` where [`place_for`](Self::place_for) has found a place for it. Compares nothing.
    pub(super) fn insert(&mut self, place: Place, item: T) {
        let mut index = self.0.len();
        self.0.push(item);
        for _ in 0..place.steps {
            self.0.swap(index, parent(index));
            index = parent(index);
        }
    }

    /// Takes the smallest item.
    pub(super) fn pop(&mut self) -> Option<T> {
        let way = self.way_for_last()?;
        let smallest = self.0.swap_remove(0);
        let mut index = 0;
        for step in 0..way.steps {
            let child = way.child(index, step);
            self.0.swap(index, child);
            index = child;
        }
        give_back(&mut self.0);
        Some(smallest)
    }

    /// Takes an item that is easy to take. Compares nothing.
    pub(super) fn pop_any(&mut self) -> Option<T> {
        let last = self.0.pop();
        give_back(&mut self.0);
        last
    }

    /// The way that the last item takes from the top when the first one is gone. Changes nothing.
    ///
    /// It goes to the bottom by the smaller children, and then up again as far as it must: the last item belongs near the bottom, and so
    /// there are half as many comparisons as on the way down.
    fn way_for_last(&self) -> Option<Way> {
        let (last, others) = self.0.split_last()?;
        let mut way = Way { turns: 0, steps: 0 };
        let mut index = 0;
        while 2 * index + 1 < others.len() {
            let second = others
                .get(2 * index + 2)
                .is_some_and(|second| *second < others[2 * index + 1]);
            way.turns |= u64::from(second) << way.steps;
            index = way.child(index, way.steps);
            way.steps += 1;
        }
        let mut end = way.end();
        while way.steps > 0 && *last < others[end] {
            way.steps -= 1;
            end = parent(end);
        }
        Some(way)
    }
}

#[cfg(test)]
mod tests {
    use super::Heap;
    use std::cell::Cell;
    use std::cmp::Ordering;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn push<T: Ord>(heap: &mut Heap<T>, item: T) {
        let place = heap.place_for(&item);
        heap.insert(place, item);
    }

    /// All orders of a few, and many of many.
    #[test]
    fn smallest_first() {
        let mut state = 88_172_645_463_325_252_u64;
        for count in (0..40).chain([1000]) {
            for _ in 0..20 {
                let mut heap = Heap::default();
                let mut numbers = Vec::new();
                for _ in 0..count {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    numbers.push(state % (count + 3));
                    push(&mut heap, state % (count + 3));
                }
                numbers.sort_unstable();
                let got: Vec<u64> = std::iter::from_fn(|| heap.pop()).collect();
                assert_eq!(got, numbers);
            }
        }
    }

    thread_local! {
        /// Comparisons until one panics.
        static LEFT: Cell<u32> = const { Cell::new(u32::MAX) };
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Touchy(u32);

    impl Ord for Touchy {
        fn cmp(&self, other: &Self) -> Ordering {
            LEFT.set(LEFT.get() - 1);
            assert!(LEFT.get() > 0, "a comparison that panics");
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Touchy {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    /// Whichever comparison panics, the heap is as it was.
    #[test]
    fn panics_change_nothing() {
        for size in 1..20 {
            for comparisons in 1..20 {
                let mut heap = Heap::default();
                (0..size).for_each(|n| push(&mut heap, Touchy(n * 7 % size)));
                let before = format!("{heap:?}");
                LEFT.set(comparisons);
                let popped = catch_unwind(AssertUnwindSafe(|| heap.pop()));
                LEFT.set(u32::MAX);
                if popped.is_err() {
                    assert_eq!(format!("{heap:?}"), before);
                } else {
                    push(&mut heap, Touchy(0));
                }
                let before = format!("{heap:?}");
                LEFT.set(comparisons);
                let pushed = catch_unwind(AssertUnwindSafe(|| push(&mut heap, Touchy(0))));
                LEFT.set(u32::MAX);
                if pushed.is_err() {
                    assert_eq!(format!("{heap:?}"), before);
                }
                let got: Vec<Touchy> = std::iter::from_fn(|| heap.pop()).collect();
                assert_eq!(got.len(), size as usize + usize::from(pushed.is_ok()));
                assert!(got.is_sorted());
            }
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut heap = Heap::default();
        (0..100_000).for_each(|n| push(&mut heap, n));
        while heap.pop().is_some() {}
        assert!(heap.0.capacity() <= 64, "{}", heap.0.capacity());
    }
}
