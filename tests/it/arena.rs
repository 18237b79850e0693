//! The arena: its size, full and empty again, and that nothing stays of the dead.

use crate::kit::{fork_behind_our_back, kill_and_wait, leave, start};
use crate::runner::{
    Case, Gate, RemoteGate, case, program, program_command, scaled, wait_for_exit,
};
use multiproc::arena::{set_size, usage};
use multiproc::{Error, ErrorKind, Lock, Process, PutError, Queue};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const MIB: usize = 1 << 20;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("arena::set_size_has_rules", set_size_rules).cold(),
        case("arena::children_share_its_size", children_share_size).cold(),
        case("arena::full_and_empty_again", full_and_empty).cold(),
        case("arena::cells_of_another_kind", other_kind).cold(),
        case("arena::full_of_arguments", full_of_arguments).cold(),
        case("arena::places_for_processes_run_out", places_run_out).cold(),
        case("arena::limits_of_the_program", limits),
        case("arena::thousand_killed_holders", thousand_killed),
        case("arena::every_end_gives_back", every_end_gives_back),
        case("arena::arguments_live_with_the_process", arguments_live),
        case("arena::orphans_are_settled", orphans_are_settled),
        case("arena::forks_are_settled", forks_are_settled),
        case("arena::fork_in_a_used_place_is_settled", fork_in_used_place).cold(),
        program("arena::limited_by_as", || {
            limited(Resource::RLIMIT_AS, 4 << 30)
        }),
        program("arena::limited_by_fsize", || {
            limited(Resource::RLIMIT_FSIZE, 64 << 20)
        }),
    ]
}

fn set_size_rules() {
    let kind = |bytes| set_size(bytes).unwrap_err().kind();
    for wrong in [0, 1, MIB - 1, (64 << 30) + 1, usize::MAX] {
        assert_eq!(kind(wrong), ErrorKind::InvalidInput, "{wrong}");
    }
    set_size(64 << 20).unwrap();
    set_size(3 * MIB + 5).unwrap();
    let queue = Queue::<Vec<u8>>::new().unwrap();
    assert_eq!(kind(3 * MIB), ErrorKind::Misuse);
    assert_eq!(kind(0), ErrorKind::InvalidInput);
    match queue.put(vec![0; 4 * MIB]) {
        Err(PutError::Failed(_, error)) => assert_eq!(error.kind(), ErrorKind::NoSpace),
        other => panic!("{other:?}"),
    }
    queue.put(vec![0; MIB / 2]).unwrap();
}

fn children_share_size() {
    set_size(2 * MIB).unwrap();
    let body = || {
        assert_eq!(set_size(4 * MIB).unwrap_err().kind(), ErrorKind::Misuse);
        let queue = Queue::new().unwrap();
        let error = Error::from(queue.put(vec![0_u8; 3 * MIB]).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::NoSpace);
    };
    assert_eq!(start(body, ()).join().unwrap(), 0);
}

/// Makes things until there is no room; the error must say so.
fn fill<T, E: Into<Error>>(mut make: impl FnMut() -> Result<T, E>) -> Vec<T> {
    let mut made = Vec::new();
    loop {
        match make() {
            Ok(one) => made.push(one),
            Err(error) => {
                let error = error.into();
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
                return made;
            }
        }
    }
}

/// A table that was once full of locks has room for queues again when they are gone, and the other way round.
fn other_kind() {
    set_size(MIB).unwrap();
    let before = usage().unwrap();
    let locks: Vec<Lock> = std::iter::from_fn(|| Lock::new().ok()).collect();
    assert!(locks.len() >= 1000, "{} locks", locks.len());
    drop(locks);
    let queue = Queue::<u32>::new().unwrap();
    queue.put(7).unwrap();
    assert_eq!(queue.get().unwrap(), 7);
    drop(queue);
    let _lock = Lock::new().unwrap();
    assert_eq!(usage().unwrap().objects, before.objects + 1);
}

