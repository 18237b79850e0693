//! Processes that are stopped in the middle of a queue: the others are told so or wait, and nobody takes the stopped one for dead.

use crate::kit::{Numbers, RemoteNumbers, pid_of, start, stop_and_wait};
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::sleepers::sleeper;
use crate::ways::fine;
use multiproc::{JoinableQueue, Process, Queue, Receiver, Sender, TryGetError, TryPutError, arena};
use nix::sys::signal::{Signal, kill};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_stopped::in_a_put", in_a_put),
        case("queue_stopped::in_a_get", in_a_get),
        case("queue_stopped::with_the_last_sender", with_the_last_sender),
        case(
            "queue_stopped::with_the_last_receiver",
            with_the_last_receiver,
        ),
        case("queue_stopped::with_an_item_on_lease", with_an_item),
        case("queue_stopped::with_a_loan", with_a_loan),
    ]
}

/// Who waits looks after the dead more often than this.
const LONG: Duration = Duration::from_millis(200);

fn go_on(process: &Process) {
    kill(pid_of(process), Signal::SIGCONT).unwrap();
}

/// A value that is long to write, and its number.
fn value(number: u64) -> Vec<u64> {
    vec![number; 500]
}

/// Batches without end, until it is told to stop; says how many it has put.
fn puts(queue: Queue<Vec<u64>>, numbers: RemoteNumbers) {
    let (numbers, mut next) = (numbers.open(), 0);
    while numbers.get(0) == 0 {
        queue.put_many((next..next + 64).map(value)).unwrap();
        next += 64;
    }
    numbers.set(1, next);
}

/// What the stopped one puts comes in order, each once and whole, as it would otherwise.
struct InOrder(u64);

impl InOrder {
    fn take(&mut self, queue: &Queue<Vec<u64>>) {
        while let Ok(batch) = queue.try_get_many(1000) {
            for got in batch.map(Result::unwrap) {
                // What is not his is longer.
                if got.len() == 500 {
                    assert!(got == value(self.0), "not {}", self.0);
                    self.0 += 1;
                }
            }
        }
    }
}

/// Stopped again and again, until it was in the middle of a put a few times: then a queue without limits looks full for those who do not
/// wait, and those who wait go on when it does.
fn in_a_put() {
    let (queue, numbers) = (Queue::new().unwrap(), Numbers::new());
    let producer = start(puts, (queue.clone(), numbers.remote()));
    let (mut seen, mut in_the_middle) = (InOrder(0), 0);
    while in_the_middle < 3 {
        seen.take(&queue);
        stop_and_wait(pid_of(&producer));
        let before = Instant::now();
        match queue.try_put(vec![1; 501]) {
            Ok(()) => {}
            Err(TryPutError::Full(back)) => {
                assert_eq!(back.len(), 501);
                assert!(before.elapsed() >= Duration::from_millis(20), "too early");
                in_the_middle += 1;
                others_wait(&queue, &producer, &mut seen);
            }
            Err(other) => panic!("{other}"),
        }
        go_on(&producer);
    }
    numbers.set(0, 1);
    fine(&producer);
    seen.take(&queue);
    assert_eq!(seen.0, numbers.get(1));
}

fn others_wait(queue: &Queue<Vec<u64>>, producer: &Process, seen: &mut InOrder) {
    // Who gets does not mind.
    seen.take(queue);
    assert!(queue.is_empty() && producer.is_alive());
    let late = queue.put_timeout(vec![2; 501], LONG);
    assert!(matches!(late, Err(TryPutError::Full(_))), "{late:?}");
    std::thread::scope(|scope| {
        let waits = sleeper(scope, || queue.put(vec![3; 501]).unwrap());
        assert!(!waits.is_finished());
        go_on(producer);
        waits.join().unwrap();
    });
}

/// Gets batches without end, looks at none of them, and counts what it got: so nearly all its time it is in the middle of a get.
fn gets(queue: Queue<Vec<u8>>, numbers: RemoteNumbers) {
    let numbers = numbers.open();
    while let Ok(batch) = queue.get_many(1000) {
        numbers.add(0, batch.len() as u64);
    }
}

/// The same at the other end: a queue that has much looks empty for those who do not wait.
fn in_a_get() {
    let (queue, numbers) = (Queue::new().unwrap(), Numbers::new());
    let consumer = start(gets, (queue.clone(), numbers.remote()));
    let (mut put, mut own, mut in_the_middle) = (0, 0, 0);
    while in_the_middle < 3 {
        while queue.len() < 3000 {
            queue.put_many((0..64).map(|_| vec![7; 4000])).unwrap();
            put += 64;
        }
        stop_and_wait(pid_of(&consumer));
        match queue.try_get() {
            Ok(_) => own += 1,
            Err(TryGetError::Empty) if queue.is_empty() => {}
            Err(TryGetError::Empty) => {
                in_the_middle += 1;
                put += others_wait_to_get(&queue, &consumer);
                own += 1;
            }
            Err(other) => panic!("{other}"),
        }
        go_on(&consumer);
    }
    queue.close();
    fine(&consumer);
    assert_eq!(numbers.get(0) + own, put);
}

