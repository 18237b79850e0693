//! One text on threads and on processes: what `Backend` promises of each.

use crate::examples;
use crate::kit::kind;
use crate::runner::{Case, case, program, program_command};
use multiproc::dummy::prelude::*;
use multiproc::dummy::{self, Message};
use multiproc::sync::{Barrier, Condition, Event, Lock, RLock, Semaphore};
use multiproc::threading::Thread;
use multiproc::{
    Backend, Error, ErrorKind, GetError, Process, Processes, PutError, Threads, TryGetError,
    TryPutError, Value,
};
use std::process::Command;
use std::time::Duration;

/// `"backends::what" => body` is `backends::what_processes` and `backends::what_threads`.
macro_rules! both_backends {
    ($($name:literal => $body:ident,)*) => {
        vec![$(
            case(concat!($name, "_processes"), $body::<Processes>),
            case(concat!($name, "_threads"), $body::<Threads>),
        )*]
    };
}

pub(crate) fn tests() -> Vec<Case> {
    let mut tests = both_backends! {
        "backends::process" => process,
        "backends::process_misuse" => process_misuse,
        "backends::spawn" => spawn,
        "backends::queue" => queue,
        "backends::queue_of_queues" => queue_of_queues,
        "backends::simple_queue" => simple_queue,
        "backends::joinable_queue" => joinable_queue,
        "backends::joinable_queue_at_the_end" => joinable_at_the_end,
        "backends::pipe" => pipe,
        "backends::pool" => pool,
        "backends::primitives" => primitives,
        "backends::barrier_with_action" => barrier_with_action,
    };
    tests.push(case("backends::threads_stay", threads_stay));
    tests.push(case("backends::active_children", active_children));
    tests.push(case("backends::exit_is_no_code", exit_is_no_code));
    tests.push(program(
        "backends::asks_one_that_exits",
        asks_one_that_exits,
    ));
    tests
}

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(600);

fn adds<B: Backend>(numbers: B::Queue<u64>, sums: B::Queue<u64>) {
    let mut sum = 0;
    while let Ok(number) = numbers.get() {
        sum += number;
    }
    sums.put(sum).unwrap();
}

fn process<B: Backend>() {
    let (numbers, sums) = (B::Queue::new().unwrap(), B::Queue::new().unwrap());
    let mut adder = B::Process::new(adds::<B>, (numbers.clone(), sums.clone()));
    adder.set_name("adder").unwrap();
    adder.set_daemon(false).unwrap();
    assert_eq!((adder.name(), adder.daemon()), ("adder".to_owned(), false));
    assert!(!adder.is_alive());
    assert_eq!(adder.exitcode().unwrap(), None);
    adder.start().unwrap();
    assert!(adder.is_alive());
    assert_eq!(adder.join_timeout(SOON).unwrap(), None);
    assert_eq!(adder.exitcode().unwrap(), None);
    (1..=10).for_each(|number| numbers.put(number).unwrap());
    numbers.close();
    assert_eq!(sums.get().unwrap(), 55);
    assert_eq!(adder.join().unwrap(), 0);
    assert_eq!(adder.join_timeout(LONG).unwrap(), Some(0));
    assert_eq!(adder.exitcode().unwrap(), Some(0));
    assert!(!adder.is_alive());
}

fn process_misuse<B: Backend>() {
    let mut panics = B::Process::new(|text: String| panic!("{text}"), ("as asked".to_owned(),));
    assert_eq!(kind(panics.join()), ErrorKind::Misuse);
    assert_eq!(kind(panics.join_timeout(SOON)), ErrorKind::Misuse);
    panics.start().unwrap();
    assert_eq!(kind(panics.start()), ErrorKind::Misuse);
    assert_eq!(kind(panics.set_daemon(true)), ErrorKind::Misuse);
    assert_eq!(panics.join().unwrap(), 1);
}

fn spawn<B: Backend>() {
    let handle = B::spawn(
        |a: u32, b: String| format!("{a} {b}"),
        (6, "six".to_owned()),
    );
    assert_eq!(handle.unwrap().join().unwrap(), "6 six");
    let handle = B::spawn(|| -> u32 { panic!("no value today") }, ()).unwrap();
    let error = handle.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert_eq!(error.remote().unwrap().message(), "no value today");
    let handle = B::spawn(B::current_name, ()).unwrap();
    assert_ne!(handle.join().unwrap(), B::current_name());
}

