//! Panics as data: the message, the file and the line.

use crate::error::RemoteError;
use crate::shm::arena::Arena;
use crate::shm::blocks::{Block, Owner};
use crate::shm::member::{self, Member};
use crate::shm::message;
use crate::sys::atomic::{AcqRel, Release};
use crate::wire;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic said, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) place: Option<(String, u32)>,
}

impl Panic {
    /// The same as an error of the process that it happened in.
    pub(crate) fn into_remote(
        self,
        process: String,
        pid: u32,
        exitcode: Option<i32>,
    ) -> RemoteError {
        RemoteError {
            process,
            pid,
            message: self.message,
            place: self.place,
            exitcode,
        }
    }

    /// Leaves the panic in this member's slot, for its parent.
    pub(super) fn record(&self) {
        let Some(own) = member::known() else { return };
        let slot = Arena::existing().and_then(|arena| own.slot(arena));
        let stored = wire::encode(self).and_then(|(bytes, cargo)| {
            message::store(bytes.as_slice(), cargo, Owner::member(own.slot))
        });
        if let (Some(slot), Ok(block)) = (slot, stored) {
            slot.outcome.store(block.0 + 1, Release);
        }
    }

    /// Takes what a member that has ended left.
    pub(super) fn recorded_by(member: Member) -> Option<Self> {
        let slot = member.slot(Arena::existing()?)?;
        let block = slot.outcome.swap(0, AcqRel).checked_sub(1)?;
        let message = message::take(Block(block)).ok()?;
        wire::decode(&message.bytes).ok()
    }
}

thread_local! {
    /// Where the last panic of this thread happened.
    static PLACE: RefCell<Option<(String, u32)>> = const { RefCell::new(None) };
    /// A panic of this thread is caught and travels: it need not be printed.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// In a child: notes where panics happen, and says which process it was before the usual message is printed.
pub(super) fn install(name: String) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info
            .location()
            .map(|place| (place.file().to_owned(), place.line()));
        PLACE.set(place.clone());
        if CAUGHT.get() {
            return;
        }
        say_which(&name);
        usual(info);
        if cfg!(panic = "abort") {
            Panic {
                message: text(info.payload()),
                place,
            }
            .record();
        }
    }));
}

#[expect(
    clippy::print_stderr,
    reason = "the message of a panic, as the runtime prints it"
)]
fn say_which(name: &str) {
    eprint!("process {name} (pid {}): ", std::process::id());
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic with a payload that is not text".to_owned())
}

/// Runs `body`; a panic becomes a value. `quiet`: it travels to somebody who will tell, so nothing is printed.
pub(crate) fn catch<R>(quiet: bool, body: impl FnOnce() -> R) -> Result<R, Panic> {
    let outer = CAUGHT.replace(quiet && cfg!(panic = "unwind"));
    // The place of an earlier panic, as of a payload's destructor, is not that of one without a place.
    PLACE.take();
    let result = catch_unwind(AssertUnwindSafe(body));
    CAUGHT.set(outer);
    result.map_err(|payload| {
        let panic = Panic {
            message: text(payload.as_ref()),
            place: PLACE.take(),
        };
        // A payload whose destructor panics must not end us here.
        let _dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        panic
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value() {
        assert_eq!(catch(false, || 5).expect("no panic"), 5);
        let panic = catch(false, || panic!("number {}", 7)).expect_err("a panic");
        assert_eq!(panic.message, "number 7");
        let panic = catch(false, || std::panic::panic_any(7)).expect_err("a panic");
        assert!(panic.message.contains("not text"));
    }
}
