//! Real Pythons at the other end of connections, listening and connecting, with keys and without.

use crate::handshakes::KEY;
use crate::kit::kind;
use crate::listener::{Folder, localhost};
use crate::pythons::{Program, Python, pythons};
use crate::runner::{Case, case};
use multiproc::{
    Address, Client, ClientBuilder, Connection, ErrorKind, Listener, ListenerBuilder, wait,
};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    let minutes = Duration::from_secs(180);
    vec![
        case("python_peer::it_connects", it_connects).deadline(minutes),
        case("python_peer::it_listens", it_listens).deadline(minutes),
        case("python_peer::its_key_is_wrong", wrong_key).deadline(minutes),
        case("python_peer::only_one_has_a_key", one_key).deadline(minutes),
        case("python_peer::old_ones_are_refused", old_ones).deadline(minutes),
        case("python_peer::large_messages", large).deadline(minutes),
        case("python_peer::it_is_killed", killed).deadline(minutes),
        case("python_peer::descriptors", descriptors).deadline(minutes),
    ]
}

/// `address(argv)` and `key(argv)` of the programs.
const HEAD: &str = r#"
import sys
from multiprocessing.connection import Client, Listener
from multiprocessing import AuthenticationError
def address():
    family, text = sys.argv[1], sys.argv[2]
    if family == "tcp":
        host, port = text.rsplit(":", 1)
        return (host, int(port))
    return "\0" + text if family == "abstract" else text
key = None if sys.argv[3] == "none" else bytes.fromhex(sys.argv[3][1:])
def say(*words):
    print(*words, flush=True)
"#;

