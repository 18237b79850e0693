//! `Listener` and `Client`: every family, every verb, what is refused.

use crate::kit::kind;
use crate::runner::{Case, case, skip};
use multiproc::{Address, Client, Connection, ErrorKind, Listener, wait};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("listener::every_family", every_family),
        case("listener::ipv6", ipv6),
        case("listener::addresses", addresses),
        case("listener::addresses_that_are_none", no_addresses),
        case("listener::nobody_listens", nobody_listens),
        case("listener::bound_twice", bound_twice),
        case("listener::path_is_removed_if_it_is_ours", path_is_removed),
        case("listener::default_address", default_address),
        case("listener::closed", closed),
        case("listener::timeouts", timeouts),
        case("listener::client_that_has_gone", client_has_gone),
        case("listener::poll_on_a_new_connection", poll_on_a_new_one),
        case("listener::waited_for", waited_for),
        case("listener::full_backlog", full_backlog),
        case("listener::limits", limits),
        case("listener::printed", printed),
    ]
}

const SHORT: Duration = Duration::from_millis(1);

/// A folder that goes with its owner, the tests' own.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let template = std::env::temp_dir().join("test-of-listeners-XXXXXX");
        Folder(nix::unistd::mkdtemp(&template).unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // With whatever is in it: a path that a listener has left is found by the test that looks for it.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn localhost() -> Address {
    Address::from(([127, 0, 0, 1], 0))
}

/// An abstract name that nobody else has.
pub(crate) fn abstract_name(what: &str) -> Address {
    Address::abstract_name(format!("test {what} \0 {}", std::process::id()))
}

/// The system's own error.
#[track_caller]
pub(crate) fn os_error<T: std::fmt::Debug>(result: multiproc::Result<T>) -> io::ErrorKind {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Os, "{error}");
    let source = std::error::Error::source(&error).unwrap();
    source.downcast_ref::<io::Error>().unwrap().kind()
}

/// Values and bytes both ways, of one that has connected.
fn echo(listener: &Listener) {
    let address = listener.address().clone();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let client: Connection<String, usize> = Client::connect(address)?;
            client.send(&"hello".to_owned())?;
            let length = client.recv()?;
            client.send_bytes(b"bytes")?;
            Ok::<_, multiproc::Error>((length, client.recv_bytes()?))
        });
        let accepted: Connection<usize, String> = listener.accept().unwrap();
        accepted.send(&accepted.recv().unwrap().len()).unwrap();
        let bytes = accepted.recv_bytes().unwrap();
        accepted
            .send_bytes(&[bytes, vec![0; 100_000]].concat())
            .unwrap();
        let (length, bytes) = client.join().unwrap().unwrap();
        assert_eq!((length, bytes.len()), (5, 100_005));
        assert_eq!(kind(accepted.recv()), ErrorKind::Disconnected);
    });
}

