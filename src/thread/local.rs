//! `Local`: one value for each thread.
#![expect(
    unsafe_code,
    reason = "a thread reaches its own value without a lock, by its address"
)]
//!
//! The values of all threads lie in one table ([`TABLE`]) under a lock. Each thread has a list of the addresses of its own ([`SLOTS`]), by
//! the *place* of the `Local`: to find a value is to look there, and takes no lock and no atomic instruction. Places are used again; the
//! number of a `Local` never is, so a slot that a dropped one has left fits nobody.
//!
//! # Safety
//! A value is installed by its own thread, once, and from then on only lent out, as `&T`, to functions that [`Local::with`] calls on that
//! thread. It is freed in two places only, by whoever takes it out of the table, under its lock, and so once:
//!
//! 1. By the drop of the last handle. Nobody is in `with` then, because `with` borrows a handle.
//! 2. By the end of its thread ([`END`]), as the C library calls it: when all functions of the thread have returned, those that `with` has
//!    called among them. It is not called by `exit`, which a function in `with` may well call, while it shares the value with other threads.
//!
//! In a forked child the table is empty, and the memory of the parent's values stays as it is: what is lent out in the moment of the fork
//! stays good there for ever. Only the thread that forked exists, and its list is made empty too.
//!
//! The lock is never held while anything of the user runs: no initialiser, no destructor.

use super::{current, panics};
use crate::sys::atfork::{self, Forkable};
use crate::sys::atomic::{AtomicBool, SeqCst};
use crate::sys::private::Private;
use crate::sys::thread_end::ThreadEnd;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

/// A value for each thread, made by an initialiser when the thread first asks for it: Python's `threading.local()`.
///
/// Every `Local` is one of its own, also as a field, where `thread_local!` is a static. A handle is cloned; all clones are the same.
/// `multiproc::ThreadLocal` is another name.
///
/// **When values are dropped.** A thread's value when the thread ends, after its `thread_local!`s, whose destructors may still use it; all that
/// are left when the last handle is dropped, by the thread that drops it (hence `T: Send`). Those of the main thread, and of one that calls
/// `exit`, are not dropped at the end of the program (but in a child by [`StartMethod::Fork`](crate::StartMethod::Fork), whose function runs
/// on a thread of its own that ends). A destructor may use this and other `Local`s: what it makes is dropped too, at the
/// latest with the last handle. One that panics at the end of a thread is told of as any panic, and harms nobody.
///
/// **After a fork** the child has no values: each is made anew when it is asked for, and the parent's are never dropped there. What was being
/// lent out by [`with`](Self::with) in the moment of the fork stays good.
///
/// # Differences from Python
/// There is one typed value where Python has attributes; a `Local<RefCell<HashMap<..>>>` has as many as anybody likes. The initialiser is what
/// the `__init__` of a subclass is there.
///
/// # Examples
/// ```
/// use multiproc::threading::Local;
/// use std::cell::Cell;
///
/// let count = Local::new(|| Cell::new(0));
/// count.with(|count| count.set(count.get() + 1));
/// let other = count.clone();
/// let theirs = std::thread::spawn(move || other.with(Cell::get));
/// assert_eq!(theirs.join().unwrap(), 0);
/// assert_eq!(count.with(Cell::get), 1);
/// ```
///
/// A value moves to the thread that drops it, so it must be able to:
///
/// ```compile_fail,E0277
/// let _ = multiproc::threading::Local::new(|| std::rc::Rc::new(1));
/// ```
pub struct Local<T> {
    /// The same as in `shared`, without a look at it.
    id: u64,
    place: usize,
    shared: Arc<Shared<T>>,
}

/// What all handles have; dropped with the last of them.
struct Shared<T> {
    id: u64,
    place: usize,
    init: Box<dyn Fn() -> T + Send + Sync>,
}

