//! Values as pickles: what is decoded, and what is refused before it takes memory or stack. The feature `python`.

use crate::kit::kind;
use crate::runner::{Case, case, scaled};
use multiproc::{Connection, ErrorKind, Pipe};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize, Serializer};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("pickle::values", values),
        case("pickle::bytes_and_lists", bytes_and_lists),
        case("pickle::nothing_is_called", nothing_is_called),
        case("pickle::deep", deep),
        case("pickle::deep_by_names", deep_by_names),
        case("pickle::repeated", repeated),
        case("pickle::absurd_lengths", absurd_lengths),
        case("pickle::circles", circles),
        case("pickle::cut", cut),
        case("pickle::spoilt", spoilt),
        case("pickle::random_instructions", random_instructions),
        case("pickle::other_types", other_types),
        case("pickle::does_not_serialise", does_not_serialise),
        case("pickle::timeouts_and_ends", timeouts_and_ends),
    ]
}

/// Two ends. What is sent is sent by another thread: it may be too large for the socket.
struct Ends(RefCell<Option<Connection<()>>>, Connection<()>);

fn ends() -> Ends {
    let (one, other) = Pipe::new().unwrap();
    Ends(RefCell::new(Some(one)), other)
}

impl Ends {
    fn with<T>(&self, body: impl FnOnce(&Connection<()>) -> T) -> T {
        body(self.0.borrow().as_ref().unwrap())
    }

    fn receive<T: DeserializeOwned>(&self, pickle: &[u8]) -> multiproc::Result<T> {
        let one = self.0.take().unwrap();
        let pickle = pickle.to_vec();
        let sends = std::thread::spawn(move || {
            one.send_bytes(&pickle).unwrap();
            one
        });
        let received = self.1.recv_pickle();
        self.0.replace(Some(sends.join().unwrap()));
        received
    }
}

#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let (one, other) = Pipe::<()>::new().unwrap();
    one.send_pickle(value).unwrap();
    assert_eq!(other.recv_pickle::<T>().unwrap(), *value);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Box(i32, i32),
    Named {
        name: String,
        inner: Option<Box<Shape>>,
    },
}

fn values() {
    comes_back(&());
    comes_back(&true);
    comes_back(&(i64::MIN, i64::MAX, 0_u8, -1_i8));
    comes_back(&(1.5, f64::INFINITY, f32::MIN));
    comes_back(&("text \u{1f980}".to_owned(), 'x', String::new()));
    comes_back(&vec![Some(1), None, Some(-1)]);
    comes_back(&(1, (2, 3, 4, 5), [6; 7]));
    comes_back(&BTreeMap::from([
        ("a".to_owned(), vec![1]),
        ("b".to_owned(), vec![]),
    ]));
    comes_back(&BTreeMap::from([((1, 2), 3)]));
    comes_back(&BTreeSet::from([3, 1, 2]));
    for shape in [Shape::Point, Shape::Circle(1.0), Shape::Box(1, 2)] {
        let inner = Some(Box::new(shape));
        comes_back(&Shape::Named {
            name: "it".to_owned(),
            inner,
        });
    }
    comes_back(&(0..5000).collect::<Vec<u32>>());
}

/// Refused, and the connection goes on.
#[track_caller]
fn refused<T: DeserializeOwned + std::fmt::Debug>(both: &Ends, pickle: &[u8]) -> String {
    let error = both.receive::<T>(pickle).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    both.with(|one| one.send_pickle(&7).unwrap());
    assert_eq!(both.1.recv_pickle::<i32>().unwrap(), 7);
    error.to_string()
}

#[track_caller]
fn decoded<T: DeserializeOwned>(both: &Ends, pickle: &[u8]) -> T {
    both.receive(pickle).unwrap()
}

struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// As the documentation says: bytes are no list.
fn bytes_and_lists() {
    let both = ends();
    both.with(|one| one.send_pickle(&Bytes(vec![1, 2])).unwrap());
    assert_eq!(both.1.recv_bytes().unwrap(), b"\x80\x03C\x02\x01\x02.");
    both.with(|one| one.send_pickle(&vec![1_u8, 2]).unwrap());
    assert_eq!(both.1.recv_bytes().unwrap()[..3], *b"\x80\x03]");
    assert_eq!(decoded::<Bytes>(&both, b"\x80\x04C\x02ab.").0, b"ab");
    // A bytearray, as protocol 5 has it.
    let array = b"\x80\x05\x96\x02\0\0\0\0\0\0\0ab.";
    assert_eq!(decoded::<Bytes>(&both, array).0, b"ab");
    assert_eq!(decoded::<Vec<u8>>(&both, b"\x80\x04](K\x01K\x02e."), [1, 2]);
    refused::<Vec<u8>>(&both, b"\x80\x04C\x02ab.");
}

/// What Python would call.
fn nothing_is_called() {
    let both = ends();
    let calls: [&[u8]; 6] = [
        b"\x80\x02cposix\nsystem\nX\x09\0\0\0kill -9 0\x85R.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x09kill -9 0\x85R.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        b"\x80\x02c__builtin__\neval\n.",
        b"(S'x'\nios\nsystem\n.",
        b"cos\nsystem\n(S'true'\ntR.",
    ];
    for pickle in calls {
        refused::<String>(&both, pickle);
        refused::<i64>(&both, pickle);
        refused::<IgnoredAny>(&both, pickle);
    }
    // Persistent objects, extensions, buffers out of band.
    for code in [b"P1\n.", &b"K\x01Q."[..], b"\x82\x01.", b"\x97."] {
        assert!(refused::<IgnoredAny>(&both, code).contains("instruction"));
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nest(Vec<Nest>);

fn deep() {
    let both = ends();
    let lists = |depth: usize| {
        [
            &b"\x80\x04"[..],
            &b"]".repeat(depth),
            &b"a".repeat(depth - 1),
            b".",
        ]
        .concat()
    };
    let tuples = |depth: usize| [&b"\x80\x04)"[..], &b"\x85".repeat(depth), b"."].concat();
    let marked =
        |depth: usize| [&b"("[..], &b"](".repeat(depth), &b"e".repeat(depth), b"t."].concat();
    decoded::<IgnoredAny>(&both, &lists(128));
    let mut nest = decoded::<Nest>(&both, &lists(128));
    let mut depth = 1;
    while let Some(inner) = nest.0.pop() {
        nest = inner;
        depth += 1;
    }
    assert_eq!(depth, 128);
    for depth in [129, 1000, 1_000_000] {
        for pickle in [lists(depth), tuples(depth), marked(depth)] {
            assert!(refused::<IgnoredAny>(&both, &pickle).contains("levels"));
            refused::<Nest>(&both, &pickle);
        }
        let marks = [&b"("[..], &b"(".repeat(depth)].concat();
        assert!(refused::<IgnoredAny>(&both, &marks).contains("levels"));
    }
}

/// Each list is put into the one below it on the stack, by its name.
fn deep_by_names() {
    let both = ends();
    let mut pickle = b"\x80\x04".to_vec();
    for name in 0..250_u8 {
        pickle.extend([b']', b'q', name]);
    }
    let mut inside_out = pickle.clone();
    for name in (1..250_u8).rev() {
        pickle.extend([b'0', b'h', name, b'a']);
        inside_out.extend([b'h', name - 1, b'a', b'0']);
    }
    pickle.push(b'.');
    assert!(refused::<IgnoredAny>(&both, &pickle).contains("levels"));
    // Or the one below into it, which is still empty then.
    inside_out.push(b'.');
    refused::<IgnoredAny>(&both, &inside_out);
}

/// A few bytes that stand for more than there is memory.
fn repeated() {
    let both = ends();
    // A list of two of the list before, 60 times.
    let mut laughs = b"\x80\x04]q\0".to_vec();
    for name in 1..60_u8 {
        laughs.extend([
            b'0',
            b']',
            b'(',
            b'h',
            name - 1,
            b'h',
            name - 1,
            b'e',
            b'q',
            name,
        ]);
    }
    laughs.push(b'.');
    assert!(refused::<IgnoredAny>(&both, &laughs).contains("too large"));
    // Python's `DUP`, which it never writes.
    let twice = [&b"\x80\x04N"[..], &b"2\x86".repeat(60), b"."].concat();
    refused::<IgnoredAny>(&both, &twice);
    // A name for what has one.
    refused::<IgnoredAny>(&both, b"\x80\x04]\x94\x94.");
    // Tuples that take more than their two bytes.
    let tuples = [&b"\x80\x04]("[..], &b"(t".repeat(300_000), b"e."].concat();
    assert!(refused::<IgnoredAny>(&both, &tuples).contains("too large"));
    // What Python does repeat is fine: a thousand times the same long text.
    let mut texts = b"\x80\x04](X\xe8\x03\0\0".to_vec();
    texts.extend([b'x'; 1000]);
    texts.extend(b"q\0");
    texts.extend(b"h\0".repeat(999));
    texts.extend(b"e.");
    let texts: Vec<String> = decoded(&both, &texts);
    assert!(texts.len() == 1000 && texts.iter().all(|text| text.len() == 1000));
}

/// Nothing is read, or made room for, beyond the message.
fn absurd_lengths() {
    let both = ends();
    let huge = [0xff; 8];
    for code in [0x8d, 0x8e, 0x96] {
        refused::<IgnoredAny>(&both, &[&[code][..], &huge, b"abc."].concat());
    }
    for code in [b'B', b'X', b'T', 0x8b] {
        refused::<IgnoredAny>(&both, &[&[code][..], &huge[..4], b"abc."].concat());
    }
    for code in [b'C', b'U', 0x8c, 0x8a] {
        refused::<IgnoredAny>(&both, &[code, 255, b'.']);
    }
    // The length of a frame of the pickle says nothing.
    let frame = [&b"\x80\x04\x95"[..], &huge, b"K\x07."].concat();
    assert_eq!(decoded::<i32>(&both, &frame), 7);
    // Integers that no type has.
    let long = [&b"\x8a\x09"[..], &[1; 9], b"."].concat();
    refused::<i64>(&both, &long);
}

fn circles() {
    let both = ends();
    let circle = b"\x80\x04]\x94h\0a.";
    assert!(refused::<IgnoredAny>(&both, circle).contains("itself"));
    refused::<IgnoredAny>(&both, b"\x80\x04}q\0X\x01\0\0\0ah\0s.");
    // By way of a tuple.
    refused::<IgnoredAny>(&both, b"\x80\x04]q\0h\0\x85q\x01a.");
}

#[derive(Debug, Serialize, Deserialize)]
struct All {
    shapes: Vec<Shape>,
    map: BTreeMap<String, (i64, f64)>,
    nothing: Option<()>,
}

/// A pickle with most of what there is.
fn pickle_of_all(both: &Ends) -> Vec<u8> {
    let named = |name: &str| Shape::Named {
        name: name.to_owned(),
        inner: Some(Box::new(Shape::Box(1, -70_000))),
    };
    let value = All {
        shapes: vec![named("a"), Shape::Point, named("a")],
        map: BTreeMap::from([("k".to_owned(), (1 << 40, 0.5))]),
        nothing: None,
    };
    both.with(|one| one.send_pickle(&value).unwrap());
    both.1.recv_bytes().unwrap()
}

fn cut() {
    let both = ends();
    let pickle = pickle_of_all(&both);
    for length in 0..pickle.len() {
        refused::<All>(&both, &pickle[..length]);
    }
    refused::<All>(&both, &[&pickle[..], b"."].concat());
}

/// Whatever comes, it is decoded or refused.
fn spoilt() {
    let both = ends();
    let pickle = pickle_of_all(&both);
    let mut dice = Dice(1);
    let mut fine = 0;
    let cases = scaled(20_000);
    for _ in 0..cases {
        let mut spoilt = pickle.clone();
        for _ in 0..=dice.below(4) {
            let place = dice.below(spoilt.len());
            spoilt[place] = u8::try_from(dice.below(256)).unwrap();
        }
        both.with(|one| one.send_bytes(&spoilt).unwrap());
        match both.1.recv_pickle::<All>() {
            Ok(_) => fine += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Decode),
        }
        both.with(|one| one.send_bytes(&spoilt).unwrap());
        let _ignored = both.1.recv_pickle::<IgnoredAny>();
    }
    assert!(fine > 0 && fine < cases, "{fine} of {cases}");
}

/// Instructions in any order: nothing panics, overflows, or takes more than there is.
fn random_instructions() {
    const CODES: &[u8] =
        b"()]]}}\x8f\x85\x86\x87tlde\x90\x91asu01q\x94\x94hhhRb\x81\x92\x93NNK\x88C\x8c\x8ac.(((";
    let (one, mut other) = Pipe::<()>::new().unwrap();
    other.set_max_message(1 << 20);
    let mut dice = Dice(7);
    let mut fine = 0;
    let cases = scaled(20_000);
    for _ in 0..cases {
        let mut pickle = Vec::new();
        for _ in 0..dice.below(60) {
            let code = CODES[dice.below(CODES.len())];
            pickle.push(code);
            match code {
                b'K' | b'q' | b'h' => pickle.push(u8::try_from(dice.below(5)).unwrap()),
                b'C' | 0x8c | 0x8a => pickle.extend(b"\x01x"),
                b'c' => pickle.extend(b"builtins\nset\n"),
                _ => {}
            }
        }
        pickle.push(b'.');
        one.send_bytes(&pickle).unwrap();
        let ignored = other.recv_pickle::<IgnoredAny>();
        fine += u32::from(ignored.is_ok());
        one.send_bytes(&pickle).unwrap();
        let _nest = other.recv_pickle::<Vec<Shape>>();
    }
    assert!(fine > 0 && fine < cases, "{fine} of {cases}");
}

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        let Dice(state) = self;
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(*state >> 33).unwrap() % limit
    }
}

