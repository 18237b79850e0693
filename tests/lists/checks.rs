//! What must hold of a list in shared memory, whoever wrote it. Used by the random cases and by the fuzzer.

use crate::choices::Choices;
use crate::item::Item;
use crate::list_layout::{Layout, Memory, Wrong};
use std::cell::RefCell;

/// Bytes that nobody may look beside.
struct Bytes(RefCell<Vec<u8>>);

impl Memory for Bytes {
    fn size(&self) -> usize {
        self.0.borrow().len()
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> Option<()> {
        let bytes = self.0.borrow();
        let end = offset.checked_add(to.len()).expect("an offset of bytes");
        // Before it is known how long the list is, its beginning may be missing.
        if end > bytes.len() {
            assert!(offset == 0, "a look at {offset}..{end} of {}", bytes.len());
            return None;
        }
        to.copy_from_slice(&bytes[offset..end]);
        Some(())
    }

    fn write(&self, offset: usize, from: &[u8]) -> Option<()> {
        self.0.borrow_mut()[offset..][..from.len()].copy_from_slice(from);
        Some(())
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("an index")
}

fn any_bytes(choices: &mut impl Choices, length: usize) -> Vec<u8> {
    let words = (0..length.div_ceil(8)).flat_map(|_| choices.next().to_le_bytes());
    words.take(length).collect()
}

fn any_text(choices: &mut impl Choices) -> String {
    let length = choices.below(20);
    let letters = ['a', 'ß', '€', '🦀', '\0', '\n'];
    (0..length)
        .map(|_| letters[index(choices.below(6))])
        .collect()
}

fn any_item(choices: &mut impl Choices) -> Item {
    match choices.below(8) {
        0 => Item::None,
        1 => Item::Bool(choices.one_in(2)),
        2 | 3 => Item::Int(choices.next().cast_signed()),
        // Without those that are not equal to themselves.
        4 => Item::Float(f64::from(choices.number()) / 7.0),
        5 | 6 => Item::Str(any_text(choices)),
        _ => {
            let length = index(choices.below(20));
            Item::Bytes(any_bytes(choices, length))
        }
    }
}

fn any_items(choices: &mut impl Choices) -> Vec<Item> {
    (0..choices.below(8)).map(|_| any_item(choices)).collect()
}

fn written(items: &[Item]) -> (Layout, Bytes) {
    let layout = Layout::of(items).expect("items of this size fit");
    let memory = Bytes(RefCell::new(vec![0; layout.size()]));
    layout.build(&memory, items).expect("they fit");
    (layout, memory)
}

/// How long the text or the bytes of an item are.
fn length(item: &Item) -> usize {
    match item {
        Item::Str(text) => text.len(),
        Item::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Reads and writes every item of what may be a list; how many could be read.
fn use_all(layout: &Layout, memory: &Bytes, choices: &mut impl Choices) -> usize {
    let mut read = 0;
    for at in 0..layout.len() {
        let others: Vec<_> = (0..layout.len().min(20))
            .map(|other| layout.get(memory, other))
            .collect();
        read += usize::from(layout.get(memory, at).is_ok());
        let room = layout.room(at).expect("there is such an item");
        let item = any_item(choices);
        match layout.set(memory, at, &item) {
            Ok(()) => assert_eq!(layout.get(memory, at), Ok(item)),
            Err(wrong) => {
                assert_eq!(wrong, Wrong::TooLong(length(&item), room));
                assert!(length(&item) > room);
            }
        }
        for (other, before) in others.iter().enumerate().filter(|(other, _)| *other != at) {
            // As text: a number that is none is not equal to itself.
            let now = format!("{:?}", layout.get(memory, other));
            assert_eq!(now, format!("{before:?}"), "{other} beside {at}");
        }
    }
    assert_eq!(layout.get(memory, layout.len()), Err(Wrong::Outside));
    assert_eq!(
        layout.set(memory, layout.len(), &Item::None),
        Err(Wrong::Outside)
    );
    assert_eq!(layout.format(memory, usize::MAX), Err(Wrong::Outside));
    read
}

/// Any bytes, with some sense at the beginning. Is it taken for a list?
pub(crate) fn nonsense(choices: &mut impl Choices) -> bool {
    let length = index(choices.below(300));
    let mut bytes = any_bytes(choices, length);
    let mut place = |number: u64, value: u64| {
        let at = index(number) * 8;
        if let Some(word) = bytes.get_mut(at..at + 8) {
            word.copy_from_slice(&value.to_ne_bytes());
        }
    };
    let count = if choices.one_in(8) {
        choices.next()
    } else {
        choices.below(6)
    };
    place(0, count);
    let mut offset = 0;
    for number in 0..=count.min(40) {
        place(1 + number, offset);
        let more = choices.below(40);
        offset = if choices.one_in(20) {
            more.wrapping_sub(20)
        } else {
            offset.wrapping_add(8 * (more % 3 + 1))
        };
    }
    let memory = Bytes(RefCell::new(bytes));
    match Layout::read(&memory) {
        Ok(layout) => {
            use_all(&layout, &memory, choices);
            true
        }
        Err(Wrong::Corrupt(_)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// What is written is read, by who has written it and by others, also after changes. How many items it was.
pub(crate) fn round_trip(choices: &mut impl Choices) -> usize {
    let mut items = any_items(choices);
    let (layout, memory) = written(&items);
    assert_eq!(Layout::read(&memory).as_ref(), Ok(&layout));
    for _ in 0..choices.below(10) {
        if items.is_empty() {
            break;
        }
        let at = index(choices.below(items.len() as u64));
        let item = any_item(choices);
        if layout.set(&memory, at, &item).is_ok() {
            items[at] = item;
        }
    }
    for (at, item) in items.iter().enumerate() {
        assert_eq!(layout.get(&memory, at).as_ref(), Ok(item));
    }
    // More room behind it is not looked at.
    memory.0.borrow_mut().extend([0xff; 16]);
    assert_eq!(Layout::read(&memory), Ok(layout));
    items.len()
}

/// A list of which some bytes were changed. How many items could be read.
pub(crate) fn spoilt(choices: &mut impl Choices) -> usize {
    let items = any_items(choices);
    let (_, memory) = written(&items);
    for _ in 0..=choices.below(3) {
        let mut bytes = memory.0.borrow_mut();
        let at = index(choices.below(bytes.len() as u64));
        bytes[at] = match choices.below(4) {
            0 => 0,
            1 => b"q?sdx0198"[index(choices.below(9))],
            _ => (choices.next() & 0xff) as u8,
        };
    }
    if choices.one_in(10) {
        let mut bytes = memory.0.borrow_mut();
        let length = index(choices.below(bytes.len() as u64));
        bytes.truncate(length);
    }
    Layout::read(&memory).map_or(0, |layout| use_all(&layout, &memory, choices))
}
