//! `Sender` and `Receiver`: when the last one is dropped, or dies, the other side hears of it.

use crate::row::{Keep, Leak, Row, Scene, row};
use crate::survivor::{PATIENCE, Waiter, drained, started, warm};
use crate::tracee::section;
use multiproc::{
    ErrorKind, GetError, Lock, Process, PutError, Queue, Receiver, Sender, TryGetError, TryPutError,
};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Split>("queue::split", "two ends are made"),
        row::<Sends>("sender::send", "the last sender's last message"),
        row::<SenderDropped>("sender::drop", "the last one; somebody sleeps in recv"),
        row::<OneOfTwoDropped>("sender::drop_one", "another one is left"),
        row::<SenderSent>("sender::travels", "the last one goes into a queue"),
        row::<ReceiverDropped>("receiver::drop", "the last one; somebody sleeps in send"),
        row::<Receives>("receiver::recv", "by the last receiver"),
    ]
}

struct Split(Queue<u64>);

impl Scene for Split {
    // An end carries a handle of the queue, which is in private memory until it has its block.
    const MAY_LEAK: Leak = Leak::A_QUEUE;

    fn prepare() -> Self {
        let queue = Queue::new().unwrap();
        queue.put(1).unwrap();
        Self(queue)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Queue<u64>, taken: Lock| {
            warm(&taken);
            let _ends = section(|| queue.split()).unwrap();
        };
        started(child, &self.0, keep)
    }

