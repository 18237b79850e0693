//! Connections that travel: as arguments of processes, in structures, through other connections, and not through queues.

use crate::connection_ends::is_over;
use crate::kit::{kind, raise_descriptors};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::ways::{each, fine, run_by, start_by};
use multiproc::{
    Connection, ErrorKind, JoinableQueue, Pipe, Pool, Process, Queue, SimpleQueue, TryPutError,
    set_spare_children,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("connection_travel::an_argument", an_argument),
        case("connection_travel::one_way_ends", one_way_ends),
        case("connection_travel::several_arguments", several),
        case("connection_travel::both_ends", both_ends),
        case("connection_travel::nested", nested),
        case("connection_travel::to_spare_children", spares),
        case(
            "connection_travel::through_a_connection",
            through_a_connection,
        ),
        case("connection_travel::through_itself", through_itself),
        case("connection_travel::to_a_grandchild", to_a_grandchild),
        case("connection_travel::around_a_ring", around_a_ring),
        case("connection_travel::with_what_had_come", with_what_had_come),
        case(
            "connection_travel::three_hundred_in_one_message",
            three_hundred,
        ),
        case("connection_travel::more_than_fit", more_than_fit),
        case("connection_travel::many_messages_with_each", many_messages),
        case("connection_travel::not_through_queues", not_through_queues),
        case("connection_travel::not_through_pools", not_through_pools),
        case("connection_travel::a_start_that_fails", start_fails),
        case("connection_travel::bytes_where_it_should_be", bytes_instead),
    ]
}

type End = Connection<u32>;

fn pair() -> (End, End) {
    Pipe::new().unwrap()
}

/// Adds one to whatever comes, until the end.
fn adds_one(end: End) {
    while let Ok(number) = end.recv() {
        end.send(&(number + 1)).unwrap();
    }
}

#[track_caller]
fn adds(end: &End, number: u32) {
    end.send(&number).unwrap();
    assert_eq!(end.recv_timeout(Duration::MAX).unwrap(), number + 1);
}

fn an_argument() {
    each(|way| {
        let (left, right) = pair();
        let child = start_by(way, adds_one, (left,));
        (0..10).for_each(|number| adds(&right, number));
        drop(right);
        fine(&child);
    });
    let (left, right) = pair();
    let mut child = Process::fork(move || adds_one(left));
    child.start().unwrap();
    (0..10).for_each(|number| adds(&right, number));
    drop(right);
    fine(&child);
}

/// An end that only reads, and one that only writes, are still that at the other side.
fn one_way_ends() {
    let relays = |reader: End, writer: End| {
        assert_eq!((reader.is_readable(), reader.is_writable()), (true, false));
        assert_eq!((writer.is_readable(), writer.is_writable()), (false, true));
        assert_eq!(kind(reader.send(&1)), ErrorKind::Misuse);
        assert_eq!(kind(writer.recv()), ErrorKind::Misuse);
        for number in reader.iter() {
            writer.send(&(number.unwrap() * 2)).unwrap();
        }
    };
    each(|way| {
        let (their_reader, writer) = Pipe::one_way().unwrap();
        let (reader, their_writer) = Pipe::one_way().unwrap();
        let child = start_by(way, relays, (their_reader, their_writer));
        for number in 0..10 {
            writer.send(&number).unwrap();
            assert_eq!(reader.recv().unwrap(), number * 2);
        }
        drop(writer);
        is_over_soon(&reader);
        fine(&child);
    });
}

#[track_caller]
fn is_over_soon(end: &End) {
    assert_eq!(kind(end.recv()), ErrorKind::Disconnected);
    is_over(end);
}

fn several() {
    let all = |ends: Vec<End>, text: String, last: Connection<String>| {
        for (number, end) in (0..).zip(&ends) {
            end.send(&number).unwrap();
        }
        last.send(&text).unwrap();
    };
    each(|way| {
        let (theirs, ours): (Vec<End>, Vec<End>) = (0..50).map(|_| pair()).unzip();
        let (last, our_last) = Pipe::new().unwrap();
        let text = "large".repeat(100_000);
        let child = start_by(way, all, (theirs, text.clone(), last));
        for (number, end) in (0..).zip(&ours) {
            assert_eq!(end.recv().unwrap(), number);
        }
        assert!(our_last.recv().unwrap() == text);
        ours.iter().for_each(is_over_soon);
        fine(&child);
    });
}

