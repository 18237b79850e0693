//! Which item is next: the three orders, and a store for each.

use super::heap::Heap;
use crate::sys::private::Private;
use crossbeam::queue::SegQueue;

/// An order of the items in an [`OrderedQueue`](super::OrderedQueue): [`Fifo`], [`Lifo`] or [`Smallest`]. Sealed: there are no others.
pub trait Order<T>: sealed::Ordered<T> {}

/// First in, first out. No lock.
#[derive(Clone, Copy, Debug)]
pub struct Fifo(());

/// Last in, first out.
#[derive(Clone, Copy, Debug)]
pub struct Lifo(());

/// The smallest first; which of equal ones is not said.
#[derive(Clone, Copy, Debug)]
pub struct Smallest(());

impl<T> Order<T> for Fifo {}
impl<T> Order<T> for Lifo {}
impl<T: Ord> Order<T> for Smallest {}

pub(super) use sealed::{Ordered, Store};

mod sealed {
    /// Where items lie, for any number of threads.
    pub trait Store: Default {
        type Item;
        /// Takes the item that is there. The last thing it does is a read-modify-write. If it panics, the item has stayed where it was.
        fn push(&self, item: &mut Option<Self::Item>);
        /// If it panics, nothing was taken.
        fn pop(&self) -> Option<Self::Item>;
        /// Takes any item; it does not panic.
        fn pop_any(&self) -> Option<Self::Item>;
    }

    pub trait Ordered<T> {
        type Store: Store<Item = T>;
        /// What its queue is called.
        const NAME: &'static str;
    }
}

impl<T> Ordered<T> for Fifo {
    type Store = SegQueue<T>;
    const NAME: &'static str = "Queue";
}

impl<T> Ordered<T> for Lifo {
    type Store = Stack<T>;
    const NAME: &'static str = "LifoQueue";
}

impl<T: Ord> Ordered<T> for Smallest {
    type Store = Sorted<T>;
    const NAME: &'static str = "PriorityQueue";
}

impl<T> Store for SegQueue<T> {
    type Item = T;

    #[inline]
    fn push(&self, item: &mut Option<T>) {
        if let Some(item) = item.take() {
            Self::push(self, item);
        }
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        Self::pop(self)
    }

    fn pop_any(&self) -> Option<T> {
        Self::pop(self)
    }
}

/// The store of [`Lifo`].
#[derive(Debug)]
pub struct Stack<T>(Private<Vec<T>>);

impl<T> Default for Stack<T> {
    fn default() -> Self {
        Self(Private::new(Vec::new()))
    }
}

impl<T> Store for Stack<T> {
    type Item = T;

    fn push(&self, item: &mut Option<T>) {
        self.0.lock().extend(item.take());
    }

    fn pop(&self) -> Option<T> {
        let mut items = self.0.lock();
        let item = items.pop();
        give_back(&mut items);
        item
    }

    fn pop_any(&self) -> Option<T> {
        self.pop()
    }
}

/// The store of [`Smallest`].
#[derive(Debug)]
pub struct Sorted<T>(Private<Heap<T>>);

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self(Private::new(Heap::default()))
    }
}

impl<T: Ord> Store for Sorted<T> {
    type Item = T;

    fn push(&self, item: &mut Option<T>) {
        let mut heap = self.0.lock();
        let Some(place) = item.as_ref().map(|item| heap.place_for(item)) else {
            return;
        };
        if let Some(item) = item.take() {
            heap.insert(place, item);
        }
    }

    fn pop(&self) -> Option<T> {
        self.0.lock().pop()
    }

    fn pop_any(&self) -> Option<T> {
        self.0.lock().pop_any()
    }
}

/// The memory of many items is not kept for few.
pub(super) fn give_back<T>(items: &mut Vec<T>) {
    const FEW: usize = 64;
    if items.capacity() > FEW && items.len() < items.capacity() / 4 {
        items.shrink_to(items.capacity() / 2);
    }
}