    fn check(self, left: bool) {
        let open = match self.0.put_timeout(2, PATIENCE) {
            Ok(()) => true,
            Err(TryPutError::Disconnected(2)) => false,
            Err(error) => panic!("{error}"),
        };
        assert!(!left || !open, "both ends have died");
        match self.0.clone().split() {
            // It was not: now it is, and works.
            Ok((sender, receiver)) => {
                assert!(open);
                sender.send(3).unwrap();
                drop(sender);
                let got: Vec<_> = receiver.iter().map(Result::unwrap).collect();
                assert_eq!(got, [1, 2, 3]);
                assert!(matches!(receiver.recv(), Err(GetError::Disconnected)));
            }
            // It was, and nobody has the ends: the queue has ended, or goes on without any.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Misuse);
                let expected: &[u64] = if open { &[1, 2] } else { &[1] };
                let got: Vec<_> = (0..expected.len()).map(|_| self.0.get().unwrap()).collect();
                assert_eq!(got, expected);
                match self.0.try_get() {
                    Err(TryGetError::Disconnected) => assert!(!open),
                    Err(TryGetError::Empty) => assert!(open),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// The survivor's end, and the other one, which only the child will have.
struct Ends<S, R> {
    theirs: Option<S>,
    ours: R,
}

/// The child sends, and dies with its sender: the message is there or not, and nothing comes after it.
struct Sends(Ends<Sender<u64>, Receiver<u64>>, usize);

impl Scene for Sends {
    fn prepare() -> Self {
        let (sender, ours) = Queue::new().unwrap().split().unwrap();
        let theirs = Some(sender);
        Self(Ends { theirs, ours }, 0)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |sender: Sender<u64>, taken: Lock| {
            warm(&taken);
            section(|| sender.send(7)).unwrap();
        };
        started(child, self.0.theirs.as_ref().unwrap(), keep)
    }

    fn entered(&mut self) {
        self.0.theirs = None;
    }

    fn last_look(&mut self) {
        self.1 = self.0.ours.len();
    }

    fn check(self, left: bool) {
        let (receiver, length) = (self.0.ours, self.1);
        assert!(!left || length == 1);
        let got: Vec<_> = receiver.iter().map(Result::unwrap).collect();
        assert_eq!(got, vec![7; length]);
        assert!(matches!(receiver.recv(), Err(GetError::Disconnected)));
    }
}

struct SenderDropped {
    ends: Ends<Sender<u64>, Receiver<u64>>,
    getter: Option<Waiter<Result<u64, GetError>>>,
}

fn drops_in_section<T: 'static>(end: T, taken: Lock) {
    warm(&taken);
    section(|| drop(end));
}

impl Scene for SenderDropped {
    // The end's handle of the queue is counted down before it lands.
    const MAY_LEAK: Leak = Leak::A_QUEUE;

    fn prepare() -> Self {
        let (sender, ours) = Queue::new().unwrap().split().unwrap();
        let theirs = Some(sender);
        Self {
            ends: Ends { theirs, ours },
            getter: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let sender = self.ends.theirs.as_ref().unwrap();
        started(drops_in_section::<Sender<u64>>, sender, keep)
    }

    fn entered(&mut self) {
        self.ends.theirs = None;
        let receiver = self.ends.ours.clone();
        self.getter = Some(Waiter::asleep_in(move || receiver.recv()));
    }

    fn check(self, _left: bool) {
        let got = self.getter.unwrap().result();
        assert!(matches!(got, Err(GetError::Disconnected)), "{got:?}");
    }
}

struct OneOfTwoDropped(Sender<u64>, Receiver<u64>);

impl Scene for OneOfTwoDropped {
    fn prepare() -> Self {
        let (sender, receiver) = Queue::new().unwrap().split().unwrap();
        Self(sender, receiver)
    }

    fn start(&self, keep: &Keep) -> Process {
        started(drops_in_section::<Sender<u64>>, &self.0, keep)
    }

    fn check(self, _left: bool) {
        assert!(matches!(self.1.try_recv(), Err(TryGetError::Empty)));
        self.0.send(1).unwrap();
        drop(self.0);
        assert_eq!(self.1.recv().unwrap(), 1);
        assert!(matches!(self.1.recv(), Err(GetError::Disconnected)));
    }
}

/// The last sender is put into another queue: there it counts, until it is got and dropped.
struct SenderSent {
    ends: Ends<Sender<u64>, Receiver<u64>>,
    carrier: Queue<Sender<u64>>,
    length: usize,
}

impl Scene for SenderSent {
    // Until the message has its block, the flight is in private memory: then the sender is under way for ever, and its queue with it.
    const MAY_LEAK: Leak = Leak {
        objects: 2,
        blocks: 2,
    };

    fn prepare() -> Self {
        let (sender, ours) = Queue::new().unwrap().split().unwrap();
        let theirs = Some(sender);
        Self {
            ends: Ends { theirs, ours },
            carrier: Queue::new().unwrap(),
            length: 0,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |(sender, carrier): (Sender<u64>, Queue<Sender<u64>>), taken: Lock| {
            warm(&taken);
            section(|| carrier.put(sender)).unwrap();
        };
        let sender = self.ends.theirs.clone().unwrap();
        started(child, &(sender, self.carrier.clone()), keep)
    }

    fn entered(&mut self) {
        self.ends.theirs = None;
    }

    fn last_look(&mut self) {
        self.length = self.carrier.len();
    }

    fn check(self, left: bool) {
        let receiver = self.ends.ours;
        assert!(!left || self.length == 1);
        if self.length == 1 {
            assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
            let sender = self.carrier.get().unwrap();
            sender.send(5).unwrap();
            drop(sender);
            assert_eq!(receiver.recv().unwrap(), 5);
        }
        // What a dead producer was about to put is given up by the next one who puts.
        let (another, _) = Queue::new().unwrap().split().unwrap();
        self.carrier.put_timeout(another, PATIENCE).unwrap();
        assert_eq!(drained(&self.carrier).len(), 1);
        match receiver.recv_timeout(Duration::ZERO) {
            Err(TryGetError::Disconnected) => {}
            // Under way for ever.
            Err(TryGetError::Empty) => assert!(self.length == 0, "nobody has a sender"),
            other => panic!("{other:?}"),
        }
    }
}

/// A queue for one value, with one in it.
struct ReceiverDropped {
    ends: Ends<Receiver<u64>, Sender<u64>>,
    putter: Option<Waiter<Result<(), PutError<u64>>>>,
}

impl Scene for ReceiverDropped {
    // The end's handle of the queue is counted down before it lands.
    const MAY_LEAK: Leak = Leak::A_QUEUE;

    fn prepare() -> Self {
        let (ours, receiver) = Queue::with_maxsize(1).unwrap().split().unwrap();
        ours.send(1).unwrap();
        let theirs = Some(receiver);
        Self {
            ends: Ends { theirs, ours },
            putter: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let receiver = self.ends.theirs.as_ref().unwrap();
        started(drops_in_section::<Receiver<u64>>, receiver, keep)
    }

    fn entered(&mut self) {
        self.ends.theirs = None;
        let sender = self.ends.ours.clone();
        self.putter = Some(Waiter::asleep_in(move || sender.send(2)));
    }

    fn check(self, _left: bool) {
        let put = self.putter.unwrap().result();
        assert!(matches!(put, Err(PutError::Disconnected(2))), "{put:?}");
    }
}

/// The last receiver dies with a message, or before it has it: in any case nothing more can be sent.
struct Receives(Ends<Receiver<u64>, Sender<u64>>);

impl Scene for Receives {
    fn prepare() -> Self {
        let (ours, receiver) = Queue::new().unwrap().split().unwrap();
        ours.send(1).unwrap();
        let theirs = Some(receiver);
        Self(Ends { theirs, ours })
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |receiver: Receiver<u64>, taken: Lock| {
            warm(&taken);
            assert_eq!(section(|| receiver.recv()).unwrap(), 1);
        };
        started(child, self.0.theirs.as_ref().unwrap(), keep)
    }

    fn entered(&mut self) {
        self.0.theirs = None;
    }

    fn check(self, left: bool) {
        let sender = self.0.ours;
        assert!(!left || sender.is_empty());
        let sent = sender.try_send(2);
        assert!(
            matches!(sent, Err(TryPutError::Disconnected(2))),
            "{sent:?}"
        );
    }
}
