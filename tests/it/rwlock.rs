//! Read-write locks: many readers or one writer.

use crate::kit::{Numbers, RemoteNumbers, elsewhere, start};
use crate::runner::{Case, Gate, RemoteGate, both_homes, case, scaled};
use crate::sleepers::{Bed, RemoteBed, sleeper, sleepers};
use crate::ways::{each, fine, run_by, start_by};
use multiproc::sync::{self, Home};
use multiproc::{Error, ErrorKind, RwLock, TryAcquireError, arena};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let mut cases = both_homes! {
        "rwlock::verbs" => verbs,
        "rwlock::shown" => shown,
        "rwlock::writers_go_first" => writers_first,
        "rwlock::late_writer" => late_writer,
        "rwlock::timeouts" => timeouts,
        "rwlock::many_readers_wait" => many_wait,
        "rwlock::unwinding" => unwinding,
        "rwlock::dropped_while_held" => dropped,
        "rwlock::threads_exclude" => threads,
    };
    cases.extend([
        case("rwlock::of_another_process", another_process),
        case("rwlock::processes_exclude", processes),
        case("rwlock::readers_of_many_processes", many_processes),
        case("rwlock::fork_drops_copied_guards", fork_drops),
    ]);
    cases
}

#[track_caller]
fn no_read<H: Home>(lock: &sync::RwLock<H>) {
    let tried = lock.try_read();
    assert!(matches!(tried, Err(TryAcquireError::Busy)), "{tried:?}");
    let late = lock.read_timeout(Duration::from_millis(5));
    assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
}

#[track_caller]
fn no_write<H: Home>(lock: &sync::RwLock<H>) {
    let tried = lock.try_write();
    assert!(matches!(tried, Err(TryAcquireError::Busy)), "{tried:?}");
    let late = lock.write_timeout(Duration::from_millis(5));
    assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
}

fn verbs<H: Home>() {
    let lock = sync::RwLock::<H>::new().unwrap();
    let other = lock.clone();
    assert_eq!((lock.locked(), lock.readers()), (false, 0));
    let one = lock.read().unwrap();
    let two = other.try_read().unwrap();
    let three = elsewhere(|| {
        let _other = lock.read_timeout(Duration::ZERO).unwrap();
        lock.readers()
    });
    assert_eq!((three, other.readers(), lock.locked()), (3, 2, false));
    assert!(lock.holder().is_none(), "readers are not told");
    no_write(&other);
    elsewhere(|| no_write(&lock));
    drop(one);
    no_write(&lock);
    drop(two);
    let alone = lock.write().unwrap();
    assert_eq!((other.locked(), other.readers()), (true, 0));
    no_read(&other);
    no_write(&other);
    let error: Error = elsewhere(|| lock.try_read().unwrap_err().into());
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(alone);
    drop(other.try_write().unwrap());
    drop(lock.write_timeout(Duration::MAX).unwrap());
    drop(lock.read_timeout(Duration::MAX).unwrap());
    assert_eq!((lock.locked(), lock.readers()), (false, 0));
}

fn shown<H: Home>() {
    let lock = sync::RwLock::<H>::new().unwrap();
    let reads = lock.read().unwrap();
    let text = format!("{lock:?} {reads:?}");
    assert!(
        text.contains("locked: false") && text.contains("readers: 1"),
        "{text}"
    );
    drop(reads);
    let writes = lock.write().unwrap();
    let holder = lock.holder().unwrap();
    assert_eq!(
        (holder.name(), holder.pid()),
        ("MainProcess", std::process::id())
    );
    assert_eq!(holder.tid(), nix::unistd::gettid().as_raw().cast_unsigned());
    let text = format!("{lock:?} {writes:?}");
    assert!(
        text.contains("locked: true") && text.contains("MainProcess"),
        "{text}"
    );
    drop(writes);
    assert!(lock.holder().is_none());
}

fn writers_first<H: Home>() {
    let lock = sync::RwLock::<H>::new().unwrap();
    let numbers = Numbers::new();
    std::thread::scope(|scope| {
        let reads = lock.read().unwrap();
        let writer = sleeper(scope, || {
            let _alone = lock.write().unwrap();
            numbers.set(0, 1);
        });
        no_read(&lock);
        let readers = sleepers(scope, 3, || {
            let _reads = lock.read().unwrap();
            numbers.get(0)
        });
        assert_eq!(numbers.get(0), 0);
        drop(reads);
        writer.join().unwrap();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 1, "it came after the writer");
        }
    });
    assert_eq!((lock.locked(), lock.readers()), (false, 0));
}

