//! `Connection`: what one side dies in, the other side hears of.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{Waiter, warm};
use crate::tracee::section;
use multiproc::{Arguments, Callable, Connection, ErrorKind, Lock, Pipe, Process};
use std::cell::Cell;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Sends>("connection::send", "two small messages"),
        row::<Receives>("connection::recv", "two small messages"),
        row::<Drops>("connection::drop", "somebody sleeps in recv"),
        row::<EndSent>("connection::send_end", "an end of another connection"),
        row::<EndReceived>("connection::recv_end", "an end of another connection"),
    ]
}

/// Starts a child that has what cannot be cloned.
fn started<T, F>(child: F, theirs: &Cell<Option<T>>, keep: &Keep) -> Process
where
    (T, Lock): Arguments,
    F: Callable<(T, Lock)>,
{
    let arguments = (theirs.take().unwrap(), keep.taken.clone());
    Process::builder(child, arguments).start().unwrap()
}

/// Nothing comes any more, and the other side is gone.
fn assert_ended(ours: &Connection<u64>) {
    let error = ours.recv().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    assert!(!error.to_string().contains("middle"), "{error}");
}

/// Our end, and the one that only the child will have.
struct Pair {
    ours: Connection<u64>,
    theirs: Cell<Option<Connection<u64>>>,
}

impl Pair {
    fn new() -> Self {
        let (ours, theirs) = Pipe::new().unwrap();
        let theirs = Cell::new(Some(theirs));
        Self { ours, theirs }
    }
}

/// What was sent has come wholly or not at all.
struct Sends(Pair);

impl Scene for Sends {
    const IN_KERNEL: bool = true;

    fn prepare() -> Self {
        Self(Pair::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |end: Connection<u64>, taken: Lock| {
            warm(&taken);
            section(|| {
                end.send(&1).unwrap();
                end.send(&2).unwrap();
            });
        };
        started(child, &self.0.theirs, keep)
    }

    fn check(self, left: bool) {
        let ours = self.0.ours;
        let come: Vec<u64> = ours.iter().map(Result::unwrap).collect();
        assert!([1, 2].starts_with(&come), "{come:?}");
        assert!(!left || come.len() == 2);
        assert_ended(&ours);
    }
}

/// The survivor cannot send any more, and hears it.
struct Receives(Pair);

impl Scene for Receives {
    const IN_KERNEL: bool = true;

    fn prepare() -> Self {
        let pair = Pair::new();
        pair.ours.send(&1).unwrap();
        pair.ours.send(&2).unwrap();
        Self(pair)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |end: Connection<u64>, taken: Lock| {
            warm(&taken);
            section(|| assert_eq!([end.recv().unwrap(), end.recv().unwrap()], [1, 2]));
        };
        started(child, &self.0.theirs, keep)
    }

    fn check(self, _left: bool) {
        let error = self.0.ours.send(&3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected);
        assert_ended(&self.0.ours);
    }
}

struct Drops {
    pair: Option<Pair>,
    receiver: Option<Waiter<ErrorKind>>,
}

impl Scene for Drops {
    const IN_KERNEL: bool = true;

    fn prepare() -> Self {
        Self {
            pair: Some(Pair::new()),
            receiver: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |end: Connection<u64>, taken: Lock| {
            warm(&taken);
            section(|| drop(end));
        };
        started(child, &self.pair.as_ref().unwrap().theirs, keep)
    }

    fn entered(&mut self) {
        let ours = self.pair.take().unwrap().ours;
        let wait = move || ours.recv().unwrap_err().kind();
        self.receiver = Some(Waiter::asleep_in(wait));
    }

    fn check(self, _left: bool) {
        let heard = self.receiver.unwrap().result();
        assert_eq!(heard, ErrorKind::Disconnected);
    }
}

type Ends = (Connection<Connection<u64>>, Connection<u64>);

/// A child sends its end of one connection through another.
struct EndSent {
    inner: Connection<u64>,
    carrier: Connection<Connection<u64>>,
    theirs: Cell<Option<Ends>>,
}

impl Scene for EndSent {
    const IN_KERNEL: bool = true;

    fn prepare() -> Self {
        let (inner, end) = Pipe::new().unwrap();
        let (carrier, other) = Pipe::new().unwrap();
        Self {
            inner,
            carrier,
            theirs: Cell::new(Some((other, end))),
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |(carrier, end): Ends, taken: Lock| {
            warm(&taken);
            section(|| {
                carrier.send(&end).unwrap();
                drop(end);
            });
        };
        started(child, &self.theirs, keep)
    }

    fn check(self, left: bool) {
        match self.carrier.recv() {
            Ok(end) => {
                end.send(&5).unwrap();
                assert_eq!(self.inner.recv().unwrap(), 5);
            }
            Err(error) => {
                assert!(!left);
                assert_eq!(error.kind(), ErrorKind::Disconnected);
            }
        }
        assert_ended(&self.inner);
    }
}

/// A child receives an end: with its death, at the latest, that is closed.
struct EndReceived {
    inner: Connection<u64>,
    carrier: Connection<Connection<u64>>,
    theirs: Cell<Option<Connection<Connection<u64>>>>,
}

impl Scene for EndReceived {
    const IN_KERNEL: bool = true;

    fn prepare() -> Self {
        let (inner, end) = Pipe::new().unwrap();
        let (carrier, other) = Pipe::new().unwrap();
        carrier.send(&end).unwrap();
        Self {
            inner,
            carrier,
            theirs: Cell::new(Some(other)),
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |carrier: Connection<Connection<u64>>, taken: Lock| {
            warm(&taken);
            let end = section(|| carrier.recv()).unwrap();
            end.send(&6).unwrap();
        };
        started(child, &self.theirs, keep)
    }

    fn check(self, _left: bool) {
        assert_ended(&self.inner);
        let error = self.carrier.recv().map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected);
    }
}
