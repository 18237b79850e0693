//! What must hold of frames, whoever sent them. Used by the random cases and by the fuzzer.

use crate::choices::Choices;
use crate::frame::{Header, Incoming, Refused};

/// No more room than this is made for a message of which nothing has come.
const FIRST_ROOM: usize = 1 << 20;

fn any_bytes(choices: &mut impl Choices, length: usize) -> Vec<u8> {
    let words = (0..length.div_ceil(8)).flat_map(|_| choices.next().to_le_bytes());
    words.take(length).collect()
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("an index")
}

/// Gives what comes to the one who receives, in pieces of any size; what it refuses ends it. Answers the messages, and what was left.
fn receive(
    mut bytes: &[u8],
    limit: u64,
    choices: &mut impl Choices,
) -> (Vec<Vec<u8>>, Result<Incoming, Refused>) {
    let mut incoming = Incoming::default();
    let mut messages = Vec::new();
    loop {
        let to = match incoming.wants(limit) {
            Ok(to) => to,
            Err(refused) => {
                // It stays refused.
                assert_eq!(incoming.wants(limit).err(), Some(refused));
                return (messages, Err(refused));
            }
        };
        if to.is_empty() {
            messages.push(taken(&mut incoming, choices));
            continue;
        }
        assert!(
            to.len() <= FIRST_ROOM.max(bytes.len() * 2) + 8,
            "room ahead of the bytes"
        );
        if bytes.is_empty() {
            return (messages, Ok(incoming));
        }
        let wanted = to.len();
        // Of the long form eight more bytes belong to the head, and nothing behind it.
        assert!(!incoming.is_long() || wanted <= 8);
        let to = incoming.wants(limit).expect("as before");
        assert_eq!(to.len(), wanted);
        let most = wanted.min(bytes.len());
        let now = 1 + index(choices.below(most as u64));
        to[..now].copy_from_slice(&bytes[..now]);
        bytes = &bytes[now..];
        incoming.came(now);
    }
}

/// A whole message, by either way.
fn taken(incoming: &mut Incoming, choices: &mut impl Choices) -> Vec<u8> {
    let copy = incoming.body().to_vec();
    let announced = incoming.announced(u64::MAX);
    assert_eq!(announced, Ok(Some(copy.len() as u64)));
    if choices.one_in(2) {
        assert_eq!(incoming.take(), copy);
    } else {
        incoming.next();
    }
    assert!(incoming.is_empty());
    copy
}

/// What nobody sent on purpose. Answers how many messages that were.
pub(crate) fn nonsense(choices: &mut impl Choices) -> u64 {
    let mut bytes = Vec::new();
    for _ in 0..choices.below(6) {
        match choices.below(5) {
            0 => bytes.extend(choices.number().to_be_bytes()),
            1 => bytes.extend([0, 0, 0, choices.number().to_le_bytes()[0]]),
            2 => bytes.extend([0xff; 4]),
            3 => bytes.extend([0; 8]),
            _ => {}
        }
        let more = index(choices.below(40));
        bytes.extend(any_bytes(choices, more));
    }
    // Rarely without one: room for a message is slow to make in a debug build.
    let limit = if choices.one_in(100) {
        u64::MAX
    } else {
        [0, 1, 10, 256][index(choices.below(4))]
    };
    let (messages, left) = receive(&bytes, limit, choices);
    assert!(messages.iter().all(|message| message.len() as u64 <= limit));
    match left {
        Err(Refused::TooLong(length)) => assert!(length > limit),
        Err(Refused::NoLength(length)) => assert!(length < -1),
        Ok(incoming) => assert!(incoming.body().len() <= bytes.len()),
    }
    messages.len() as u64
}

/// Messages as they are sent, the heads of some in the long form; and the end may come anywhere. Answers how many came.
pub(crate) fn round_trip(choices: &mut impl Choices) -> u64 {
    let mut bytes = Vec::new();
    let mut sent = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..1 + choices.below(8) {
        let longest = [1, 10, 300, 3000][index(choices.below(4))];
        let length = choices.below(longest);
        let message = any_bytes(choices, index(length));
        if choices.one_in(4) {
            bytes.extend([0xff; 4]);
            bytes.extend(length.to_be_bytes());
        } else {
            bytes.extend(Header::of(length).as_bytes());
        }
        bytes.extend(&message);
        ends.push(bytes.len());
        sent.push(message);
    }
    let end = match choices.below(2) {
        0 => bytes.len(),
        _ => index(choices.below(bytes.len() as u64 + 1)),
    };
    let whole = ends.iter().filter(|&&message| message <= end).count();
    let (messages, left) = receive(&bytes[..end], 3000, choices);
    assert!(messages == sent[..whole]);
    let left = left.expect("all of them are short enough");
    // The end between two messages is not one in the middle of a message.
    let between = end == 0 || ends.contains(&end);
    assert_eq!(left.is_empty(), between);
    messages.len() as u64
}

/// A length that nobody means, and few bytes. Answers whether it was refused; if not, no room was made for it.
pub(crate) fn absurd(choices: &mut impl Choices) -> bool {
    let length = match choices.below(3) {
        0 => u64::MAX - choices.below(1 << 20),
        1 => choices.next() | 1 << 40,
        _ => (1 << 31) + choices.below(1 << 20),
    };
    let header = Header::of(length);
    assert_eq!(header.as_bytes().len(), 12);
    let bytes = [header.as_bytes(), &any_bytes(choices, 20)].concat();
    let limit = [1 << 30, 1 << 41, u64::MAX][index(choices.below(3))];
    let (messages, left) = receive(&bytes, limit, choices);
    assert!(messages.is_empty());
    match left {
        Err(refused) => assert_eq!(refused, Refused::TooLong(length)),
        Ok(incoming) => assert!(length <= limit && incoming.body().len() == 20),
    }
    length > limit
}
