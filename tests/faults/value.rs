//! `Value` and `Array`: a dead process leaves the old value or the new one, or the news that it may be neither.

use crate::owned::{self, Owned, heard, heard_in_time};
use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{News, PATIENCE, started, warm};
use crate::tracee::section;
use multiproc::{
    AcquireError, Array, ArrayGuard, ErrorKind, Lock, Process, TryAcquireError, Value, ValueGuard,
};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Verb<Set>>("value::set", "nobody owns its lock"),
        row::<Verb<Update>>("value::update", "nobody owns its lock"),
        row::<Verb<WriteBack>>(
            "value::write_back",
            "a guard that was written to is dropped",
        ),
        row::<Verb<Look>>("value::get", "nothing is written"),
        row::<owned::AcquireFree<Value<u64>>>("value::lock_free", "nobody owns it"),
        row::<owned::ReleaseFree<Value<u64>>>("value::release_free", "nobody waits for it"),
        row::<owned::AcquireTaken<Value<u64>>>("value::lock_taken", "sleeps"),
        row::<owned::TimesOut<Value<u64>>>("value::lock_times_out", "sleeps, gives up").long(),
        row::<owned::ReleaseWithSleeper<Value<u64>>>(
            "value::release_with_sleeper",
            "somebody waits for it",
        ),
        row::<owned::TakeOver<Value<u64>>>("value::take_over", "the owner died; repair, release"),
        row::<ArraySet>("array::set", "one element"),
        row::<ArrayCopy>("array::copy_from_slice", "all elements"),
        row::<owned::AcquireFree<Array<u64>>>("array::lock_free", "nobody owns it"),
        row::<owned::ReleaseFree<Array<u64>>>("array::release_free", "nobody waits for it"),
        row::<owned::AcquireTaken<Array<u64>>>("array::lock_taken", "sleeps"),
        row::<owned::TakeOver<Array<u64>>>("array::take_over", "the owner died; repair, release"),
        row::<NewValue>("value::new", "an object with its lock"),
        row::<NewArray>("array::new", "an object with its lock and a block"),
        row::<DropArray>("array::drop", "the last handle").long(),
    ]
}

impl Owned for Value<u64> {
    type Guard<'a> = ValueGuard<'a, u64>;
    type Against = Self;

    fn make() -> Self {
        Self::new(1).unwrap()
    }

    fn against(&self) -> Self {
        self.clone()
    }

    fn acquire(&self) -> (News, ValueGuard<'_, u64>) {
        heard!(self.lock(), AcquireError)
    }

    fn acquire_timeout(&self, timeout: Duration) -> Option<(News, ValueGuard<'_, u64>)> {
        heard_in_time!(self.lock_timeout(timeout))
    }

    fn is_owned(&self) -> bool {
        self.get_lock().locked()
    }
}

impl Owned for Array<u64> {
    type Guard<'a> = ArrayGuard<'a, u64>;
    type Against = Self;

    fn make() -> Self {
        Self::from_slice(&[1, 2, 3]).unwrap()
    }

    fn against(&self) -> Self {
        self.clone()
    }

    fn acquire(&self) -> (News, ArrayGuard<'_, u64>) {
        heard!(self.lock(), AcquireError)
    }

    fn acquire_timeout(&self, timeout: Duration) -> Option<(News, ArrayGuard<'_, u64>)> {
        heard_in_time!(self.lock_timeout(timeout))
    }

    fn is_owned(&self) -> bool {
        self.get_lock().locked()
    }
}

/// Too much for one instruction.
type Four = [u64; 4];

const OLD: Four = [1; 4];
const NEW: Four = [2; 4];

/// Something that the child does with a value.
trait Does: 'static {
    const WRITES: bool = true;

    /// What its section is.
    fn run(value: Value<Four>, taken: Lock);
}

struct Set;

impl Does for Set {
    fn run(value: Value<Four>, taken: Lock) {
        warm(&taken);
        section(|| value.set(NEW).unwrap());
    }
}

struct Update;

impl Does for Update {
    fn run(value: Value<Four>, taken: Lock) {
        warm(&taken);
        section(|| value.update(|four| *four = NEW).unwrap());
    }
}

struct WriteBack;

impl Does for WriteBack {
    fn run(value: Value<Four>, taken: Lock) {
        warm(&taken);
        let mut guard = value.lock().unwrap();
        *guard = NEW;
        section(|| drop(guard));
    }
}

struct Look;

impl Does for Look {
    const WRITES: bool = false;

    fn run(value: Value<Four>, taken: Lock) {
        warm(&taken);
        let four = section(|| value.get().unwrap());
        assert_eq!(four, OLD);
    }
}

