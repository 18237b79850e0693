//! The handshake of connections: what Pythons have said to each other, the rules one by one, and 100,000 random cases.
//!
//! What is checked is the very file `src/ipc/auth.rs`. `fuzz/` does the same with cases that a fuzzer thinks up.

#[path = "../src/ipc/auth.rs"]
mod auth;
#[path = "handshake/checks.rs"]
mod checks;
#[path = "random/choices.rs"]
mod choices;
#[path = "random/dice.rs"]
mod dice;
#[path = "../src/ipc/frame.rs"]
mod frame;
#[path = "handshake/recorded.rs"]
mod recorded;

use auth::{Challenge, Failure, Handshake, LONGEST, Next, Old, RANDOM, accepted, answer, verdict};
use dice::Dice;
use frame::{Header, Incoming};
use recorded::{KEY, OF_3_11, OF_3_11_AND_3_13, OF_3_13, OF_3_13_AND_3_11, Recording};

/// The messages in the bytes of one side.
fn messages(hex: &str) -> Vec<Vec<u8>> {
    let mut bytes = &recorded::bytes(hex)[..];
    let mut messages = Vec::new();
    let mut incoming = Incoming::default();
    while !bytes.is_empty() || !incoming.is_empty() {
        let to = incoming.wants(LONGEST).expect("a frame of Python");
        let (now, rest) = bytes.split_at(to.len());
        to.copy_from_slice(now);
        bytes = rest;
        incoming.came(now.len());
        let rest_of_it = incoming.wants(LONGEST).expect("a frame of Python");
        if rest_of_it.is_empty() {
            // Ours would be the same bytes.
            let length = incoming.body().len() as u64;
            assert_eq!(Header::of(length).as_bytes().len(), 4);
            let message = incoming.take();
            messages.push(message);
        }
    }
    messages
}

/// The random bytes of a challenge of the new sort.
fn random_of(message: &[u8]) -> [u8; RANDOM] {
    let bytes = message.strip_prefix(b"#CHALLENGE#{sha256}");
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .expect("a challenge of 3.13")
}

/// We connect to the recorded one, and say what the other one said, byte by byte.
fn connect_to(recording: &Recording, old: Old) -> Result<(), Failure> {
    let (theirs, ours) = (
        messages(recording.accepting),
        messages(recording.connecting),
    );
    let mut we = Handshake::connecting(random_of(&ours[1]), old);
    for (their, our) in theirs.iter().zip(&ours).take(3) {
        let Next { send, end } = we.came(KEY, their);
        match end {
            Some(Err(failure)) => return Err(failure),
            Some(Ok(())) => assert_eq!(our, b"#WELCOME#"),
            None => {}
        }
        assert_eq!(send.as_ref(), Some(our));
    }
    assert_eq!(theirs[3], b"bytes of the server");
    Ok(())
}

/// We accept the recorded one.
fn accept(recording: &Recording, old: Old) -> Result<(), Failure> {
    let (ours, theirs) = (
        messages(recording.accepting),
        messages(recording.connecting),
    );
    let (mut we, first) = Handshake::accepting(random_of(&ours[0]), old);
    assert_eq!(first, ours[0]);
    for (their, our) in theirs.iter().zip(&ours[1..]).take(2) {
        let Next { send, end } = we.came(KEY, their);
        if let Some(Err(failure)) = end {
            return Err(failure);
        }
        assert_eq!((send.as_ref(), end), (Some(our), None));
    }
    let end = Some(Ok(()));
    assert_eq!(we.came(KEY, &theirs[2]), Next { send: None, end });
    assert_eq!(theirs[3], b"bytes of the client");
    Ok(())
}

#[test]
fn recorded_3_13() {
    for old in [Old::Accepted, Old::Refused] {
        connect_to(&OF_3_13, old).expect("it is one of us");
        accept(&OF_3_13, old).expect("it is one of us");
    }
}

#[test]
fn recorded_3_11() {
    connect_to(&OF_3_11_AND_3_13, Old::Accepted).expect("we may be old");
    accept(&OF_3_13_AND_3_11, Old::Accepted).expect("we may be old");
    let refused = connect_to(&OF_3_11_AND_3_13, Old::Refused);
    assert_eq!(refused, Err(Failure::TooOld));
    let refused = accept(&OF_3_13_AND_3_11, Old::Refused);
    assert_eq!(refused, Err(Failure::TooOld));
}

