//! What can go wrong with a buffer that is given for a message.

use crate::error::{Error, ErrorKind};
use std::fmt;

/// Why [`Connection::recv_bytes_into`](crate::Connection::recv_bytes_into) put nothing into the buffer.
#[derive(Debug)]
pub enum RecvIntoError {
    /// The message has no room; this is all of it.
    BufferTooShort(Vec<u8>),
    /// There is no message.
    Failed(Error),
}

impl From<RecvIntoError> for Error {
    fn from(error: RecvIntoError) -> Self {
        match error {
            RecvIntoError::BufferTooShort(message) => {
                let text = format!("the message has {} bytes", message.len());
                Self::new(ErrorKind::BufferTooShort, text)
            }
            RecvIntoError::Failed(error) => error,
        }
    }
}

impl fmt::Display for RecvIntoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooShort(message) => {
                write!(
                    f,
                    "the message has {} bytes, the buffer less",
                    message.len()
                )
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecvIntoError {}