fn both_ends() {
    let talks_to_itself = |left: End, right: End| {
        left.send(&1).unwrap();
        assert_eq!(right.recv().unwrap(), 1);
        drop(left);
        is_over(&right);
    };
    each(|way| {
        let (left, right) = pair();
        run_by(way, talks_to_itself, (left, right));
    });
}

#[derive(Debug, Serialize, Deserialize)]
enum Plan {
    Nothing,
    Tree {
        name: String,
        end: Option<Box<End>>,
        more: Vec<Plan>,
        by_name: BTreeMap<String, (u8, Box<End>)>,
    },
}

impl Plan {
    fn new(depth: u32, ours: &mut Vec<End>) -> Plan {
        if depth == 0 {
            return Plan::Nothing;
        }
        let mut end = || {
            let (theirs, our) = pair();
            ours.push(our);
            theirs
        };
        let first = end();
        let by_name = ["a", "b"].map(|name| (name.to_owned(), (7, Box::new(end()))));
        Plan::Tree {
            name: format!("depth {depth}"),
            end: Some(Box::new(first)),
            by_name: by_name.into(),
            more: vec![Plan::new(depth - 1, ours), Plan::new(depth - 1, ours)],
        }
    }

    fn ends(&self) -> Vec<&End> {
        let Plan::Tree {
            name,
            end,
            more,
            by_name,
        } = self
        else {
            return Vec::new();
        };
        assert!(name.starts_with("depth"));
        let named = by_name.values().map(|(seven, end)| {
            assert_eq!(*seven, 7);
            &**end
        });
        let own = end.iter().map(|end| &**end).chain(named);
        own.chain(more.iter().flat_map(Plan::ends)).collect()
    }
}

fn nested() {
    let numbers = |plan: Plan| {
        for (number, end) in (0..).zip(plan.ends()) {
            end.send(&number).unwrap();
        }
    };
    let numbered = |ours: Vec<End>| {
        for (number, end) in (0..).zip(&ours) {
            assert_eq!(end.recv().unwrap(), number);
            is_over_soon(end);
        }
    };
    each(|way| {
        let mut ours = Vec::new();
        let plan = Plan::new(3, &mut ours);
        let child = start_by(way, numbers, (plan,));
        numbered(ours);
        fine(&child);
    });
    let mut ours = Vec::new();
    let (left, right) = Pipe::<Plan>::new().unwrap();
    left.send(&Plan::new(3, &mut ours)).unwrap();
    numbers(right.recv().unwrap());
    numbered(ours);
}

/// They were there before the connections were.
fn spares() {
    set_spare_children(3).unwrap();
    for _ in 0..scaled(10) {
        let (left, right) = pair();
        let mut child = Process::new(adds_one, (left,));
        child.start().unwrap();
        adds(&right, 5);
        drop(right);
        fine(&child);
    }
    set_spare_children(0).unwrap();
}

fn through_a_connection() {
    let serves = |carrier: Connection<End>| {
        for end in carrier.iter() {
            adds_one(end.unwrap());
        }
    };
    each(|way| {
        let (carrier, theirs) = Pipe::<End>::new().unwrap();
        let child = start_by(way, serves, (theirs,));
        for _ in 0..5 {
            let (left, right) = pair();
            carrier.send(&left).unwrap();
            drop(left);
            adds(&right, 1);
        }
        drop(carrier);
        fine(&child);
    });
}

/// A type that names itself is needed for that.
fn through_itself() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Same(Connection<Box<Same>>);
    let (left, right) = Pipe::<Box<Same>>::new().unwrap();
    let (inner, outer) = Pipe::<Box<Same>>::new().unwrap();
    left.send(&Box::new(Same(inner))).unwrap();
    let inner = right.recv().unwrap().0;
    // An end of a connection goes through the connection itself.
    inner.send(&Box::new(Same(right))).unwrap();
    let right = outer.recv().unwrap().0;
    right.send_bytes(b"hello").unwrap();
    assert_eq!(left.recv_bytes().unwrap(), b"hello");
}

