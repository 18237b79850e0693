//! Starting a process and waiting for its end: ours, and what the kernel gives to everybody.
#![expect(unsafe_code, reason = "fork, mmap, and writing to what was mapped")]

use multiproc::{Process, StartMethod};
use nix::libc;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::process::Command;
use std::ptr::NonNull;

const PAGE: usize = 4096;

fn nothing() {}

/// One process by this crate, from nothing to its exit code.
pub(crate) fn start_and_join() {
    let mut process = Process::new(nothing, ());
    process.start().expect("a process starts");
    assert_eq!(process.join().expect("its end is told"), 0);
}

/// One by forking this process, as Python's `fork` does.
pub(crate) fn fork_a_closure() {
    let mut process = Process::fork(nothing);
    process.start().expect("a process starts");
    assert_eq!(process.join().expect("its end is told"), 0);
}

/// One by executing this program anew.
pub(crate) fn spawn_and_join() {
    let process = Process::builder(nothing, ()).start_method(StartMethod::Spawn);
    let process = process.start().expect("a process starts");
    assert_eq!(process.join().expect("its end is told"), 0);
}

/// Another program, by std. It does nothing.
pub(crate) fn command() {
    let status = Command::new("/bin/true").status();
    assert!(status.expect("every system has it").success());
}

/// A thread.
pub(crate) fn thread_and_join() {
    std::thread::spawn(nothing).join().expect("no panic");
}

/// One process by the bare system calls.
pub(crate) fn fork_and_wait() {
    // SAFETY: the child calls nothing but `_exit`.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            #[expect(
                clippy::disallowed_methods,
                reason = "a bare child has no other way to leave"
            )]
            // SAFETY: `_exit` has no preconditions and does not return.
            unsafe {
                libc::_exit(0)
            }
        }
        ForkResult::Parent { child } => {
            let end = waitpid(child, None).expect("waitpid");
            assert_eq!(end, WaitStatus::Exited(child, 0));
        }
    }
}

/// Memory of which every small page was written once. Given back when it is dropped.
pub(crate) struct Heap {
    start: NonNull<c_void>,
    bytes: NonZeroUsize,
}

impl Heap {
    pub(crate) fn touched(bytes: usize) -> Heap {
        let bytes = NonZeroUsize::new(bytes).expect("some memory");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: an anonymous mapping at an address that the kernel chooses touches nothing that exists.
        let start = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_PRIVATE) };
        let start = start.expect("mmap");
        // SAFETY: the range was mapped above and belongs to nobody else.
        unsafe { madvise(start, bytes.get(), MmapAdvise::MADV_NOHUGEPAGE) }.expect("madvise");
        for offset in (0..bytes.get()).step_by(PAGE) {
            // SAFETY: the offset is below the length of the mapping.
            let byte = unsafe { start.cast::<u8>().add(offset) };
            // SAFETY: the byte lies in our own writable mapping.
            unsafe { byte.write_volatile(1) };
        }
        Heap { start, bytes }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: the range is the one that was mapped, and nothing points into it.
        unsafe { munmap(self.start, self.bytes.get()) }.expect("munmap");
    }
}