/// Both of the old sort: what each says is what we would say to it.
#[test]
fn recorded_3_11_on_both_sides() {
    let (theirs, ours) = (messages(OF_3_11.accepting), messages(OF_3_11.connecting));
    let lengths = |messages: &[Vec<u8>]| messages.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(&theirs), [31, 9, 16, 19, 53]);
    assert_eq!(lengths(&ours), [16, 31, 9, 19, 57]);
    for (challenge, answered) in [(&theirs[0], &ours[0]), (&ours[1], &theirs[2])] {
        assert_eq!(answer(KEY, challenge, Old::Accepted).as_ref(), Ok(answered));
        let refused = answer(KEY, challenge, Old::Refused);
        assert_eq!(refused, Err(Failure::TooOld));
    }
}

/// The MACs of Python's `hmac` with an empty key and one of 200 letters.
const MACS: [(&str, &str, &str); 5] = [
    (
        "{md5}",
        "c45c34974b81b7be0f8368fcc210d91f",
        "245b17a8cfe924363b0ac3df54267b04",
    ),
    (
        "{sha256}",
        "5cabe71c8e9b97137f00ef1ca0164e7e1c5070ab4fbe6ce042bb2b64e4996a13",
        "b40e3132f36c4fa94f1a6befcb4ab3e57bb313f8414424827429daaf97f6e2f5",
    ),
    (
        "{sha384}",
        "aea34ff0380b8cf26dc1ec62bb5d767214a513795984873a1420d24ec468b2bc2d39d9966b147072c22ffcce772eefc6",
        "671be3711e98eceacd84aafa997d0bf552800e21a04d5ae5b0e971250f6d3f3171a5f986ae35616c163b52d3e746c56e",
    ),
    (
        "{sha3_256}",
        "6ce08f0637b90bbcfc3f5d4a2c64ebb2762413c9dadd5dbd0ca5ea40983e0e6a",
        "8bbaccf1851ed035e2ab898621aa9a145bd164921abcec2aa438194c553d0fbb",
    ),
    (
        "{sha3_384}",
        "3d0c823ab7bfb176b1cd34e62cfd6b579fcac520c0394d7921157b9e4249cb5b8dbcd7c636ae001038cb383346a807cf",
        "5e2f2c64fc9a09d05b2c5702a8e539c197e80583c579f697eb1283498dd95577b6dd7f6fa3193fecd4f8ac65d2824c4a",
    ),
];

#[test]
fn digests() {
    let random = "0123456789".repeat(4);
    for (name, empty, long) in MACS {
        let challenge = format!("#CHALLENGE#{name}{random}");
        for (key, mac) in [(Vec::new(), empty), (vec![b'k'; 200], long)] {
            let expected = [name.as_bytes(), &recorded::bytes(mac)].concat();
            let answer = answer(&key, challenge.as_bytes(), Old::Accepted);
            assert_eq!(answer.as_deref(), Ok(&expected[..]));
        }
    }
    let md5 = format!("#CHALLENGE#{{md5}}{random}");
    let refused = answer(b"", md5.as_bytes(), Old::Refused);
    assert_eq!(refused, Err(Failure::TooOld));
}

/// An empty key is a key, not none.
#[test]
fn of_an_empty_key() {
    let challenge = [&b"#CHALLENGE#"[..], &[b'x'; 20]].concat();
    let expected = recorded::bytes("0d308013c5c51655a5f5c7a4934c00e3");
    assert_eq!(answer(b"", &challenge, Old::Accepted), Ok(expected));
    let (mut we, first) = Handshake::accepting([7; RANDOM], Old::Refused);
    let right = answer(b"", &first, Old::Refused).expect("it is a challenge");
    assert_eq!(we.came(b"", &right).end, None);
    let (mut we, first) = Handshake::accepting([7; RANDOM], Old::Refused);
    let wrong = answer(b"\0", &first, Old::Refused).expect("it is a challenge");
    // The key of a MAC is filled up with zeros: these two are one. Python's are too.
    assert_eq!(we.came(b"", &wrong).end, None);
    let (mut we, first) = Handshake::accepting([7; RANDOM], Old::Refused);
    let wrong = answer(b"1", &first, Old::Refused).expect("it is a challenge");
    assert_eq!(we.came(b"", &wrong).end, Some(Err(Failure::WrongAnswer)));
}

#[test]
fn challenges_that_are_none() {
    let with = |rest: &[u8]| answer(KEY, &[b"#CHALLENGE#", rest].concat(), Old::Accepted);
    for nothing in [
        &b""[..],
        b"#CHALLENGE",
        b"#WELCOME#",
        &[0x80, 4, b'N', b'.'],
    ] {
        let answered = answer(KEY, nothing, Old::Accepted);
        assert_eq!(answered, Err(Failure::NoChallenge));
    }
    for length in 0..20 {
        assert_eq!(with(&vec![b'x'; length]), Err(Failure::TooShort(length)));
    }
    assert_eq!(with(&[b'x'; 20]).expect("the old sort").len(), 16);
    // Of that length it is of the old sort whatever it begins with.
    assert_eq!(with(b"{sha256}012345678901").expect("old").len(), 16);
    for length in [21, 48, 244, 245] {
        assert_eq!(with(&vec![b'x'; length]), Err(Failure::NoSuchDigest));
    }
    for name in [
        "{sha1}",
        "{sha512}",
        "{SHA256}",
        "{}",
        "{sha256",
        "sha256}",
        "{ sha256}",
    ] {
        let unknown = format!("{name}{}", "x".repeat(40));
        assert_eq!(with(unknown.as_bytes()), Err(Failure::NoSuchDigest));
    }
}

