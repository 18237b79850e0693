//! Messages: bytes on their way, with the handles that they carry.
#![expect(
    unsafe_code,
    reason = "a thread-local pointer to the message that is being written"
)]
//!
//! A handle in a message keeps its object alive: writing it adds a flight to the object's life, and the message knows its
//! handles, so that whoever drops the message lands them. In the arena a message with handles lies in a block of its own:
//! `length u32 | handles u32 | payload | (number u32, generation u32) of each handle`. Discarding counts the handles down in
//! the block before it lands each, so that a kill in between leaks a flight and never lands it twice.
//!
//! # Safety
//! The pointer is set for the time of one call and taken back by a guard.

use super::arena::Arena;
use super::blocks::{self, Block, Owner, Use};
use super::object::ObjectRef;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{Acquire, AtomicU32, Release};
use std::cell::Cell;

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
    /// Where the handles of the message that this thread writes are collected; null when it writes none.
    static CARRIED: Cell<*mut Vec<ObjectRef>> = const { Cell::new(std::ptr::null_mut()) };
}

/// The handles of a message in private memory; they land when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Cargo(Vec<ObjectRef>);

impl Cargo {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Cargo {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            land_all(&self.0);
        }
    }
}

#[cold]
fn land_all(objects: &[ObjectRef]) {
    if let Some(arena) = Arena::existing() {
        objects.iter().for_each(|object| object.land(arena));
    }
}

/// A message in private memory.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) cargo: Cargo,
}

/// The time of one `write`: what it carries is its own, also when a value that is serialised sends something itself.
struct Writing {
    outer: *mut Vec<ObjectRef>,
}

impl Writing {
    #[inline]
    fn begin(carried: &mut Vec<ObjectRef>) -> Self {
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

/// Runs `write`, which serialises a value, and collects the handles that it puts in flight. They land if it panics.
#[inline]
pub(crate) fn writing<R>(write: impl FnOnce() -> R) -> (R, Cargo) {
    let mut cargo = Cargo::default();
    let writing = Writing::begin(&mut cargo.0);
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

pub(super) fn put_in_flight(object: ObjectRef) -> Result<()> {
    let carried = CARRIED.get();
    if carried.is_null() {
        let text = "a handle travels only in a message of this crate";
        return Err(Error::new(ErrorKind::Misuse, text));
    }
    let arena = Arena::existing().ok_or(ErrorKind::StaleHandle)?;
    object.take_off(arena)?;
    // SAFETY: the pointer is to a local variable of a `writing` that has not returned, because it takes it back before it does;
    // that function does not touch the variable meanwhile, and the pointer does not leave this thread.
    unsafe { (*carried).push(object) };
    Ok(())
}

/// Bytes before the payload.
const HEAD: u64 = 8;

fn handles_at(offset: u64, length: u32) -> u64 {
    (offset + HEAD + u64::from(length)).next_multiple_of(8)
}

/// Moves a message into a block that belongs to `owner`.
pub(crate) fn store(bytes: &[u8], cargo: Cargo, owner: Owner) -> Result<Block> {
    let arena = Arena::get()?;
    let too_long = |_| Error::new(ErrorKind::InvalidInput, "a message of 4 GiB or more");
    let length = u32::try_from(bytes.len()).map_err(too_long)?;
    let handles = u32::try_from(cargo.0.len()).map_err(too_long)?;
    let size = handles_at(0, length) + u64::from(handles) * 8;
    let block = blocks::allocate(size, Use::Raw, owner)?;
    let written = fill(arena, block, bytes, &cargo, length);
    if written.is_none() {
        blocks::free(block);
        return Err(ErrorKind::Corrupt.into());
    }
    block.make_message(arena);
    // The block carries them now.
    let _landed_by_the_block = std::mem::ManuallyDrop::new(cargo);
    Ok(block)
}

fn fill(arena: &Arena, block: Block, bytes: &[u8], cargo: &Cargo, length: u32) -> Option<()> {
    let (offset, _) = block.bytes(arena)?;
    arena.at::<AtomicU32>(offset)?.store(length, Release);
    arena.write(offset + HEAD, bytes)?;
    let mut at = handles_at(offset, length);
    for object in &cargo.0 {
        arena.at::<[AtomicU32; 2]>(at)?[0].store(object.number, Release);
        arena.at::<[AtomicU32; 2]>(at)?[1].store(object.generation, Release);
        at += 8;
    }
    let handles = u32::try_from(cargo.0.len()).ok()?;
    arena.at::<AtomicU32>(offset + 4)?.store(handles, Release);
    Some(())
}

/// Takes a message out of its block, which is free afterwards. The caller owns the block.
pub(crate) fn take(block: Block) -> Result<Message> {
    let message = read(block)?;
    // From here on the private message carries the handles.
    if let Some((_, handles)) = Arena::existing().and_then(|arena| parts(arena, block)) {
        handles.store(0, Release);
    }
    blocks::free(block);
    Ok(message)
}

/// The payload of a message that stays where it is, and keeps its handles.
pub(crate) fn peek(block: Block) -> Result<Vec<u8>> {
    let message = read(block)?;
    let _carried_by_the_block = std::mem::ManuallyDrop::new(message.cargo);
    Ok(message.bytes)
}

fn read(block: Block) -> Result<Message> {
    let arena = Arena::existing().ok_or(ErrorKind::StaleHandle)?;
    let mut message = Message::default();
    let whole = (|| {
        let (offset, size) = block
            .bytes(arena)
            .filter(|_| block.is(arena, Use::Message))?;
        let (length, handles) = parts(arena, block)?;
        let handles = handles.load(Acquire);
        let at = handles_at(offset, length);
        if at + u64::from(handles) * 8 > offset + size {
            return None;
        }
        arena.read(offset + HEAD, length as usize, &mut message.bytes)?;
        for index in 0..u64::from(handles) {
            message.cargo.0.push(handle_at(arena, at + index * 8)?);
        }
        Some(())
    })();
    if whole.is_none() {
        let _not_ours = std::mem::take(&mut message.cargo.0);
        return Err(Error::new(ErrorKind::Corrupt, "a message block"));
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

/// Length of the payload, and the counter of handles.
fn parts(arena: &Arena, block: Block) -> Option<(u32, &'static AtomicU32)> {
    let (offset, _) = block.bytes(arena)?;
    Some((
        arena.at::<AtomicU32>(offset)?.load(Acquire),
        arena.at::<AtomicU32>(offset + 4)?,
    ))
}

/// Frees a block of any kind; the handles of a message land.
pub(crate) fn discard(arena: &Arena, block: Block) {
    if block.is(arena, Use::Message) {
        land_cargo(arena, block);
    }
    blocks::free(block);
}

fn land_cargo(arena: &Arena, block: Block) -> Option<()> {
    let (offset, size) = block.bytes(arena)?;
    let (length, handles) = parts(arena, block)?;
    let at = handles_at(offset, length);
    let room = (offset + size).checked_sub(at)? / 8;
    let mut left = u64::from(handles.load(Acquire)).min(room);
    while left > 0 {
        left -= 1;
        handles.store(u32::try_from(left).ok()?, Release);
        handle_at(arena, at + left * 8)?.land(arena);
    }
    Some(())
}
