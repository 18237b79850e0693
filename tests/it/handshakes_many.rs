//! Many handshakes at a time, and those that end badly: silent peers, dead ones, dead listeners, signals, forks, no room.

use crate::handshakes::{KEY, client, serves, with_key};
use crate::kit::{fork_behind_our_back, kill_and_join, kind, raise_descriptors, start};
use crate::listener::{Folder, localhost, os_error};
use crate::raw_peer::{Socket, answer, challenge, connect, frame, hear, say};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use log::{LevelFilter, Log, Metadata, Record};
use multiproc::{Address, Client, Connection, ErrorKind, Listener, ListenerBuilder, Process};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::getpid;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("handshakes_many::silent_peers", silent_peers),
        case("handshakes_many::silent_peers_are_dropped", dropped),
        case(
            "handshakes_many::nobody_accepts_for_a_while",
            nobody_accepts,
        ),
        case("handshakes_many::two_thousand_at_once", two_thousand),
        case(
            "handshakes_many::gone_after_every_byte",
            gone_after_every_byte,
        ),
        case("handshakes_many::peer_killed", peer_killed),
        case("handshakes_many::listener_killed", listener_killed),
        case("handshakes_many::signals_in_accept", signals_in_accept),
        case(
            "handshakes_many::forked_child_accepts",
            forked_child_accepts,
        ),
        case("handshakes_many::forked_copies_end_nothing", forked_copies),
        case("handshakes_many::no_room_for_descriptors", no_room),
        case(
            "handshakes_many::keys_are_never_shown",
            keys_are_never_shown,
        ),
    ]
}

/// Those who say nothing, or half of something, keep nobody waiting.
fn silent_peers() {
    raise_descriptors();
    let folder = Folder::new();
    for address in [localhost(), folder.path("socket").into()] {
        let listener = with_key().address(address).bind().unwrap();
        let mut silent = Vec::new();
        let bytes = frame(&[b'x'; 40]);
        for n in 0..scaled(300) as usize {
            let mut peer = connect(listener.address());
            peer.write_all(&bytes[..n % bytes.len()]).unwrap();
            silent.push(peer);
            // All of them are greeted, nobody is accepted.
            assert!(listener.try_accept::<(), ()>().unwrap().is_none());
            if n % 50 == 0 {
                serves(&listener);
            }
        }
        for peer in &mut silent {
            assert!(hear(peer).unwrap().starts_with(b"#CHALLENGE#"));
        }
        serves(&listener);
        // They are still there; the end of the listener is theirs.
        drop(listener);
        for peer in &mut silent {
            assert_eq!(hear(peer), None);
        }
    }
}

fn dropped() {
    let patience = Duration::from_millis(20);
    let listener = with_key().handshake_timeout(patience).bind().unwrap();
    for said in [&b""[..], &[0, 0], &frame(&[b'x'; 40])[..20]] {
        let mut silent = connect(listener.address());
        silent.write_all(said).unwrap();
        let before = std::time::Instant::now();
        let hears = std::thread::spawn(move || {
            let asked = hear(&mut silent);
            (asked.is_some(), hear(&mut silent), before.elapsed())
        });
        while !hears.is_finished() {
            let late = listener.accept_timeout::<(), ()>(patience);
            assert_eq!(kind(late), ErrorKind::TimedOut);
        }
        let (was_asked, then, elapsed) = hears.join().unwrap();
        assert!(was_asked && then.is_none());
        assert!(elapsed >= patience, "too early");
    }
    // The time is for each message; one who needs none of it is never dropped.
    let listener = with_key().handshake_timeout(Duration::MAX).bind().unwrap();
    serves(&listener);
}

/// They have said all in time, and are let in however late somebody reads it.
fn nobody_accepts() {
    let patience = Duration::from_millis(300);
    let listener = with_key().handshake_timeout(patience).bind().unwrap();
    let peers: Vec<_> = (0..100).map(|_| connect(listener.address())).collect();
    assert!(listener.try_accept::<(), ()>().unwrap().is_none());
    let greeted = Instant::now();
    let says_all_at_once = |mut peer: Box<dyn Socket>| {
        while listener.try_accept::<(), ()>().unwrap().is_some() {}
        let asked = hear(&mut peer).unwrap();
        let all = [answer(KEY, &asked), challenge(), b"#WELCOME#".to_vec()];
        let all: Vec<u8> = all.iter().flat_map(|message| frame(message)).collect();
        (peer, all)
    };
    let mut peers: Vec<_> = peers.into_iter().map(says_all_at_once).collect();
    for (peer, all) in &mut peers {
        peer.write_all(all).unwrap();
    }
    while greeted.elapsed() < patience * 2 {
        std::thread::sleep(patience);
    }
    for _ in 0..100 {
        drop(listener.accept::<(), ()>().unwrap());
    }
    drop(peers);
}

