//! The least that can be done: rings of one producer and one consumer, and a word to sleep on, in memory that forked
//! children share. They look after nobody who dies, and whoever waits at a ring spins.
#![expect(
    unsafe_code,
    reason = "bytes in memory that is shared, and the futex call"
)]

use super::memory::{map, shared};
use super::traffic::{Freight, Way};
use nix::libc;
use std::cell::Cell;
use std::ptr::{NonNull, null};
use std::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

/// Alone on its two cache lines.
#[repr(align(128))]
struct Apart(AtomicU64);

/// How many were put and how many were got.
struct Ends {
    put: Apart,
    got: Apart,
}

/// One side of a ring of so many places.
#[derive(Clone)]
struct Side {
    ends: &'static Ends,
    places: u64,
    /// The other end as it was last seen. Looking at it again only when the ring seems to be full, or empty, saves most of
    /// the traffic between the caches, as long as neither side has to know more.
    seen: Cell<u64>,
    remembers: bool,
}

impl Side {
    fn new(places: u64, remembers: bool) -> Side {
        let end = || Apart(AtomicU64::new(0));
        Side {
            ends: shared(Ends {
                put: end(),
                got: end(),
            }),
            places,
            seen: Cell::new(0),
            remembers,
        }
    }

    /// Waits for a free place, which `fill` fills.
    #[inline]
    fn put(&self, fill: impl FnOnce(usize)) {
        let next = self.ends.put.0.load(Relaxed);
        if !self.remembers {
            self.seen.set(self.ends.got.0.load(Acquire));
        }
        while next - self.seen.get() == self.places {
            std::hint::spin_loop();
            self.seen.set(self.ends.got.0.load(Acquire));
        }
        fill(self.place(next));
        self.ends.put.0.store(next + 1, Release);
    }

    /// Waits for a full place, which `take` empties.
    #[inline]
    fn get<R>(&self, take: impl FnOnce(usize) -> R) -> R {
        let next = self.ends.got.0.load(Relaxed);
        if !self.remembers {
            self.seen.set(self.ends.put.0.load(Acquire));
        }
        while self.seen.get() <= next {
            std::hint::spin_loop();
            self.seen.set(self.ends.put.0.load(Acquire));
        }
        let taken = take(self.place(next));
        self.ends.got.0.store(next + 1, Release);
        taken
    }

    #[inline]
    fn place(&self, number: u64) -> usize {
        usize::try_from(number % self.places).expect("few")
    }
}

/// How many numbers lie in a ring at most.
const NUMBERS: usize = 1024;

/// A ring of numbers.
#[derive(Clone)]
pub(crate) struct Ring {
    side: Side,
    numbers: &'static [AtomicU64; NUMBERS],
}

impl Ring {
    /// One that looks at both ends each time, or one that remembers what it saw.
    pub(crate) fn new(remembers: bool) -> Ring {
        Ring {
            side: Side::new(NUMBERS as u64, remembers),
            numbers: shared([const { AtomicU64::new(0) }; NUMBERS]),
        }
    }
}

impl Way for Ring {
    fn put(&self, number: u64) {
        self.side
            .put(|place| self.numbers[place].store(number, Relaxed));
    }

    fn get(&self) -> u64 {
        self.side.get(|place| self.numbers[place].load(Relaxed))
    }
}

/// A ring of places for so many bytes each.
#[derive(Clone)]
pub(crate) struct Slots {
    side: Side,
    first: NonNull<u8>,
    size: usize,
    /// Whether who gets the bytes copies them before looking at them.
    copies: bool,
}

// SAFETY: it points to memory that is never unmapped, and each byte there belongs to one side at a time.
unsafe impl Send for Slots {}

impl Slots {
    pub(crate) fn new(places: usize, size: usize, copies: bool) -> Slots {
        Slots {
            side: Side::new(places as u64, true),
            first: map(places * size),
            size,
            copies,
        }
    }

    fn slot(&self, place: usize) -> NonNull<u8> {
        // SAFETY: there are so many places of this size in the mapping.
        unsafe { self.first.add(place * self.size) }
    }
}

impl Freight for Slots {
    fn put(&self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.size);
        self.side.put(|place| {
            let from = NonNull::from(bytes).cast();
            // SAFETY: the place is this side's until it is published, and has the length of the bytes.
            unsafe { self.slot(place).copy_from_nonoverlapping(from, self.size) };
        });
    }

    fn get(&self, buffer: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        self.side.get(|place| {
            // SAFETY: the place is this side's until it is given back, and nobody writes to it before.
            let bytes =
                unsafe { NonNull::slice_from_raw_parts(self.slot(place), self.size).as_ref() };
            if self.copies {
                buffer.clear();
                buffer.extend_from_slice(bytes);
                look(buffer);
            } else {
                look(bytes);
            }
        });
    }
}

/// One number at a time, and a futex on which who gets it sleeps.
#[derive(Clone)]
pub(crate) struct Futex {
    full: &'static AtomicU32,
    number: &'static AtomicU64,
}

impl Futex {
    pub(crate) fn new() -> Futex {
        Futex {
            full: shared(AtomicU32::new(0)),
            number: shared(AtomicU64::new(0)),
        }
    }

    fn call(&self, operation: libc::c_int, value: u32) {
        let no_time = null::<libc::timespec>();
        // SAFETY: the word is valid for ever; neither operation touches other memory.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.full.as_ptr(),
                operation,
                value,
                no_time,
            )
        };
    }
}

impl Way for Futex {
    fn put(&self, number: u64) {
        self.number.store(number, Relaxed);
        self.full.store(1, Release);
        self.call(libc::FUTEX_WAKE, 1);
    }

    fn get(&self) -> u64 {
        while self.full.swap(0, Acquire) == 0 {
            self.call(libc::FUTEX_WAIT, 0);
        }
        self.number.load(Relaxed)
    }
}
