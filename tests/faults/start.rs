//! Starts: who starts a child dies in the middle of it, and a child dies while it leaves its value.

use crate::row::{Keep, Row, Scene, Victim, row};
use crate::survivor::{Blob, warm};
use crate::tracee::{begins, ends, section};
use multiproc::{
    Connection, ErrorKind, JoinHandle, Lock, Pipe, Process, arena, at_exit, set_spare_children,
};
use std::cell::Cell;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Asks>("start::asks", "asks the fork server and gives the order").long(),
        row::<Laden>("start::laden", "an end of a connection among the arguments").long(),
        row::<HandsOver>("start::hands_over", "gives the order to a spare child").long(),
        row::<LeavesValue>("start::leaves_value", "a value in a block").long(),
    ]
}

fn takes_five(number: u32) {
    assert_eq!(number, 5);
}

/// Starts a child in the section.
fn starts(taken: &Lock) {
    warm(taken);
    let builder = Process::builder(takes_five, (5,));
    let started = section(|| builder.start());
    assert_eq!(started.unwrap().join().unwrap(), 0);
}

/// What a dead process has started dies with it, and gives its place back.
struct Family {
    members: usize,
}

impl Family {
    fn now() -> Self {
        let members = arena::usage().unwrap().members;
        Self { members }
    }

    fn is_whole_again(&self) {
        while arena::usage().unwrap().members > self.members {
            std::thread::yield_now();
        }
        let process = Process::builder(takes_five, (5,)).start().unwrap();
        assert_eq!(process.join().unwrap(), 0);
    }
}

struct Asks(Family);

impl Scene for Asks {
    fn prepare() -> Self {
        Self(Family::now())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            // The way to the server is there already.
            let first = Process::builder(takes_five, (5,)).start().unwrap();
            first.join().unwrap();
            starts(&taken);
        };
        let arguments = (keep.taken.clone(),);
        Process::builder(child, arguments).start().unwrap()
    }

    fn check(self, _left: bool) {
        self.0.is_whole_again();
    }
}

/// The end that its child was to have is closed with it, wherever it is.
struct Laden {
    family: Family,
    ours: Connection<u32>,
    theirs: Cell<Option<Connection<u32>>>,
}

fn says_five(end: Connection<u32>) {
    end.send(&5).unwrap();
}

impl Scene for Laden {
    fn prepare() -> Self {
        let (ours, theirs) = Pipe::new().unwrap();
        Self {
            family: Family::now(),
            ours,
            theirs: Cell::new(Some(theirs)),
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |end: Connection<u32>, taken: Lock| {
            let first = Process::builder(takes_five, (5,)).start().unwrap();
            first.join().unwrap();
            warm(&taken);
            let builder = Process::builder(says_five, (end,));
            let started = section(|| builder.start());
            assert_eq!(started.unwrap().join().unwrap(), 0);
        };
        let arguments = (self.theirs.take().unwrap(), keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn check(self, _left: bool) {
        let said: Vec<u32> = self.ours.iter().map(Result::unwrap).collect();
        assert!([5].starts_with(&said), "{said:?}");
        self.family.is_whole_again();
    }
}

struct HandsOver(Family);

impl Scene for HandsOver {
    fn prepare() -> Self {
        Self(Family::now())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            set_spare_children(1).unwrap();
            starts(&taken);
        };
        let arguments = (keep.taken.clone(),);
        Process::builder(child, arguments).start().unwrap()
    }

    fn check(self, _left: bool) {
        self.0.is_whole_again();
    }
}

struct LeavesValue(Cell<Option<JoinHandle<Blob>>>);

/// The section is what follows the function, up to the end's first handler.
fn gives(taken: Lock) -> Blob {
    warm(&taken);
    at_exit(ends);
    let value = Blob::of(5000);
    begins();
    value
}

impl Scene for LeavesValue {
    fn prepare() -> Self {
        Self(Cell::new(None))
    }

    fn victim(&self, keep: &Keep) -> Victim {
        let handle = multiproc::spawn(gives, (keep.taken.clone(),)).unwrap();
        let pid = handle.process().pid().unwrap();
        self.0.set(Some(handle));
        Victim::Other(pid)
    }

    fn check(self, left: bool) {
        match self.0.take().unwrap().join() {
            Ok(value) => assert_eq!(value, Blob::of(5000)),
            Err(error) => assert!(!left && error.kind() == ErrorKind::Killed, "{error}"),
        }
    }
}
