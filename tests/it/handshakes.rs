//! Handshakes over sockets: right and wrong keys, keys on one side, what is no handshake, and those who say nothing.

use crate::kit::kind;
use crate::listener::{Folder, abstract_name, localhost};
use crate::raw_peer::{answer, challenge, connect, frame, hear, say};
use crate::runner::{Case, case};
use multiproc::auth::{answer_challenge, deliver_challenge};
use multiproc::{
    Address, AuthKey, Client, ClientBuilder, Connection, ErrorKind, Listener, ListenerBuilder, Pipe,
};
use serde::{Deserialize, Serialize};
use std::net::TcpListener;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("handshakes::right_key", right_key),
        case("handshakes::wrong_key", wrong_key),
        case("handshakes::key_of_the_listener_only", listeners_key),
        case("handshakes::key_of_the_client_only", clients_key),
        case("handshakes::messages_of_255_to_257_bytes", lengths),
        case("handshakes::absurd_lengths", absurd_lengths),
        case("handshakes::what_a_client_is_asked", what_a_client_is_asked),
        case("handshakes::old_sort", old_sort),
        case("handshakes::first_message_right_behind", right_behind),
        case("handshakes::byte_by_byte", byte_by_byte),
        case("handshakes::one_who_has_the_key_and_lies", has_key_and_lies),
        case("handshakes::delivered_and_answered", delivered),
        case("handshakes::delivered_to_a_liar", delivered_to_a_liar),
        case("handshakes::answered_to_a_liar", answered_to_a_liar),
    ]
}

pub(crate) const KEY: &[u8; 10] = b"the secret";

pub(crate) fn with_key() -> ListenerBuilder {
    Listener::builder().address(localhost()).authkey(KEY)
}

pub(crate) fn client(listener: &Listener) -> ClientBuilder {
    Client::builder(listener.address()).authkey(KEY)
}

/// Somebody with the key connects and is accepted, and both hear each other.
#[track_caller]
pub(crate) fn serves(listener: &Listener) {
    let builder = client(listener);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| builder.connect::<u32, u32>());
        let accepted: Connection<u32> = listener.accept().unwrap();
        let client = client.join().unwrap().unwrap();
        client.send(&1).unwrap();
        assert_eq!(accepted.recv().unwrap(), 1);
        accepted.send(&2).unwrap();
        assert_eq!(client.recv().unwrap(), 2);
    });
}

#[track_caller]
fn refused(listener: &Listener) -> String {
    let error = listener.accept::<(), ()>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
    error.to_string()
}

fn right_key() {
    let folder = Folder::new();
    let addresses = [
        localhost(),
        folder.path("socket").into(),
        abstract_name("key"),
    ];
    for address in addresses {
        for key in [&b""[..], b"k", KEY, &[0xff; 1000]] {
            for legacy in [false, true] {
                let listener = Listener::builder().address(&address).authkey(key);
                let listener = listener.legacy(legacy).bind().unwrap();
                let builder = Client::builder(listener.address())
                    .authkey(key)
                    .legacy(legacy);
                let client = std::thread::spawn(|| builder.connect::<String, ()>());
                let accepted: Connection<(), String> = listener.accept().unwrap();
                let client = client.join().unwrap().unwrap();
                client.send(&"hello".to_owned()).unwrap();
                assert_eq!(accepted.recv().unwrap(), "hello");
                assert!(listener.last_accepted().is_some());
            }
        }
    }
}

fn wrong_key() {
    let listener = with_key().bind().unwrap();
    for key in [&b""[..], b"the secreT", b"the secret ", b"the secre"] {
        let builder = Client::builder(listener.address()).authkey(key);
        let client = std::thread::spawn(|| builder.connect::<(), ()>());
        assert!(refused(&listener).contains("does not know the key"));
        assert_eq!(listener.last_accepted(), None);
        let error = client.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
        assert!(error.to_string().contains("did not accept"), "{error}");
    }
    serves(&listener);
    // An empty key is one.
    let listener = Listener::builder().authkey(b"").bind().unwrap();
    let builder = client(&listener);
    let client = std::thread::spawn(|| builder.connect::<(), ()>());
    refused(&listener);
    assert_eq!(
        kind(client.join().unwrap()),
        ErrorKind::AuthenticationFailed
    );
}