/// Gets one; says how many it had to put for that.
fn others_wait_to_get(queue: &Queue<Vec<u8>>, consumer: &Process) -> u64 {
    let late = queue.get_timeout(LONG);
    assert!(matches!(late, Err(TryGetError::Empty)), "{late:?}");
    assert!(consumer.is_alive() && !queue.is_empty());
    // Who puts does not mind.
    queue.try_put(vec![7; 4000]).unwrap();
    let mut put = 1;
    std::thread::scope(|scope| {
        let waits = sleeper(scope, || queue.get().unwrap());
        assert!(!waits.is_finished());
        go_on(consumer);
        // The other one may take all that there is.
        while !waits.is_finished() {
            queue.put(vec![8; 4000]).unwrap();
            put += 1;
            std::thread::yield_now();
        }
        assert_eq!(waits.join().unwrap().len(), 4000);
    });
    put
}

/// It may send something yet.
fn with_the_last_sender() {
    let sends = |sender: Sender<u32>, here: RemoteGate, there: RemoteGate| {
        crate::kit::say_and_wait(here, there);
        sender.send(7).unwrap();
    };
    let (sender, receiver) = Queue::new().unwrap().split().unwrap();
    let (here, there) = (Gate::new(), Gate::new());
    let process = start(sends, (sender, here.remote(), there.remote()));
    here.wait();
    stop_and_wait(pid_of(&process));
    let late = receiver.recv_timeout(LONG);
    assert!(matches!(late, Err(TryGetError::Empty)), "{late:?}");
    there.open(1);
    std::thread::scope(|scope| {
        let waits = sleeper(scope, || receiver.recv().unwrap());
        assert!(!receiver.is_closed());
        go_on(&process);
        assert_eq!(waits.join().unwrap(), 7);
    });
    assert!(receiver.recv().is_err());
    fine(&process);
}

fn with_the_last_receiver() {
    let receives = |receiver: Receiver<u32>, here: RemoteGate, there: RemoteGate| {
        crate::kit::say_and_wait(here, there);
        assert!(receiver.iter().map(Result::unwrap).eq([1, 2]));
    };
    let (sender, receiver) = Queue::with_maxsize(1).unwrap().split().unwrap();
    let (here, there) = (Gate::new(), Gate::new());
    let process = start(receives, (receiver, here.remote(), there.remote()));
    here.wait();
    stop_and_wait(pid_of(&process));
    sender.send(1).unwrap();
    let late = sender.send_timeout(2, LONG);
    assert!(matches!(late, Err(TryPutError::Full(2))), "{late:?}");
    there.open(1);
    std::thread::scope(|scope| {
        let waits = sleeper(scope, || sender.send(2).unwrap());
        go_on(&process);
        waits.join().unwrap();
    });
    drop(sender);
    fine(&process);
}

/// It has it still: nobody else gets it, and it is waited for.
fn with_an_item() {
    let takes = |queue: JoinableQueue<u32>, here: RemoteGate, there: RemoteGate| {
        let item = queue.get().unwrap();
        crate::kit::say_and_wait(here, there);
        assert_eq!(item.task_done(), 7);
    };
    let queue = JoinableQueue::builder().retries(0).build().unwrap();
    let (here, there) = (Gate::new(), Gate::new());
    queue.put(7).unwrap();
    let process = start(takes, (queue.clone(), here.remote(), there.remote()));
    here.wait();
    stop_and_wait(pid_of(&process));
    there.open(1);
    let late = queue.get_timeout(LONG);
    assert!(matches!(late, Err(TryGetError::Empty)), "{late:?}");
    assert!(!queue.join_timeout(LONG).unwrap());
    queue.put(8).unwrap();
    assert_eq!(queue.get().unwrap().task_done(), 8);
    assert_eq!((queue.unfinished(), queue.failed()), (1, 0));
    std::thread::scope(|scope| {
        let joins = sleeper(scope, || queue.join().unwrap());
        go_on(&process);
        joins.join().unwrap();
    });
    assert_eq!(queue.failed(), 0);
    fine(&process);
}

/// The bytes stay where they are as long as it may read them.
fn with_a_loan() {
    let reads = |queue: Queue<Vec<u8>>, here: RemoteGate, there: RemoteGate| {
        let loan = queue.get_loan().unwrap();
        crate::kit::say_and_wait(here, there);
        assert_eq!(*loan, [7; 50_000]);
    };
    let before = arena::usage().unwrap();
    let (queue, here, there) = (Queue::new().unwrap(), Gate::new(), Gate::new());
    queue.put_bytes(&[7; 50_000]).unwrap();
    let process = start(reads, (queue.clone(), here.remote(), there.remote()));
    here.wait();
    stop_and_wait(pid_of(&process));
    for _ in 0..20 {
        queue.put_bytes(&[9; 50_000]).unwrap();
        assert_eq!(*queue.get_loan().unwrap(), [9; 50_000]);
    }
    drop(queue);
    there.open(1);
    go_on(&process);
    fine(&process);
    assert_eq!(arena::usage().unwrap(), before);
}
