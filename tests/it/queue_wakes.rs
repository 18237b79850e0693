//! Who sleeps at a queue and is killed blocks nobody, and the wake-up that it took with it goes to the next.

use crate::runner::{Case, case};
use crate::sync_wakes::{Kind, killed, stopped, woken};
use multiproc::Queue;
use serde::{Deserialize, Serialize};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_wakes::getter_killed", killed::<Queue<u8>>),
        case("queue_wakes::putter_killed", killed::<Room>),
        case(
            "queue_wakes::getter_stopped_and_killed",
            stopped::<Queue<u8>>,
        ),
        case("queue_wakes::putter_stopped_and_killed", stopped::<Room>),
        case("queue_wakes::getter_killed_when_woken", woken::<Queue<u8>>),
        case("queue_wakes::putter_killed_when_woken", woken::<Room>),
    ]
}

/// What is waited for is a message.
impl Kind for Queue<u8> {
    fn make() -> Self {
        Self::new().unwrap()
    }

    fn give_after(&self, meanwhile: impl FnOnce()) {
        meanwhile();
        self.put(1).unwrap();
    }

    fn wait(&self, got: impl FnOnce()) {
        self.get().unwrap();
        got();
    }

    fn give_again(&self) {
        self.put(1).unwrap();
    }

    fn take_back(&self) {
        drop(self.try_get());
    }

    fn check(&self) {
        assert!(self.is_empty());
    }
}

/// What is waited for is room in a queue for one message.
#[derive(Clone, Serialize, Deserialize)]
struct Room(Queue<u8>);

impl Kind for Room {
    fn make() -> Self {
        let queue = Queue::with_maxsize(1).unwrap();
        queue.put(1).unwrap();
        Self(queue)
    }

    fn give_after(&self, meanwhile: impl FnOnce()) {
        meanwhile();
        self.0.get().unwrap();
    }

    fn wait(&self, got: impl FnOnce()) {
        self.0.put(1).unwrap();
        got();
    }

    fn give_again(&self) {
        self.0.get().unwrap();
    }

    fn take_back(&self) {
        drop(self.0.try_put(1));
    }

    fn check(&self) {
        assert!(self.0.is_full());
    }
}