/// A value that must not be decoded.
#[derive(Debug, Serialize)]
struct Trap;

impl<'de> Deserialize<'de> for Trap {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Trap, D::Error> {
        panic!("decoded before anybody has proved himself")
    }
}

fn listeners_key() {
    let patience = Duration::from_millis(1);
    let listener = with_key().handshake_timeout(patience).bind().unwrap();
    // One who sends something is told that it is wrong.
    let eager: Connection<Trap> = Client::connect(listener.address()).unwrap();
    eager.send(&Trap).unwrap();
    let error = listener.accept::<Trap, Trap>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    // What he hears is no value of his.
    let heard = eager.recv_bytes().unwrap();
    assert!(heard.starts_with(b"#CHALLENGE#{sha256}") && heard.len() == 59);
    assert_eq!(eager.recv_bytes().unwrap(), b"#FAILURE#");
    assert_eq!(kind(eager.recv_bytes()), ErrorKind::Disconnected);
    // One who waits is dropped.
    let patient: Connection<u32> = Client::connect(listener.address()).unwrap();
    let hears = std::thread::spawn(move || {
        assert_eq!(kind(patient.recv()), ErrorKind::Decode);
        kind(patient.recv())
    });
    while !hears.is_finished() {
        assert!(listener.try_accept::<(), ()>().unwrap().is_none());
        std::thread::yield_now();
    }
    assert_eq!(hears.join().unwrap(), ErrorKind::Disconnected);
    let listener = with_key().bind().unwrap();
    serves(&listener);
}

fn clients_key() {
    let listener = Listener::bind(localhost()).unwrap();
    // A listener that waits for a message: neither would ever end.
    let time = Duration::from_millis(30);
    let builder = client(&listener).timeout(time);
    let before = std::time::Instant::now();
    let error = builder.connect::<(), ()>().unwrap_err();
    assert!(before.elapsed() >= time, "too early");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("has it a key?"), "{error}");
    let accepted: Connection<Trap> = listener.accept().unwrap();
    assert_eq!(kind(accepted.recv()), ErrorKind::Disconnected);
    // One that sends something.
    let builder = client(&listener);
    let client = std::thread::spawn(|| builder.connect::<Trap, Trap>());
    let accepted: Connection<Trap> = listener.accept().unwrap();
    accepted.send(&Trap).unwrap();
    let error = client.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    assert!(error.to_string().contains("no challenge"), "{error}");
}

/// Up to 256 bytes they are read, and found wrong; beyond, they are not read.
fn lengths() {
    for length in [255, 256, 257] {
        let too_long = format!("message of {length} bytes");
        let listener = with_key().bind().unwrap();
        let mut peer = connect(listener.address());
        say(&mut peer, &vec![b'x'; length]);
        let refusal = refused(&listener);
        assert_eq!(refusal.contains(&too_long), length > 256, "{refusal}");
        assert!(hear(&mut peer).unwrap().starts_with(b"#CHALLENGE#"));
        if length <= 256 {
            assert_eq!(hear(&mut peer).unwrap(), b"#FAILURE#");
        }
        assert_eq!(hear(&mut peer), None);
        serves(&listener);
        // The challenge of one who accepts: with it the longest that Python sends.
        let said = [&challenge()[..], &vec![b'x'; length - 59]].concat();
        let error = asked(&said, false);
        match length {
            257 => assert!(error.contains(&too_long), "{error}"),
            // It was answered: the liar does not know the key.
            _ => assert!(error.contains("did not accept"), "{error}"),
        }
    }
}

fn absurd_lengths() {
    let absurd: [&[u8]; 6] = [
        &(-2_i32).to_be_bytes(),
        &i32::MIN.to_be_bytes(),
        &i32::MAX.to_be_bytes(),
        &[0, 0, 1, 1],
        &[0xff; 12],
        &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 1, 1],
    ];
    let listener = with_key().bind().unwrap();
    for bytes in absurd {
        let mut peer = connect(listener.address());
        peer.write_all(bytes).unwrap();
        refused(&listener);
        assert!(hear(&mut peer).is_some());
        assert_eq!(hear(&mut peer), None);
    }
    // An empty message is one.
    let mut peer = connect(listener.address());
    say(&mut peer, b"");
    refused(&listener);
    serves(&listener);
}