/// Runs a program with that address and key.
pub(crate) fn run(
    python: &Python,
    program: &str,
    address: &Address,
    key: Option<&[u8]>,
) -> Program {
    let (family, text) = match address {
        Address::Tcp(address) => ("tcp", address.to_string()),
        Address::Unix(path) => ("path", path.display().to_string()),
        Address::Abstract(name) => ("abstract", String::from_utf8(name.clone()).unwrap()),
        other => panic!("{other}"),
    };
    let hex = |key: &[u8]| {
        key.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let key = key.map_or("none".to_owned(), |key| format!("x{}", hex(key)));
    python.run(&format!("{HEAD}{program}"), &[family, &text, &key])
}

pub(crate) fn addresses(folder: &Folder) -> [Address; 3] {
    // No NUL but the first: it has to fit into an argument.
    let name = format!("test-of-python-{}", std::process::id());
    [
        localhost(),
        folder.path("socket").into(),
        Address::abstract_name(name),
    ]
}

const KEYS: [Option<&[u8]>; 3] = [None, Some(KEY), Some(b"")];

pub(crate) fn listener(python: &Python, address: &Address, key: Option<&[u8]>) -> ListenerBuilder {
    let builder = Listener::builder().address(address).legacy(python.is_old());
    match key {
        Some(key) => builder.authkey(key),
        None => builder,
    }
}

pub(crate) fn client(python: &Python, address: &Address, key: Option<&[u8]>) -> ClientBuilder {
    let builder = Client::builder(address).legacy(python.is_old());
    let builder = builder.timeout(Duration::MAX);
    match key {
        Some(key) => builder.authkey(key),
        None => builder,
    }
}

/// Where a program listens that says so: with the port.
pub(crate) fn listens(program: &mut Program, address: &Address) -> Address {
    let said = program.line();
    match address {
        Address::Tcp(_) => Address::tcp(("127.0.0.1", said.parse().unwrap())).unwrap(),
        other => other.clone(),
    }
}

/// Bytes of every sort both ways.
const ECHO: &str = r#"
def echo(c):
    while True:
        try:
            message = c.recv_bytes()
        except EOFError:
            break
        c.send_bytes(message)
    c.close()
"#;

fn is_echoed(connection: &Connection<()>) {
    for length in [0, 1, 100, 16384, 16385, 100_000] {
        let message: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        connection.send_bytes(&message).unwrap();
        assert!(connection.recv_bytes().unwrap() == message);
    }
    // Several at once stay several.
    for message in [&b"one"[..], b"", b"three"] {
        connection.send_bytes(message).unwrap();
    }
    for message in [&b"one"[..], b"", b"three"] {
        assert_eq!(connection.recv_bytes().unwrap(), message);
    }
}

fn it_connects() {
    let program = format!("{ECHO}\necho(Client(address(), authkey=key))\n");
    let folder = Folder::new();
    for python in pythons() {
        for address in addresses(&folder) {
            for key in KEYS {
                let listener = listener(&python, &address, key).bind().unwrap();
                let peer = run(&python, &program, listener.address(), key);
                let accepted: Connection<()> = listener.accept().unwrap();
                is_echoed(&accepted);
                drop(accepted);
                peer.ends();
            }
        }
    }
}

const LISTENS: &str = r#"
l = Listener(address(), authkey=key)
say(l.address[1] if sys.argv[1] == "tcp" else "listening")
"#;

fn it_listens() {
    let program = format!("{ECHO}{LISTENS}\necho(l.accept())\n");
    let folder = Folder::new();
    for python in pythons() {
        let known = |key: &Option<&[u8]>| key.is_none_or(|key| python.listens_with(key));
        for address in addresses(&folder) {
            for key in KEYS.into_iter().filter(known) {
                let mut peer = run(&python, &program, &address, key);
                let address = listens(&mut peer, &address);
                let connected = client(&python, &address, key).connect().unwrap();
                is_echoed(&connected);
                drop(connected);
                peer.ends();
            }
        }
    }
}

/// Both say so, whichever connects.
fn wrong_key() {
    let connects = r#"
try:
    Client(address(), authkey=key)
except AuthenticationError as error:
    say(error)
"#;
    let accepts = format!(
        r#"{LISTENS}
try:
    l.accept()
except AuthenticationError as error:
    say(error)
"#
    );
    let address = localhost();
    for python in pythons() {
        for (ours, theirs) in [(&b"one"[..], &b"two"[..]), (b"", b"key"), (b"key", b"")] {
            let listener = listener(&python, &address, Some(ours)).bind().unwrap();
            let mut peer = run(&python, connects, listener.address(), Some(theirs));
            let refused = kind(listener.accept::<(), ()>());
            assert_eq!(refused, ErrorKind::AuthenticationFailed);
            assert_eq!(peer.line(), "digest sent was rejected");
            peer.ends();
            if !python.listens_with(theirs) {
                continue;
            }
            let mut peer = run(&python, &accepts, &address, Some(theirs));
            let address = listens(&mut peer, &address);
            let refused = client(&python, &address, Some(ours)).connect::<(), ()>();
            assert_eq!(kind(refused), ErrorKind::AuthenticationFailed);
            assert!(peer.line().starts_with("digest received was wrong"));
            peer.ends();
        }
    }
}

/// Neither waits for ever.
fn one_key() {
    let sends = "c = Client(address(), authkey=key)\nc.send_bytes(b'first')\nsay(c.recv_bytes()[:11].decode())\nc.recv_bytes()\n";
    let accepts = format!(
        "{LISTENS}\nc = l.accept()\nsay('accepted')\ntry:\n    c.recv_bytes()\nexcept EOFError:\n    say('end')\n"
    );
    let address = localhost();
    for python in pythons() {
        // Ours only, both sorts of peers.
        let ours = listener(&python, &address, Some(KEY)).bind().unwrap();
        let mut peer = run(&python, sends, ours.address(), None);
        let refused = kind(ours.accept::<(), ()>());
        assert_eq!(refused, ErrorKind::AuthenticationFailed);
        assert_eq!(peer.line(), "#CHALLENGE#");
        peer.ends();
        // Our client's only.
        let mut peer = run(&python, &accepts, &address, None);
        let there = listens(&mut peer, &address);
        let hasty = client(&python, &there, Some(KEY)).timeout(Duration::from_millis(200));
        let late = hasty.connect::<(), ()>();
        assert_eq!(kind(late), ErrorKind::TimedOut);
        assert_eq!(peer.line(), "accepted");
        assert_eq!(peer.line(), "end");
        peer.ends();
        // The listener's only, which is Python's.
        let mut peer = run(&python, &accepts, &address, Some(KEY));
        let there = listens(&mut peer, &address);
        let keyless: Connection<()> = client(&python, &there, None).connect().unwrap();
        assert!(keyless.recv_bytes().unwrap().starts_with(b"#CHALLENGE#"));
        drop(keyless);
        peer.kill();
    }
}

/// MD5 only on request: both ways.
fn old_ones() {
    let address = localhost();
    let connects = "try:\n    Client(address(), authkey=key)\nexcept (AuthenticationError, EOFError, OSError) as error:\n    say(type(error).__name__)\n";
    let accepts = format!(
        "{LISTENS}\ntry:\n    l.accept()\nexcept (AuthenticationError, EOFError, OSError) as error:\n    say(type(error).__name__)\n"
    );
    for python in pythons().into_iter().filter(Python::is_old) {
        let listener = Listener::builder()
            .address(&address)
            .authkey(KEY)
            .bind()
            .unwrap();
        let mut peer = run(&python, connects, listener.address(), Some(KEY));
        let error = listener.accept::<(), ()>().unwrap_err();
        assert!(error.to_string().contains("legacy(true)"), "{error}");
        assert_eq!(peer.line(), "AuthenticationError");
        peer.ends();
        let mut peer = run(&python, &accepts, &address, Some(KEY));
        let there = listens(&mut peer, &address);
        let error = Client::builder(there)
            .authkey(KEY)
            .connect::<(), ()>()
            .unwrap_err();
        assert!(error.to_string().contains("legacy(true)"), "{error}");
        assert_eq!(peer.line(), "EOFError");
        peer.ends();
    }
}

fn large() {
    let program = format!("{ECHO}\necho(Client(address(), authkey=key))\n");
    let folder = Folder::new();
    for python in pythons() {
        for address in addresses(&folder) {
            let listener = listener(&python, &address, Some(KEY)).bind().unwrap();
            let peer = run(&python, &program, listener.address(), Some(KEY));
            let accepted: Connection<()> = listener.accept().unwrap();
            let mut message = vec![7; 16 << 20];
            message[1 << 23] = 8;
            accepted.send_bytes(&message).unwrap();
            assert!(accepted.recv_bytes().unwrap() == message);
            drop(accepted);
            peer.ends();
        }
    }
}

/// Killed before it accepts, and with a connection: we hear of it.
fn killed() {
    let waits = format!(
        "{LISTENS}\nif sys.stdin.readline():\n    c = l.accept()\n    say('accepted')\n    sys.stdin.readline()\n"
    );
    let folder = Folder::new();
    let address: Address = folder.path("socket").into();
    for python in pythons() {
        let mut peer = run(&python, &waits, &address, Some(KEY));
        listens(&mut peer, &address);
        let connects = client(&python, &address, Some(KEY));
        let connects = std::thread::spawn(|| connects.connect::<(), ()>());
        peer.go_on();
        assert_eq!(peer.line(), "accepted");
        let connected = connects.join().unwrap().unwrap();
        assert!(!connected.poll().unwrap());
        peer.kill();
        assert_eq!(wait(&[&connected], None).unwrap(), [0]);
        assert_eq!(kind(connected.recv_bytes()), ErrorKind::Disconnected);
        std::fs::remove_file(folder.path("socket")).unwrap();
        let mut peer = run(&python, &waits, &address, Some(KEY));
        listens(&mut peer, &address);
        let connects = client(&python, &address, Some(KEY));
        std::thread::scope(|scope| {
            let connects = || kind(connects.connect::<(), ()>());
            let connects = crate::sleepers::sleeper(scope, connects);
            peer.kill();
            // In the backlog, or not even there.
            let kinds = [ErrorKind::Disconnected, ErrorKind::Os];
            assert!(kinds.contains(&connects.join().unwrap()));
        });
        std::fs::remove_file(folder.path("socket")).unwrap();
    }
}

/// Its `send_handle` and `recv_handle` are our `recv_fd` and `send_fd`.
fn descriptors() {
    let program = r#"
import os
from multiprocessing.reduction import recv_handle, send_handle
c = Client(address(), authkey=key)
fd = recv_handle(c)
os.write(fd, b"written by python")
os.close(fd)
r, w = os.pipe()
send_handle(c, w, None)
os.close(w)
say(os.read(r, 100).decode())
"#;
    let folder = Folder::new();
    for python in pythons() {
        let address = folder.path("socket").into();
        let listener = listener(&python, &address, Some(KEY)).bind().unwrap();
        let mut peer = run(&python, program, listener.address(), Some(KEY));
        let accepted: Connection<()> = listener.accept().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        accepted.send_fd(&writer).unwrap();
        drop(writer);
        let text = std::io::read_to_string(reader).unwrap();
        assert_eq!(text, "written by python");
        let theirs = accepted.recv_fd().unwrap();
        std::io::Write::write_all(&mut std::fs::File::from(theirs), b"written by us").unwrap();
        assert_eq!(peer.line(), "written by us");
        peer.ends();
    }
}
