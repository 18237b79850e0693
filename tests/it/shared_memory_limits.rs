//! Segments of memory where there is no room, no right, or no page: what is an error, and that nothing is left.

use crate::kit::{kind, start};
use crate::runner::{Case, case, skip};
use crate::shared_memory::{alone, byte_at, labels_of, names, own_name, path};
use multiproc::ErrorKind;
use multiproc::shared_memory::SharedMemory;
use nix::mount::{MsFlags, mount};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::sys::statvfs::statvfs;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("shared_memory_limits::sizes_that_none_can_have", bad_sizes),
        case("shared_memory_limits::cut_by_somebody", cut_by_somebody),
        case("shared_memory_limits::for_this_user_alone", this_user_alone),
        case("shared_memory_limits::file_size_limit", file_size_limit),
        case("shared_memory_limits::full", full),
        case("shared_memory_limits::threads", threads),
        case("shared_memory_limits::first_use", first_use).cold(),
    ]
}

fn bad_sizes() {
    let before = names();
    let name = own_name("sizes");
    assert_eq!(
        kind(SharedMemory::create_named(&name, 0)),
        ErrorKind::InvalidInput
    );
    assert_eq!(kind(SharedMemory::create(0)), ErrorKind::InvalidInput);
    let shm = statvfs("/dev/shm").unwrap();
    let all = usize::try_from(shm.blocks() * shm.fragment_size()).unwrap();
    for size in [all * 2, usize::MAX / 2, usize::MAX] {
        let error = SharedMemory::create_named(&name, size).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    }
    assert_eq!(names(), before);
}

/// Touching what was cut off is the end of that process, by SIGBUS, and nothing else.
fn cut_by_somebody() {
    let memory = SharedMemory::create(3 << 12).unwrap();
    memory.write(0, &[1; 3 << 12]).unwrap();
    let child = |memory: SharedMemory| {
        let file = OpenOptions::new()
            .write(true)
            .open(path(memory.name()))
            .unwrap();
        file.set_len(1 << 12).unwrap();
        assert_eq!(byte_at(&memory, 4095), 1);
        byte_at(&memory, 4096);
    };
    let child = start(child, (SharedMemory::open(memory.name()).unwrap(),));
    assert_eq!(child.join().unwrap(), -nix::libc::SIGBUS);
    assert_eq!(byte_at(&memory, 4095), 1);
    // Who comes now sees what is there.
    assert_eq!(SharedMemory::open(memory.name()).unwrap().size(), 1 << 12);
}

fn this_user_alone() {
    for mask in [0, 0o777] {
        let before = umask(Mode::from_bits_truncate(mask));
        let memory = SharedMemory::create(8).unwrap();
        umask(before);
        let mode = |name: &str| fs::metadata(path(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode(memory.name()), 0o600);
        assert_eq!(mode(&labels_of(std::process::id())[0]), 0o600);
        // Its owner may open it to others.
        fs::set_permissions(path(memory.name()), Permissions::from_mode(0o666)).unwrap();
        drop(memory);
    }
}

/// Beyond the limit the kernel would send a signal.
fn file_size_limit() {
    alone();
    let child = || {
        setrlimit(Resource::RLIMIT_FSIZE, 1 << 16, 1 << 20).unwrap();
        let before = names();
        assert_eq!(
            kind(SharedMemory::create((1 << 16) + 1)),
            ErrorKind::NoSpace
        );
        assert_eq!(names(), before);
        assert_eq!(SharedMemory::create(1 << 16).unwrap().size(), 1 << 16);
    };
    assert_eq!(start(child, ()).join().unwrap(), 0);
}

fn full() {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can change the size of /dev/shm");
    }
    alone();
    let none: Option<&str> = None;
    mount(none, "/dev/shm", none, MsFlags::MS_REMOUNT, Some("size=1m")).unwrap();
    assert_eq!(
        kind(SharedMemory::create((1 << 20) + 1)),
        ErrorKind::NoSpace
    );
    // Nor with some of it taken, nor when nothing is left but no label.
    let most = SharedMemory::create(900 << 10).unwrap();
    assert_eq!(kind(SharedMemory::create(200 << 10)), ErrorKind::NoSpace);
    let name = own_name("full");
    let free = usize::try_from(statvfs("/dev/shm").unwrap().blocks_free()).unwrap() * 4096;
    assert_eq!(
        kind(SharedMemory::create_named(&name, free)),
        ErrorKind::NoSpace
    );
    assert_eq!(names().len(), 2, "{:?}", names());
    let rest = SharedMemory::create(free - 4096).unwrap();
    // All of it can be written to.
    rest.write(0, &vec![1; rest.size()]).unwrap();
    most.write(0, &vec![1; most.size()]).unwrap();
    assert_eq!(kind(SharedMemory::create(1)), ErrorKind::NoSpace);
    drop((most, rest));
    assert_eq!(names().len(), 0);
}

fn threads() {
    let before = names();
    let make = || {
        for _ in 0..50 {
            let memory = SharedMemory::create(64).unwrap();
            assert_eq!(byte_at(&SharedMemory::open(memory.name()).unwrap(), 63), 0);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(make);
        }
    });
    assert_eq!(names(), before);
}

/// Nothing else of the crate was used before: the fork server, who is the keeper, comes with it.
fn first_use() {
    assert!(crate::kit::find_fork_server().is_none());
    let name = own_name("first");
    let memory = SharedMemory::create_named(&name, 8).unwrap();
    assert!(crate::kit::find_fork_server().is_some());
    let twice = SharedMemory::create(8).unwrap();
    drop((memory, twice));
    assert!(!path(&name).exists());
}