fn full_and_empty() {
    set_size(MIB).unwrap();
    let carrier = Queue::<Vec<u8>>::new().unwrap();
    let spare = Queue::<u32>::new().unwrap();
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
    let before = usage().unwrap();
    let mut counts = Vec::new();
    for _ in 0..3 {
        let queues = fill(Queue::<u8>::new);
        let messages = fill(|| carrier.put(vec![1; 5000]));
        let locks = fill(Lock::new);
        let small = fill(|| spare.put(5));
        let error = Process::builder(|_: Vec<u8>| (), (vec![0_u8; 20_000],)).start();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NoSpace);
        // What exists works on.
        drop(locks[0].acquire().unwrap());
        queues[0].put(7).unwrap();
        assert_eq!(queues[0].get().unwrap(), 7);
        assert_eq!(carrier.get().unwrap(), vec![1; 5000]);
        counts.push([queues.len(), messages.len(), locks.len()]);
        messages[1..]
            .iter()
            .for_each(|()| drop(carrier.get().unwrap()));
        small
            .iter()
            .for_each(|()| assert_eq!(spare.get().unwrap(), 5));
        drop((queues, locks));
        assert_eq!(usage().unwrap().objects, before.objects);
        assert_eq!(start(|| (), ()).join().unwrap(), 0);
    }
    assert!(
        counts
            .iter()
            .all(|count| *count == counts[0] && count[0] > 10),
        "{counts:?}"
    );
    drop((carrier, spare));
    let after = usage().unwrap();
    assert_eq!((after.objects, after.blocks, after.bytes), (0, 0, 0));
}

/// A start that finds no room for its arguments leaves nothing, and the next with less works.
fn full_of_arguments() {
    set_size(MIB).unwrap();
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
    let before = usage().unwrap();
    let (gate, queue) = (Gate::new(), Queue::<u8>::new().unwrap());
    let body = |gate: RemoteGate, _: Vec<u8>, _: Queue<u8>| gate.wait();
    let arguments = || (gate.remote(), vec![3; 50_000], queue.clone());
    let running = fill(|| Process::builder(body, arguments()).start());
    println!("{} processes", running.len());
    assert_eq!(usage().unwrap().members, before.members + running.len());
    gate.open(running.len());
    for process in running {
        assert_eq!(process.join().unwrap(), 0);
    }
    drop(queue);
    assert_eq!(usage().unwrap(), before);
}

fn places_run_out() {
    set_size(MIB).unwrap();
    let before = usage().unwrap();
    let queue = Queue::<u8>::new().unwrap();
    // A place that was used must come back, whoever had it.
    for round in 0..1100 {
        let body = |queue: Queue<u8>| queue.put(1).unwrap();
        let process = start(body, (queue.clone(),));
        assert_eq!(process.join().unwrap(), 0, "{round}: {:?}", process.panic());
        assert_eq!(queue.get().unwrap(), 1);
    }
    drop(queue);
    assert_eq!(usage().unwrap(), before);
}

fn limited(resource: Resource, most: u64) {
    let (_, hard) = getrlimit(resource).unwrap();
    setrlimit(resource, most, hard).unwrap();
    let (queue, lock) = (Queue::new().unwrap(), Lock::new().unwrap());
    let body = |queue: Queue<Vec<u8>>, lock: Lock| {
        let _guard = lock.acquire().unwrap();
        queue.put(vec![9; 5 * MIB]).unwrap();
    };
    let process = start(body, (queue.clone(), lock.clone()));
    assert!(queue.get().unwrap() == vec![9; 5 * MIB]);
    assert_eq!(process.join().unwrap(), 0);
    drop(lock.acquire().unwrap());
    std::thread::spawn(|| ()).join().unwrap();
}

fn limits() {
    for name in ["arena::limited_by_as", "arena::limited_by_fsize"] {
        let status = program_command(name).status().unwrap();
        assert!(status.success(), "{name}: {status}");
    }
}

fn holds_clones(here: RemoteGate, queue: Queue<Vec<u64>>, lock: Lock) {
    let own = (queue.clone(), Lock::new().unwrap(), Queue::new().unwrap());
    own.2.put(lock.clone()).unwrap();
    queue.put(vec![1; 600]).unwrap();
    here.open(1);
    // One of four is killed in the middle of whatever it does, the others while they wait.
    while std::process::id().is_multiple_of(4) {
        let copies = [(); 4].map(|()| (queue.clone(), lock.clone()));
        drop(copies);
    }
    Gate::new().wait();
}

