//! Owners that are not the program nor its plain child: a detached one, the fork server itself, a listener's process; and threads.

#![expect(clippy::print_stdout, reason = "programs tell who they have started")]

use crate::kit::{fork_server, kill_and_wait};
use crate::labels::{Family, until_only, wait_for_word};
use crate::named_pipe::Folder;
use crate::runner::{Case, Gate, case, program, wait_for_exit};
use crate::shared_memory::{byte_at, labels_of, names, own_name};
use multiproc::shared_memory::SharedMemory;
use multiproc::{Listener, NamedPipe, Process, Queue, set_forkserver_preload};
use std::mem::ManuallyDrop;
use std::path::PathBuf;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        program("labels_kept_program::detaches", detaches),
        program("labels_kept_program::preloads", preloads),
        program("labels_kept_program::listens", listens),
        case("labels_kept::detached_owner_is_killed", detached_killed).cold(),
        case("labels_kept::fork_server_owns", server_owns).cold(),
        case("labels_kept::listener_is_killed", listener_killed).cold(),
        case("labels_kept::asked_by_threads", threads),
    ]
}

fn own_and_wait(said: Queue<String>) {
    let memory = SharedMemory::create(8).unwrap();
    said.put(memory.name().to_owned()).unwrap();
    Gate::new().wait();
}

fn detaches() {
    let said = Queue::new().unwrap();
    let builder = Process::builder(own_and_wait, (said.clone(),));
    let child = builder.detach().start().unwrap();
    let _name = said.get().unwrap();
    println!("{} {}", fork_server(), child.pid().unwrap());
    wait_for_word();
}

/// The program ends, the child lives on, and with it the fork server: somebody must survive it.
fn detached_killed() {
    let folder = Folder::new();
    let before = names();
    let mut family = Family::start("labels_kept_program::detaches", &folder);
    let label = labels_of(family.child.as_raw().cast_unsigned());
    assert_eq!(label.len(), 1);
    drop(family.root.stdin.take());
    assert!(family.root.wait().unwrap().success());
    assert_eq!(labels_of(family.child.as_raw().cast_unsigned()), label);
    kill_and_wait(family.child);
    until_only(&before);
    wait_for_exit(family.server);
}

const PRELOADED: &str = "labels-kept-preloaded";

fn make_for_all() {
    let memory = ManuallyDrop::new(SharedMemory::create_named(PRELOADED, 8).unwrap());
    memory.write(0, &[7]).unwrap();
}

fn preloads() {
    set_forkserver_preload(make_for_all).unwrap();
    let child = || {
        let memory = SharedMemory::open(PRELOADED).unwrap();
        assert_eq!(byte_at(&memory, 0), 7);
    };
    assert_eq!(crate::kit::start(child, ()).join().unwrap(), 0);
    println!("{} 0", fork_server());
}

/// It makes something in its preload function, and leaves nothing at its end.
fn server_owns() {
    let folder = Folder::new();
    let before = names();
    let mut family = Family::start("labels_kept_program::preloads", &folder);
    assert!(family.root.wait().unwrap().success());
    family.is_over();
    assert_eq!(names(), before);
}

fn listens() {
    let folder = PathBuf::from(std::env::var_os("PIPES").unwrap());
    let _listener = Listener::bind(folder.join("socket").as_path()).unwrap();
    println!("{} 0", fork_server());
    wait_for_word();
}

fn listener_killed() {
    let folder = Folder::new();
    let before = names();
    let mut family = Family::start("labels_kept_program::listens", &folder);
    assert_eq!(folder.files(), ["socket"]);
    family.kill_root();
    family.is_over();
    assert_eq!((names(), folder.files()), (before, vec![]));
}

/// Whoever asks gets the same answer at the same time.
fn threads() {
    let folder = Folder::new();
    let memory = SharedMemory::create_named(&own_name("threads"), 8).unwrap();
    let pipe = NamedPipe::create(folder.path("pipe")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    assert!(memory.is_owner() && pipe.is_owner());
                }
            });
        }
    });
    let removed = std::thread::scope(|scope| {
        let all = [0; 4].map(|_| scope.spawn(|| memory.unlink().is_ok()));
        all.map(|thread| thread.join().unwrap())
    });
    assert_eq!(
        removed.iter().filter(|removed| **removed).count(),
        1,
        "once"
    );
}
