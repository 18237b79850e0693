//! Queues and signals: waits that are struck again and again, and a handler that says that there is something to do.

use crate::queue_ends::pair;
use crate::runner::{Case, case, scaled};
use crate::struck::{ends_by, lasts, while_struck};
use multiproc::{Event, JoinableQueue, Queue, SimpleQueue, TryGetError, TryPutError};
use nix::sys::signal::{SigHandler, Signal, raise, signal};
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_signals::timed_waits", timed_waits),
        case("queue_signals::patient_waits", patient_waits),
        case("queue_signals::while_messages_pass", while_messages_pass),
        case("queue_signals::a_handler_sets_an_event", handler_sets_event)
            .keeps_arena("the handler's event is a static"),
    ]
}

/// Signals come more often than the time is long.
fn timed_waits() {
    let time = Duration::from_millis(70);
    let (queue, lends) = (
        Queue::with_maxsize(1).unwrap(),
        JoinableQueue::new().unwrap(),
    );
    let full = Queue::with_maxsize(1).unwrap();
    full.put(vec![1; 5000]).unwrap();
    lends.put(1).unwrap();
    let _item = lends.get().unwrap();
    let (_sender, receiver) = pair::<u8>();
    while_struck(|| {
        lasts(|| matches!(queue.get_timeout(time), Err(TryGetError::Empty)));
        lasts(|| matches!(queue.get_many_timeout(5, time), Err(TryGetError::Empty)));
        lasts(|| matches!(queue.get_loan_timeout(time), Err(TryGetError::Empty)));
        lasts(|| matches!(full.put_timeout(vec![2], time), Err(TryPutError::Full(_))));
        lasts(|| {
            matches!(
                full.put_bytes_timeout(&[2], time),
                Err(TryPutError::Full(()))
            )
        });
        let many = || full.put_many_timeout([vec![2], vec![3]], time);
        lasts(|| matches!(many(), Err(TryPutError::Full(_))));
        lasts(|| matches!(receiver.recv_timeout(time), Err(TryGetError::Empty)));
        lasts(|| matches!(lends.get_timeout(time), Err(TryGetError::Empty)));
        lasts(|| !lends.join_timeout(time).unwrap());
    });
}

/// Only what it waits for ends a wait without a time.
fn patient_waits() {
    let queue = Queue::with_maxsize(1).unwrap();
    let gets = || assert_eq!(queue.get().unwrap(), 1);
    ends_by(gets, || queue.put(1).unwrap());
    let many = || assert_eq!(queue.get_many(9).unwrap().len(), 1);
    ends_by(many, || queue.put(1).unwrap());
    let iterates = || assert_eq!(queue.iter().next().unwrap().unwrap(), 1);
    ends_by(iterates, || queue.put(1).unwrap());
    queue.put(1).unwrap();
    ends_by(
        || queue.put(2).unwrap(),
        || drop(queue.get_many(1).unwrap()),
    );
    let many = || queue.put_many([3, 4]).unwrap();
    ends_by(many, || {
        (0..2).for_each(|_| assert!(queue.get().unwrap() > 1));
    });
    let (sender, receiver) = pair::<u8>();
    ends_by(|| assert!(receiver.recv().is_err()), || drop(sender));
    let simple = SimpleQueue::<u8>::new().unwrap();
    ends_by(|| assert!(simple.get().is_err()), || simple.close());
    let lends = JoinableQueue::new().unwrap();
    lends.put(1).unwrap();
    let item = lends.get().unwrap();
    ends_by(|| lends.join().unwrap(), || assert_eq!(item.task_done(), 1));
}

/// Neither lost nor twice, whatever a signal comes in between of.
fn while_messages_pass() {
    let count = scaled(20_000);
    let (there, back) = (
        Queue::with_maxsize(10).unwrap(),
        Queue::with_maxsize(10).unwrap(),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in &there {
                let number: u32 = number.unwrap();
                back.put((number, vec![number; number as usize % 50]))
                    .unwrap();
            }
        });
        while_struck(|| {
            let (mut put, mut got) = (0, 0);
            while got < count {
                if put < count && there.try_put(put).is_ok() {
                    put += 1;
                    continue;
                }
                let (number, many) = back.get().unwrap();
                assert_eq!((number, many), (got, vec![got; got as usize % 50]));
                got += 1;
            }
        });
        there.close();
    });
    assert!(back.is_empty());
}

static TOLD: OnceLock<Event> = OnceLock::new();

extern "C" fn tells(_signal: i32) {
    if let Some(event) = TOLD.get() {
        event.set().ok();
    }
}

/// What a handler must not do itself it leaves to others: it sets an event, and who waits for that puts.
fn handler_sets_event() {
    let event = TOLD.get_or_init(|| Event::new().unwrap());
    #[expect(unsafe_code, reason = "a handler is the test")]
    // SAFETY: the handler sets an event, which is a store and a system call.
    unsafe { signal(Signal::SIGUSR1, SigHandler::Handler(tells)) }.unwrap();
    let queue = Queue::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..100 {
                event.wait().unwrap();
                event.clear().unwrap();
                queue.put(number).unwrap();
            }
        });
        for number in 0..100 {
            raise(Signal::SIGUSR1).unwrap();
            assert_eq!(queue.get().unwrap(), number);
        }
    });
}