fn every_family() {
    let folder = Folder::new();
    let all = [
        localhost(),
        Address::tcp("localhost:0").unwrap(),
        Address::from(folder.path("socket")),
        abstract_name("family"),
        abstract_name(&"x".repeat(50)),
    ];
    for address in all {
        let listener = Listener::bind(&address).unwrap();
        assert_eq!(listener.last_accepted(), None);
        for _ in 0..3 {
            echo(&listener);
        }
        match (listener.address(), listener.last_accepted().unwrap()) {
            (Address::Tcp(bound), Address::Tcp(peer)) => {
                assert!(bound.port() != 0 && peer.port() != 0 && peer.ip() == bound.ip());
            }
            (bound, Address::Unix(peer)) => {
                assert_eq!((bound, peer), (&address, PathBuf::new()));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Where the machine has it.
fn ipv6() {
    if let Err(error) = TcpListener::bind("[::1]:0") {
        skip(format!("no IPv6 here: {error}"));
    }
    let listener = Listener::bind(Address::tcp("[::1]:0").unwrap()).unwrap();
    echo(&listener);
    assert!(listener.address().to_string().starts_with("[::1]:"));
    assert!(matches!(listener.last_accepted(), Some(Address::Tcp(peer)) if peer.is_ipv6()));
}

fn addresses() {
    let tcp = Address::tcp(("127.0.0.1", 7)).unwrap();
    assert_eq!(tcp, Address::from(([127, 0, 0, 1], 7)));
    assert_eq!(tcp.to_string(), "127.0.0.1:7");
    // The one of IPv4, where a name has both.
    let Address::Tcp(local) = Address::tcp("localhost:9").unwrap() else {
        panic!("not TCP");
    };
    assert!(local.is_ipv4() && local.port() == 9);
    assert_eq!(Address::from(Path::new("a/b")).to_string(), "a/b");
    assert_eq!(Address::from("\0a\u{1}"), Address::Abstract(vec![b'a', 1]));
    assert_eq!(
        Address::abstract_name([b'a', 0, 255]).to_string(),
        "@a\\x00\\xff"
    );
    assert_eq!(Address::from("@a"), Address::Unix("@a".into()));
    for address in [tcp, Address::from("x"), Address::from("\0x")] {
        let (here, there) = multiproc::Pipe::<Address>::new().unwrap();
        here.send(&address).unwrap();
        assert_eq!(there.recv().unwrap(), address);
    }
}

fn no_addresses() {
    let long = "x".repeat(108);
    let paths = ["", "a\0b", &long];
    let names = [vec![b'x'; 108]];
    let paths = paths.iter().map(|path| Address::Unix(path.into()));
    for address in paths.chain(names.map(Address::Abstract)) {
        assert_eq!(kind(Listener::bind(&address)), ErrorKind::InvalidInput);
        let client = Client::connect::<(), ()>(&address);
        assert_eq!(kind(client), ErrorKind::InvalidInput);
    }
    assert_eq!(kind(Address::tcp("no port")), ErrorKind::Os);
    // The longest ones are fine.
    drop(Listener::bind(Address::abstract_name("x".repeat(107))).unwrap());
    let nowhere = Listener::bind("/dev/null/socket");
    assert_eq!(os_error(nowhere), io::ErrorKind::NotADirectory);
}

fn nobody_listens() {
    let connect = |address: Address| os_error(Client::connect::<(), ()>(address));
    let folder = Folder::new();
    let path = folder.path("socket");
    assert_eq!(connect(path.clone().into()), io::ErrorKind::NotFound);
    // A socket of one who did not clean up.
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(connect(path.into()), io::ErrorKind::ConnectionRefused);
    let nobody = abstract_name("nobody");
    assert_eq!(connect(nobody), io::ErrorKind::ConnectionRefused);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let refused = connect(closed.unwrap().into());
    assert_eq!(refused, io::ErrorKind::ConnectionRefused);
}

fn bound_twice() {
    let folder = Folder::new();
    let first = [
        localhost(),
        Address::from(folder.path("socket")),
        abstract_name("twice"),
    ];
    for address in first {
        let listener = Listener::bind(address).unwrap();
        let address = listener.address().clone();
        for _ in 0..2 {
            let again = Listener::bind(&address);
            assert_eq!(os_error(again), io::ErrorKind::AddrInUse);
        }
        // Who was refused has not harmed the first.
        echo(&listener);
        drop(listener);
        echo(&Listener::bind(&address).unwrap());
    }
}

fn path_is_removed() {
    let folder = Folder::new();
    let path = folder.path("socket");
    let listener = Listener::bind(path.clone()).unwrap();
    assert!(path.exists());
    drop(listener);
    assert!(!path.exists());
    // Somebody else is there meanwhile.
    let listener = Listener::bind(path.clone()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let other = Listener::bind(path.clone()).unwrap();
    drop(listener);
    echo(&other);
    drop(other);
    assert!(!path.exists());
    let listener = Listener::bind(path.clone()).unwrap();
    std::fs::remove_file(&path).unwrap();
    drop(listener);
}

fn default_address() {
    let listener = Listener::new().unwrap();
    let other = Listener::builder().bind().unwrap();
    assert_ne!(listener.address(), other.address());
    let Address::Unix(path) = listener.address().clone() else {
        panic!("not a path");
    };
    let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap());
    assert_eq!(mode & 0o077, 0, "others may connect");
    echo(&listener);
    echo(&other);
    drop(listener);
    assert!(!path.exists());
    echo(&other);
}

fn closed() {
    let folder = Folder::new();
    let addresses = [
        localhost(),
        folder.path("socket").into(),
        abstract_name("closed"),
    ];
    for address in addresses {
        let mut listener = Listener::bind(address).unwrap();
        assert!(!listener.is_closed());
        let waits: Connection<()> = Client::connect(listener.address()).unwrap();
        for _ in 0..2 {
            listener.close();
            assert!(listener.is_closed());
            assert_eq!(kind(listener.accept::<(), ()>()), ErrorKind::Closed);
            let late = listener.accept_timeout::<(), ()>(Duration::MAX);
            assert_eq!(kind(late), ErrorKind::Closed);
            assert_eq!(kind(listener.try_accept::<(), ()>()), ErrorKind::Closed);
        }
        // Who was in the backlog hears of it.
        assert_eq!(kind(waits.recv()), ErrorKind::Disconnected);
        let refused = os_error(Client::connect::<(), ()>(listener.address()));
        let expected = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound];
        assert!(expected.contains(&refused));
    }
}

fn timeouts() {
    let folder = Folder::new();
    for address in [localhost(), folder.path("socket").into()] {
        for key in [None, Some(b"key")] {
            let mut builder = Listener::builder().address(&address);
            if let Some(key) = key {
                builder = builder.authkey(key);
            }
            let listener = builder.bind().unwrap();
            assert!(listener.try_accept::<(), ()>().unwrap().is_none());
            for time in [0, 1, 30, 110].map(Duration::from_millis) {
                let before = Instant::now();
                let late = listener.accept_timeout::<(), ()>(time);
                assert_eq!(kind(late), ErrorKind::TimedOut);
                assert!(before.elapsed() >= time, "too early");
            }
        }
    }
}

/// It has connected, written and closed before anybody accepts.
fn client_has_gone() {
    let folder = Folder::new();
    let addresses = [
        localhost(),
        folder.path("socket").into(),
        abstract_name("gone"),
    ];
    for address in addresses {
        let listener = Listener::bind(address).unwrap();
        for number in 0..3 {
            let client: Connection<u32> = Client::connect(listener.address()).unwrap();
            client.send(&number).unwrap();
        }
        for number in 0..3 {
            let accepted: Connection<u32> = listener.accept().unwrap();
            assert_eq!(accepted.recv().unwrap(), number);
            assert_eq!(kind(accepted.recv()), ErrorKind::Disconnected);
        }
        assert!(listener.try_accept::<(), ()>().unwrap().is_none());
    }
}

/// The one that accepts sends first.
fn poll_on_a_new_one() {
    let folder = Folder::new();
    for address in [localhost(), folder.path("socket").into()] {
        let listener = Listener::bind(address).unwrap();
        let client: Connection<String> = Client::connect(listener.address()).unwrap();
        assert!(!client.poll().unwrap());
        let accepted: Connection<String> = listener.accept().unwrap();
        assert!(!accepted.poll().unwrap());
        accepted.send(&"first".to_owned()).unwrap();
        assert!(client.poll_timeout(Duration::MAX).unwrap());
        assert_eq!(client.recv().unwrap(), "first");
        assert!(!client.poll().unwrap());
        drop(accepted);
        assert!(client.poll_timeout(Duration::MAX).unwrap());
    }
}

fn waited_for() {
    let one = Listener::new().unwrap();
    let two = Listener::bind(localhost()).unwrap();
    let both: [&dyn AsFd; 2] = [&one, &two];
    assert!(wait(&both, Some(SHORT)).unwrap().is_empty());
    let first: Connection<()> = Client::connect(two.address()).unwrap();
    assert_eq!(wait(&both, None).unwrap(), [1]);
    // It stays so until it is accepted.
    assert_eq!(wait(&both, None).unwrap(), [1]);
    let second: Connection<()> = Client::connect(one.address()).unwrap();
    assert_eq!(wait(&both, None).unwrap(), [0, 1]);
    drop(two.accept::<(), ()>().unwrap());
    assert_eq!(wait(&both, None).unwrap(), [0]);
    drop(one.accept::<(), ()>().unwrap());
    assert!(wait(&both, Some(SHORT)).unwrap().is_empty());
    drop((first, second));
}

/// Who finds no room waits for some, or until his time is up.
fn full_backlog() {
    let listener = Listener::builder().backlog(1).bind().unwrap();
    let time = Duration::from_millis(50);
    let connect = || {
        Client::builder(listener.address())
            .timeout(time)
            .connect::<u32, u32>()
    };
    let mut waiting = Vec::new();
    let before = loop {
        let before = Instant::now();
        match connect() {
            Ok(connection) => waiting.push(connection),
            late => {
                assert_eq!(kind(late), ErrorKind::TimedOut);
                break before;
            }
        }
    };
    assert!(before.elapsed() >= time, "too early");
    assert!((1..=2).contains(&waiting.len()));
    std::thread::scope(|scope| {
        let address = listener.address().clone();
        let patient = scope.spawn(|| {
            let patient = Client::builder(address).timeout(Duration::MAX);
            patient.connect::<u32, u32>()?.send(&7)
        });
        for _ in 0..waiting.len() {
            drop(listener.accept::<u32, u32>().unwrap());
        }
        let last = listener.accept::<u32, u32>().unwrap();
        assert_eq!(last.recv().unwrap(), 7);
        patient.join().unwrap().unwrap();
    });
}

/// Both sides may have a limit of their own.
fn limits() {
    let listener = Listener::builder().max_message(10).bind().unwrap();
    let builder = Client::builder(listener.address()).max_message(20);
    let client: Connection<()> = builder.connect().unwrap();
    let accepted: Connection<()> = listener.accept().unwrap();
    assert_eq!((accepted.max_message(), client.max_message()), (10, 20));
    client.send_bytes(&[1; 10]).unwrap();
    assert_eq!(accepted.recv_bytes().unwrap(), [1; 10]);
    accepted.send_bytes(&[2; 21]).unwrap();
    assert_eq!(kind(client.recv_bytes()), ErrorKind::TooLong);
    client.send_bytes(&[1; 11]).unwrap();
    assert_eq!(kind(accepted.recv_bytes()), ErrorKind::TooLong);
    let usual = Listener::new().unwrap();
    let client: Connection<()> = Client::connect(usual.address()).unwrap();
    assert_eq!(client.max_message(), 1 << 30);
}

fn printed() {
    let mut listener = Listener::bind(localhost()).unwrap();
    let text = format!("Listener({})", listener.address());
    assert_eq!(format!("{listener:?}"), text);
    listener.close();
    assert!(format!("{listener:?}").ends_with(", closed)"));
    println!("{text}");
    io::stdout().flush().unwrap();
}
