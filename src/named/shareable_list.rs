//! `ShareableList`: a list in a segment of memory, as Python lays it out.

use super::item::Item;
use super::list_layout::{Layout, Memory, Wrong};
use super::shared_memory::SharedMemory;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::mapping::Mapping;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

impl Memory for Mapping {
    fn size(&self) -> usize {
        Mapping::size(self)
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> Option<()> {
        Mapping::read(self, offset, to)
    }

    fn write(&self, offset: usize, from: &[u8]) -> Option<()> {
        Mapping::write(self, offset, from)
    }
}

/// A list of a fixed length in memory that processes share by name: Python's `multiprocessing.shared_memory.ShareableList`, which Python programs can open and
/// make.
///
/// Its items are [`Item`]s. An item may be replaced by one of another type; text and bytes have the room that they were made
/// with: up to the next multiple of eight bytes above their length.
///
/// # Who changes it at the same time
/// To replace a number by a number of the same type (integer, float, `bool`) is one step: others see the old one or the new one. Everything
/// else is several steps: text, bytes, and a change of type. Who reads such an item at the same time may get a part of the old and a
/// part of the new, or an error; a [`Lock`](crate::Lock) prevents that. Whatever the memory holds, nothing beside the item is touched.
///
/// **When a process dies** in the middle of `set`, the item is as others would have seen it at that moment; all others are whole. A list that is being made
/// is found by nobody before it is whole. The name is removed as that of a [`SharedMemory`] is.
///
/// # Differences from Python
/// - Room for text is counted in bytes. Python counts characters, and cuts what does not fit.
/// - NULs at the end of text and bytes come back, except from an item that Python has written: Python removes them when it reads. Text of a
///   million bytes and more cannot end in a NUL ([`ErrorKind::InvalidInput`]).
/// - There are no negative indices, and integers have 64 bits by their type.
///
/// # Examples
/// ```
/// use multiproc::shared_memory::{Item, ShareableList};
///
/// let list = ShareableList::create([Item::from("größer"), Item::from(42), Item::None])?;
/// // In Python, at the same time: ShareableList(name=...)[1] += 1
/// let other = ShareableList::open(list.shm().name())?;
/// other.set(1, 43)?;
/// assert_eq!(list.get(1)?, Item::Int(43));
/// assert_eq!(list.iter().collect::<Result<Vec<_>, _>>()?.len(), 3);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct ShareableList {
    memory: SharedMemory,
    layout: Layout,
}

impl ShareableList {
    /// Makes a list of these items in a new segment, under a name that nobody has. This process owns it.
    ///
    /// # Errors
    /// As [`SharedMemory::create_named`]; [`ErrorKind::TooLong`] for text of ten million bytes.
    pub fn create(items: impl IntoIterator<Item = impl Into<Item>>) -> Result<Self> {
        Self::make(None, items)
    }

