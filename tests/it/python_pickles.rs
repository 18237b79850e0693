//! Pickled values between us and real Pythons. The feature `python`.

use crate::handshakes::KEY;
use crate::kit::kind;
use crate::listener::{Folder, localhost};
use crate::python_peer::{addresses, client, listener, listens, run};
use crate::pythons::pythons;
use crate::runner::{Case, case};
use multiproc::{Connection, ErrorKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    let minutes = Duration::from_secs(180);
    vec![
        case("python_pickles::it_connects", it_connects).deadline(minutes),
        case("python_pickles::it_listens", it_listens).deadline(minutes),
        case("python_pickles::what_it_sends", what_it_sends).deadline(minutes),
        case("python_pickles::what_it_would_call", what_it_would_call).deadline(minutes),
        case("python_pickles::large_values", large_values).deadline(minutes),
    ]
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u32,
    name: String,
    prices: Vec<f64>,
    note: Option<String>,
    tags: BTreeMap<String, i64>,
    place: (i32, bool),
}

fn order() -> Order {
    Order {
        id: 7,
        name: "caf\u{e9} \u{1f980}".to_owned(),
        prices: vec![0.5, -1e300],
        note: None,
        tags: BTreeMap::from([("a".to_owned(), i64::MIN), ("b".to_owned(), 1 << 40)]),
        place: (-3, true),
    }
}

const ECHO: &str = r#"
def echo(c):
    while True:
        try:
            c.send(c.recv())
        except EOFError:
            break
    c.close()
"#;

fn is_echoed(connection: &Connection<()>) {
    for _ in 0..3 {
        connection.send_pickle(&order()).unwrap();
        assert_eq!(connection.recv_pickle::<Order>().unwrap(), order());
        let many = vec![order(); 100];
        connection.send_pickle(&many).unwrap();
        assert_eq!(connection.recv_pickle::<Vec<Order>>().unwrap(), many);
    }
}

fn it_connects() {
    let program = format!("{ECHO}\necho(Client(address(), authkey=key))\n");
    let folder = Folder::new();
    for python in pythons() {
        for address in addresses(&folder) {
            let listener = listener(&python, &address, Some(KEY)).bind().unwrap();
            let peer = run(&python, &program, listener.address(), Some(KEY));
            let accepted: Connection<()> = listener.accept().unwrap();
            is_echoed(&accepted);
            drop(accepted);
            peer.ends();
        }
    }
}

fn it_listens() {
    let program = format!(
        "{ECHO}\nl = Listener(address(), authkey=key)\nsay(l.address[1] if sys.argv[1] == 'tcp' else 'here')\necho(l.accept())\n"
    );
    let folder = Folder::new();
    for python in pythons() {
        for address in addresses(&folder) {
            let mut peer = run(&python, &program, &address, Some(KEY));
            let address = listens(&mut peer, &address);
            let connected = client(&python, &address, Some(KEY)).connect().unwrap();
            is_echoed(&connected);
            drop(connected);
            peer.ends();
        }
    }
}

const SENDS: &str = r#"
import dataclasses
@dataclasses.dataclass
class Point:
    x: int
    y: float
c = Client(address(), authkey=key)
c.send((1, "two", 3.0, None, True))
c.send({3, 1, 2})
c.send(frozenset("ab"))
c.send([Point(1, 2.0), Point(3, 4.0)])
c.send([[1, 2, 3, 4, 5]] * 3)
c.send({"key": {"key": ["key", "key"]}})
c.send((-1, 255, 256, 65536, -2**31, 2**31, 2**63 - 1, -2**63))
c.send(2**63)
c.send(float("inf"))
c.send(list(range(5000)))
c.send({str(n): n for n in range(3000)})
say(repr(c.recv()))
"#;

#[derive(Debug, PartialEq, Deserialize)]
struct Point {
    x: i32,
    y: f64,
}

