//! A message that is read where it lies.
#![expect(unsafe_code, reason = "a slice of a block that is ours")]
//!
//! # Safety
//! A block belongs to one member, and only its owner touches its bytes. Whoever has a loan is the owner until the loan is dropped, and
//! nobody else in this process has the block, because it came out of the queue once.

use super::ring::Taking;
use crate::error::{ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::message;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

/// The bytes of one message, read where they lie: got by [`Queue::get_loan`](crate::Queue::get_loan).
///
/// A message of more than 4096 bytes is not copied: it lies in a block of the arena, which is this process's until the loan is dropped,
/// or the process dies. A smaller one was copied out of the queue.
///
/// # Panics
/// When it is read in a forked child of the process that got it: the memory is not the child's.
///
/// ```
/// # use multiproc::Queue;
/// let queue = Queue::<Vec<u8>>::new()?;
/// queue.put_bytes(&[7; 1 << 20])?;
/// let loan = queue.get_loan()?;
/// assert_eq!((loan.len(), loan[1000]), (1 << 20, 7));
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Loan {
    bytes: Bytes,
}

enum Bytes {
    /// In the block that the taking holds.
    Lent(NonNull<u8>, usize, Taking),
    Own(Vec<u8>),
}

// SAFETY: the block is read only, by whichever thread has the loan, and freed once, because a `Taking` can be sent itself.
unsafe impl Send for Loan {}
// SAFETY: all that is done with a shared loan is to read bytes that nobody writes.
unsafe impl Sync for Loan {}

impl Loan {
    pub(super) fn new(mut taking: Taking) -> Result<Self> {
        let Some(block) = taking.block() else {
            let mut bytes = Vec::new();
            taking.move_to(&mut bytes)?;
            let bytes = Bytes::Own(bytes);
            return Ok(Self { bytes });
        };
        let arena = Arena::get()?;
        let (offset, length) = message::payload(arena, block)?;
        let place = arena.place(offset, length).ok_or(ErrorKind::Corrupt)?;
        let bytes = Bytes::Lent(place, length, taking);
        Ok(Self { bytes })
    }
}

impl Deref for Loan {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Own(bytes) => bytes,
            Bytes::Lent(place, length, taking) => {
                assert!(taking.is_ours(), "a loan is read by a forked child");
                // SAFETY: `place` checked that so many bytes lie in the arena, which is never unmapped; they were written when the
                // message was put, and nobody writes them while the block is ours, as was asked, because only its owner does.
                unsafe { std::slice::from_raw_parts(place.as_ptr(), *length) }
            }
        }
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
