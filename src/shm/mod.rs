//! Memory that a family of processes shares, made so that any of them may die at any instruction.
//!
//! A program and all processes that it starts through this crate share **one arena** ([`arena`]): an anonymous shared
//! object, mapped wherever the system likes, so that everything in it is an offset. It holds three tables and a heap:
//!
//! - *slots* ([`member`]): one for each process of the family: who it is, how it ended, what it sleeps on;
//! - *cells* ([`object`]): one for each lock, event, value, queue, pool: whose control words never move and never change their kind;
//! - *holder bits*: a bit map a slot, "this member holds that object"; an object without bits and not in flight is freed;
//! - *blocks* ([`blocks`]): a buddy heap for everything of variable size; every block names its owner.
//!
//! What is cut short by a death is found again from these tables: a [`lease`] whose owner is dead is taken over and its new
//! owner repairs what it guards; [`settle`] gives back all that a dead member had. Free lists are only a cache of the tables
//! and are made anew. The order in which words are written is therefore the design; `docs/design/arena.md` tells it.
//!
//! Nothing read from here is believed: offsets, lengths and kinds are checked before use.

pub(crate) mod arena;
pub(crate) mod blocks;
pub(crate) mod epitaph;
pub(crate) mod handle;
pub(crate) mod keeper;
pub(crate) mod label;
pub(crate) mod layout;
pub(crate) mod lease;
pub(crate) mod lent;
pub(crate) mod member;
pub(crate) mod message;
pub(crate) mod name;
pub(crate) mod object;
mod order;
pub(crate) mod settle;
pub(crate) mod usage;
pub(crate) mod wait;

pub(crate) use handle::Handle;
pub(crate) use keeper::Internal;
pub use keeper::{AcrossProcesses, Threads, WithinProcess};
pub(crate) use lease::{Keeper, Lease, Taken};
pub(crate) use member::Member;
pub(crate) use message::Message;