/// What a client says of one who asks that.
fn asked(message: &[u8], legacy: bool) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(server.local_addr().unwrap());
    let client = Client::builder(address).authkey(KEY).legacy(legacy);
    let client = std::thread::spawn(|| client.connect::<(), ()>());
    let (mut peer, _) = server.accept().unwrap();
    say(&mut peer, message);
    if let Some(answer) = hear(&mut peer) {
        assert!(answer.len() == 16 || answer.starts_with(b"{"));
        say(&mut peer, b"#FAILURE#");
    }
    let error = client.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
    error.to_string()
}

fn what_a_client_is_asked() {
    let with = |text: &[u8]| [b"#CHALLENGE#", text].concat();
    assert!(asked(b"", false).contains("no challenge"));
    assert!(asked(b"#WELCOME#", false).contains("no challenge"));
    assert!(asked(&with(b""), false).contains("0 bytes is too short"));
    assert!(asked(&with(&[1; 19]), false).contains("19 bytes is too short"));
    assert!(asked(&with(&[1; 48]), false).contains("no digest"));
    assert!(asked(&with(&[b"{sha1}", &[1; 40][..]].concat()), true).contains("no digest"));
    assert!(asked(&challenge(), false).contains("did not accept"));
}

/// The sort of Python up to 3.11, only on request.
fn old_sort() {
    let old = [&b"#CHALLENGE#"[..], &[1; 20]].concat();
    let md5 = [&b"#CHALLENGE#{md5}"[..], &[1; 40]].concat();
    for challenge in [old, md5] {
        assert!(asked(&challenge, false).contains("legacy(true)"));
        assert!(asked(&challenge, true).contains("did not accept"));
    }
    let listener = with_key().bind().unwrap();
    let mut peer = connect(listener.address());
    say(&mut peer, &[1; 16]);
    assert!(refused(&listener).contains("legacy(true)"));
    drop(hear(&mut peer));
    assert_eq!(hear(&mut peer).unwrap(), b"#FAILURE#");
    let listener = with_key().legacy(true).bind().unwrap();
    let mut peer = connect(listener.address());
    say(&mut peer, &[1; 16]);
    assert!(refused(&listener).contains("does not know the key"));
}

/// All of the handshake by hand, up to the last word, which is left to the caller.
fn up_to_the_last_word(
    listener: &Listener,
) -> impl FnOnce() -> Box<dyn crate::raw_peer::Socket> + use<> {
    let address = listener.address().clone();
    move || {
        let mut peer = connect(&address);
        let asked = hear(&mut peer).unwrap();
        say(&mut peer, &answer(KEY, &asked));
        assert_eq!(hear(&mut peer).unwrap(), b"#WELCOME#");
        say(&mut peer, &challenge());
        assert_eq!(hear(&mut peer).unwrap(), answer(KEY, &challenge()));
        peer
    }
}

/// The last word of the handshake and the first messages in one piece: nothing of them is lost.
fn right_behind() {
    let listener = with_key().bind().unwrap();
    let by_hand = up_to_the_last_word(&listener);
    let peer = std::thread::spawn(|| {
        let mut peer = by_hand();
        let all = [
            frame(b"#WELCOME#"),
            frame(b"one"),
            frame(b""),
            frame(b"two"),
        ];
        peer.write_all(&all.concat()).unwrap();
        hear(&mut peer)
    });
    let accepted: Connection<()> = listener.accept().unwrap();
    assert_eq!(accepted.recv_bytes().unwrap(), b"one");
    assert_eq!(accepted.recv_bytes().unwrap(), b"");
    assert_eq!(accepted.recv_bytes().unwrap(), b"two");
    accepted.send_bytes(b"three").unwrap();
    assert_eq!(peer.join().unwrap().unwrap(), b"three");
}

