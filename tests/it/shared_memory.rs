//! Segments of memory by name: every verb, who owns what, bad input, and memory that is full.

use crate::kit::{fork_behind_our_back, kind, start};
use crate::runner::{Case, case, has_private_shm, skip, wait_for_exit};
use multiproc::shared_memory::SharedMemory;
use multiproc::{ErrorKind, Process, Queue, StartMethod};
use nix::sys::stat::Mode;
use std::collections::BTreeSet;
use std::fs::{self};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("shared_memory::every_verb", every_verb),
        case("shared_memory::names_are_random", random_names),
        case("shared_memory::taken_and_absent", taken_and_absent),
        case("shared_memory::names_that_none_can_have", bad_names),
        case("shared_memory::beside_the_end", beside_the_end),
        case("shared_memory::atomics", atomics),
        case("shared_memory::closed", closed),
        case("shared_memory::no_segments", no_segments),
        case("shared_memory::across_processes", across_processes),
        case("shared_memory::in_a_message", in_a_message),
        case("shared_memory::name_is_gone", name_is_gone),
        case("shared_memory::removed_by_another", removed_by_another),
        case("shared_memory::persists", persists),
        case("shared_memory::forked_copies", forked_copies),
    ]
}

/// Everything that has a name in `/dev/shm` now. Where other tests have theirs too, nobody can tell.
pub(crate) fn names() -> BTreeSet<String> {
    alone();
    let entries = fs::read_dir("/dev/shm").unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect()
}

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new("/dev/shm").join(name)
}

/// A name that no other test has.
pub(crate) fn own_name(what: &str) -> String {
    format!("test-{}-{what}", std::process::id())
}

/// Ends the test as skipped where it has no `/dev/shm` of its own, that nobody else sweeps.
pub(crate) fn alone() {
    if !has_private_shm() {
        skip("needs a /dev/shm of its own, which takes root or namespaces of users");
    }
}

/// The labels of a process.
pub(crate) fn labels_of(pid: u32) -> Vec<String> {
    let mut names: Vec<String> = names().into_iter().collect();
    let is_label = |name: &String| {
        let words: Vec<&str> = name.split('-').collect();
        words.len() == 5 && words[0] == "multiproc" && words[2] == pid.to_string()
    };
    names.retain(is_label);
    names
}

/// The byte at an offset.
pub(crate) fn byte_at(memory: &SharedMemory, offset: usize) -> u8 {
    let mut byte = [0];
    memory.read(offset, &mut byte).unwrap();
    byte[0]
}

fn every_verb() {
    let name = own_name("verbs");
    let mut memory = SharedMemory::create_named(&name, 512).unwrap();
    assert_eq!((memory.name(), memory.size()), (name.as_str(), 512));
    assert!(memory.is_owner());
    assert_eq!(fs::metadata(path(&name)).unwrap().len(), 512);
    assert_eq!(labels_of(std::process::id()).len(), 1);
    let mut all = [1; 512];
    memory.read(0, &mut all).unwrap();
    assert_eq!(all, [0; 512]);
    memory.write(0, b"hello").unwrap();
    let other = SharedMemory::open(&name).unwrap();
    assert!(!other.is_owner() && other.size() == 512);
    assert_eq!(byte_at(&other, 4), b'o');
    other.write(100, &[7; 50]).unwrap();
    assert_eq!((byte_at(&memory, 99), byte_at(&memory, 149)), (0, 7));
    assert!(format!("{memory:?} {other:?}").contains("is_owner: false"));
    // The owner's handle closes; the name stays.
    memory.close();
    memory.close();
    assert!(path(&name).exists());
    drop(other);
    assert!(path(&name).exists(), "who attaches does not own");
    assert_eq!(byte_at(&SharedMemory::open(&name).unwrap(), 149), 7);
    drop(memory);
    assert!(!path(&name).exists());
    assert_eq!(labels_of(std::process::id()), [""; 0]);
}

