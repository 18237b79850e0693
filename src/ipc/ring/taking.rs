//! What was got: bytes, and the block that they came in.

use super::Ring;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::Block;
use crate::shm::{Member, member, message};

/// A payload that was taken. The block of a large one is ours and is kept until this is dropped, after its handles were decoded: so
/// a kill in between lands them, because settling us frees the block. One that is lent is put back then.
#[derive(Debug)]
pub(in super::super) struct Taking {
    small: [u8; 120],
    length: usize,
    large: Vec<u8>,
    /// The process that put it, as far as it is known yet.
    by: u32,
    block: Option<Block>,
    lender: Option<Ring>,
    /// Whose the block is: a copy that a forked child has is not.
    owner: Option<Member>,
}

impl Taking {
    pub(in super::super) fn empty() -> Self {
        Self {
            small: [0; 120],
            length: 0,
            large: Vec::new(),
            by: 0,
            block: None,
            lender: None,
            owner: None,
        }
    }

    /// The pid of the process that put it; known once the bytes were looked at.
    pub(in super::super) fn by(&self) -> u32 {
        self.by
    }

    /// The payload.
    #[inline]
    pub(in super::super) fn bytes(&mut self) -> Result<&[u8]> {
        if let Some(block) = self.block
            && self.large.is_empty()
        {
            self.check()?;
            self.by = message::peek_into(block, &mut self.large)?;
        }
        Ok(if self.large.is_empty() {
            &self.small[..self.length]
        } else {
            &self.large
        })
    }

    /// The payload instead of what is in `to`: copied once, if it lies in a block.
    pub(in super::super) fn move_to(&mut self, to: &mut Vec<u8>) -> Result<()> {
        to.clear();
        self.check()?;
        match self.block {
            Some(block) => self.by = message::peek_into(block, to)?,
            None if self.large.is_empty() => to.extend_from_slice(&self.small[..self.length]),
            None => to.extend_from_slice(&self.large),
        }
        Ok(())
    }

    /// A block is read by its owner only: in a forked child the copy of one says nothing.
    fn check(&self) -> Result<()> {
        if self.block.is_none() || self.is_ours() {
            return Ok(());
        }
        let text = "a message that the parent of this forked process got";
        Err(Error::new(ErrorKind::Misuse, text))
    }

    /// The block that the message lies in, if it is a large one.
    pub(in super::super) fn block(&self) -> Option<Block> {
        self.block
    }

    /// Keeps the message in a block that is ours.
    pub(super) fn hold(&mut self, block: Block, lender: Option<Ring>) {
        self.block = Some(block);
        self.lender = lender;
        self.owner = member::known();
    }

    /// Is this process the one that took it, and not a forked copy of that one?
    pub(in super::super) fn is_ours(&self) -> bool {
        self.owner == member::known()
    }

    /// Copies what lies in a record.
    #[inline]
    pub(super) fn copy(
        &mut self,
        arena: &Arena,
        offset: u64,
        length: usize,
        by: u32,
    ) -> Option<()> {
        self.by = by;
        match self.small.get_mut(..length) {
            Some(place) => {
                self.length = length;
                arena.read_into(offset, place)
            }
            None => arena.read(offset, length, &mut self.large),
        }
    }

    /// The message is done with: a lent one counts so, and `failed` says whether as a failure.
    pub(in super::super) fn finish(&mut self, failed: bool) -> Result<()> {
        if let (Some(block), Some(lender), true) = (self.block, self.lender, self.is_ours()) {
            lender.finish(block, failed)?;
            self.block = None;
        }
        Ok(())
    }

    /// How often the message was taken before.
    pub(in super::super) fn attempts(&self) -> u32 {
        self.block.map_or(0, Ring::attempts)
    }
}

impl Drop for Taking {
    #[inline]
    fn drop(&mut self) {
        if let (Some(block), Some(arena)) = (self.block, Arena::existing())
            && self.is_ours()
        {
            match self.lender {
                Some(lender) => lender.put_back(arena, block),
                None => message::discard(arena, block),
            }
        }
    }
}