fn structures(c: &Connection<()>) {
    let points: Vec<Point> = c.recv_pickle().unwrap();
    assert_eq!(points, [Point { x: 1, y: 2.0 }, Point { x: 3, y: 4.0 }]);
    assert_eq!(
        c.recv_pickle::<Vec<[u8; 5]>>().unwrap(),
        [[1, 2, 3, 4, 5]; 3]
    );
    type Nested = BTreeMap<String, BTreeMap<String, Vec<String>>>;
    assert_eq!(
        c.recv_pickle::<Nested>().unwrap()["key"]["key"],
        ["key", "key"]
    );
}

fn numbers(c: &Connection<()>) {
    let numbers: (i8, u8, u16, u32, i32, i64, i64, i64) = c.recv_pickle().unwrap();
    let expected = (-1, 255, 256, 65536, i32::MIN, 1 << 31, i64::MAX, i64::MIN);
    assert_eq!(numbers, expected);
    // More than 64 bits with a sign: refused, as documented.
    assert_eq!(kind(c.recv_pickle::<u64>()), ErrorKind::Decode);
    assert!(c.recv_pickle::<f64>().unwrap().is_infinite());
    assert!(c.recv_pickle::<Vec<u32>>().unwrap().into_iter().eq(0..5000));
    assert_eq!(
        c.recv_pickle::<BTreeMap<String, u32>>().unwrap().len(),
        3000
    );
}

/// What is of Python only, and what it makes of ours.
fn what_it_sends() {
    for python in pythons() {
        let listener = listener(&python, &localhost(), Some(KEY)).bind().unwrap();
        let mut peer = run(&python, SENDS, listener.address(), Some(KEY));
        let c: Connection<()> = listener.accept().unwrap();
        let mixed: (u8, String, f32, Option<u8>, bool) = c.recv_pickle().unwrap();
        assert_eq!(mixed, (1, "two".to_owned(), 3.0, None, true));
        assert_eq!(
            c.recv_pickle::<BTreeSet<u8>>().unwrap(),
            BTreeSet::from([1, 2, 3])
        );
        assert_eq!(
            c.recv_pickle::<BTreeSet<char>>().unwrap(),
            BTreeSet::from(['a', 'b'])
        );
        structures(&c);
        numbers(&c);
        c.send_pickle(&(1, "two", [3.5], None::<()>, BTreeMap::from([(1, false)])))
            .unwrap();
        assert_eq!(peer.line(), "(1, 'two', (3.5,), None, {1: False})");
        peer.ends();
    }
}

/// Its pickles may call functions, in Python. Here they are refused, and the connection goes on.
fn what_it_would_call() {
    let program = r#"
import os
class Evil:
    def __reduce__(self):
        return (os.system, ("kill -9 %d" % os.getppid(),))
c = Client(address(), authkey=key)
for evil in (Evil(), [Evil()], {"a": Evil()}, os.system):
    c.send(evil)
circle = []
circle.append(circle)
c.send(circle)
deep = []
for _ in range(200):
    deep = [deep]
c.send(deep)
c.send("fine")
c.recv()
"#;
    for python in pythons() {
        let listener = listener(&python, &localhost(), Some(KEY)).bind().unwrap();
        let peer = run(&python, program, listener.address(), Some(KEY));
        let c: Connection<()> = listener.accept().unwrap();
        for _ in 0..6 {
            let refused = c.recv_pickle::<serde::de::IgnoredAny>();
            assert_eq!(kind(refused), ErrorKind::Decode);
        }
        assert_eq!(c.recv_pickle::<String>().unwrap(), "fine");
        c.send_pickle(&()).unwrap();
        peer.ends();
    }
}

fn large_values() {
    let program = format!("{ECHO}\necho(Client(address(), authkey=key))\n");
    for python in pythons() {
        let listener = listener(&python, &localhost(), Some(KEY)).bind().unwrap();
        let peer = run(&python, &program, listener.address(), Some(KEY));
        let c: Connection<()> = listener.accept().unwrap();
        let text = "x".repeat(16 << 20);
        c.send_pickle(&text).unwrap();
        assert!(c.recv_pickle::<String>().unwrap() == text);
        let numbers: Vec<i64> = (0..1 << 18).map(|n| n << 30).collect();
        c.send_pickle(&numbers).unwrap();
        assert!(c.recv_pickle::<Vec<i64>>().unwrap() == numbers);
        drop(c);
        peer.ends();
    }
}