fn random_names() {
    let many: Vec<SharedMemory> = (0..50).map(|_| SharedMemory::create(1).unwrap()).collect();
    let names: BTreeSet<&str> = many.iter().map(SharedMemory::name).collect();
    assert_eq!(names.len(), 50);
    for name in names {
        let digits = name.strip_prefix("psm_").unwrap();
        assert!(digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    }
    assert_eq!(labels_of(std::process::id()).len(), 50);
}

fn taken_and_absent() {
    let name = own_name("taken");
    let before = names();
    let memory = SharedMemory::create_named(&name, 8).unwrap();
    assert_eq!(
        kind(SharedMemory::create_named(&name, 8)),
        ErrorKind::AlreadyExists
    );
    memory.unlink().unwrap();
    assert_eq!(kind(memory.unlink()), ErrorKind::NotFound);
    assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::NotFound);
    // Whoever has it open keeps it, and the name is free.
    memory.write(0, &[5]).unwrap();
    let next = SharedMemory::create_named(&name, 16).unwrap();
    assert_eq!((byte_at(&memory, 0), byte_at(&next, 0)), (5, 0));
    // The name is another's by now.
    assert_eq!(kind(memory.unlink()), ErrorKind::NotFound);
    drop(memory);
    assert!(path(&name).exists());
    drop(next);
    assert_eq!(names(), before);
}

fn bad_names() {
    let before = names();
    let long = "x".repeat(255);
    for name in [
        "", ".", "..", "a/b", "/a", "a/", "../a", "a\0b", "\0", &long,
    ] {
        let text = format!("{name:?}");
        assert_eq!(
            kind(SharedMemory::create_named(name, 8)),
            ErrorKind::InvalidInput,
            "{text}"
        );
        assert_eq!(
            kind(SharedMemory::open(name)),
            ErrorKind::InvalidInput,
            "{text}"
        );
    }
    assert_eq!(names(), before);
    let pid = std::process::id().to_string();
    for name in [
        format!("{pid}{}", "x".repeat(254 - pid.len())),
        format!("{pid} ü\n\u{1}"),
    ] {
        let memory = SharedMemory::create_named(&name, 8).unwrap();
        assert_eq!(SharedMemory::open(&name).unwrap().name(), name);
        drop(memory);
    }
    assert_eq!(names(), before);
}

fn beside_the_end() {
    for size in [1, 7, 100, 4096, 5000] {
        let memory = SharedMemory::create(size).unwrap();
        let mut two = [0; 2];
        for offset in [size - 1, size, size + 1, usize::MAX, usize::MAX - 1] {
            assert_eq!(kind(memory.read(offset, &mut two)), ErrorKind::InvalidInput);
            assert_eq!(kind(memory.write(offset, &[1, 1])), ErrorKind::InvalidInput);
        }
        assert_eq!(byte_at(&memory, size - 1), 0, "nothing was written");
        memory.write(size, &[]).unwrap();
        memory.read(size, &mut []).unwrap();
        memory.write(size - 1, &[9]).unwrap();
        let other = SharedMemory::open(memory.name()).unwrap();
        assert_eq!((other.size(), byte_at(&other, size - 1)), (size, 9));
    }
}

fn atomics() {
    let memory = SharedMemory::create(20).unwrap();
    let other = SharedMemory::open(memory.name()).unwrap();
    memory
        .atomic_u64(8)
        .unwrap()
        .store(0x0102_0304_0506_0708, SeqCst);
    let mut bytes = [0; 8];
    other.read(8, &mut bytes).unwrap();
    assert_eq!(u64::from_ne_bytes(bytes), 0x0102_0304_0506_0708);
    other.atomic_u8(19).unwrap().fetch_add(3, SeqCst);
    assert_eq!(memory.atomic_u8(19).unwrap().load(SeqCst), 3);
    memory.atomic_u16(18).unwrap().store(0, SeqCst);
    assert_eq!(other.atomic_u32(16).unwrap().load(SeqCst), 0);
    for (offset, fits) in [
        (0, true),
        (8, true),
        (4, false),
        (16, false),
        (24, false),
        (usize::MAX, false),
    ] {
        assert_eq!(memory.atomic_u64(offset).is_ok(), fits, "{offset}");
    }
    assert_eq!(kind(memory.atomic_u32(2)), ErrorKind::InvalidInput);
    assert_eq!(kind(memory.atomic_u16(19)), ErrorKind::InvalidInput);
    assert_eq!(kind(memory.atomic_u8(20)), ErrorKind::InvalidInput);
}

