//! What must hold of a handshake, whatever the other side says. Used by the random cases and by the fuzzer.

use crate::auth::{Failure, Handshake, LONGEST, Next, Old, RANDOM};
use crate::choices::Choices;

fn old(choices: &mut impl Choices) -> Old {
    if choices.one_in(2) {
        Old::Accepted
    } else {
        Old::Refused
    }
}

fn random(choices: &mut impl Choices) -> [u8; RANDOM] {
    any_bytes(choices, RANDOM)
        .try_into()
        .expect("so many were asked for")
}

fn any_bytes(choices: &mut impl Choices, length: usize) -> Vec<u8> {
    let words = (0..length.div_ceil(8)).flat_map(|_| choices.next().to_le_bytes());
    words.take(length).collect()
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("an index")
}

/// A key of any length, also none at all.
fn key(choices: &mut impl Choices) -> Vec<u8> {
    let length = [0, 1, 32, 64, 65, 200][index(choices.below(6))];
    any_bytes(choices, length)
}

/// Without the zeros with which a MAC fills up a key of at most a block: with them and without it is one key.
fn not_filled_up(key: &[u8]) -> &[u8] {
    let last = key.iter().rposition(|&byte| byte != 0);
    match key.len() {
        0..=64 => &key[..last.map_or(0, |last| last + 1)],
        _ => key,
    }
}

/// One side, and how it ended.
struct Side<'a> {
    handshake: Handshake,
    key: &'a [u8],
    end: Option<Result<(), Failure>>,
}

impl<'a> Side<'a> {
    fn accepting(key: &'a [u8], choices: &mut impl Choices) -> (Self, Vec<u8>) {
        let (handshake, message) = Handshake::accepting(random(choices), old(choices));
        let end = None;
        (
            Self {
                handshake,
                key,
                end,
            },
            message,
        )
    }

    fn connecting(key: &'a [u8], choices: &mut impl Choices) -> Self {
        Self {
            handshake: Handshake::connecting(random(choices), old(choices)),
            key,
            end: None,
        }
    }

    /// What it says to a message. After its end it has nothing to say.
    fn came(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let Next { send, end } = self.handshake.came(self.key, message);
        if self.end.is_some() {
            assert!(send.is_none() && matches!(end, Some(Err(_))));
            return None;
        }
        self.end = end;
        assert!(
            send.as_ref()
                .is_none_or(|message| message.len() as u64 <= LONGEST)
        );
        assert!(
            send.is_some() || end.is_some(),
            "it neither goes on nor ends"
        );
        send
    }

    fn believes(&self) -> bool {
        self.end == Some(Ok(()))
    }
}

/// Both sides until both have ended, or neither has anything to say; `between` may change what is on its way. Answers how many messages
/// there were.
fn talk(
    [accepting, connecting]: [&mut Side<'_>; 2],
    first: Vec<u8>,
    mut between: impl FnMut(&mut Vec<u8>),
) -> u32 {
    let mut said = Some(first);
    let mut messages = 0;
    while let Some(mut message) = said {
        between(&mut message);
        messages += 1;
        // The verdict on the first answer makes whoever connects ask in turn, so that they take turns to the end.
        said = match messages {
            1 | 3 | 5 => connecting.came(&message),
            _ => accepting.came(&message),
        };
        assert!(messages <= 6);
    }
    messages
}

/// Two of us, with one key or two: they believe each other if it is one. Answers whether it was.
pub(crate) fn agree(choices: &mut impl Choices) -> bool {
    let one = key(choices);
    let other = if choices.one_in(2) {
        one.clone()
    } else {
        key(choices)
    };
    let (mut accepting, first) = Side::accepting(&one, choices);
    let mut connecting = Side::connecting(&other, choices);
    let messages = talk([&mut accepting, &mut connecting], first, |_| ());
    let same = not_filled_up(&one) == not_filled_up(&other);
    if same {
        assert_eq!(
            (accepting.end, connecting.end),
            (Some(Ok(())), Some(Ok(())))
        );
        assert_eq!(messages, 6);
    } else {
        assert_eq!(accepting.end, Some(Err(Failure::WrongAnswer)));
        assert_eq!(connecting.end, Some(Err(Failure::Rejected)));
        assert_eq!(messages, 3);
    }
    same
}

/// Two of us with one key, and somebody between who changes one message: never do both believe.
pub(crate) fn spoilt(choices: &mut impl Choices) {
    let key = key(choices);
    let (mut accepting, first) = Side::accepting(&key, choices);
    let mut connecting = Side::connecting(&key, choices);
    let mut left = choices.below(6);
    talk([&mut accepting, &mut connecting], first, |message| {
        if left == 0 {
            spoil(message, choices);
        }
        left = left.wrapping_sub(1);
    });
    assert!(!(accepting.believes() && connecting.believes()));
}

/// Changes a message, so that it is another one.
fn spoil(message: &mut Vec<u8>, choices: &mut impl Choices) {
    let place = index(choices.below(message.len() as u64));
    match choices.below(4) {
        0 => message[place] ^= 1 << choices.below(8),
        1 => message.truncate(place),
        2 => message.push(choices.number().to_le_bytes()[0]),
        _ => _ = message.remove(place),
    }
}

/// What somebody says who does not know the key, but all the words.
fn nonsense(choices: &mut impl Choices, heard: &[Vec<u8>]) -> Vec<u8> {
    const WORDS: [&[u8]; 12] = [
        b"",
        b"#CHALLENGE#",
        b"#WELCOME#",
        b"#FAILURE#",
        b"{md5}",
        b"{sha256}",
        b"{sha384}",
        b"{sha3_256}",
        b"{sha3_384}",
        b"{sha1}",
        b"#CHALLENGE#{sha256}",
        b"#CHALLENGE#{md5}",
    ];
    const LENGTHS: [usize; 16] = [
        0, 0, 1, 15, 16, 17, 19, 20, 21, 32, 40, 48, 64, 254, 255, 256,
    ];
    if choices.one_in(4) && !heard.is_empty() {
        return heard[index(choices.below(heard.len() as u64))].clone();
    }
    let word = WORDS[index(choices.below(12))];
    let length = LENGTHS[index(choices.below(16))];
    [word, &any_bytes(choices, length)].concat()
}

/// One of us, or two that accept with the same key, and one who does not know it, who says whatever he likes and repeats what he heard: he is
/// never believed by those that accept. Answers whether anybody went on after something that he said.
pub(crate) fn stranger(choices: &mut impl Choices) -> bool {
    let key = any_bytes(choices, 32);
    let mut heard = Vec::new();
    let mut sides = Vec::new();
    for _ in 0..2 {
        let (side, first) = Side::accepting(&key, choices);
        heard.push(first);
        sides.push(side);
    }
    let mut went_on = false;
    for _ in 0..8 {
        let message = nonsense(choices, &heard);
        let side = &mut sides[index(choices.below(2))];
        let before = side.end;
        heard.extend(side.came(&message));
        went_on |= before.is_none() && side.end.is_none();
    }
    assert!(!went_on && !sides.iter().any(Side::believes));
    let mut alone = Side::connecting(&key, choices);
    for _ in 0..6 {
        let message = nonsense(choices, &heard);
        // What it says is kept out: whoever repeats the challenge of one to another that connects is answered, see the design.
        went_on |= alone.came(&message).is_some() && alone.end.is_none();
    }
    assert!(!alone.believes());
    went_on
}