fn queue<B: Backend>() {
    let queue = B::Queue::<String>::with_maxsize(2).unwrap();
    let text = || "text".to_owned();
    assert!(queue.is_empty() && !queue.is_full() && queue.maxsize() == 2);
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    assert!(matches!(queue.get_timeout(SOON), Err(TryGetError::Empty)));
    queue.put(text()).unwrap();
    queue.put_timeout(text(), LONG).unwrap();
    assert!(queue.is_full() && queue.len() == 2);
    assert!(matches!(queue.try_put(text()), Err(TryPutError::Full(_))));
    let late = queue.put_timeout(text(), SOON);
    assert_eq!(late.unwrap_err().into_inner(), "text");
    assert_eq!(queue.try_get().unwrap(), "text");
    queue.close();
    assert!(queue.is_closed());
    assert!(matches!(queue.put(text()), Err(PutError::Closed(_))));
    assert!(matches!(queue.try_put(text()), Err(TryPutError::Closed(_))));
    assert_eq!(queue.get_timeout(LONG).unwrap(), "text");
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert!(matches!(queue.try_get(), Err(TryGetError::Closed)));
    let queue = B::Queue::<u8>::new().unwrap();
    queue.put(1).unwrap();
    queue.shutdown(true);
    assert!(matches!(queue.get(), Err(GetError::Closed)));
}

/// A handle travels in a message of either.
fn queue_of_queues<B: Backend>() {
    let orders = B::Queue::<B::Queue<u64>>::new().unwrap();
    let answers = B::Queue::new().unwrap();
    orders.put(answers.clone()).unwrap();
    let serves = |orders: B::Queue<B::Queue<u64>>| orders.get().unwrap().put(7).unwrap();
    let served = B::spawn(serves, (orders,)).unwrap();
    assert_eq!(answers.get().unwrap(), 7);
    served.join().unwrap();
}

fn simple_queue<B: Backend>() {
    let queue = B::SimpleQueue::new().unwrap();
    let puts = |queue: B::SimpleQueue<u8>| (0..3).for_each(|n| queue.put(n).unwrap());
    B::spawn(puts, (queue.clone(),)).unwrap().join().unwrap();
    assert!(!queue.is_empty().unwrap());
    assert_eq!([(); 3].map(|()| queue.get().unwrap()), [0, 1, 2]);
    queue.close();
    assert!(matches!(queue.put(1), Err(PutError::Closed(1))));
    assert!(matches!(queue.get(), Err(GetError::Closed)));
}

fn does_all<B: Backend>(queue: B::JoinableQueue<u64>) -> u64 {
    let mut done = 0;
    while let Ok(item) = queue.get() {
        // Every third is let go of once, and comes again.
        if *item % 3 == 0 {
            drop(item);
            done += 1000;
            continue;
        }
        item.task_done();
        done += 1;
    }
    done
}

fn joinable_queue<B: Backend>() {
    let queue = B::JoinableQueue::new().unwrap();
    queue.put(3).unwrap();
    assert_eq!(queue.unfinished(), 1);
    drop(queue.get().unwrap());
    assert_eq!(queue.unfinished(), 1);
    assert!(!queue.join_timeout(SOON).unwrap());
    let item = queue.try_get().unwrap();
    assert_eq!(*item, 3);
    assert_eq!(item.task_done(), 3);
    queue.join().unwrap();
    let worker = B::spawn(does_all::<B>, (queue.clone(),)).unwrap();
    [1, 2, 4, 5]
        .into_iter()
        .for_each(|number| queue.put(number).unwrap());
    assert!(queue.join_timeout(LONG).unwrap());
    queue.close();
    assert_eq!(worker.join().unwrap(), 4);
    assert!(matches!(queue.try_get(), Err(TryGetError::Closed)));
}

/// Takes an item, says so, and gives it back when it is told to.
fn gives_back<B: Backend>(queue: B::JoinableQueue<u64>, taken: B::Queue<()>, go: B::Queue<()>) {
    let item = queue.get().unwrap();
    taken.put(()).unwrap();
    go.get().unwrap();
    drop(item);
}

