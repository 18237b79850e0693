//! The last handle of one end goes with a process, a message or a task; whoever is left at the other end is told.

use crate::kit::{kill_and_join, leave, pid_of, start};
use crate::queue_ends::{pair, receivers_are_gone, senders_are_gone};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::sleepers::sleeper;
use crate::ways::{each, fine, start_by};
use multiproc::{
    GetError, Pool, Process, PutError, Queue, Receiver, Sender, StartMethod, TryGetError, arena,
};
use nix::sys::signal::{Signal, kill};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("disconnected::by_every_end_of_a_process", every_end),
        case("disconnected::receivers_end_too", receivers_end),
        case("disconnected::while_the_parent_waits", parent_waits),
        case("disconnected::killed_and_not_reaped", not_reaped),
        case("disconnected::killed_receiver", killed_receiver),
        case("disconnected::not_before_the_last", not_before_the_last),
        case("disconnected::many_producers", many_producers),
        case("disconnected::many_to_many", many_to_many),
        case("disconnected::ends_of_a_pools_tasks", pools_tasks),
        case("disconnected::no_answer_comes", no_answer),
        case("disconnected::a_chain_of_processes", chain),
    ]
}

const SHORT: Duration = Duration::from_millis(1);

type End = fn(Sender<u32>);

/// How a process can end. The handle may be dropped before, or not.
const ENDS: [(End, i32); 6] = [
    (|sender| drop(sender), 0),
    (
        |sender| {
            let _kept = std::mem::ManuallyDrop::new(sender);
        },
        0,
    ),
    (|_sender| leave(5), 5),
    (
        |_sender| {
            #[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
            std::process::exit(6)
        },
        6,
    ),
    (|_sender| panic!("on purpose"), 1),
    (|_sender| std::process::abort(), -6),
];

/// All that was sent comes, and then the end.
fn every_end() {
    let sends = |sender: Sender<u32>, end: usize| {
        sender.send(7).unwrap();
        sender.send_many(8..10).unwrap();
        ENDS[end].0(sender);
    };
    each(|way| {
        for (end, (_, code)) in ENDS.iter().enumerate() {
            let (sender, receiver) = pair();
            let process = start_by(way, sends, (sender, end));
            for expected in 7..10 {
                assert_eq!(receiver.recv().unwrap(), expected);
            }
            // Nobody has joined it.
            senders_are_gone_soon(&receiver);
            assert_eq!(process.join().unwrap(), *code, "{way}: end {end}");
            senders_are_gone(&receiver);
        }
    });
}

const RECEIVER_ENDS: [fn(Receiver<u32>); 4] = [
    |receiver| drop(receiver),
    |_receiver| leave(0),
    |_receiver| panic!("on purpose"),
    |_receiver| std::process::abort(),
];

fn receivers_end() {
    let receives = |receiver: Receiver<u32>, end: usize| {
        assert_eq!(receiver.recv().unwrap(), 3);
        RECEIVER_ENDS[end](receiver);
    };
    each(|way| {
        for end in 0..RECEIVER_ENDS.len() {
            let (sender, receiver) = Queue::with_maxsize(2).unwrap().split().unwrap();
            let process = start_by(way, receives, (receiver, end));
            sender.send(3).unwrap();
            let mut sent = 0;
            // The queue is full soon, so this waits in the middle.
            while sender.send(sent).is_ok() {
                sent += 1;
            }
            assert!(sent <= 2, "{sent}");
            receivers_are_gone(&sender);
            process.join().unwrap();
        }
    });
}

/// As soon as its last holder's end is known.
pub(crate) fn senders_are_gone_soon(receiver: &Receiver<u32>) {
    assert!(matches!(receiver.recv(), Err(GetError::Disconnected)));
    senders_are_gone(receiver);
}

// ---- killed

fn holds(sender: Sender<u32>, here: RemoteGate) {
    sender.send(std::process::id()).unwrap();
    here.open(1);
    Gate::new().wait();
}