fn closed() {
    let mut memory = SharedMemory::create(8).unwrap();
    memory.close();
    assert_eq!(kind(memory.read(0, &mut [0])), ErrorKind::Closed);
    assert_eq!(kind(memory.write(0, &[0])), ErrorKind::Closed);
    assert_eq!(kind(memory.atomic_u8(0)), ErrorKind::Closed);
    memory.unlink().unwrap();
    assert_eq!(kind(memory.unlink()), ErrorKind::NotFound);
}

fn no_segments() {
    let name = own_name("none");
    let there = path(&name);
    fs::write(&there, []).unwrap();
    assert_eq!(
        kind(SharedMemory::open(&name)),
        ErrorKind::InvalidInput,
        "empty"
    );
    fs::remove_file(&there).unwrap();
    nix::unistd::mkfifo(&there, Mode::S_IRWXU).unwrap();
    assert_eq!(
        kind(SharedMemory::open(&name)),
        ErrorKind::InvalidInput,
        "a pipe"
    );
    assert_eq!(
        kind(SharedMemory::create_named(&name, 8)),
        ErrorKind::AlreadyExists
    );
    fs::remove_file(&there).unwrap();
    fs::create_dir(&there).unwrap();
    assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::Os, "a folder");
    assert_eq!(
        kind(SharedMemory::create_named(&name, 8)),
        ErrorKind::AlreadyExists
    );
    fs::remove_dir(&there).unwrap();
    let memory = SharedMemory::create(8).unwrap();
    std::os::unix::fs::symlink(memory.name(), &there).unwrap();
    assert_eq!(kind(SharedMemory::open(&name)), ErrorKind::Os, "a link");
    fs::remove_file(&there).unwrap();
}

/// Adds one to every byte, and leaves what it has added up.
fn add_one(memory: SharedMemory) {
    assert!(!memory.is_owner());
    for offset in 0..memory.size() {
        memory.atomic_u8(offset).unwrap().fetch_add(1, SeqCst);
    }
}

fn across_processes() {
    let memory = SharedMemory::create(5000).unwrap();
    for (method, times) in [
        StartMethod::ForkServer,
        StartMethod::Fork,
        StartMethod::Spawn,
    ]
    .into_iter()
    .zip(1..)
    {
        let same = SharedMemory::open(memory.name()).unwrap();
        let builder = Process::builder(add_one, (same,)).start_method(method);
        let child = builder.start().unwrap();
        assert_eq!(child.join().unwrap(), 0);
        let mut all = vec![0; 5000];
        memory.read(0, &mut all).unwrap();
        assert!(all.iter().all(|&byte| byte == times), "{method:?}");
        assert!(path(memory.name()).exists(), "{method:?}");
    }
    let by_name = |name: String| add_one(SharedMemory::open(&name).unwrap());
    let child = start(by_name, (memory.name().to_owned(),));
    assert_eq!(child.join().unwrap(), 0);
    assert_eq!(byte_at(&memory, 4999), 4);
}

/// Made by a child, which hands it over and lives on.
fn in_a_message() {
    let (there, back) = (
        Queue::<SharedMemory>::new().unwrap(),
        Queue::<u8>::new().unwrap(),
    );
    let child = |there: Queue<SharedMemory>, back: Queue<u8>| {
        let memory = SharedMemory::create(8).unwrap();
        memory.write(7, &[42]).unwrap();
        there
            .put(SharedMemory::open(memory.name()).unwrap())
            .unwrap();
        assert_eq!(back.get().unwrap(), 1);
        assert_eq!(byte_at(&memory, 0), 43);
        assert!(memory.is_owner());
    };
    let child = start(child, (there.clone(), back.clone()));
    let memory = there.get().unwrap();
    assert!(!memory.is_owner());
    assert_eq!(byte_at(&memory, 7), 42);
    memory.write(0, &[43]).unwrap();
    back.put(1).unwrap();
    assert_eq!(child.join().unwrap(), 0);
    assert!(!path(memory.name()).exists(), "its owner has ended");
    assert_eq!(byte_at(&memory, 7), 42);
}

