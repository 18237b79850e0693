//! Who survives: threads of this program that hold, wait, and go on.

use crate::owned::{Owned, acquire_once};
use crate::row::Keep;
use multiproc::{Arguments, Callable, Lock, Process, Queue, TryAcquireError, TryGetError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Debug;
use std::fs;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Longer than any survivor may have to wait; the watchdog is not much later.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What `acquire` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    None,
    OwnerDied,
}

/// In the child: what is done once in a process, or a thread, is not done in the section.
pub(crate) fn warm(taken: &Lock) {
    let queue = Queue::new().unwrap();
    queue.put(1).unwrap();
    assert_eq!(queue.get().unwrap(), 1);
    let busy = taken.acquire_timeout(Duration::ZERO);
    assert!(matches!(busy, Err(TryAcquireError::Busy)), "{busy:?}");
}

/// Starts a process that runs a section on this object, or on these.
pub(crate) fn started<T, F>(child: F, objects: &T, keep: &Keep) -> Process
where
    T: Clone,
    (T, Lock): Arguments,
    F: Callable<(T, Lock)>,
{
    let arguments = (objects.clone(), keep.taken.clone());
    Process::builder(child, arguments).start().unwrap()
}

/// Acquires it and gives it back, twice: the news comes once.
pub(crate) fn acquires<O: Owned>(object: &O) -> News {
    let news = acquire_once(object);
    assert_eq!(acquire_once(object), News::None, "it was repaired");
    news
}

/// A thread that owns something until told.
pub(crate) struct Holder {
    release: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Holder {
    pub(crate) fn of<O: Owned>(object: &O) -> Self {
        let object = object.clone();
        let (holds, held) = channel();
        let (release, released) = channel();
        let thread = thread::spawn(move || {
            let _news_and_guard = object.acquire();
            holds.send(()).unwrap();
            let _told_or_dropped = released.recv();
        });
        held.recv().unwrap();
        Self {
            release: Some(release),
            thread: Some(thread),
        }
    }

    /// Gives it back, if it has not yet.
    pub(crate) fn release(&mut self) {
        self.release = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A thread that waits for something.
pub(crate) struct Waiter<R> {
    thread: JoinHandle<R>,
}

impl<R: Send + 'static> Waiter<R> {
    /// Starts `wait` in a thread, and comes back when it sleeps on a futex, or for a socket.
    pub(crate) fn asleep_in(wait: impl FnOnce() -> R + Send + 'static) -> Self {
        let (tell, tid) = channel();
        let thread = thread::spawn(move || {
            tell.send(nix::unistd::gettid()).unwrap();
            wait()
        });
        let tid = tid.recv().unwrap();
        let sleeps = [
            nix::libc::SYS_futex,
            nix::libc::SYS_recvfrom,
            nix::libc::SYS_poll,
        ];
        let sleeps = sleeps.map(|call| format!("{call} "));
        let state = format!("/proc/self/task/{tid}/syscall");
        // One that ends between the two looks has no such file.
        let asleep = || {
            fs::read_to_string(&state)
                .is_ok_and(|now| sleeps.iter().any(|call| now.starts_with(call)))
        };
        while !thread.is_finished() && !asleep() {
            thread::yield_now();
        }
        Self { thread }
    }

    /// Does it still wait?
    pub(crate) fn waits(&self) -> bool {
        !self.thread.is_finished()
    }

    /// What it waited for.
    pub(crate) fn result(self) -> R {
        self.thread.join().expect("the waiter goes on")
    }
}

/// Bytes that are serialised in one piece: a section that counts them one by one would be long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob(Vec<u8>);

impl Blob {
    /// A pattern of that length.
    pub(crate) fn of(length: usize) -> Self {
        Self((0..=250).cycle().take(length).collect())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| Self(bytes.to_vec()))
    }
}

/// All that is in a queue, in order.
pub(crate) fn drained<T: Serialize + DeserializeOwned + 'static>(queue: &Queue<T>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        match queue.try_get() {
            Ok(value) => all.push(value),
            Err(TryGetError::Empty | TryGetError::Closed) => return all,
            Err(error) => panic!("what is in the queue cannot be got: {error}"),
        }
    }
}

/// Values go in and come out, and nothing else.
pub(crate) fn still_works<T>(queue: &Queue<T>, values: &[T])
where
    T: Serialize + DeserializeOwned + Clone + PartialEq + Debug + 'static,
{
    for value in values {
        queue.put_timeout(value.clone(), PATIENCE).unwrap();
    }
    assert_eq!(drained(queue), values);
}