/// It asks for none of its children as long as it waits.
fn parent_waits() {
    for _ in 0..scaled(5) {
        let ((sender, receiver), here) = (pair(), Gate::new());
        let process = start(holds, (sender, here.remote()));
        here.wait();
        receiver.recv().unwrap();
        std::thread::scope(|scope| {
            let waits = sleeper(scope, || {
                matches!(receiver.recv(), Err(GetError::Disconnected))
            });
            kill(pid_of(&process), Signal::SIGKILL).unwrap();
            assert!(waits.join().unwrap());
        });
        assert_eq!(process.join().unwrap(), -9);
    }
}

/// Nor does its parent ask for it, which has other things to do.
fn not_reaped() {
    each(|way| {
        let ((sender, receiver), here, there) = (pair(), Gate::new(), Gate::new());
        let starts =
            |way: StartMethod, sender: Sender<u32>, here: RemoteGate, there: RemoteGate| {
                let grandchild = start_by(way, holds, (sender, here));
                there.wait();
                assert_eq!(grandchild.join().unwrap(), -9);
            };
        let child = start(starts, (way, sender, here.remote(), there.remote()));
        here.wait();
        let pid = receiver.recv().unwrap().cast_signed();
        std::thread::scope(|scope| {
            let gone = || matches!(receiver.recv(), Err(GetError::Disconnected));
            let waits = sleeper(scope, gone);
            kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            assert!(waits.join().unwrap(), "{way}");
        });
        there.open(1);
        fine(&child);
    });
}

fn killed_receiver() {
    let receives = |receiver: Receiver<u32>, here: RemoteGate| {
        let _kept = receiver;
        here.open(1);
        Gate::new().wait();
    };
    for _ in 0..scaled(5) {
        let (sender, receiver) = Queue::with_maxsize(1).unwrap().split().unwrap();
        let here = Gate::new();
        let process = start(receives, (receiver, here.remote()));
        here.wait();
        sender.send(0).unwrap();
        std::thread::scope(|scope| {
            let waits = sleeper(scope, || {
                matches!(sender.send(1), Err(PutError::Disconnected(1)))
            });
            kill(pid_of(&process), Signal::SIGKILL).unwrap();
            assert!(waits.join().unwrap());
        });
        receivers_are_gone(&sender);
        assert_eq!(process.join().unwrap(), -9);
    }
}

fn not_before_the_last() {
    let ((sender, receiver), here) = (pair(), Gate::new());
    let holders = [(); 4].map(|()| start(holds, (sender.clone(), here.remote())));
    drop(sender);
    for _ in &holders {
        here.wait();
        receiver.recv().unwrap();
    }
    for holder in &holders {
        let late = receiver.recv_timeout(SHORT);
        assert!(matches!(late, Err(TryGetError::Empty)), "{late:?}");
        assert!(!receiver.is_closed());
        kill_and_join(holder);
    }
    senders_are_gone(&receiver);
}

/// The plain use: whoever is done ends, and the loop over what came ends with the last of them.
fn many_producers() {
    let sends = |sender: Sender<(u32, u32)>, who: u32, count: u32| {
        (0..count).for_each(|number| sender.send((who, number)).unwrap());
    };
    let count = scaled(300);
    each(|way| {
        let (sender, receiver) = Queue::with_maxsize(20).unwrap().split().unwrap();
        let processes: Vec<Process> = (0..4)
            .map(|who| start_by(way, sends, (sender.clone(), who, count)))
            .collect();
        drop(sender);
        let mut next = [0; 4];
        for message in &receiver {
            let (who, number) = message.unwrap();
            assert_eq!(number, next[who as usize], "{way}: of {who}");
            next[who as usize] += 1;
        }
        assert_eq!(next, [count; 4], "{way}");
        processes.iter().for_each(fine);
    });
}

