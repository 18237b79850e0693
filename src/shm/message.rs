//! Messages: bytes on their way, with the handles that they carry.
#![expect(
    unsafe_code,
    reason = "a thread-local pointer to the message that is being written"
)]
//!
//! A handle in a message keeps its object alive: each adds a flight to the object's life, and the message knows its handles, so that
//! whoever drops the message lands them. While it is written it has clones of them instead, which the death of the writer gives back;
//! they are put in flight one by one when the message lies in its block: a [`Head`], the payload, and number and generation of each
//! handle. The head counts them up after each take-off and down before each landing, so that a kill in between leaks a flight and never
//! lands it twice.
//!
//! A message can be *lent*: then it says which queue it belongs to, and when its taker dies it goes back there ([`super::lent`]).
//!
//! # Safety
//! The pointer is set for the time of one call and taken back by a guard.

use super::arena::Arena;
use super::blocks::{self, Block, Owner, Use};
use super::handle::Handle;
use super::layout::Shared;
use super::member;
use super::object::ObjectRef;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32, AtomicU64, Release};
use std::cell::Cell;

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
    /// Where the handles of the message that this thread writes are collected; null when it writes none.
    static CARRIED: Cell<*mut Cargo> = const { Cell::new(std::ptr::null_mut()) };
}

/// The handles of a message that is being written: counted like all handles of this process, so that its death gives them back. They
/// are put in flight when the message has its block.
#[derive(Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "most messages have none, and one word is moved in a register"
)]
pub(crate) struct Cargo(Option<Box<Vec<Handle>>>);

impl Cargo {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn handles(&self) -> &[Handle] {
        self.0.as_ref().map_or(&[], |handles| handles)
    }

    fn push(&mut self, handle: Handle) {
        self.0.get_or_insert_default().push(handle);
    }
}

/// The handles of a message that was taken out of its block; they land when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Flights(Vec<ObjectRef>);

impl Drop for Flights {
    fn drop(&mut self) {
        if let Some(arena) = Arena::existing() {
            self.0.iter().for_each(|object| object.land(arena));
        }
    }
}

/// A message in private memory.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) flights: Flights,
}

/// The time of one `write`: what it carries is its own, also when a value that is serialised sends something itself.
struct Writing {
    outer: *mut Cargo,
}

impl Writing {
    #[inline]
    fn begin(carried: &mut Cargo) -> Self {
        Self {
            outer: CARRIED.replace(carried),
        }
    }
}

impl Drop for Writing {
    #[inline]
    fn drop(&mut self) {
        CARRIED.set(self.outer);
    }
}

/// Runs `write`, which serialises a value, and collects the handles in it.
#[inline]
pub(crate) fn writing<R>(write: impl FnOnce() -> R) -> (R, Cargo) {
    let mut cargo = Cargo::default();
    let writing = Writing::begin(&mut cargo);
    let result = write();
    drop(writing);
    (result, cargo)
}

/// The time of one `read`.
struct Reading {
    outer: bool,
}

impl Drop for Reading {
    #[inline]
    fn drop(&mut self) {
        READING.set(self.outer);
    }
}

/// Runs `read`, which deserialises a value and may meet handles.
#[inline]
pub(crate) fn reading<R>(read: impl FnOnce() -> R) -> R {
    let _reading = Reading {
        outer: READING.replace(true),
    };
    read()
}

pub(super) fn is_reading() -> bool {
    READING.get()
}

/// The message that is being written carries this handle.
pub(super) fn carry(handle: &Handle) -> Result<()> {
    let carried = CARRIED.get();
    if carried.is_null() {
        let text = "a handle travels only in a message of this crate";
        return Err(Error::new(ErrorKind::Misuse, text));
    }
    handle.check()?;
    // SAFETY: the pointer is to a local variable of a `writing` that has not returned, because it takes it back before it does;
    // that function does not touch the variable meanwhile, and the pointer does not leave this thread.
    unsafe { (*carried).push(handle.clone()) };
    Ok(())
}