/// Threads that connect.
const THREADS: usize = 20;

/// One who says his words one after the other.
fn says_all(mut peer: Box<dyn Socket>) -> Box<dyn Socket> {
    let asked = hear(&mut peer).unwrap();
    goes_on(peer, &asked)
}

/// One who was asked.
fn goes_on(mut peer: Box<dyn Socket>, asked: &[u8]) -> Box<dyn Socket> {
    say(&mut peer, &answer(KEY, asked));
    assert_eq!(hear(&mut peer).unwrap(), b"#WELCOME#");
    say(&mut peer, &challenge());
    assert_eq!(hear(&mut peer).unwrap(), answer(KEY, &challenge()));
    say(&mut peer, b"#WELCOME#");
    peer
}

/// All of them connected before any of them says a word, and then all of them at it. The backlog is the usual one.
fn two_thousand() {
    raise_descriptors();
    let folder = Folder::new();
    thousands(with_key().address(folder.path("socket")));
    // Over TCP the kernel would make those wait for seconds who find the backlog full.
    thousands(with_key().backlog(4096));
}

fn thousands(builder: ListenerBuilder) {
    let listener = builder.handshake_timeout(Duration::MAX).bind().unwrap();
    // Nobody speaks before all are here, and no more are let in at one time than handshakes may be.
    let each = scaled(100).min(200) as usize;
    let all_here = std::sync::Barrier::new(THREADS);
    let (address, all_here) = (&listener.address().clone(), &all_here);
    std::thread::scope(|scope| {
        let connects = move || {
            let sockets: Vec<_> = (0..each).map(|_| connect(address)).collect();
            all_here.wait();
            sockets.into_iter().map(says_all).collect::<Vec<_>>()
        };
        let peers: Vec<_> = (0..THREADS).map(|_| scope.spawn(connects)).collect();
        let accept = |_| listener.accept::<(), ()>().unwrap();
        let accepted: Vec<Connection<()>> = (0..THREADS * each).map(accept).collect();
        let peers = peers.into_iter().flat_map(|peer| peer.join().unwrap());
        let mut peers: Vec<_> = peers.collect();
        for (number, peer) in peers.iter_mut().enumerate() {
            say(peer, &number.to_be_bytes());
        }
        let mut heard: Vec<_> = accepted
            .iter()
            .map(|one| one.recv_bytes().unwrap())
            .collect();
        heard.sort();
        let numbers = (0..THREADS * each).map(|number| number.to_be_bytes());
        assert!(heard.into_iter().eq(numbers));
    });
}

/// Those who have said so much and then go are forgotten; nobody hears of them.
fn gone_after_every_byte() {
    raise_descriptors();
    let listener = with_key().bind().unwrap();
    let all = |asked: &[u8]| {
        [answer(KEY, asked), challenge()]
            .map(|message| frame(&message))
            .concat()
    };
    let length = all(&challenge()).len();
    let mut gone = Vec::new();
    for said in 0..length {
        let mut peer = connect(listener.address());
        // He is greeted before he speaks.
        while gone.len() == said {
            let nobody = listener.accept_timeout::<(), ()>(Duration::from_millis(1));
            assert_eq!(kind(nobody), ErrorKind::TimedOut);
            gone.push(());
        }
        let asked = hear(&mut peer).unwrap();
        peer.write_all(&all(&asked)[..said]).unwrap();
        drop(peer);
        if said % 10 == 0 {
            serves(&listener);
        }
    }
    serves(&listener);
    let nobody = listener.accept_timeout::<(), ()>(Duration::from_millis(1));
    assert_eq!(kind(nobody), ErrorKind::TimedOut);
}

fn says_half_and_waits(address: Address, here: RemoteGate, there: RemoteGate) {
    let mut peer = connect(&address);
    let asked = hear(&mut peer).unwrap();
    say(&mut peer, &answer(KEY, &asked));
    assert_eq!(hear(&mut peer).unwrap(), b"#WELCOME#");
    peer.write_all(&frame(&challenge())[..20]).unwrap();
    here.open(1);
    there.wait();
}

