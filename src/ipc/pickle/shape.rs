//! Is a pickle one that can be decoded with little stack, and with memory in proportion to its length?
//!
//! A few bytes of a pickle can stand for a value as deep as the message is long, whose decoding would overflow the stack, or, because a value may
//! be repeated by naming it, for one of any size. This follows the instructions without making values, and keeps of each only how deep and how
//! large it is. For that to be right, a list, dict or set that somebody else refers to must not change any more; Python writes no others
//! but for structures that contain themselves, which have no end and are refused too.

use std::collections::HashMap;
use std::fmt;

/// Levels of values in values. The stack of a thread has room for many more.
pub(crate) const DEEPEST: u32 = 128;

/// What a value takes at least, in bytes.
const VALUE: u64 = 32;

/// What a tuple of more than three values takes at least.
const ROOM: u64 = 128 * VALUE;

/// Why a pickle is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It ends too early, or goes on.
    Cut,
    /// An instruction that no pickle of data has.
    Instruction(u8),
    /// An instruction where it makes no sense.
    Misplaced,
    TooDeep,
    /// What it repeats is larger than the limit.
    TooLarge,
    /// It contains itself.
    Circle,
    /// An integer of more than 2040 bits.
    LongInteger,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("the pickle ends too early or too late"),
            Self::Instruction(code) => write!(
                f,
                "the pickle has an instruction {code:#04x}, which is not for data"
            ),
            Self::Misplaced => f.write_str("the pickle makes no sense"),
            Self::TooDeep => write!(f, "the pickle has more than {DEEPEST} levels"),
            Self::TooLarge => {
                f.write_str("the pickle repeats itself to something that is too large")
            }
            Self::Circle => f.write_str("the pickle contains itself"),
            Self::LongInteger => f.write_str("the pickle has an integer that is too large"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    List,
    Dict,
    Set,
    /// What does not change.
    Fixed,
}

/// A value on the stack.
#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: Kind,
    depth: u32,
    size: u64,
    /// Its name, where it got one here: it is the one that may change.
    name: Option<u32>,
    /// Somebody refers to it by its name: it may not.
    named: bool,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
struct Named {
    depth: u32,
    size: u64,
    kind: Kind,
    /// Where it still is on the stack, and may change.
    open: Option<usize>,
}

type Step<T = ()> = Result<T, Unfit>;

/// Follows the instructions.
struct Walk<'a> {
    rest: &'a [u8],
    stack: Vec<Entry>,
    /// Where the values begin that belong to what comes next.
    marks: Vec<usize>,
    names: HashMap<u32, Named>,
    /// How much may still be repeated.
    budget: u64,
}

/// Checks that a pickle has no more than [`DEEPEST`] levels, and that what it repeats takes no more than `limit` bytes.
pub(crate) fn check(pickle: &[u8], limit: u64) -> Result<(), Unfit> {
    let mut walk = Walk {
        rest: pickle,
        stack: Vec::new(),
        marks: Vec::new(),
        names: HashMap::new(),
        budget: limit,
    };
    loop {
        match walk.byte()? {
            b'.' => break,
            code => walk.step(code)?,
        }
    }
    let done = walk.rest.is_empty() && walk.stack.len() == 1 && walk.marks.is_empty();
    if done { Ok(()) } else { Err(Unfit::Cut) }
}