#[test]
fn answers_that_are_none() {
    let challenge = Challenge::new([3; RANDOM]);
    let right = answer(KEY, &challenge.message(), Old::Refused).expect("it is one");
    let verify = |answer: &[u8], old| challenge.verify(KEY, answer, old);
    assert_eq!(verify(&right, Old::Refused), Ok(()));
    // An MD5 is of another length than 20.
    let old = verify(&[0; 20], Old::Accepted);
    assert_eq!(old, Err(Failure::WrongAnswer));
    assert_eq!(verify(&[0; 16], Old::Accepted), Err(Failure::WrongAnswer));
    for length in [16, 20] {
        assert_eq!(verify(&vec![0; length], Old::Refused), Err(Failure::TooOld));
    }
    for length in [0, 15, 17, 19, 21, 40, 255, 256] {
        let nothing = verify(&vec![0; length], Old::Accepted);
        assert_eq!(nothing, Err(Failure::NoSuchDigest));
    }
    for cut in 8..right.len() {
        // As long as one of the old sort, it counts as such.
        let expected = if [16, 20].contains(&cut) {
            Failure::TooOld
        } else {
            Failure::WrongAnswer
        };
        assert_eq!(verify(&right[..cut], Old::Refused), Err(expected));
    }
    let longer = [&right[..], b"x"].concat();
    assert_eq!(verify(&longer, Old::Refused), Err(Failure::WrongAnswer));
    // The right digest under another name.
    let other = [b"{sha3_256}", &right[8..]].concat();
    assert_eq!(verify(&other, Old::Refused), Err(Failure::WrongAnswer));
}

#[test]
fn verdicts() {
    assert_eq!(verdict(Ok(())), b"#WELCOME#");
    assert_eq!(verdict(Err(Failure::WrongAnswer)), b"#FAILURE#");
    assert_eq!(accepted(b"#WELCOME#"), Ok(()));
    for other in [&b"#FAILURE#"[..], b"", b"#WELCOME", b"#WELCOME#x"] {
        assert_eq!(accepted(other), Err(Failure::Rejected));
    }
}

/// Who is refused is told so, by the one word.
#[test]
fn the_refused_one_is_told() {
    let (mut we, _) = Handshake::accepting([1; RANDOM], Old::Refused);
    let next = we.came(KEY, b"nonsense");
    assert_eq!(next.send.as_deref(), Some(&b"#FAILURE#"[..]));
    assert_eq!(next.end, Some(Err(Failure::NoSuchDigest)));
    assert!(
        we.came(KEY, b"#WELCOME#")
            .end
            .is_some_and(|end| end.is_err())
    );
}

/// Every failure has a sentence of its own, and no key is in what is printed.
#[test]
fn sentences() {
    let all = [
        Failure::NoChallenge,
        Failure::TooShort(3),
        Failure::NoSuchDigest,
        Failure::TooOld,
        Failure::WrongAnswer,
        Failure::Rejected,
    ];
    let mut texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    assert!(texts[3].contains("legacy(true)"));
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), all.len());
    let (mut we, first) = Handshake::accepting([1; RANDOM], Old::Refused);
    let right = answer(KEY, &first, Old::Refused).expect("it is one");
    let _verdict = we.came(KEY, &right);
    let printed = format!("{we:?}");
    assert!(!printed.contains("recorded key") && !printed.contains(&format!("{KEY:?}")));
}

#[test]
fn of_two_that_agree() {
    let mut dice = Dice(1);
    let agreed: u32 = (0..30_000)
        .map(|_| u32::from(checks::agree(&mut dice)))
        .sum();
    assert!((10_000..25_000).contains(&agreed), "{agreed} of 30000");
}

#[test]
fn with_one_message_spoilt() {
    let mut dice = Dice(2);
    (0..30_000).for_each(|_| checks::spoilt(&mut dice));
}

#[test]
fn with_a_stranger() {
    let mut dice = Dice(3);
    let went_on: u32 = (0..40_000)
        .map(|_| u32::from(checks::stranger(&mut dice)))
        .sum();
    // Some get so far that they are answered: a challenge may come from anybody.
    assert!((5_000..35_000).contains(&went_on), "{went_on} of 40000");
}