fn name_is_gone() {
    let queue = Queue::<SharedMemory>::new().unwrap();
    let memory = SharedMemory::create(8).unwrap();
    queue
        .put(SharedMemory::open(memory.name()).unwrap())
        .unwrap();
    drop(memory);
    let error = queue.get().unwrap_err();
    assert!(error.to_string().contains("decoded"), "{error}");
    queue.put(SharedMemory::create(1).unwrap()).unwrap();
    assert!(
        queue.get().is_err(),
        "what was put was its owner, and is dropped"
    );
}

fn removed_by_another() {
    let before = names();
    let memory = SharedMemory::create(8).unwrap();
    let child = |name: String| SharedMemory::open(&name).unwrap().unlink().unwrap();
    let child = start(child, (memory.name().to_owned(),));
    assert_eq!(child.join().unwrap(), 0);
    assert!(!path(memory.name()).exists());
    // Somebody else takes the name: his stays when the owner goes.
    fs::write(path(memory.name()), b"mine").unwrap();
    assert_eq!(kind(memory.unlink()), ErrorKind::NotFound);
    let name = memory.name().to_owned();
    drop(memory);
    assert_eq!(fs::read(path(&name)).unwrap(), b"mine");
    fs::remove_file(path(&name)).unwrap();
    assert_eq!(names(), before);
}

fn persists() {
    let before = names();
    let child = |names: Queue<String>| {
        let memory = SharedMemory::create(8).unwrap();
        memory.write(0, b"stays").unwrap();
        memory.persist().unwrap();
        assert!(!memory.is_owner());
        assert_eq!(kind(memory.persist()), ErrorKind::Misuse);
        names.put(memory.name().to_owned()).unwrap();
    };
    let said = Queue::new().unwrap();
    let child = start(child, (said.clone(),));
    assert_eq!(child.join().unwrap(), 0);
    let memory = SharedMemory::open(&said.get().unwrap()).unwrap();
    assert_eq!(byte_at(&memory, 4), b's');
    assert_eq!(kind(memory.persist()), ErrorKind::Misuse);
    assert_eq!(names().len(), before.len() + 1, "no label");
    memory.unlink().unwrap();
    assert_eq!(names(), before);
}

/// A copy of the owner's handle in a forked process owns nothing, whichever way it was forked.
fn forked_copies() {
    let memory = SharedMemory::create(8).unwrap();
    let name = memory.name().to_owned();
    let child = fork_behind_our_back(|| {
        assert!(!memory.is_owner());
        assert_eq!(kind(memory.persist()), ErrorKind::Misuse);
        memory.write(0, &[1]).unwrap();
        // The destructor runs in the child.
        #[expect(unsafe_code, reason = "the child drops its copy, the parent its own")]
        // SAFETY: a bitwise copy in another process is that process's own.
        drop(unsafe { std::ptr::read(&raw const memory) });
    });
    wait_for_exit(child);
    assert!(nix::sys::wait::waitpid(child, None).is_ok());
    assert!(path(&name).exists() && byte_at(&memory, 0) == 1);
    let mut forked = Process::fork(move || memory.write(1, &[2]).unwrap());
    forked.start().unwrap();
    assert_eq!(forked.join().unwrap(), 0);
    let other = SharedMemory::open(&name);
    drop(forked);
    assert!(!path(&name).exists(), "the parent dropped the captures");
    if let Ok(other) = other {
        assert_eq!(byte_at(&other, 1), 2);
    }
}