/// What a block begins with that is a message.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Head {
    /// Of the payload, in bytes.
    length: AtomicU64,
    /// The queue that has lent it, and [`FINISHED`](super::lent::FINISHED); 0 for one that was given away.
    pub(crate) lender: AtomicU64,
    /// Handles behind the payload.
    handles: AtomicU32,
    /// The pid of the process that wrote it.
    by: AtomicU32,
    /// How often it was taken before.
    pub(crate) attempts: AtomicU32,
    _reserved: AtomicU32,
}

// SAFETY: atomics only.
unsafe impl Shared for Head {}

/// Bytes before the payload.
const HEAD: u64 = size_of::<Head>() as u64;

/// The head of a message that lies in a block.
pub(crate) fn head(arena: &Arena, block: Block) -> Option<&'static Head> {
    let (offset, _) = block
        .bytes(arena)
        .filter(|_| block.is(arena, Use::Message))?;
    arena.at(offset)
}

/// Where the handles lie behind a payload.
fn handles_at(offset: u64, length: u64) -> Option<u64> {
    let end = offset.checked_add(HEAD)?.checked_add(length)?;
    end.checked_next_multiple_of(8)
}

/// Moves a message into a block that belongs to `owner`.
pub(crate) fn store(bytes: &[u8], cargo: Cargo, owner: Owner) -> Result<Block> {
    let block = store_for(cargo.handles().len(), bytes, owner)?;
    for (index, handle) in cargo.handles().iter().enumerate() {
        if let Err(error) = put_aboard(block, index, handle) {
            discard(Arena::get()?, block);
            return Err(error);
        }
    }
    Ok(block)
}

/// A message with room for so many handles, which [come aboard](put_aboard) one after the other.
pub(crate) fn store_for(handles: usize, bytes: &[u8], owner: Owner) -> Result<Block> {
    let arena = Arena::get()?;
    let too_long = || Error::new(ErrorKind::InvalidInput, "a message that is too long");
    let payload = handles_at(0, bytes.len() as u64).ok_or_else(too_long)?;
    let size = payload.checked_add(handles as u64 * 8);
    let block = blocks::allocate(size.ok_or_else(too_long)?, Use::Raw, owner)?;
    if fill(arena, block, bytes).is_none() {
        blocks::free(block);
        return Err(corrupt());
    }
    block.make_message(arena);
    Ok(block)
}

/// Puts a handle in flight in a message that has `index` others. Killed between the two last steps, the flight would be nobody's.
pub(crate) fn put_aboard(block: Block, index: usize, handle: &Handle) -> Result<()> {
    let arena = Arena::get()?;
    let object = handle.object();
    let parts = parts(arena, block).ok_or_else(corrupt)?;
    let words = arena.at::<[AtomicU32; 2]>(parts.handles_at + index as u64 * 8);
    let words = words.ok_or_else(corrupt)?;
    words[0].store(object.number, Release);
    words[1].store(object.generation, Release);
    let count = u32::try_from(index).map_err(|_| corrupt())?;
    let counter = &parts.head.handles;
    object.take_off(arena)?;
    let aboard = counter.compare_exchange(count, count + 1, AcqRel, Acquire);
    if aboard.is_err() {
        // It was unloaded meanwhile, because its owner is a child that has died: nobody will read it.
        object.land(arena);
    }
    Ok(())
}

fn fill(arena: &Arena, block: Block, bytes: &[u8]) -> Option<()> {
    let (offset, _) = block.bytes(arena)?;
    let head: &Head = arena.at(offset)?;
    head.length.store(bytes.len() as u64, Release);
    head.lender.store(0, Release);
    head.by.store(member::own_pid(), Release);
    head.attempts.store(0, Release);
    head.handles.store(0, Release);
    arena.write(offset + HEAD, bytes)
}