fn thousand_killed() {
    let before = usage().unwrap();
    let (queue, lock, here) = (Queue::new().unwrap(), Lock::new().unwrap(), Gate::new());
    for _ in 0..scaled(250) {
        let arguments = || (here.remote(), queue.clone(), lock.clone());
        let holders = [(); 4].map(|()| start(holds_clones, arguments()));
        for holder in &holders {
            here.wait();
            assert_eq!(queue.get().unwrap(), vec![1; 600]);
            assert!(holder.is_alive());
        }
        for holder in holders {
            holder.kill().unwrap();
            assert_eq!(holder.join().unwrap(), -9);
        }
    }
    assert_eq!(usage().unwrap().objects, before.objects + 2);
    drop((queue, lock));
    assert_eq!(usage().unwrap(), before);
}

#[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
fn every_end_gives_back() {
    let before = usage().unwrap();
    let ends: [fn(Queue<Lock>) -> Process; 6] = [
        |queue| start(|_: Queue<Lock>| (), (queue,)),
        |queue| start(|_: Queue<Lock>| std::process::exit(0), (queue,)),
        |queue| start(|_: Queue<Lock>| leave(0), (queue,)),
        |queue| start(|_: Queue<Lock>| panic!("at its end"), (queue,)),
        |queue| start(|_: Queue<Lock>| std::process::abort(), (queue,)),
        |queue| {
            start(
                |queue: Queue<Lock>| drop(std::mem::ManuallyDrop::new(queue).get()),
                (queue,),
            )
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let queue = Queue::new().unwrap();
        queue.put(Lock::new().unwrap()).unwrap();
        let process = end(queue);
        process.join().unwrap();
        assert_eq!(usage().unwrap(), before, "end {number}");
    }
}

/// An object that only a running process has is there until it ends.
fn arguments_live() {
    let before = usage().unwrap().objects;
    let (here, there) = (Gate::new(), Gate::new());
    let queue = Queue::new().unwrap();
    queue.put(11).unwrap();
    let body = |queue: Queue<i32>, here: RemoteGate, there: RemoteGate| {
        crate::kit::say_and_wait(here, there);
        assert_eq!(queue.get().unwrap(), 11);
    };
    let process = start(body, (queue, here.remote(), there.remote()));
    here.wait();
    assert_eq!(usage().unwrap().objects, before + 1);
    there.open(1);
    assert_eq!(process.join().unwrap(), 0, "{:?}", process.panic());
    assert_eq!(usage().unwrap().objects, before);
}

/// Children whose parent was killed with them have nobody who joins them.
fn orphans_are_settled() {
    let before = usage().unwrap();
    let queue = Queue::new().unwrap();
    let here = Gate::new();
    let body = |queue: Queue<Vec<u64>>, here: RemoteGate| {
        let holder = || start(holds_clones, (here, queue.clone(), Lock::new().unwrap()));
        let holders = [(); 3].map(|()| holder());
        here.open(1);
        holders.iter().for_each(|holder| drop(holder.join()));
    };
    let process = start(body, (queue.clone(), here.remote()));
    (0..4).for_each(|_| here.wait());
    assert_eq!(usage().unwrap().members, before.members + 4);
    process.kill().unwrap();
    assert_eq!(process.join().unwrap(), -9);
    drop(queue);
    while usage().unwrap().members > before.members {
        std::thread::yield_now();
    }
    assert_eq!(usage().unwrap(), before);
}

/// A fork behind our back takes part, and is settled although nobody joins it.
fn fork_takes_part(queue: &Queue<u32>) {
    let here = Gate::new();
    let fork = fork_behind_our_back(|| {
        queue.put(3).unwrap();
        let own = Queue::<u8>::new().unwrap();
        here.open(1);
        Gate::new().wait();
        drop(own);
    });
    here.wait();
    assert_eq!(queue.get().unwrap(), 3);
    kill_and_wait(fork);
    wait_for_exit(fork);
    nix::sys::wait::waitpid(fork, None).unwrap();
}

fn forks_are_settled() {
    let before = usage().unwrap();
    let queue = Queue::new().unwrap();
    for _ in 0..scaled(10) {
        fork_takes_part(&queue);
    }
    assert_eq!(usage().unwrap().objects, before.objects + 1);
    drop(queue);
    assert_eq!(usage().unwrap(), before);
}

/// The same in a place that a child of ours had before.
fn fork_in_used_place() {
    set_size(MIB).unwrap();
    let before = usage().unwrap();
    for _ in 0..1030 {
        assert_eq!(start(|| (), ()).join().unwrap(), 0);
    }
    let queue = Queue::new().unwrap();
    fork_takes_part(&queue);
    drop(queue);
    assert_eq!(usage().unwrap(), before);
}