/// Producers and consumers in processes and threads: nobody says when it is over, and each message comes to one of them.
fn many_to_many() {
    let count = u64::from(scaled(1_000));
    let sends = |sender: Sender<u64>, who: u64, count: u64| {
        sender
            .send_many((0..count).map(|number| number * 4 + who))
            .unwrap();
    };
    let receives = |receiver: Receiver<u64>, sums: Queue<[u64; 2]>| {
        let add = |[sum, got]: [u64; 2], number: u64| [sum + number, got + 1];
        let sum = receiver.iter().map(Result::unwrap).fold([0; 2], add);
        sums.put(sum).unwrap();
    };
    let before = arena::usage().unwrap();
    for size in [0, 7] {
        let (sender, receiver) = Queue::with_maxsize(size).unwrap().split().unwrap();
        let sums = Queue::new().unwrap();
        let consumers = [(); 2].map(|()| start(receives, (receiver.clone(), sums.clone())));
        let producers = [0, 1].map(|who| start(sends, (sender.clone(), who, count)));
        std::thread::scope(|scope| {
            for ends in [(); 2].map(|()| (receiver.clone(), sums.clone())) {
                scope.spawn(move || receives(ends.0, ends.1));
            }
            for (sender, who) in [2, 3].map(|who| (sender.clone(), who)) {
                scope.spawn(move || sends(sender, who, count));
            }
            drop((sender, receiver));
        });
        producers.iter().chain(&consumers).for_each(fine);
        let add = |all: [u64; 2], one: [u64; 2]| [all[0] + one[0], all[1] + one[1]];
        let all = (0..4).fold([0; 2], |all, _| add(all, sums.get().unwrap()));
        assert_eq!(all, [(0..count * 4).sum::<u64>(), count * 4]);
    }
    assert_eq!(arena::usage().unwrap(), before);
}

// ---- at work

fn pools_tasks() {
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = pair();
    pool.apply(|sender: Sender<u32>| sender.send(1).unwrap(), (sender,))
        .unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
    senders_are_gone_soon(&receiver);
    let makes = || {
        let (sender, receiver) = pair();
        sender.send(2).unwrap();
        receiver
    };
    let receiver = pool.apply(makes, ()).unwrap();
    assert_eq!(receiver.recv().unwrap(), 2);
    senders_are_gone_soon(&receiver);
    // A task keeps its arguments until somebody asks for its result.
    let (sender, receiver) = pair::<u32>();
    let result = pool.apply_async(|_: Sender<u32>| (), (sender,)).unwrap();
    result.get().unwrap();
    senders_are_gone_soon(&receiver);
    let ((sender, receiver), here) = (pair(), Gate::new());
    let result = pool.apply_async(holds, (sender, here.remote())).unwrap();
    here.wait();
    let worker = receiver.recv().unwrap().cast_signed();
    kill(nix::unistd::Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    assert!(result.get().is_err());
    senders_are_gone_soon(&receiver);
    pool.close();
    pool.join().unwrap();
}

/// Who asks with a sender for the answer hears of it when there is none.
fn no_answer() {
    type Request = (u32, Sender<u32>);
    let serves = |requests: Queue<Request>| {
        for request in &requests {
            let (number, answer) = request.unwrap();
            match number % 10 {
                3 => drop(answer),
                7 => leave(0),
                _ => answer.send(number * 2).unwrap(),
            }
        }
    };
    let requests = Queue::new().unwrap();
    let ask = |number| {
        let (sender, receiver) = pair();
        requests.put((number, sender)).unwrap();
        receiver.recv()
    };
    let server = || start(serves, (requests.clone(),));
    let mut running = server();
    for number in 0..scaled(50) {
        match ask(number) {
            Ok(answer) => assert_eq!(answer, number * 2),
            Err(GetError::Disconnected) if number % 10 == 3 => {}
            Err(GetError::Disconnected) => {
                assert_eq!(number % 10, 7);
                fine(&running);
                running = server();
            }
            Err(other) => panic!("{other}"),
        }
    }
    requests.close();
    fine(&running);
}

/// Each ends when what comes before it has ended.
fn chain() {
    let adds = |receiver: Receiver<u32>, sender: Sender<u32>| {
        for number in &receiver {
            sender.send(number.unwrap() + 1).unwrap();
        }
    };
    let before = arena::usage().unwrap();
    for way in [StartMethod::ForkServer, StartMethod::Spawn] {
        let (first, mut last) = pair();
        let mut processes = Vec::new();
        for _ in 0..4 {
            let (sender, receiver) = pair();
            let arguments = (std::mem::replace(&mut last, receiver), sender);
            processes.push(start_by(way, adds, arguments));
        }
        first.send_many(0..200).unwrap();
        drop(first);
        let all = last.iter().map(Result::unwrap);
        assert!(all.eq(4..204), "{way}");
        processes.iter().for_each(fine);
    }
    assert_eq!(arena::usage().unwrap(), before);
}
