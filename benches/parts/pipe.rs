//! The kernel's pipe between this process and a forked one: what queues are compared with.
#![expect(unsafe_code, reason = "fork")]

use super::pinned;
use super::traffic::Traffic;
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};

/// A forked child, a pipe to it and a pipe back; each number is a write and a read of eight bytes.
pub(crate) struct Pipes {
    /// Closed first when it is dropped, which ends the child.
    numbers: Option<PipeWriter>,
    answers: PipeReader,
    child: Pid,
}

fn get(from: &mut PipeReader) -> Option<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

fn put(to: &mut PipeWriter, number: u64) -> Option<()> {
    to.write_all(&number.to_ne_bytes()).ok()
}

/// Runs in the forked child until an end is closed: system calls and nothing else.
fn serve(mut coming: PipeReader, mut back: PipeWriter) -> Option<()> {
    loop {
        let (messages, each) = (get(&mut coming)?, get(&mut coming)?);
        let mut sum = 0;
        for _ in 0..messages {
            let number = get(&mut coming)?;
            sum += number;
            if each == 1 {
                put(&mut back, number)?;
            }
        }
        put(&mut back, sum)?;
    }
}

impl Pipes {
    pub(crate) fn new() -> Pipes {
        let (coming, numbers) = pipe().expect("a pipe");
        let (answers, back) = pipe().expect("a pipe");
        // SAFETY: the child makes system calls, allocates nothing, and leaves at their end.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Child => {
                drop((numbers, answers));
                pinned::on(1, || serve(coming, back));
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a bare child has no other way to leave"
                )]
                // SAFETY: `_exit` has no preconditions and does not return.
                unsafe {
                    libc::_exit(0)
                }
            }
            ForkResult::Parent { child } => Pipes {
                numbers: Some(numbers),
                answers,
                child,
            },
        }
    }

    fn run(&mut self, messages: u64, each: bool) -> Option<u64> {
        let numbers = self.numbers.as_mut()?;
        put(numbers, messages)?;
        put(numbers, u64::from(each))?;
        for number in 0..messages {
            put(numbers, number)?;
            if each {
                assert_eq!(get(&mut self.answers), Some(number));
            }
        }
        get(&mut self.answers)
    }
}

impl Traffic for Pipes {
    fn one_way(&mut self, messages: u64) -> u64 {
        self.run(messages, false).expect("the child lives")
    }

    fn round_trips(&mut self, messages: u64) -> u64 {
        self.run(messages, true).expect("the child lives")
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        drop(self.numbers.take());
        let end = waitpid(self.child, None).expect("waitpid");
        assert_eq!(end, WaitStatus::Exited(self.child, 0));
    }
}