fn other_types() {
    let both = ends();
    assert!(refused::<i32>(&both, b"\x80\x04\x8c\x01a.").contains("i32"));
    refused::<(i32, i32)>(&both, b"\x80\x04K\x01\x85.");
    refused::<Shape>(&both, b"\x80\x04\x8c\x05Other.");
    refused::<u8>(&both, b"\x80\x04M\x00\x01.");
    // Not even a pickle: a value in the crate's own encoding.
    refused::<String>(&both, b"\x05hello");
    refused::<()>(&both, b"");
}

fn does_not_serialise() {
    struct Never;
    impl Serialize for Never {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    let (one, other) = Pipe::<()>::new().unwrap();
    assert_eq!(kind(one.send_pickle(&[Never])), ErrorKind::Encode);
    assert!(!other.poll().unwrap());
    one.send_pickle("next").unwrap();
    assert_eq!(other.recv_pickle::<String>().unwrap(), "next");
}

fn timeouts_and_ends() {
    let (one, mut other) = Pipe::<()>::new().unwrap();
    let late = other.recv_pickle_timeout::<()>(Duration::from_millis(1));
    assert_eq!(kind(late), ErrorKind::TimedOut);
    one.send_pickle(&1).unwrap();
    let in_time = other.recv_pickle_timeout::<i32>(Duration::MAX);
    assert_eq!(in_time.unwrap(), 1);
    other.set_max_message(10);
    one.send_pickle(&"x".repeat(20)).unwrap();
    assert_eq!(kind(other.recv_pickle::<String>()), ErrorKind::TooLong);
    drop(other);
    assert_eq!(kind(one.send_pickle(&1)), ErrorKind::Disconnected);
    assert_eq!(kind(one.recv_pickle::<()>()), ErrorKind::Disconnected);
}