/// Takes a message out of its block, which is free afterwards. The caller owns the block.
pub(crate) fn take(block: Block) -> Result<Message> {
    let message = read(block)?;
    // From here on the private message carries the handles.
    if let Some(head) = Arena::existing().and_then(|arena| head(arena, block)) {
        head.handles.store(0, Release);
    }
    blocks::free(block);
    Ok(message)
}

/// The payload of a message that stays where it is, and keeps its handles.
pub(crate) fn peek(block: Block) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    peek_into(block, &mut bytes)?;
    Ok(bytes)
}

/// The same, put behind what is in `bytes`; answers the pid of who wrote it.
pub(crate) fn peek_into(block: Block, bytes: &mut Vec<u8>) -> Result<u32> {
    let arena = Arena::existing().ok_or(ErrorKind::StaleHandle)?;
    let parts = parts(arena, block).ok_or_else(corrupt)?;
    let read = arena.read(parts.payload, parts.length, bytes);
    read.ok_or_else(corrupt)?;
    Ok(parts.head.by.load(Acquire))
}

/// Where the payload of a message lies, and its length.
pub(crate) fn payload(arena: &Arena, block: Block) -> Result<(u64, usize)> {
    let parts = parts(arena, block).ok_or_else(corrupt)?;
    Ok((parts.payload, parts.length))
}

fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "a message block")
}

fn read(block: Block) -> Result<Message> {
    let arena = Arena::existing().ok_or(ErrorKind::StaleHandle)?;
    let mut message = Message::default();
    let whole = (|| {
        let parts = parts(arena, block)?;
        arena.read(parts.payload, parts.length, &mut message.bytes)?;
        for index in 0..parts.handles {
            let handle = handle_at(arena, parts.handles_at + index * 8)?;
            message.flights.0.push(handle);
        }
        Some(())
    })();
    if whole.is_none() {
        let _not_ours = std::mem::take(&mut message.flights.0);
        return Err(corrupt());
    }
    Ok(message)
}

fn handle_at(arena: &Arena, at: u64) -> Option<ObjectRef> {
    let words = arena.at::<[AtomicU32; 2]>(at)?;
    Some(ObjectRef {
        number: words[0].load(Acquire),
        generation: words[1].load(Acquire),
    })
}

/// A message block, checked: everything lies inside it.
struct Parts {
    head: &'static Head,
    payload: u64,
    length: usize,
    handles_at: u64,
    handles: u64,
}

fn parts(arena: &Arena, block: Block) -> Option<Parts> {
    let head = head(arena, block)?;
    let (offset, size) = block.bytes(arena)?;
    let length = head.length.load(Acquire);
    let handles = u64::from(head.handles.load(Acquire));
    let handles_at = handles_at(offset, length)?;
    let room = (offset + size).checked_sub(handles_at)? / 8;
    (handles <= room).then_some(Parts {
        head,
        payload: offset + HEAD,
        length: usize::try_from(length).ok()?,
        handles_at,
        handles,
    })
}

/// Frees a block of any kind; the handles of a message land.
pub(crate) fn discard(arena: &Arena, block: Block) {
    unload(arena, block);
    blocks::free(block);
}

/// Lands the handles of a message, if the block is one. Of two who do it at the same time each lands others.
pub(super) fn unload(arena: &Arena, block: Block) {
    while let Some(parts) = parts(arena, block).filter(|parts| parts.handles > 0) {
        let left = parts.handles - 1;
        let (Ok(now), Ok(next)) = (u32::try_from(parts.handles), u32::try_from(left)) else {
            return;
        };
        let counted = parts
            .head
            .handles
            .compare_exchange(now, next, AcqRel, Acquire);
        if counted.is_ok()
            && let Some(object) = handle_at(arena, parts.handles_at + left * 8)
        {
            object.land(arena);
        }
    }
}