    /// The same, under this name.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_named(
        name: &str,
        items: impl IntoIterator<Item = impl Into<Item>>,
    ) -> Result<Self> {
        Self::make(Some(name), items)
    }

    fn make(name: Option<&str>, items: impl IntoIterator<Item = impl Into<Item>>) -> Result<Self> {
        let items: Vec<Item> = items.into_iter().map(Into::into).collect();
        let layout = Layout::of(&items).map_err(explain)?;
        let fill = |mapping: &Mapping| layout.build(mapping, &items).map_err(explain);
        let memory = SharedMemory::create_filled(name, layout.size(), fill)?;
        Ok(Self { memory, layout })
    }

    /// Opens the list of that name. It stays its owner's.
    ///
    /// # Errors
    /// As [`SharedMemory::open`]; [`ErrorKind::Corrupt`] when the segment holds no list.
    pub fn open(name: &str) -> Result<Self> {
        let memory = SharedMemory::open(name)?;
        let layout = Layout::read(memory.mapping()?).map_err(explain)?;
        Ok(Self { memory, layout })
    }

    /// How many items there are; that never changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layout.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`, from 0.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an index outside; [`ErrorKind::Corrupt`] when no program writes what is there, or another one is writing it;
    /// [`ErrorKind::Decode`] for text that is none, as Python leaves it when it has cut some.
    pub fn get(&self, index: usize) -> Result<Item> {
        let item = self.layout.get(self.memory.mapping()?, index);
        item.map_err(|wrong| self.explain(wrong, index))
    }

    /// Replaces the item at `index`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an index outside; [`ErrorKind::TooLong`] for text or bytes that the item has no room for. The old item stays then.
    pub fn set(&self, index: usize, item: impl Into<Item>) -> Result<()> {
        let done = self.layout.set(self.memory.mapping()?, index, &item.into());
        done.map_err(|wrong| self.explain(wrong, index))
    }

    /// How many bytes text or bytes may have that replace the item at `index`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an index outside.
    pub fn room(&self, index: usize) -> Result<usize> {
        let room = self.layout.room(index);
        room.map_err(|wrong| self.explain(wrong, index))
    }

    /// How Python's `struct` is told to unpack the item, as `q` or `16s`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an index outside.
    pub fn format(&self, index: usize) -> Result<String> {
        let format = self.layout.format(self.memory.mapping()?, index);
        let format = format.map_err(|wrong| self.explain(wrong, index))?;
        Ok(String::from_utf8_lossy(&format).into_owned())
    }

    /// All items, one after another.
    #[must_use]
    pub fn iter(&self) -> ShareableListIter<'_> {
        ShareableListIter {
            list: self,
            next: 0,
        }
    }

    /// How many items are equal to this one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn count(&self, item: impl Into<Item>) -> Result<usize> {
        let wanted = item.into();
        let mut items = self.iter();
        items.try_fold(0, |count, item| Ok(count + usize::from(item? == wanted)))
    }

    /// Where the first item is that is equal to this one; `None` when there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn index_of(&self, item: impl Into<Item>) -> Result<Option<usize>> {
        let wanted = item.into();
        for (index, item) in self.iter().enumerate() {
            if item? == wanted {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Makes a list of the same items in a segment of its own, with the room that they need now.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`create`](Self::create).
    pub fn copy(&self) -> Result<Self> {
        let items: Result<Vec<Item>> = self.iter().collect();
        Self::create(items?)
    }

    /// The segment in which the list lies: its name, and the verbs that end it.
    #[must_use]
    pub fn shm(&self) -> &SharedMemory {
        &self.memory
    }

    fn explain(&self, wrong: Wrong, index: usize) -> Error {
        match wrong {
            Wrong::Outside => {
                let text = format!("index {index} of a list of {}", self.len());
                Error::new(ErrorKind::InvalidInput, text)
            }
            wrong => explain(wrong),
        }
    }
}

fn explain(wrong: Wrong) -> Error {
    match wrong {
        Wrong::Corrupt(text) => Error::new(ErrorKind::Corrupt, format!("a list: {text}")),
        Wrong::Outside => Error::new(ErrorKind::InvalidInput, "there is no such item"),
        Wrong::TooLong(bytes, room) => {
            let text = format!("{bytes} bytes for an item that has room for {room}");
            Error::new(ErrorKind::TooLong, text)
        }
        Wrong::EndsInNul => {
            let text = "text or bytes of a million bytes and more cannot end in a NUL";
            Error::new(ErrorKind::InvalidInput, text)
        }
        Wrong::NotText => Error::new(ErrorKind::Decode, "the text of an item is not UTF-8"),
    }
}

/// The items of a [`ShareableList`], one after another.
#[derive(Debug)]
pub struct ShareableListIter<'a> {
    list: &'a ShareableList,
    next: usize,
}

impl Iterator for ShareableListIter<'_> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        (index < self.list.len()).then(|| {
            self.next += 1;
            self.list.get(index)
        })
    }
}

impl<'a> IntoIterator for &'a ShareableList {
    type Item = Result<Item>;
    type IntoIter = ShareableListIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShareableList")
            .field("name", &self.memory.name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Serialize for ShareableList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.memory.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ShareableList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::open(&name).map_err(serde::de::Error::custom)
    }
}
