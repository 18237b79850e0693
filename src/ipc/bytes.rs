//! Bytes through a queue, without a codec.

use super::error::{GetError, PutError, TryGetError, TryPutError};
use super::loan::Loan;
use super::queue::Queue;
use super::ring::Taking;
use crate::shm::message::Cargo;
use crate::sys::clock::Deadline;
use std::time::Duration;

/// Bytes as they are: one copy into the queue, and one out of it or none.
///
/// A `Vec<u8>` that is put with [`put`](Queue::put) travels in the same way, so the verbs mix.
///
/// ```
/// # use multiproc::Queue;
/// let queue = Queue::<Vec<u8>>::new()?;
/// queue.put_bytes(b"as they are")?;
/// let mut buffer = Vec::new();
/// assert_eq!(queue.get_into(&mut buffer)?, 11);
/// assert_eq!(buffer, b"as they are");
/// # Ok::<(), multiproc::Error>(())
/// ```
impl Queue<Vec<u8>> {
    /// Puts a message, waiting for room as long as it takes.
    ///
    /// # Errors
    /// As [`put`](Queue::put); the bytes are the caller's still.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<(), PutError<()>> {
        self.put_bytes_until(bytes, Deadline::NEVER)
            .map_err(TryPutError::patient)
    }

    /// Puts a message if there is room.
    ///
    /// # Errors
    /// As [`try_put`](Queue::try_put).
    pub fn try_put_bytes(&self, bytes: &[u8]) -> Result<(), TryPutError<()>> {
        self.put_bytes_until(bytes, Deadline::now())
    }

    /// Puts a message, waiting for room for `timeout` at most.
    ///
    /// # Errors
    /// As [`put_timeout`](Queue::put_timeout).
    pub fn put_bytes_timeout(
        &self,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<(), TryPutError<()>> {
        self.put_bytes_until(bytes, Deadline::after(timeout))
    }

    #[inline]
    fn put_bytes_until(&self, bytes: &[u8], deadline: Deadline) -> Result<(), TryPutError<()>> {
        let put = self.ring().put(bytes, Cargo::default(), deadline);
        put.map_err(|failure| TryPutError::of(failure, ()))
    }

    /// Gets the oldest message instead of what is in `buffer`, whose memory is used again; answers its length. Waits as long as it
    /// takes.
    ///
    /// # Errors
    /// As [`get`](Queue::get).
    pub fn get_into(&self, buffer: &mut Vec<u8>) -> Result<usize, GetError> {
        self.get_into_until(buffer, Deadline::NEVER)
            .map_err(TryGetError::patient)
    }

    /// The same, if there is a message.
    ///
    /// # Errors
    /// As [`try_get`](Queue::try_get).
    pub fn try_get_into(&self, buffer: &mut Vec<u8>) -> Result<usize, TryGetError> {
        self.get_into_until(buffer, Deadline::now())
    }

    /// The same, waiting for `timeout` at most.
    ///
    /// # Errors
    /// As [`get_timeout`](Queue::get_timeout).
    pub fn get_into_timeout(
        &self,
        buffer: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<usize, TryGetError> {
        self.get_into_until(buffer, Deadline::after(timeout))
    }

    #[inline]
    fn get_into_until(
        &self,
        buffer: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<usize, TryGetError> {
        let mut taking = self.take_until(deadline)?;
        taking.move_to(buffer).map_err(TryGetError::Failed)?;
        Ok(buffer.len())
    }

    /// Gets the oldest message to read it where it lies, waiting for one as long as it takes. If this process dies with the loan, the
    /// message is gone and its memory free.
    ///
    /// # Errors
    /// As [`get`](Queue::get).
    pub fn get_loan(&self) -> Result<Loan, GetError> {
        self.get_loan_until(Deadline::NEVER)
            .map_err(TryGetError::patient)
    }

    /// The same, if there is a message.
    ///
    /// # Errors
    /// As [`try_get`](Queue::try_get).
    pub fn try_get_loan(&self) -> Result<Loan, TryGetError> {
        self.get_loan_until(Deadline::now())
    }

    /// The same, waiting for `timeout` at most.
    ///
    /// # Errors
    /// As [`get_timeout`](Queue::get_timeout).
    pub fn get_loan_timeout(&self, timeout: Duration) -> Result<Loan, TryGetError> {
        self.get_loan_until(Deadline::after(timeout))
    }

    fn get_loan_until(&self, deadline: Deadline) -> Result<Loan, TryGetError> {
        Loan::new(self.take_until(deadline)?).map_err(TryGetError::Failed)
    }

    #[inline]
    fn take_until(&self, deadline: Deadline) -> Result<Taking, TryGetError> {
        let mut taking = Taking::empty();
        self.ring().get(&mut taking, deadline)?;
        Ok(taking)
    }
}
