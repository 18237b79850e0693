//! Tasks of a pool of threads that fork: the child is the task's, and does nothing else of the pool's. And values that die twice.

use crate::kit::fork_behind_our_back;
use crate::runner::{Case, case};
use multiproc::{ErrorKind, ThreadPool};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid};
use std::panic::{panic_any, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_pool_forks::by_apply", by_apply),
        case("thread_pool_forks::by_map", by_map),
        case("thread_pool_forks::by_imap", by_imap),
        case("thread_pool_forks::payload_that_panics_twice", bombs),
    ]
}

/// Both sides return.
fn forks() -> Option<Pid> {
    #[expect(unsafe_code, reason = "a fork in which both sides go on")]
    // SAFETY: the child returns from its task, and only counts on its way.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => Some(child),
        ForkResult::Child => None,
    }
}

/// It has ended by itself, as a thread's function that returns in a child ends it.
#[track_caller]
fn ended(child: Pid) {
    assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
}

/// Says which process runs it.
fn who(_: u32) -> Pid {
    getpid()
}

fn by_apply() {
    let pool = ThreadPool::new(1).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let task = move || {
        wait.recv().unwrap();
        forks()
    };
    let child = pool.apply_async(task, ()).unwrap();
    let path = std::env::temp_dir().join("ran");
    let others = (0..3).map(|_| {
        let path = path.clone();
        let task = move || {
            use std::io::Write as _;
            let file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            writeln!(file.unwrap(), "{}", getpid()).unwrap();
        };
        pool.apply_async(task, ()).unwrap()
    });
    let others: Vec<_> = others.collect();
    go.send(()).unwrap();
    ended(child.get().unwrap().expect("this is the parent"));
    others.into_iter().for_each(|other| other.get().unwrap());
    let ran = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ran, format!("{}\n", getpid()).repeat(3));
}

fn by_map() {
    let pool = ThreadPool::new(1).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let here = Arc::clone(&calls);
    let task = move |n: u32| match n {
        0 => forks(),
        _ => {
            here.fetch_add(1, SeqCst);
            Some(getpid())
        }
    };
    let pids = pool.map_chunked(task, 0..5, 1).unwrap();
    ended(pids[0].expect("this is the parent"));
    assert_eq!(pids[1..], [Some(getpid()); 4]);
    assert_eq!(calls.load(SeqCst), 4);
}

fn by_imap() {
    let pool = ThreadPool::new(1).unwrap();
    let items = (0..4_u32).map(|n| (n, (n == 1).then(forks).flatten()));
    let results = pool.imap(|(n, child)| (who(n), child), items).unwrap();
    let results: Vec<_> = results.map(Result::unwrap).collect();
    let children: Vec<Pid> = results.iter().filter_map(|(_, child)| *child).collect();
    assert_eq!(children.len(), 1);
    ended(children[0]);
    assert!(results.iter().all(|(pid, _)| *pid == getpid()));
    // A pool is not a child's.
    let child = fork_behind_our_back(|| {
        let refused = pool.apply(who, (1,)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misuse);
    });
    ended(child);
}

/// Panics when it is dropped, with one like it.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            resume_unwind(Box::new(Bomb(self.0 - 1)));
        }
    }
}

fn bombs() {
    let pool = ThreadPool::new(1).unwrap();
    let error = pool.apply(|| panic_any(Bomb(3)), ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    drop(pool.apply_async(|| Bomb(3), ()).unwrap());
    assert_eq!(pool.apply(|| 5, ()).unwrap(), 5);
}