fn to_a_grandchild() {
    let passes = |way: String, end: End| {
        run_by(crate::ways::named(&way), adds_one, (end,));
    };
    each(|way| {
        for inner in crate::ways::WAYS {
            let (left, right) = pair();
            let child = start_by(way, passes, (inner.to_string(), left));
            adds(&right, 3);
            drop(right);
            fine(&child);
        }
    });
}

/// The same end through five processes and back; each of them gives it away.
fn around_a_ring() {
    type Carrier = Connection<End>;
    let passes = |from: Carrier, to: Carrier| {
        for end in from.iter() {
            let end = end.unwrap();
            end.send(&1).unwrap();
            to.send(&end).unwrap();
        }
    };
    let (first, mut from) = Pipe::<End>::new().unwrap();
    let mut children = Vec::new();
    for _ in 0..5 {
        let (to, next) = Pipe::<End>::new().unwrap();
        let way = crate::ways::WAYS[children.len() % 3];
        children.push(start_by(way, passes, (from, to)));
        from = next;
    }
    for _ in 0..scaled(5) {
        let (left, right) = pair();
        first.send(&left).unwrap();
        drop(left);
        let back = from.recv().unwrap();
        for _ in 0..5 {
            assert_eq!(right.recv().unwrap(), 1);
        }
        back.send(&9).unwrap();
        assert_eq!(right.recv().unwrap(), 9);
        drop(back);
        is_over(&right);
    }
    drop(first);
    children.iter().for_each(fine);
}

/// What the sender of an end has not received goes with it.
fn with_what_had_come() {
    let two = |end: End| {
        assert_eq!(end.recv().unwrap(), 1);
        assert_eq!(end.recv().unwrap(), 2);
        is_over_soon(&end);
    };
    each(|way| {
        let (left, right) = pair();
        left.send(&1).unwrap();
        assert!(right.poll().unwrap());
        let child = start_by(way, two, (right,));
        left.send(&2).unwrap();
        drop(left);
        fine(&child);
    });
}

fn three_hundred() {
    let sends_back = |carrier: Connection<Vec<End>>| {
        let ends = carrier.recv().unwrap();
        for (number, end) in (0..).zip(&ends) {
            end.send(&number).unwrap();
        }
        carrier.send(&ends).unwrap();
    };
    each(|way| {
        let (carrier, theirs) = Pipe::<Vec<End>>::new().unwrap();
        let (lefts, rights): (Vec<End>, Vec<End>) = (0..300).map(|_| pair()).unzip();
        let child = start_by(way, sends_back, (theirs,));
        carrier.send(&lefts).unwrap();
        drop(lefts);
        let back = carrier.recv().unwrap();
        fine(&child);
        assert_eq!(back.len(), 300);
        for (number, end) in (0..).zip(&rights) {
            assert_eq!(end.recv().unwrap(), number);
        }
        drop(back);
        rights.iter().for_each(is_over);
    });
}

/// Descriptors that the receiver has no room for: an error, and no descriptor is left behind.
fn more_than_fit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    raise_descriptors();
    let (carrier, other) = Pipe::<Vec<End>>::new().unwrap();
    let (lefts, rights): (Vec<End>, Vec<End>) = (0..100).map(|_| pair()).unzip();
    carrier.send(&lefts).unwrap();
    carrier.send(&Vec::new()).unwrap();
    drop(lefts);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // Numbers below the highest that are open stay valid, but no new ones can be had.
    let few = crate::ways::open_numbers().len() as u64 + 10;
    setrlimit(Resource::RLIMIT_NOFILE, few.min(110), hard).unwrap();
    let error = other.recv().unwrap_err();
    assert!(
        [ErrorKind::Os, ErrorKind::Decode, ErrorKind::NoSpace].contains(&error.kind()),
        "{error}"
    );
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert!(other.recv().unwrap().is_empty());
    drop((carrier, other));
    rights.iter().for_each(is_over_soon);
}