/// It dies in the middle of its handshake: others are served, and nobody hears of it.
fn peer_killed() {
    let (here, there) = (Gate::new(), Gate::new());
    let listener = with_key().bind().unwrap();
    let arguments = (listener.address().clone(), here.remote(), there.remote());
    let process = start(says_half_and_waits, arguments);
    let said = std::thread::spawn(move || here.wait());
    while !said.is_finished() {
        assert!(listener.try_accept::<(), ()>().unwrap().is_none());
        std::thread::yield_now();
    }
    said.join().unwrap();
    serves(&listener);
    kill_and_join(&process);
    serves(&listener);
    let nobody = listener.accept_timeout::<(), ()>(Duration::from_millis(1));
    assert_eq!(kind(nobody), ErrorKind::TimedOut);
}

fn listens_and_waits(path: std::path::PathBuf, accepts: bool, here: RemoteGate, there: RemoteGate) {
    let listener = with_key().address(path).bind().unwrap();
    here.open(1);
    if accepts {
        let _nobody = listener.accept::<(), ()>();
    }
    there.wait();
}

/// Whoever waits for it hears of it at once, in the backlog and in the middle of the handshake.
fn listener_killed() {
    for accepts in [false, true] {
        let folder = Folder::new();
        let (here, there) = (Gate::new(), Gate::new());
        let path = folder.path("socket");
        let arguments = (path.clone(), accepts, here.remote(), there.remote());
        let process = start(listens_and_waits, arguments);
        here.wait();
        let mut half = connect(&path.clone().into());
        if accepts {
            assert!(hear(&mut half).unwrap().starts_with(b"#CHALLENGE#"));
        }
        std::thread::scope(|scope| {
            let client = Client::builder(path)
                .authkey(b"another")
                .timeout(Duration::MAX);
            let client = crate::sleepers::sleeper(scope, || {
                if accepts {
                    return None;
                }
                Some(kind(client.connect::<(), ()>()))
            });
            kill_and_join(&process);
            let heard = client.join().unwrap();
            assert!(heard.is_none_or(|kind| kind == ErrorKind::Disconnected));
        });
        assert_eq!(hear(&mut half), None);
    }
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn counts(_signal: i32) {
    SIGNALS.fetch_add(1, SeqCst);
}

fn disturbs_and_connects(parent: i32, address: Address) {
    let mut peers = Vec::new();
    for _ in 0..5 {
        for _ in 0..20 {
            kill(nix::unistd::Pid::from_raw(parent), Signal::SIGUSR1).unwrap();
            std::thread::yield_now();
        }
        let client = Client::builder(&address).authkey(KEY);
        peers.push(client.connect::<(), ()>().unwrap());
    }
}

/// Neither does a signal end an `accept`, nor does it change how long it takes.
fn signals_in_accept() {
    #[expect(unsafe_code, reason = "a handler is the test")]
    // SAFETY: the handler adds to an atomic, because that is allowed in one.
    unsafe { signal(Signal::SIGUSR1, SigHandler::Handler(counts)) }.unwrap();
    let listener = with_key().bind().unwrap();
    let me = getpid().as_raw();
    let process = start(disturbs_and_connects, (me, listener.address().clone()));
    for _ in 0..5 {
        drop(listener.accept::<(), ()>().unwrap());
    }
    assert_eq!(process.join().unwrap(), 0);
    assert!(SIGNALS.load(SeqCst) > 0);
    let disturbs = |me| loop {
        kill(nix::unistd::Pid::from_raw(me), Signal::SIGUSR1).unwrap();
        std::thread::yield_now();
    };
    let process = start(disturbs, (me,));
    let (before, time) = (Instant::now(), Duration::from_millis(200));
    let late = listener.accept_timeout::<(), ()>(time);
    assert_eq!(kind(late), ErrorKind::TimedOut);
    assert!(before.elapsed() >= time, "too early");
    kill_and_join(&process);
}

/// A child that was forked accepts at the same socket, and what its parent has begun is no business of its.
fn forked_child_accepts() {
    let listener = with_key().bind().unwrap();
    let mut begun = connect(listener.address());
    assert!(listener.try_accept::<(), ()>().unwrap().is_none());
    let asked = hear(&mut begun).unwrap();
    let child = fork_behind_our_back(|| {
        let accepted: Connection<String> = listener.accept().unwrap();
        accepted.send(&"the child".to_owned()).unwrap();
        assert!(listener.try_accept::<(), ()>().unwrap().is_none());
    });
    let served: Connection<String> = client(&listener).connect().unwrap();
    assert_eq!(served.recv().unwrap(), "the child");
    let ended = waitpid(child, None).unwrap();
    assert_eq!(ended, WaitStatus::Exited(child, 0));
    // The parent goes on with its own.
    let goes_on = std::thread::spawn(move || goes_on(begun, &asked));
    drop(listener.accept::<(), ()>().unwrap());
    drop(goes_on.join().unwrap());
    serves(&listener);
}

/// Only who made it ends it: for all, also where children have copies of the socket.
fn forked_copies() {
    let folder = Folder::new();
    for address in [localhost(), folder.path("socket").into()] {
        let listener = with_key().address(address).bind().unwrap();
        let address = listener.address().clone();
        let ours = Arc::new(Mutex::new(Some(listener)));
        let copy = Arc::clone(&ours);
        let mut child = Process::fork(move || drop(copy.lock().unwrap().take()));
        child.start().unwrap();
        assert_eq!(child.join().unwrap(), 0);
        serves(ours.lock().unwrap().as_ref().unwrap());
        let (here, there) = (Gate::new(), Gate::new());
        let (said, waits) = (here.remote(), there.remote());
        let copy = Arc::clone(&ours);
        let mut child = Process::fork(move || {
            said.open(1);
            waits.wait();
            // It is over here, too.
            let copy = copy.lock().unwrap().take().unwrap();
            assert_eq!(kind(copy.accept::<(), ()>()), ErrorKind::Closed);
        });
        child.start().unwrap();
        here.wait();
        let mut waits = connect(&address);
        drop(ours.lock().unwrap().take());
        assert_eq!(hear(&mut waits), None);
        os_error(Client::connect::<(), ()>(&address));
        there.open(1);
        assert_eq!(child.join().unwrap(), 0);
    }
}

/// One descriptor too few: an error, and everything goes on when there is room.
fn no_room() {
    let listener = Listener::new().unwrap();
    let greets = with_key().bind().unwrap();
    let silent = connect(greets.address());
    assert!(greets.try_accept::<(), ()>().unwrap().is_none());
    let waiting: Connection<u32> = Client::connect(listener.address()).unwrap();
    let next = connect(greets.address());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let first_free = std::fs::File::open("/dev/null").unwrap();
    let number = u64::try_from(first_free.as_raw_fd()).unwrap();
    drop(first_free);
    setrlimit(Resource::RLIMIT_NOFILE, number, hard).unwrap();
    for _ in 0..3 {
        os_error(listener.accept::<(), ()>());
        // Here somebody is greeted already: the next one waits until he is gone.
        let nobody = greets.accept_timeout::<(), ()>(Duration::from_millis(1));
        assert_eq!(kind(nobody), ErrorKind::TimedOut);
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    let accepted: Connection<u32> = listener.accept().unwrap();
    waiting.send(&5).unwrap();
    assert_eq!(accepted.recv().unwrap(), 5);
    let next = std::thread::spawn(move || says_all(next));
    drop(greets.accept::<(), ()>().unwrap());
    drop(next.join().unwrap());
    drop(silent);
}

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Listens;

impl Log for Listens {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        SAID.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// Neither in what is printed nor in what is logged nor in errors.
fn keys_are_never_shown() {
    log::set_logger(&Listens).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let key: String = "sesame".into();
    let builder = Listener::builder()
        .address(localhost())
        .authkey(key.as_bytes());
    let mut shown = vec![format!("{builder:?}")];
    let patience = Duration::from_millis(1);
    let hasty = builder.clone().handshake_timeout(patience).bind().unwrap();
    let listener = builder.bind().unwrap();
    let right = Client::builder(listener.address()).authkey(key.as_bytes());
    shown.push(format!("{listener:?} {right:?}"));
    for builder in [client(&listener), right.clone()] {
        let client = std::thread::spawn(|| builder.connect::<(), ()>());
        shown.push(format!("{:?}", listener.accept::<(), ()>()));
        shown.push(format!("{:?}", client.join().unwrap()));
    }
    // One that vanishes, and one that is silent.
    drop(connect(hasty.address()));
    let mut silent = connect(hasty.address());
    let hears = std::thread::spawn(move || (hear(&mut silent), hear(&mut silent)));
    while !hears.is_finished() {
        let _nobody = hasty.try_accept::<(), ()>();
    }
    shown.push(format!("{:?}", hears.join().unwrap()));
    let said = SAID.lock().unwrap();
    let logs = |text: &str| assert!(said.iter().any(|line| line.contains(text)), "{said:?}");
    logs("was refused");
    logs("was not accepted");
    logs("silent");
    let bytes = format!("{:?}", key.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    for text in shown.iter().chain(said.iter()) {
        assert!(!text.contains(&key) && !text.contains(bytes), "{text}");
        assert!(!text.contains("the secret"), "{text}");
    }
}