/// What others have on lease may come back, also after the end.
fn joinable_at_the_end<B: Backend>() {
    let queue = B::JoinableQueue::with_maxsize(1).unwrap();
    let (taken, go) = (B::Queue::new().unwrap(), B::Queue::new().unwrap());
    queue.put(7).unwrap();
    let arguments = (queue.clone(), taken.clone(), go.clone());
    let taker = B::spawn(gives_back::<B>, arguments).unwrap();
    taken.get().unwrap();
    queue.put(8).unwrap();
    assert!(matches!(
        queue.put_timeout(9, SOON),
        Err(TryPutError::Full(9))
    ));
    queue.close();
    assert!(matches!(queue.put(9), Err(PutError::Closed(9))));
    assert_eq!(queue.get().unwrap().task_done(), 8);
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    assert!(matches!(queue.get_timeout(SOON), Err(TryGetError::Empty)));
    go.put(()).unwrap();
    let last = queue.get().unwrap();
    // Who has the last one itself does not wait for it.
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert_eq!(last.task_done(), 7);
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    queue.join().unwrap();
    taker.join().unwrap();
}

fn pipe<B: Backend>() {
    let (ours, theirs) = B::pipe::<String, usize>().unwrap();
    let measures = |words: B::Connection<usize, String>| {
        while let Ok(word) = words.recv() {
            words.send(&word.len()).unwrap();
        }
    };
    let worker = B::spawn(measures, (theirs,)).unwrap();
    for word in ["four", "", "three"] {
        ours.send(&word.to_owned()).unwrap();
        assert!(ours.poll_timeout(LONG).unwrap());
        assert!(ours.poll().unwrap());
        assert_eq!(ours.recv_timeout(LONG).unwrap(), word.len());
    }
    assert!(!ours.poll().unwrap() && !ours.poll_timeout(SOON).unwrap());
    assert_eq!(ours.try_recv().unwrap(), None);
    assert_eq!(kind(ours.recv_timeout(SOON)), ErrorKind::TimedOut);
    drop(ours);
    worker.join().unwrap();
    let (one, other) = B::pipe::<u8, u8>().unwrap();
    one.send(&1).unwrap();
    drop(one);
    assert_eq!(other.recv().unwrap(), 1);
    assert!(other.poll().unwrap());
    assert_eq!(kind(other.recv()), ErrorKind::Disconnected);
    assert_eq!(kind(other.send(&1)), ErrorKind::Disconnected);
}

fn divide(a: u64, b: u64) -> u64 {
    a / b
}

fn pool<B: Backend>() {
    let pool = B::Pool::new(2).unwrap();
    assert_eq!(pool.apply(divide, (6, 3)).unwrap(), 2);
    assert_eq!(kind(pool.apply(divide, (6, 0))), ErrorKind::Panicked);
    let mut result = pool.apply_async(divide, (8, 2)).unwrap();
    result.wait();
    assert!(result.ready());
    assert_eq!(result.get_timeout(LONG).unwrap(), 4);
    let squares = pool.map(|n: u64| n * n, 0..100).unwrap();
    assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
    assert_eq!(kind(pool.join()), ErrorKind::Misuse);
    pool.close();
    assert!(pool.apply(divide, (6, 3)).is_err());
    pool.join().unwrap();
    assert_eq!(kind(B::Pool::new(0)), ErrorKind::InvalidInput);
}

/// What a worker of [`primitives`] is given.
type All<B> = (
    Lock<B>,
    RLock<B>,
    Semaphore<B>,
    Condition<B>,
    Event<B>,
    Value<u64>,
);

fn uses_all<B: Backend>((lock, rlock, permits, condition, go, number): All<B>) {
    go.wait().unwrap();
    for _ in 0..100 {
        let _lock = lock.acquire().unwrap();
        let _twice = (rlock.acquire().unwrap(), rlock.acquire().unwrap());
        number.set(number.get().unwrap() + 1).unwrap();
    }
    drop(permits.acquire().unwrap());
    let _condition = condition.acquire().unwrap();
    condition.notify_all().unwrap();
}

fn primitives<B: Backend>() {
    let all: All<B> = (
        Lock::new().unwrap(),
        RLock::new().unwrap(),
        Semaphore::new(1).unwrap(),
        Condition::new().unwrap(),
        Event::new().unwrap(),
        Value::new(0).unwrap(),
    );
    let workers = [(); 3].map(|()| B::spawn(uses_all::<B>, (all.clone(),)).unwrap());
    let (_, _, _, condition, go, number) = all;
    {
        let _held = condition.acquire().unwrap();
        go.set().unwrap();
        let done = || number.get().unwrap() == 300;
        condition.wait_for(done).unwrap();
    }
    workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
}