fn byte_by_byte() {
    let folder = Folder::new();
    let listener = with_key().address(folder.path("socket")).bind().unwrap();
    let address = listener.address().clone();
    let peer = std::thread::spawn(move || {
        let mut peer = connect(&address);
        let asked = hear(&mut peer).unwrap();
        for message in [answer(KEY, &asked), challenge(), b"#WELCOME#".to_vec()] {
            for byte in frame(&message) {
                peer.write_all(&[byte]).unwrap();
                std::thread::yield_now();
            }
        }
        say(&mut peer, b"here");
        peer
    });
    let accepted: Connection<()> = listener.accept().unwrap();
    assert_eq!(accepted.recv_bytes().unwrap(), b"here");
    drop(peer.join().unwrap());
}

/// The first half is right, the second is not.
fn has_key_and_lies() {
    for (second, third, text) in [
        (&b"nonsense"[..], &b""[..], "no challenge"),
        (&challenge(), b"#FAILURE#", "did not accept"),
        (&challenge(), b"nonsense", "did not accept"),
    ] {
        let listener = with_key().bind().unwrap();
        let address = listener.address().clone();
        let (second, third) = (second.to_vec(), third.to_vec());
        let peer = std::thread::spawn(move || {
            let mut peer = connect(&address);
            let asked = hear(&mut peer).unwrap();
            say(&mut peer, &answer(KEY, &asked));
            assert_eq!(hear(&mut peer).unwrap(), b"#WELCOME#");
            say(&mut peer, &second);
            if hear(&mut peer).is_some() {
                say(&mut peer, &third);
            }
            hear(&mut peer)
        });
        let refusal = refused(&listener);
        assert!(refusal.contains(text), "{refusal}");
        assert_eq!(peer.join().unwrap(), None);
        serves(&listener);
    }
}

fn delivered() {
    let key = AuthKey::from(KEY);
    for key_of_other in [key.clone(), AuthKey::from(b"")] {
        let right = key == key_of_other;
        let (one, other) = Pipe::<()>::new().unwrap();
        let answers = std::thread::spawn(move || {
            answer_challenge(&other, &key_of_other, false, Duration::MAX)
        });
        let delivered = deliver_challenge(&one, &key, false, Duration::MAX);
        let answered = answers.join().unwrap();
        if right {
            delivered.unwrap();
            answered.unwrap();
        } else {
            assert_eq!(kind(delivered), ErrorKind::AuthenticationFailed);
            assert_eq!(kind(answered), ErrorKind::AuthenticationFailed);
        }
    }
    let (one, _other) = Pipe::<()>::new().unwrap();
    let late = deliver_challenge(&one, &key, false, Duration::from_millis(1));
    assert_eq!(kind(late), ErrorKind::TimedOut);
}

/// Python's test: an answer that is none.
fn delivered_to_a_liar() {
    let (one, other) = Pipe::<()>::new().unwrap();
    for answer in [&b"something bogus"[..], b"", &[0; 16]] {
        other.send_bytes(answer).unwrap();
        let delivered = deliver_challenge(&one, &AuthKey::from(KEY), true, Duration::MAX);
        assert_eq!(kind(delivered), ErrorKind::AuthenticationFailed);
        assert_eq!(other.recv_bytes().unwrap().len(), 59);
        assert_eq!(other.recv_bytes().unwrap(), b"#FAILURE#");
    }
    drop(other);
    let delivered = deliver_challenge(&one, &AuthKey::from(KEY), true, Duration::MAX);
    assert_eq!(kind(delivered), ErrorKind::Disconnected);
}

/// Python's test: a welcome that is none.
fn answered_to_a_liar() {
    let (one, other) = Pipe::<()>::new().unwrap();
    for welcome in [&b"something bogus"[..], b"", b"#FAILURE#"] {
        other.send_bytes(&challenge()).unwrap();
        other.send_bytes(welcome).unwrap();
        let answered = answer_challenge(&one, &AuthKey::from(KEY), false, Duration::MAX);
        assert_eq!(kind(answered), ErrorKind::AuthenticationFailed);
        assert_eq!(other.recv_bytes().unwrap(), answer(KEY, &challenge()));
    }
    other.send_bytes(&[0; 257]).unwrap();
    let answered = answer_challenge(&one, &AuthKey::from(KEY), false, Duration::MAX);
    assert_eq!(kind(answered), ErrorKind::TooLong);
}