/// A writer that gives up keeps nobody waiting.
fn late_writer<H: Home>() {
    let lock = sync::RwLock::<H>::new().unwrap();
    std::thread::scope(|scope| {
        let reads = lock.read().unwrap();
        let writer = sleeper(scope, || {
            let late = lock.write_timeout(Duration::from_millis(200));
            assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
        });
        // It waits for longer than the writer, which has come before.
        let reader = scope.spawn(|| drop(lock.read().unwrap()));
        reader.join().unwrap();
        writer.join().unwrap();
        drop(lock.try_read().unwrap());
        assert_eq!((lock.locked(), lock.readers()), (false, 1));
        drop(reads);
        drop(lock.try_write().unwrap());
    });
}

fn timeouts<H: Home>() {
    let lock = sync::RwLock::<H>::new().unwrap();
    let times = [0, 1, 70].map(Duration::from_millis);
    let writes = lock.write().unwrap();
    elsewhere(|| {
        for time in times {
            let before = Instant::now();
            let late = lock.read_timeout(time);
            assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
            assert!(before.elapsed() >= time, "too early");
        }
    });
    drop(writes);
    let reads = lock.read().unwrap();
    elsewhere(|| {
        for time in times {
            let before = Instant::now();
            let late = lock.write_timeout(time);
            assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
            assert!(before.elapsed() >= time, "too early");
        }
    });
    assert_eq!((lock.locked(), lock.readers()), (false, 1));
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || drop(lock.write_timeout(Duration::MAX).unwrap()));
        drop(reads);
        waiter.join().unwrap();
    });
}

/// All who wait to read go on together: each stays until all are in.
fn many_wait<H: Home>() {
    let (lock, here, there) = (sync::RwLock::<H>::new().unwrap(), Gate::new(), Gate::new());
    std::thread::scope(|scope| {
        let writes = lock.write().unwrap();
        let readers = sleepers(scope, 6, || {
            let _reads = lock.read().unwrap();
            here.open(1);
            there.wait();
        });
        assert_eq!(lock.readers(), 0);
        drop(writes);
        (0..6).for_each(|_| here.wait());
        assert_eq!(lock.readers(), 6);
        no_write(&lock);
        there.open(6);
        readers.into_iter().for_each(|it| it.join().unwrap());
    });
    drop(lock.try_write().unwrap());
}

