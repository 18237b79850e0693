//! `Queue`, small messages: one is in the queue wholly or not at all, and is got once or left.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{PATIENCE, Waiter, drained, still_works, warm};
use crate::tracee::section;
use multiproc::{Lock, Process, Queue};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Stream<Put>>("queue::put", "room, nobody sleeps"),
        row::<Stream<PutWraps>>("queue::put_wraps", "pads to the end of the storage"),
        row::<Stream<Get>>("queue::get", "something there, nobody sleeps"),
        row::<PutWakes>("queue::put_wakes", "somebody sleeps in get"),
        row::<GetSleeps>(
            "queue::get_sleeps",
            "sleeps beside another getter, and is woken",
        ),
        row::<PutSleeps>(
            "queue::put_sleeps",
            "the queue is full; sleeps, and is woken",
        ),
    ]
}

/// Two words: with its head a record of three.
type Value = (u64, u64);

fn value(number: u64) -> Value {
    // Eight and seven bytes of postcard, whatever the number.
    (number | 1 << 55, number | 1 << 48)
}

fn values(count: u64) -> Vec<Value> {
    (0..count).map(value).collect()
}

/// What a child does to a stream of values.
trait Verb {
    /// Values put, and values got again, before the child comes.
    const BEFORE: (u64, u64);
    /// Does it put one, or get one?
    const PUTS: bool;
}

struct Put;

impl Verb for Put {
    const BEFORE: (u64, u64) = (2, 0);
    const PUTS: bool = true;
}

struct PutWraps;

impl Verb for PutWraps {
    const BEFORE: (u64, u64) = (682, 680);
    const PUTS: bool = true;
}

struct Get;

impl Verb for Get {
    const BEFORE: (u64, u64) = (3, 0);
    const PUTS: bool = false;
}

struct Stream<V> {
    queue: Queue<Value>,
    length: usize,
    verb: std::marker::PhantomData<V>,
}

fn puts_in_section(queue: Queue<Value>, number: u64, taken: Lock) {
    warm(&taken);
    let value = value(number);
    section(|| queue.put(value)).unwrap();
}

fn gets_in_section(queue: Queue<Value>, number: u64, taken: Lock) {
    warm(&taken);
    assert_eq!(section(|| queue.get()).unwrap(), value(number));
}

impl<V: Verb> Scene for Stream<V> {
    fn prepare() -> Self {
        let queue = Queue::new().unwrap();
        for number in 0..V::BEFORE.0 {
            queue.put(value(number)).unwrap();
        }
        for number in 0..V::BEFORE.1 {
            assert_eq!(queue.get().unwrap(), value(number));
        }
        Self {
            queue,
            length: 0,
            verb: std::marker::PhantomData,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let (put, got) = V::BEFORE;
        let (queue, taken) = (self.queue.clone(), keep.taken.clone());
        let builder = if V::PUTS {
            Process::builder(puts_in_section, (queue, put, taken))
        } else {
            Process::builder(gets_in_section, (queue, got, taken))
        };
        builder.start().unwrap()
    }

    fn last_look(&mut self) {
        self.length = self.queue.len();
    }

    fn check(self, left: bool) {
        let (put, got) = V::BEFORE;
        let mut expected = values(put + u64::from(V::PUTS));
        if V::PUTS {
            expected.drain(..usize::try_from(got).unwrap());
            assert!(!left || self.length == expected.len());
            expected.truncate(self.length);
        } else {
            assert!(!left || self.length == expected.len() - 1);
            expected.drain(..expected.len() - self.length);
        }
        let sentinel = value(1000);
        self.queue.put_timeout(sentinel, PATIENCE).unwrap();
        expected.push(sentinel);
        assert_eq!(drained(&self.queue), expected);
        still_works(&self.queue, &values(2000));
    }
}

/// A thread that gets one value.
fn getter(queue: &Queue<Value>) -> Waiter<Value> {
    let queue = queue.clone();
    Waiter::asleep_in(move || queue.get().unwrap())
}

struct PutWakes {
    queue: Queue<Value>,
    sleeper: Option<Waiter<Value>>,
}

impl Scene for PutWakes {
    fn prepare() -> Self {
        Self {
            queue: Queue::new().unwrap(),
            sleeper: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let arguments = (self.queue.clone(), 1, keep.taken.clone());
        Process::builder(puts_in_section, arguments)
            .start()
            .unwrap()
    }

    fn entered(&mut self) {
        self.sleeper = Some(getter(&self.queue));
    }

    fn check(self, left: bool) {
        self.queue.put_timeout(value(2), PATIENCE).unwrap();
        let got = self.sleeper.unwrap().result();
        let rest = drained(&self.queue);
        let whole = got == value(1) && rest == [value(2)];
        let nothing = got == value(2) && rest.is_empty();
        assert!(whole || nothing && !left, "{got:?} {rest:?}");
        still_works(&self.queue, &values(100));
    }
}

/// The child sleeps first, then a thread of the survivor; one value comes, and wakes the child.
struct GetSleeps {
    queue: Queue<Value>,
    other: Option<Waiter<Value>>,
    taken: bool,
}

impl Scene for GetSleeps {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            queue: Queue::new().unwrap(),
            other: None,
            taken: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let arguments = (self.queue.clone(), 1, keep.taken.clone());
        Process::builder(gets_in_section, arguments)
            .start()
            .unwrap()
    }

    fn asleep(&mut self) {
        // A child whose slice ended before the value came is behind the other one, who takes it: then once more.
        let taken = self.other.as_ref().is_none_or(|other| !other.waits());
        if taken && self.queue.is_empty() {
            if let Some(other) = self.other.take() {
                assert_eq!(other.result(), value(1));
            }
            self.other = Some(getter(&self.queue));
            self.queue.put(value(1)).unwrap();
        }
    }

    fn last_look(&mut self) {
        let waits = self.other.as_ref().is_some_and(Waiter::waits);
        self.taken = waits && self.queue.is_empty();
    }

    fn check(self, left: bool) {
        if let Some(other) = self.other {
            // If the child did not take it, the other one must get it, and nobody helps him to.
            if left || self.taken {
                self.queue.put_timeout(value(2), PATIENCE).unwrap();
            }
            let got = other.result();
            let by_child = got == value(2);
            assert!(by_child || got == value(1) && !left, "{got:?}");
            assert!(by_child || drained(&self.queue).len() <= 1);
        }
        assert_eq!(drained(&self.queue), []);
        still_works(&self.queue, &values(100));
    }
}

/// A queue for one value, with one in it.
struct PutSleeps {
    queue: Queue<Value>,
    got: Vec<Value>,
    length: usize,
}

impl Scene for PutSleeps {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        let queue = Queue::with_maxsize(1).unwrap();
        queue.put(value(0)).unwrap();
        Self {
            queue,
            got: Vec::new(),
            length: 1,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let arguments = (self.queue.clone(), 1, keep.taken.clone());
        Process::builder(puts_in_section, arguments)
            .start()
            .unwrap()
    }

    fn asleep(&mut self) {
        if self.got.is_empty() {
            self.got.push(self.queue.get().unwrap());
        }
    }

    fn last_look(&mut self) {
        self.length = self.queue.len();
    }

    fn check(mut self, left: bool) {
        let length = self.got.len() + self.length;
        assert!(!left || length == 2);
        self.got.extend(drained(&self.queue));
        assert_eq!(self.got, values(length as u64));
        self.queue.put_timeout(value(3), PATIENCE).unwrap();
        assert!(self.queue.is_full());
        assert_eq!(drained(&self.queue), [value(3)]);
    }
}
