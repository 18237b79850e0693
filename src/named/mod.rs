//! Things with a name, which strangers find: segments of memory, lists in them, named pipes.
//!
//! Everything else in this crate has no name and is gone with the last of its family. These outlive their processes, so each has an
//! owner, the process that made it, and a label that says so ([`crate::shm::label`]): the owner removes it, or whoever sweeps
//! behind a dead one. Who attaches never owns.
//!
//! - [`shared_memory`]: a segment by name, as Python's `multiprocessing.shared_memory.SharedMemory`;
//! - [`list_layout`], [`item`]: the bytes of Python's `ShareableList`, and nothing else; [`shareable_list`]: such a list;
//! - [`named_pipe`]: a named pipe; [`reader`], [`writer`]: its ends.

mod item;
mod list_layout;
mod named_pipe;
mod reader;
mod shareable_list;
mod shared_memory;
mod writer;

use crate::error::{Error, Result};
use crate::shm::label::{self, Sweeper};

pub use item::Item;
pub use named_pipe::NamedPipe;
pub use reader::{NamedPipeLines, NamedPipeReader};
pub use shareable_list::{ShareableList, ShareableListIter};
pub use shared_memory::SharedMemory;
pub use writer::NamedPipeWriter;

/// Removes what killed programs have left under a name, and says how many objects it was: segments, named pipes, paths of sockets.
///
/// A program that ends by itself leaves nothing, and for one that is killed its fork server removes what it owned. Only where both were
/// killed at once something stays, until the next program of this user starts a fork server, or calls this. What a living process owns is left
/// alone, as is what belongs to another user, to processes of another pid namespace (container), and whatever else has that
/// name now.
///
/// **When a process dies** in here, what it had not removed yet is left to the next call. Two at once share the work.
///
/// Python has no such verb: its resource tracker removes what the programs that it was started for have left, and when it is killed too,
/// everything stays.
///
/// # Errors
/// [`ErrorKind::Os`](crate::ErrorKind::Os) when `/dev/shm` cannot be read.
///
/// # Examples
/// ```
/// let removed = multiproc::cleanup()?;
/// println!("{removed} left behind by killed programs");
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn cleanup() -> Result<usize> {
    label::sweep(Sweeper::Other).map_err(|error| Error::os("look for what was left", error))
}
