//! Ends of a queue that are under way, in a message or in arguments: they count until they arrive, or until what carries them is gone.

use crate::disconnected::senders_are_gone_soon;
use crate::kit::{leave, pid_of, start};
use crate::process::Fussy;
use crate::queue_ends::{pair, receivers_are_gone, senders_are_gone};
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::sleepers::sleeper;
use crate::ways::{each, ended, fine, start_by};
use multiproc::{GetError, Process, Queue, Receiver, Sender, StartMethod, TryGetError};
use nix::sys::signal::{Signal, kill};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("in_flight::under_way_in_a_message", under_way),
        case("in_flight::message_nobody_reads", nobody_reads),
        case("in_flight::message_that_is_refused", refused),
        case("in_flight::sent_by_one_who_is_dead", sent_by_the_dead),
        case("in_flight::arguments", arguments),
        case("in_flight::copies_in_a_fork", copies_in_a_fork),
    ]
}

const SHORT: Duration = Duration::from_millis(1);

fn under_way() {
    let (sender, receiver) = pair();
    let carrier = Queue::new().unwrap();
    carrier.put((sender, "with it".to_owned())).unwrap();
    let late = receiver.recv_timeout(SHORT);
    assert!(matches!(late, Err(TryGetError::Empty)), "{late:?}");
    let uses = |carrier: Queue<(Sender<u32>, String)>, back: Queue<Sender<u32>>| {
        let (sender, _) = carrier.get().unwrap();
        sender.send(1).unwrap();
        back.put(sender).unwrap();
    };
    let back = Queue::new().unwrap();
    fine(&start(uses, (carrier, back.clone())));
    assert_eq!(receiver.recv().unwrap(), 1);
    assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
    back.get().unwrap().send(2).unwrap();
    assert_eq!(receiver.recv().unwrap(), 2);
    senders_are_gone(&receiver);

    let (sender, receiver) = pair();
    let carrier = Queue::new().unwrap();
    carrier.put(receiver).unwrap();
    sender.send(3).unwrap();
    let receiver = carrier.get().unwrap();
    assert_eq!(receiver.recv().unwrap(), 3);
    drop(receiver);
    receivers_are_gone(&sender);
}

/// It goes with what carries it.
fn nobody_reads() {
    type Carrier = Queue<(Sender<u32>, Vec<u8>)>;
    let ways: [fn(Carrier); 5] = [
        |carrier| drop(carrier),
        |carrier| carrier.shutdown(true),
        |carrier| drop(carrier.get_many(5).unwrap()),
        |carrier| drop(carrier.get().unwrap()),
        |carrier| {
            let reads = |carrier: Carrier| drop(carrier.get().unwrap());
            fine(&start(reads, (carrier,)));
        },
    ];
    for length in [0, 10_000] {
        for way in ways {
            let (sender, receiver) = pair();
            let carrier = Queue::new().unwrap();
            carrier.put((sender, vec![1; length])).unwrap();
            std::thread::scope(|scope| {
                let waits = sleeper(scope, || {
                    matches!(receiver.recv(), Err(GetError::Disconnected))
                });
                way(carrier);
                assert!(waits.join().unwrap());
            });
            senders_are_gone(&receiver);
        }
    }
    let (sender, receiver) = pair();
    let carrier = Queue::new().unwrap();
    carrier.put(receiver).unwrap();
    drop(carrier);
    receivers_are_gone(&sender);
}

/// What did not go out is still here; what came out and could not be made is gone.
fn refused() {
    let fussy = |encodes, decodes| Fussy { encodes, decodes };
    let (sender, receiver) = pair::<u32>();
    let carrier = Queue::with_maxsize(1).unwrap();
    let back = carrier.put((sender, fussy(false, true))).unwrap_err();
    assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
    let (sender, _) = back.into_inner();
    carrier.put((sender.clone(), fussy(true, false))).unwrap();
    let full = carrier.try_put((sender, fussy(true, true))).unwrap_err();
    assert!(carrier.get().is_err());
    assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
    carrier.close();
    let closed = carrier.put(full.into_inner()).unwrap_err();
    assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
    drop(closed);
    senders_are_gone(&receiver);
    let (sender, receiver) = pair::<u32>();
    let carrier = Queue::new().unwrap();
    carrier.put((sender, fussy(true, false))).unwrap();
    assert!(carrier.get().is_err());
    senders_are_gone(&receiver);
}

fn sent_by_the_dead() {
    let makes = |carrier: Queue<Receiver<u32>>, killed: bool| {
        let (sender, receiver) = pair();
        sender.send_many([1, 2, 3]).unwrap();
        carrier.put(receiver).unwrap();
        if killed {
            Gate::new().wait();
        }
        leave(0);
    };
    each(|way| {
        for killed in [false, true] {
            let carrier = Queue::new().unwrap();
            let process = start_by(way, makes, (carrier.clone(), killed));
            let receiver = carrier.get().unwrap();
            if killed {
                assert_eq!(receiver.recv().unwrap(), 1);
                kill(pid_of(&process), Signal::SIGKILL).unwrap();
            }
            let rest: Vec<u32> = receiver.iter().map(Result::unwrap).collect();
            assert!(rest.ends_with(&[2, 3]), "{way}: {rest:?}");
            senders_are_gone(&receiver);
            process.join().unwrap();
        }
    });
}

/// Of a process that is never started, whose start fails, that cannot read them, that has not ended yet.
fn arguments() {
    let never = |_: Sender<u32>, _: Fussy| unreachable!("it does not come to this");
    each(|way| {
        let build = |sender, encodes, decodes| {
            let arguments = (sender, Fussy { encodes, decodes });
            Process::builder(never, arguments).start_method(way).build()
        };
        let (sender, receiver) = pair();
        let process = build(sender, true, true);
        assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
        drop(process);
        senders_are_gone(&receiver);

        let (sender, receiver) = pair();
        let mut process = build(sender, false, true);
        assert!(process.start().is_err());
        senders_are_gone(&receiver);

        let (sender, receiver) = pair();
        let mut process = build(sender, true, false);
        process.start().unwrap();
        senders_are_gone_soon(&receiver);
        assert_eq!(process.join().unwrap(), 1);

        let ((sender, receiver), gate) = (pair::<u32>(), Gate::new());
        let waits = |_: Sender<u32>, gate: RemoteGate| gate.wait();
        let process = start_by(way, waits, (sender, gate.remote()));
        assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
        gate.open(1);
        ended(&process);
        senders_are_gone_soon(&receiver);
        fine(&process);
    });
}

/// As with pipes: what is forked has all that its parent had at that moment. What is started in another way has not.
fn copies_in_a_fork() {
    let gate = Gate::new();
    let waits = |gate: RemoteGate| gate.wait();
    each(|way| {
        let (sender, receiver) = pair::<u32>();
        let process = start_by(way, waits, (gate.remote(),));
        drop(sender);
        if way == StartMethod::Fork {
            let late = receiver.recv_timeout(SHORT);
            assert!(matches!(late, Err(TryGetError::Empty)), "{late:?}");
        } else {
            senders_are_gone(&receiver);
        }
        gate.open(1);
        senders_are_gone_soon(&receiver);
        fine(&process);
    });
    let (sender, receiver) = pair();
    let gate = gate.remote();
    let mut process = Process::fork(move || {
        gate.wait();
        sender.send(1).unwrap();
    });
    process.start().unwrap();
    assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
    gate.open(1);
    assert_eq!(receiver.recv().unwrap(), 1);
    fine(&process);
    drop(process);
    senders_are_gone_soon(&receiver);
}