fn unwinding<H: Home>() {
    let lock = sync::RwLock::<H>::new().unwrap();
    let reads = AssertUnwindSafe(|| {
        let _reads = lock.read().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(catch_unwind(reads).is_err());
    let writes = AssertUnwindSafe(|| {
        let _writes = lock.try_write().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(catch_unwind(writes).is_err());
    drop(lock.try_write().unwrap());
}

fn dropped<H: Home>() {
    let before = arena::usage().unwrap();
    for _ in 0..50 {
        let lock = sync::RwLock::<H>::new().unwrap();
        let (reader, writer) = (lock.clone(), sync::RwLock::<H>::new().unwrap());
        let _kept = std::mem::ManuallyDrop::new((reader.read().unwrap(), writer.write().unwrap()));
        drop((lock, reader, writer));
        let next = [(); 2].map(|()| sync::RwLock::<H>::new().unwrap());
        for lock in &next {
            assert_eq!((lock.locked(), lock.readers()), (false, 0));
            drop(lock.try_write().unwrap());
        }
    }
    assert_eq!(arena::usage().unwrap(), before);
}

/// Writers change two numbers, one after the other; readers must find them equal.
fn reads_or_writes<H: Home>(lock: &sync::RwLock<H>, numbers: &Numbers, who: u32, rounds: u64) {
    for round in 0..rounds {
        if (round + u64::from(who)) % 4 == 0 {
            let _writes = lock.write().unwrap();
            numbers.add(0, 1);
            numbers.add(1, 1);
        } else {
            let _reads = lock.read().unwrap();
            assert_eq!(numbers.get(0), numbers.get(1), "a writer was inside");
        }
    }
}

fn threads<H: Home>() {
    let (lock, numbers) = (sync::RwLock::<H>::new().unwrap(), Numbers::new());
    let (rounds, them) = (4 * u64::from(scaled(3000)), (&lock, &numbers));
    std::thread::scope(|scope| {
        for who in 0..4 {
            scope.spawn(move || reads_or_writes(them.0, them.1, who, rounds));
        }
    });
    assert_eq!((numbers.get(0), numbers.get(1)), (rounds, rounds));
    assert_eq!((lock.locked(), lock.readers()), (false, 0));
}

fn processes() {
    let (lock, numbers) = (RwLock::new().unwrap(), Numbers::new());
    let rounds = 4 * u64::from(scaled(3000));
    let body = |lock: RwLock, numbers: RemoteNumbers, who: u32, rounds: u64| {
        reads_or_writes(&lock, &numbers.open(), who, rounds);
    };
    let workers =
        [0, 1, 2, 3].map(|who| start(body, (lock.clone(), numbers.remote(), who, rounds)));
    for worker in workers {
        assert_eq!(worker.join().unwrap(), 0, "{:?}", worker.panic());
    }
    assert_eq!((numbers.get(0), numbers.get(1)), (rounds, rounds));
    assert_eq!((lock.locked(), lock.readers()), (false, 0));
}

fn another_process() {
    each(|way| {
        let (lock, here, there) = (RwLock::new().unwrap(), Gate::new(), Gate::new());
        let body = |lock: RwLock, here: RemoteGate, there: RemoteGate| {
            let reads = lock.read().unwrap();
            no_write(&lock);
            crate::kit::say_and_wait(here, there);
            drop(reads);
            let _writes = lock.write().unwrap();
            crate::kit::say_and_wait(here, there);
        };
        let reads = lock.read().unwrap();
        let arguments = (lock.clone(), here.remote(), there.remote());
        let process = start_by(way, body, arguments);
        here.wait();
        assert_eq!(lock.readers(), 2);
        drop(reads);
        no_write(&lock);
        there.open(1);
        here.wait();
        no_read(&lock);
        no_write(&lock);
        let holder = lock.holder().unwrap();
        assert_eq!(
            (holder.name(), Some(holder.pid())),
            (process.name(), process.pid())
        );
        there.open(1);
        fine(&process);
        run_by(
            way,
            |lock: RwLock| drop(lock.try_write().unwrap()),
            (lock.clone(),),
        );
    });
}

/// More processes read than have a place in the object.
fn many_processes() {
    let before = arena::usage().unwrap().objects;
    let (lock, bed, there) = (RwLock::new().unwrap(), Bed::new(), Gate::new());
    let body = |lock: RwLock, bed: RemoteBed, there: RemoteGate| {
        let _one = lock.read().unwrap();
        let _two = lock.read().unwrap();
        bed.lie_down();
        there.wait();
    };
    let readers: Vec<_> = (0..30)
        .map(|_| {
            let process = start(body, (lock.clone(), bed.remote(), there.remote()));
            bed.is_slept_in();
            process
        })
        .collect();
    assert_eq!(lock.readers(), 60);
    no_write(&lock);
    let own = lock.read().unwrap();
    assert_eq!(lock.readers(), 61);
    drop(own);
    std::thread::scope(|scope| {
        let writer = sleeper(scope, || drop(lock.write().unwrap()));
        there.open(29);
        no_read(&lock);
        assert!(!writer.is_finished());
        there.open(1);
        writer.join().unwrap();
    });
    readers.iter().for_each(fine);
    assert_eq!((lock.locked(), lock.readers()), (false, 0));
    drop(lock);
    assert_eq!(arena::usage().unwrap().objects, before);
}

fn fork_drops() {
    let lock = RwLock::new().unwrap();
    let mut reads = Some(lock.read().unwrap());
    let ends_well = |body: &mut dyn FnMut()| {
        let fork = crate::kit::fork_behind_our_back(body);
        let status = nix::sys::wait::waitpid(fork, None).unwrap();
        assert_eq!(status, nix::sys::wait::WaitStatus::Exited(fork, 0));
    };
    ends_well(&mut || {
        drop(reads.take());
        assert_eq!(lock.readers(), 1);
        no_write(&lock);
    });
    assert_eq!(lock.readers(), 1);
    drop(reads);
    let mut writes = Some(lock.try_write().unwrap());
    ends_well(&mut || {
        drop(writes.take());
        assert!(lock.locked());
        no_read(&lock);
    });
    assert!(lock.locked());
    drop(writes);
    drop(lock.try_write().unwrap());
}