/// Which descriptor belongs to which message is not mixed up, however many wait.
fn many_messages() {
    type Message = (u32, Vec<End>, Vec<u8>);
    let (carrier, other) = Pipe::<Message>::new().unwrap();
    let count = scaled(200);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..count {
                let (theirs, ours): (Vec<End>, Vec<End>) = (0..number % 4).map(|_| pair()).unzip();
                let padding = vec![0; (number as usize % 5) * 20_000];
                for end in ours {
                    end.send(&number).unwrap();
                }
                carrier.send(&(number, theirs, padding)).unwrap();
            }
        });
        for number in 0..count {
            let (same, ends, padding) = other.recv().unwrap();
            assert_eq!(same, number);
            assert_eq!(ends.len(), number as usize % 4);
            assert_eq!(padding.len(), (number as usize % 5) * 20_000);
            for end in ends {
                assert_eq!(end.recv().unwrap(), number);
                is_over(&end);
            }
        }
    });
}

/// A queue has no way for descriptors: refused, given back, and as usable as before.
fn not_through_queues() {
    let (mut left, right) = pair();
    let queue = Queue::new().unwrap();
    match queue.try_put(left) {
        Err(TryPutError::Failed(back, error)) => {
            assert_eq!(error.kind(), ErrorKind::Encode);
            left = back;
        }
        other => panic!("{other:?}"),
    }
    let error = queue.put(left).unwrap_err();
    left = error.into_inner();
    assert!(queue.is_empty());
    let simple = SimpleQueue::new().unwrap();
    left = simple.put(left).unwrap_err().into_inner();
    let joinable = JoinableQueue::new().unwrap();
    left = joinable.put(left).unwrap_err().into_inner();
    assert_eq!(joinable.unfinished(), 0);
    let many = queue.put_many([left]).unwrap_err();
    left = many.into_inner().pop().unwrap();
    left.send(&1).unwrap();
    assert_eq!(right.recv().unwrap(), 1);
    right.send(&2).unwrap();
    assert_eq!(left.recv().unwrap(), 2);
    drop(left);
    is_over(&right);
}

fn not_through_pools() {
    let pool = Pool::new(1).unwrap();
    let (left, right) = pair();
    let error = pool.apply(adds_one, (left,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    is_over_soon(&right);
    let error = pool.apply(|| Pipe::<u32>::new().unwrap().0, ());
    assert_eq!(kind(error), ErrorKind::Encode);
    assert_eq!(pool.apply(|number: u32| number, (4,)).unwrap(), 4);
    pool.close();
    pool.join().unwrap();
    assert_eq!(pool.stats().deaths, 0);
}

/// The end stays with the process that was not started, until that goes.
fn start_fails() {
    let (left, right) = pair();
    let function = |_end: End, _gate: RemoteGate| ();
    let gate = Gate::new();
    let builder = Process::builder(function, (left, gate.remote()));
    let started = builder.cwd("/there/is/no/such/folder").start();
    if let Ok(process) = started {
        process.join().unwrap();
    }
    is_over_soon(&right);
}

/// A message that names more descriptors than came with it, or another one than did.
fn bytes_instead() {
    let (carrier, other) = Pipe::<Connection<End>, ()>::new().unwrap();
    for bytes in [&b""[..], b"\0", b"\x01", b"\0\0\0", &[0xff; 12], &[7; 40]] {
        carrier.send_bytes(bytes).unwrap();
        assert_eq!(kind(other.recv()), ErrorKind::Decode, "{bytes:?}");
    }
    let (left, right) = Pipe::<End>::new().unwrap();
    carrier.send(&left).unwrap();
    drop(left);
    let left = other.recv().unwrap();
    let (end, peer) = pair();
    left.send(&end).unwrap();
    drop(end);
    adds_one_now(right.recv().unwrap());
    assert_eq!(peer.recv().unwrap(), 1);
}

fn adds_one_now(end: End) {
    end.send(&1).unwrap();
}