/// What a survivor finds, and whether it was told that somebody died with it. It is whole afterwards.
fn found(value: &Value<Four>) -> (News, Four) {
    match value.lock_timeout(PATIENCE) {
        Ok(guard) => (News::None, *guard),
        Err(TryAcquireError::OwnerDied(news)) => {
            let mut guard = news.repaired();
            (News::OwnerDied, std::mem::replace(&mut *guard, OLD))
        }
        Err(TryAcquireError::Busy) => panic!("the value cannot be had: busy"),
        Err(TryAcquireError::Failed(error)) => panic!("the value cannot be had: {error}"),
    }
}

struct Verb<D> {
    value: Value<Four>,
    owned: bool,
    does: std::marker::PhantomData<D>,
}

impl<D: Does> Scene for Verb<D> {
    fn prepare() -> Self {
        Self {
            value: Value::new(OLD).unwrap(),
            owned: false,
            does: std::marker::PhantomData,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(D::run, &self.value, keep)
    }

    fn last_look(&mut self) {
        self.owned = self.value.get_lock().locked();
    }

    fn check(self, left: bool) {
        assert!(!left || !self.owned);
        let error = self.value.get().err().map(|error| error.kind());
        assert_eq!(error == Some(ErrorKind::OwnerDied), self.owned);
        let (news, four) = found(&self.value);
        assert_eq!(news == News::OwnerDied, self.owned);
        assert!(self.owned || four == OLD || four == NEW, "{four:?}");
        assert!(
            four.iter().all(|number| [1, 2].contains(number)),
            "{four:?}"
        );
        assert!(D::WRITES || four == OLD, "{four:?}");
        assert!(!left || !D::WRITES || four == NEW, "{four:?}");
        // It goes on.
        self.value.set(NEW).unwrap();
        assert_eq!(self.value.get().unwrap(), NEW);
    }
}

/// An array, and whether the child owned its lock.
struct Elements {
    array: Array<u64>,
    owned: bool,
}

impl Elements {
    fn new() -> Self {
        Self {
            array: Array::from_slice(&OLD).unwrap(),
            owned: false,
        }
    }

    fn look(&mut self) {
        self.owned = self.array.get_lock().locked();
    }

    /// What is in it now; with `owned`, anything between the old and the new.
    fn check(self, new: Four, left: bool) {
        assert!(!left || !self.owned);
        let (news, four) = match self.array.lock_timeout(PATIENCE) {
            Ok(guard) => (News::None, guard.to_vec()),
            Err(TryAcquireError::OwnerDied(news)) => (News::OwnerDied, news.repaired().to_vec()),
            Err(other) => panic!("the array cannot be had: {other:?}"),
        };
        assert_eq!(news == News::OwnerDied, self.owned);
        assert!(self.owned || four == OLD || four == new, "{four:?}");
        let mut each = four.iter().zip(OLD.iter().zip(&new));
        assert!(
            each.all(|(now, (old, new))| now == old || now == new),
            "{four:?}"
        );
        assert!(!left || four == new, "{four:?}");
        self.array.copy_from_slice(&[7; 4]).unwrap();
        assert_eq!(self.array.to_vec().unwrap(), [7; 4]);
    }
}

struct ArraySet(Elements);

impl Scene for ArraySet {
    fn prepare() -> Self {
        Self(Elements::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |array: Array<u64>, taken: Lock| {
            warm(&taken);
            section(|| array.set(2, 9).unwrap());
        };
        started(child, &self.0.array, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        self.0.check([1, 1, 9, 1], left);
    }
}

struct ArrayCopy(Elements);

impl Scene for ArrayCopy {
    fn prepare() -> Self {
        Self(Elements::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |array: Array<u64>, taken: Lock| {
            warm(&taken);
            section(|| array.copy_from_slice(&NEW).unwrap());
        };
        started(child, &self.0.array, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        self.0.check(NEW, left);
    }
}

/// Starts a process that runs a section with nothing but what it makes itself.
fn alone(child: impl multiproc::Callable<(Lock,)>, keep: &Keep) -> Process {
    let arguments = (keep.taken.clone(),);
    Process::builder(child, arguments).start().unwrap()
}

struct NewValue;

impl Scene for NewValue {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            warm(&taken);
            let _made = section(|| Value::new(OLD)).unwrap();
        };
        alone(child, keep)
    }

    fn check(self, _left: bool) {}
}

struct NewArray;

impl Scene for NewArray {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            warm(&taken);
            let _made = section(|| Array::from_slice(&[OLD; 40])).unwrap();
        };
        alone(child, keep)
    }

    fn check(self, _left: bool) {}
}

struct DropArray;

impl Scene for DropArray {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            warm(&taken);
            let array = Array::from_slice(&[OLD; 40]).unwrap();
            section(|| drop(array));
        };
        alone(child, keep)
    }

    fn check(self, _left: bool) {}
}