impl<T: Send + 'static> Local<T> {
    /// One whose values are made by `init`, in each thread when it first asks.
    pub fn new(init: impl Fn() -> T + Send + Sync + 'static) -> Self {
        register_locals();
        let (id, place) = TABLE.0.lock().open();
        let init = Box::new(init);
        Self {
            id,
            place,
            shared: Arc::new(Shared { id, place, init }),
        }
    }

    /// Lends this thread's value to `body`.
    ///
    /// The first time it is made by the initialiser. If that asks for the value itself, and ends, the inner value stays and the outer one is
    /// dropped. In a destructor, however late in its thread's end, it works as elsewhere.
    ///
    /// # Panics
    /// As the initialiser does; the next call tries it again.
    #[inline]
    pub fn with<R>(&self, body: impl FnOnce(&T) -> R) -> R {
        if let Some(value) = self.find() {
            // SAFETY: a slot with our number has the address of a value of ours in this thread, which is a `T`, and is freed neither
            // by the last handle, because this one is borrowed until `body` has returned, nor by the end of this thread, which comes later.
            return body(unsafe { &*value });
        }
        let value = self.make();
        // SAFETY: as above.
        body(unsafe { &*value })
    }

    /// A clone of this thread's value.
    ///
    /// # Panics
    /// As [`with`](Self::with), and as `clone`.
    #[must_use]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// The address of this thread's value, if it has one.
    #[inline]
    fn find(&self) -> Option<*const T> {
        let slots = SLOTS.get();
        // SAFETY: this thread's list is freed and changed by this thread only, and not before this function returns.
        let slot = unsafe { &*slots }.get(self.place)?;
        (slot.id == self.id).then(|| slot.value.cast::<T>())
    }

    #[cold]
    fn make(&self) -> *const T {
        let value = (self.shared.init)();
        let Some(inner) = self.find() else {
            return self.install(Box::new(value));
        };
        // The initialiser has asked for it itself. Should this drop fork, the inner one is lent out in the child, and stays good there.
        drop(value);
        inner
    }

    /// From now on it is this thread's value.
    fn install(&self, value: Box<T>) -> *const T {
        let value: *mut T = Box::into_raw(value);
        let slot = Slot {
            id: self.id,
            value: value.cast_const().cast(),
        };
        TABLE.0.lock().put(self.id, Owned(value));
        set_slot(self.place, slot);
        let _dropped_with_the_last_handle_else = END.arm();
        value
    }
}

impl<T: Default + Send + 'static> Default for Local<T> {
    /// One whose values are `T::default()`.
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: Send + 'static> Local<Cell<T>> {
    /// Sets this thread's value.
    ///
    /// # Panics
    /// As [`with`](Self::with), as all of these.
    pub fn set(&self, value: T) {
        drop(self.replace(value));
    }

    /// Sets this thread's value; gives what it was.
    pub fn replace(&self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    /// Takes this thread's value and leaves the default.
    #[must_use]
    pub fn take(&self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }
}

impl<T: Send + 'static> Local<RefCell<T>> {
    /// Lends what is inside this thread's cell to `body`.
    ///
    /// # Panics
    /// As [`with`](Self::with), as all of these; when it is borrowed mutably already.
    pub fn with_borrow<R>(&self, body: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| body(&cell.borrow()))
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// When it is borrowed already.
    pub fn with_borrow_mut<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| body(&mut cell.borrow_mut()))
    }

    /// Sets what is inside this thread's cell.
    ///
    /// # Panics
    /// When it is borrowed already.
    pub fn set(&self, value: T) {
        drop(self.replace(value));
    }

    /// Sets what is inside this thread's cell; gives what it was.
    ///
    /// # Panics
    /// When it is borrowed already.
    pub fn replace(&self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    /// Takes what is inside this thread's cell and leaves the default.
    ///
    /// # Panics
    /// When it is borrowed already.
    #[must_use]
    pub fn take(&self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }
}

impl<T> Clone for Local<T> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            place: self.place,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("type", &std::any::type_name::<T>())
            .field("threads", &TABLE.0.lock().count(self.id))
            .finish_non_exhaustive()
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let values = TABLE.0.lock().close(self.id, self.place);
        // Not under the lock.
        drop_all(values.into_iter().flatten().map(|(_, value)| value), drop);
    }
}

/// A destructor may fork. What the child has left of these is the parent's.
fn drop_all(values: impl Iterator<Item = Owned>, drop: impl Fn(Owned)) {
    let generation = atfork::generation();
    for value in values {
        if atfork::generation() == generation {
            drop(value);
        } else {
            let _the_parents = ManuallyDrop::new(value);
        }
    }
}

/// A value in the table.
struct Owned(*mut dyn Send);

// SAFETY: it is the only owner of a value that may move between threads, the address of which other threads do not know.
unsafe impl Send for Owned {}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a box in `install`, and what is in the table is taken out of it once. Nobody has borrowed it, as
        // the head of this file shows.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// The values of one `Local`, by thread.
type Values = BTreeMap<u64, Owned>;