fn meets<B: Backend>(barrier: Barrier<B>) -> u64 {
    barrier.wait().unwrap() as u64
}

fn barrier_with_action<B: Backend>() {
    let barrier = Barrier::<B>::builder(3)
        .action(|| ())
        .timeout(LONG)
        .build()
        .unwrap();
    let others = [(); 2].map(|()| B::spawn(meets::<B>, (barrier.clone(),)).unwrap());
    let mut places = vec![meets(barrier)];
    places.extend(others.map(|other| other.join().unwrap()));
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2]);
}

fn refused<T: Message>(value: T) -> ErrorKind {
    let mut process = Process::new(|_: T| unreachable!("it cannot be sent"), (value,));
    let error = process.start().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("dummy") || text.contains("Threads"), "{text}");
    error.kind()
}

/// Their types say that they travel; where they are sent, they do not.
fn threads_stay() {
    assert_eq!(
        refused(dummy::Queue::<u8>::new().unwrap()),
        ErrorKind::Encode
    );
    assert_eq!(
        refused(dummy::JoinableQueue::<u8>::new().unwrap()),
        ErrorKind::Encode
    );
    assert_eq!(
        refused(dummy::SimpleQueue::<u8>::new().unwrap()),
        ErrorKind::Encode
    );
    assert_eq!(
        refused(dummy::Pipe::<u8>::new().unwrap().0),
        ErrorKind::Encode
    );
    assert_eq!(refused(dummy::Lock::new().unwrap()), ErrorKind::Encode);
    assert_eq!(refused(dummy::Condition::new().unwrap()), ErrorKind::Encode);
    assert_eq!(refused(dummy::Barrier::new(2).unwrap()), ErrorKind::Encode);
    let queue = multiproc::Queue::new().unwrap();
    let error: Error = queue.put(dummy::Event::new().unwrap()).unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::Encode);
}

/// The same numbers by every way on both; a flag chooses.
pub(crate) fn example() {
    let run = |flags: &[&str]| {
        let mut command = Command::new(examples::program("threads_or_processes"));
        let output = command.args(flags).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
        (output.status.code(), lines)
    };
    let expected = |backend: &str| {
        let line = |way| format!("{way} on {backend}: 4203 primes");
        ["pool", "queue", "lock"].map(line).to_vec()
    };
    assert_eq!(run(&["--threads"]), (Some(0), expected("threads")));
    assert_eq!(run(&["--processes"]), (Some(0), expected("processes")));
    let both = [expected("threads"), expected("processes")].concat();
    assert_eq!(run(&[]), (Some(0), both));
    assert_eq!(run(&["--neither"]), (Some(2), vec![]));
}

/// Who asks is waited for at the end of the program, and began before it.
fn asks_one_that_exits() {
    #[expect(clippy::disallowed_methods, reason = "what it does is tested")]
    fn exits() {
        std::process::exit(3)
    }
    let asks = Thread::new(|| {
        let mut exits = dummy::Process::new(exits, ());
        exits.start().unwrap();
        while exits.is_alive() {
            std::thread::yield_now();
        }
        assert_eq!(kind(exits.exitcode()), ErrorKind::Misuse);
        assert_eq!(kind(exits.join()), ErrorKind::Misuse);
        println!("no code");
    });
    asks.start().unwrap();
    asks.join().unwrap();
}

/// A thread that calls `exit` ends the program, and has not ended well itself.
fn exit_is_no_code() {
    let output = program_command("backends::asks_one_that_exits")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(output.stdout, b"no code\n", "{output:?}");
}

fn active_children() {
    let names = || {
        dummy::active_children()
            .iter()
            .map(|child| child.name())
            .collect::<Vec<_>>()
    };
    assert!(names().is_empty());
    let go = dummy::Event::new().unwrap();
    let waits = |go: dummy::Event| go.wait().unwrap();
    let mut child = dummy::Process::new(waits, (go.clone(),));
    child.set_name("the one").unwrap();
    child.start().unwrap();
    assert_eq!(names(), ["the one"]);
    go.set().unwrap();
    child.join().unwrap();
    assert!(names().is_empty());
}