impl Walk<'_> {
    fn bytes(&mut self, count: u64) -> Step<&[u8]> {
        let count = usize::try_from(count).map_err(|_| Unfit::Cut)?;
        let (now, rest) = self.rest.split_at_checked(count).ok_or(Unfit::Cut)?;
        self.rest = rest;
        Ok(now)
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.bytes(1)?[0])
    }

    /// A number of so many bytes, the smallest first.
    fn number(&mut self, bytes: u64) -> Step<u64> {
        let bytes = self.bytes(bytes)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |all, &byte| all << 8 | u64::from(byte)))
    }

    fn line(&mut self) -> Step {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or(Unfit::Cut)?;
        self.bytes(end as u64 + 1).map(|_| ())
    }

    /// The codes are those of Python's `pickletools`, protocols 2 to 5, as far as they are for data.
    fn step(&mut self, code: u8) -> Step {
        match code {
            0x80 => self.bytes(1).map(|_| ()),
            0x95 => self.bytes(8).map(|_| ()),
            b'N' | 0x88 | 0x89 | b')' => self.plain(0),
            b'K' => self.plain(1),
            b'M' => self.plain(2),
            b'J' => self.plain(4),
            b'G' => self.plain(8),
            b'C' | b'U' | 0x8c | 0x8a => self.counted(1),
            b'B' | b'T' | b'X' => self.counted(4),
            0x8d | 0x8e | 0x96 => self.counted(8),
            0x8b => Err(Unfit::LongInteger),
            b'c' => self
                .line()
                .and_then(|()| self.line())
                .and_then(|()| self.plain(0)),
            b'q' | b'r' | 0x94 => self.give_name(code),
            b'h' | b'j' => self.by_name(code),
            b'(' => self.mark(),
            b'0' => self.pop().map(|_| ()),
            b'1' => self.fold(Kind::Fixed).map(|_| ()),
            code => self.step_of_container(code),
        }
    }

    fn step_of_container(&mut self, code: u8) -> Step {
        match code {
            b']' => self.push(Kind::List, 1, VALUE),
            b'}' => self.push(Kind::Dict, 1, VALUE),
            0x8f => self.push(Kind::Set, 1, VALUE),
            b'l' | b'd' | b't' | 0x91 => self.collect(code),
            b'a' => self.take(1).and_then(|part| self.grow(Kind::List, part)),
            b's' => self.take(2).and_then(|part| self.grow(Kind::Dict, part)),
            b'e' => self
                .fold(Kind::List)
                .and_then(|part| self.grow(Kind::List, part)),
            b'u' => self
                .fold(Kind::Dict)
                .and_then(|part| self.grow(Kind::Dict, part)),
            0x90 => self
                .fold(Kind::Set)
                .and_then(|part| self.grow(Kind::Set, part)),
            0x85..=0x87 => self.made_of(usize::from(code - 0x84)),
            // A global and its arguments; a class and those of its instance.
            0x93 | b'R' | 0x81 => self.made_of(2),
            0x92 => self.made_of(3),
            b'b' => self.build(),
            code => Err(Unfit::Instruction(code)),
        }
    }

    fn push(&mut self, kind: Kind, depth: u32, size: u64) -> Step {
        if depth > DEEPEST {
            return Err(Unfit::TooDeep);
        }
        self.stack.push(Entry {
            kind,
            depth,
            size,
            name: None,
            named: false,
        });
        Ok(())
    }

    fn plain(&mut self, bytes: u64) -> Step {
        self.bytes(bytes)?;
        self.push(Kind::Fixed, 0, VALUE)
    }

    fn counted(&mut self, head: u64) -> Step {
        let count = self.number(head)?;
        self.bytes(count)?;
        self.push(Kind::Fixed, 0, VALUE.saturating_add(count))
    }

    fn mark(&mut self) -> Step {
        // Every mark on the way is the beginning of a level, and of room that is made for it.
        if self.marks.len() as u64 > u64::from(DEEPEST) {
            return Err(Unfit::TooDeep);
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Where the values begin that may be taken.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    /// Takes the top of the stack: from here on it does not change.
    fn pop(&mut self) -> Step<Entry> {
        if self.stack.len() <= self.floor() {
            return Err(Unfit::Misplaced);
        }
        let entry = self.stack.pop().ok_or(Unfit::Misplaced)?;
        self.close(entry);
        Ok(entry)
    }

    fn close(&mut self, entry: Entry) {
        let named = entry.name.and_then(|name| self.names.get_mut(&name));
        if let Some(named) = named {
            named.depth = entry.depth;
            named.size = entry.size;
            named.open = None;
        }
    }

    /// How deep and how large the topmost values are together.
    fn take(&mut self, count: usize) -> Step<(u32, u64)> {
        (0..count).try_fold((0, 0), |sum, _| Ok(add(sum, self.pop()?)))
    }

    /// The same of all from the last mark on.
    fn fold(&mut self, kind: Kind) -> Step<(u32, u64)> {
        let count = self.stack.len() - self.floor();
        if kind == Kind::Dict && !count.is_multiple_of(2) {
            return Err(Unfit::Misplaced);
        }
        let sum = self.take(count)?;
        self.marks.pop().ok_or(Unfit::Misplaced)?;
        Ok(sum)
    }

    fn collect(&mut self, code: u8) -> Step {
        let kind = match code {
            b'l' => Kind::List,
            b'd' => Kind::Dict,
            _ => Kind::Fixed,
        };
        let (depth, size) = self.fold(kind)?;
        // The decoder makes so much room for it, however little is in it.
        self.spend(ROOM)?;
        self.push(kind, depth + 1, size.saturating_add(VALUE))
    }

    fn made_of(&mut self, count: usize) -> Step {
        let (depth, size) = self.take(count)?;
        self.push(Kind::Fixed, depth + 1, size.saturating_add(VALUE))
    }

    /// The top of the stack gets more.
    fn grow(&mut self, kind: Kind, (depth, size): (u32, u64)) -> Step {
        let floor = self.floor();
        let top = self.stack[floor..].last_mut().ok_or(Unfit::Misplaced)?;
        if top.kind != kind || top.named {
            let circle = top.named && top.name.is_some();
            return Err(if circle {
                Unfit::Circle
            } else {
                Unfit::Misplaced
            });
        }
        top.depth = top.depth.max(depth + 1);
        top.size = top.size.saturating_add(size);
        if top.depth > DEEPEST {
            return Err(Unfit::TooDeep);
        }
        Ok(())
    }

    /// What an instance has in it takes its place.
    fn build(&mut self) -> Step {
        let state = self.pop()?;
        self.pop()?;
        self.push(Kind::Fixed, state.depth, state.size)?;
        self.freeze();
        Ok(())
    }

    /// The top of the stack gets no name, and does not change.
    fn freeze(&mut self) {
        if let Some(top) = self.stack.last_mut() {
            top.named = true;
        }
    }

    fn spend(&mut self, bytes: u64) -> Step {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or(Unfit::TooLarge)?;
        Ok(())
    }

    fn name(&mut self, code: u8) -> Step<u32> {
        let name = match code {
            b'q' | b'h' => self.number(1)?,
            b'r' | b'j' => self.number(4)?,
            _ => self.names.len() as u64,
        };
        u32::try_from(name).map_err(|_| Unfit::Misplaced)
    }

    fn give_name(&mut self, code: u8) -> Step {
        let name = self.name(code)?;
        let floor = self.floor();
        let place = self.stack.len().saturating_sub(1);
        let top = self.stack[floor..].last_mut().ok_or(Unfit::Misplaced)?;
        // Nobody gives a second name, or the name of something else.
        if top.name.is_some() || top.named || self.names.contains_key(&name) {
            return Err(Unfit::Misplaced);
        }
        top.name = Some(name);
        let named = Named {
            depth: top.depth,
            size: top.size,
            kind: top.kind,
            open: (top.kind != Kind::Fixed).then_some(place),
        };
        self.names.insert(name, named);
        Ok(())
    }

    fn by_name(&mut self, code: u8) -> Step {
        let name = self.name(code)?;
        let named = self.names.get_mut(&name).ok_or(Unfit::Misplaced)?;
        if let Some(place) = named.open.take() {
            // From here on somebody refers to it: it is as it is.
            let entry = &mut self.stack[place];
            entry.named = true;
            (named.depth, named.size) = (entry.depth, entry.size);
        }
        let named = *named;
        self.spend(named.size)?;
        self.push(named.kind, named.depth, named.size)?;
        self.freeze();
        Ok(())
    }
}

fn add((depth, size): (u32, u64), entry: Entry) -> (u32, u64) {
    (depth.max(entry.depth), size.saturating_add(entry.size))
}