/// All values of this process, and who has which number.
struct Table {
    values: BTreeMap<u64, Values>,
    /// Places that are free, and how many there are.
    free: Vec<usize>,
    places: usize,
    /// The last number of a `Local`, and of a thread.
    last_id: u64,
    last_thread: u64,
}

impl Table {
    /// A number that nobody had, and a place that nobody has.
    fn open(&mut self) -> (u64, usize) {
        self.last_id += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places += 1;
            self.places - 1
        });
        (self.last_id, place)
    }

    fn close(&mut self, id: u64, place: usize) -> Option<Values> {
        self.free.push(place);
        self.values.remove(&id)
    }

    /// This thread's value, of which there was none.
    fn put(&mut self, id: u64, value: Owned) {
        if THREAD.get() == 0 {
            self.last_thread += 1;
            THREAD.set(self.last_thread);
        }
        let none = self.values.entry(id).or_default();
        let none = none.insert(THREAD.get(), value);
        debug_assert!(none.is_none(), "a thread has one value");
    }

    fn take(&mut self, id: u64) -> Option<Owned> {
        self.values.get_mut(&id)?.remove(&THREAD.get())
    }

    fn count(&self, id: u64) -> usize {
        self.values.get(&id).map_or(0, BTreeMap::len)
    }
}

struct Tables(Private<Table>);

static TABLE: Tables = Tables(Private::new(Table {
    values: BTreeMap::new(),
    free: Vec::new(),
    places: 0,
    last_id: 0,
    last_thread: 0,
}));

impl Forkable for Tables {
    fn before(&self) {
        self.0.acquire();
    }

    fn after(&self) {
        self.0.release();
    }

    fn child(&self) {
        self.0.release();
        let parents = std::mem::take(&mut self.0.lock().values);
        // Nothing is dropped twice, and what is lent out at this moment stays.
        let _parents = ManuallyDrop::new(parents);
        SLOTS.set(NO_SLOTS);
    }
}

/// Once a process image: a forked child starts without values. Called before `main` where the hook runs, so that no fork can come before it.
pub(crate) fn register_locals() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    static FORKABLE: &dyn Forkable = &TABLE;
    // Miri knows no forks.
    if !cfg!(miri) && !REGISTERED.load(SeqCst) && !REGISTERED.swap(true, SeqCst) {
        atfork::register(&[&FORKABLE]);
    }
}

/// Where a thread finds a value.
#[derive(Clone, Copy)]
struct Slot {
    /// Of the `Local`; 0 for none.
    id: u64,
    value: *const (),
}

const NO_SLOT: Slot = Slot {
    id: 0,
    value: std::ptr::null(),
};
const NO_SLOTS: *mut [Slot] = std::ptr::slice_from_raw_parts_mut(NonNull::dangling().as_ptr(), 0);

thread_local! {
    /// This thread's list, by place: empty, or from a box. It has no destructor, so it is there in all others'.
    static SLOTS: Cell<*mut [Slot]> = const { Cell::new(NO_SLOTS) };
    /// The number of this thread in the table; 0 before its first value.
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

fn set_slot(place: usize, slot: Slot) {
    if SLOTS.get().len() <= place {
        let mut slots = vec![NO_SLOT; (place + 1).next_power_of_two().max(8)];
        let old = take_slots();
        slots[..old.len()].copy_from_slice(&old);
        SLOTS.set(Box::into_raw(slots.into_boxed_slice()));
    }
    // SAFETY: this thread's list, which nobody else knows of, and which is borrowed nowhere but in functions that have returned.
    let slots = unsafe { &mut *SLOTS.get() };
    slots[place] = slot;
}

/// This thread's list, which is empty from now on.
fn take_slots() -> Box<[Slot]> {
    let slots = SLOTS.replace(NO_SLOTS);
    if slots.len() == 0 {
        return Box::default();
    }
    // SAFETY: a list that is not empty came from a box in `set_slot`, and nobody else has its address any more.
    unsafe { Box::from_raw(slots) }
}

static END: ThreadEnd = ThreadEnd::new(end);

/// Drops the values of this thread. What their destructors make calls for this again.
fn end() {
    current::note_end();
    let slots = take_slots();
    let used = slots.iter().filter(|slot| slot.id != 0);
    let values: Vec<Owned> = {
        let mut table = TABLE.0.lock();
        used.filter_map(|slot| table.take(slot.id)).collect()
    };
    drop_all(values.into_iter(), |value| {
        let _told = panics::catch(false, || drop(value));
    });
}
