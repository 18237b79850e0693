//! Descriptors in values: a value is serialised with the numbers of its descriptors in a list, and the list goes another way than the
//! bytes, with the help of the kernel.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::descriptor::Shared;
use crate::sys::stream::{Came, Directions, Moves};
use crate::sys::{socket, stream};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most descriptors in one value: as many as the eight bytes of a frame's length can bring.
const MOST: usize = 8 * stream::MOST_DESCRIPTORS;

thread_local! {
    /// Where the descriptors of the value that this thread serialises are collected, where it may have any.
    static PACKED: RefCell<Option<Luggage>> = const { RefCell::new(None) };
    /// Descriptors of the value that this thread deserialises.
    static UNPACKED: RefCell<Vec<Option<OwnedFd>>> = const { RefCell::new(Vec::new()) };
    /// Why a descriptor was not taken: errors of the codec have no words.
    static REASON: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// One descriptor of a value.
#[derive(Debug)]
struct Piece {
    fd: OwnedFd,
    /// How often it has moved now, if it is an end of a connection, which moves to who gets it.
    moves: Option<(Directions, Moves)>,
}

/// The descriptors of a value that is sent. An end of a connection among them has moved from the moment when its copy was taken, because
/// the original may be dropped in the next; and has not after all, if this is dropped before it [has departed](Self::depart).
#[derive(Debug, Default)]
pub(crate) struct Luggage {
    pieces: Vec<Piece>,
}

impl Drop for Luggage {
    fn drop(&mut self) {
        for piece in &self.pieces {
            if let Some((which, _)) = piece.moves {
                stream::count_moves(piece.fd.as_fd(), which, -1);
            }
        }
    }
}

impl Luggage {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.pieces.iter().map(|piece| piece.fd.as_fd()).collect()
    }

    /// Somebody else has them now. The answer is the ends among them.
    pub(crate) fn depart(mut self) -> Ends {
        let pieces = std::mem::take(&mut self.pieces);
        let end = |piece: Piece| {
            let (which, since) = piece.moves?;
            Some((which, since, Shared::new(piece.fd)))
        };
        Ends(pieces.into_iter().filter_map(end).collect())
    }

    /// A socket from which whoever gets it can [unpack] them.
    pub(crate) fn pack(&self) -> io::Result<OwnedFd> {
        let (ours, parcel) = socket::pair()?;
        for fds in self.fds().chunks(stream::MOST_DESCRIPTORS) {
            stream::send_with(ours.as_fd(), [b"+", b""], fds, false)?;
        }
        Ok(parcel)
    }
}

/// Ends of connections that another process has.
#[derive(Debug)]
pub(crate) struct Ends(Vec<(Directions, Moves, Shared)>);

impl Ends {
    /// In a forked child, which has its own: these are the parent's.
    pub(crate) fn close(&self) {
        self.0.iter().for_each(|(_, _, fd)| fd.close());
    }

    /// As something that ends them when it is dropped, unless they have moved on; `None` for none.
    pub(crate) fn into_ending(self) -> Option<impl Send + 'static> {
        (!self.0.is_empty()).then_some(Ending(self))
    }
}

struct Ending(Ends);

impl Drop for Ending {
    fn drop(&mut self) {
        for (which, since, fd) in &self.0.0 {
            if let Some(fd) = fd.as_fd() {
                stream::end_unmoved(fd, *which, *since);
            }
        }
    }
}

/// Takes the descriptors out of a parcel.
pub(crate) fn unpack(parcel: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut came = Came::default();
    while stream::recv_with(parcel, &mut [0], &mut came, false)? > 0 {}
    if came.lost {
        return Err(io::Error::from_raw_os_error(nix::libc::EMFILE));
    }
    Ok(came.fds)
}

/// Restores what was collected before, when a value that is serialised sends something itself.
struct Packing(Option<Luggage>);

impl Drop for Packing {
    fn drop(&mut self) {
        PACKED.set(self.0.take());
    }
}

/// Runs `write`, which serialises a value, and collects the descriptors in it.
pub(crate) fn packing<R>(write: impl FnOnce() -> R) -> (R, Luggage) {
    let _outer = Packing(PACKED.replace(Some(Luggage::default())));
    let result = write();
    (result, PACKED.take().unwrap_or_default())
}

/// Puts a copy of a descriptor to those of the value that is being serialised; the answer is its number there. Of an end of a
/// connection, those directions move.
pub(crate) fn put(fd: BorrowedFd<'_>, moves: Option<Directions>) -> Result<u32, &'static str> {
    let packed = PACKED.with_borrow_mut(|packed| {
        let luggage = packed.as_mut().ok_or(
            "a descriptor travels as an argument of a process or through a connection, nowhere else",
        )?;
        if luggage.pieces.len() == MOST {
            return Err("2024 descriptors at most travel with one value");
        }
        let fd = fd.try_clone_to_owned();
        let fd = fd.map_err(|_| "there is no room for the copy of a descriptor")?;
        let moves = moves.map(|which| (which, stream::count_moves(fd.as_fd(), which, 1)));
        luggage.pieces.push(Piece { fd, moves });
        u32::try_from(luggage.pieces.len() - 1).map_err(|_| "too many descriptors")
    });
    packed.inspect_err(|reason| REASON.set(Some(reason)))
}

/// Why the last value could not be serialised or deserialised, if it was for a descriptor.
pub(super) fn reason() -> Option<&'static str> {
    REASON.take()
}

/// Restores what the outer value has yet to take.
struct Unpacking(Vec<Option<OwnedFd>>);

impl Drop for Unpacking {
    fn drop(&mut self) {
        UNPACKED.set(std::mem::take(&mut self.0));
    }
}

/// Runs `read`, which deserialises a value that came with these descriptors. Those that it does not take are closed.
pub(crate) fn unpacking<R>(fds: Vec<OwnedFd>, read: impl FnOnce() -> R) -> R {
    let fds = fds.into_iter().map(Some).collect();
    let _outer = Unpacking(UNPACKED.replace(fds));
    read()
}

/// The value is deserialised: what it did not take is closed.
pub(crate) fn close_rest() {
    drop(UNPACKED.take());
}

/// Takes the descriptor of that number.
pub(crate) fn take(number: u32) -> Result<OwnedFd, &'static str> {
    let taken = UNPACKED.with_borrow_mut(|fds| fds.get_mut(number as usize)?.take());
    taken
        .ok_or("a descriptor of the message did not come with it")
        .inspect_err(|reason| REASON.set(Some(reason)))
}

/// Handles of shared objects do not go where only descriptors do.
pub(super) fn no_handles<T: ?Sized>() -> Error {
    let text = "a handle of a shared object travels as an argument of a process or through a queue, not through a connection";
    Error::new(
        ErrorKind::Encode,
        format!("{}: {text}", std::any::type_name::<T>()),
    )
}
