//! The handshake of Python's connections: each side proves that it knows the key, and neither sends it.
//!
//! A *challenge* is random; its *answer* is a MAC over it. Up to Python 3.11 the challenge is bare and the MAC is made with MD5; from 3.12 on a
//! challenge says a digest's name in braces, and so does the answer. One of the old sort takes the whole new challenge for random bytes, so
//! that either understands the other. Nothing here reads, writes or knows the time: messages come in and go out, without their
//! [frames](super::frame).

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha2::{Sha256, Sha384};
use sha3::{Sha3_256, Sha3_384};
use std::fmt;
use subtle::ConstantTimeEq;

/// Random bytes in a challenge.
pub(crate) const RANDOM: usize = 40;
/// No message of a handshake is longer.
pub(crate) const LONGEST: u64 = 256;

const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
const FAILURE: &[u8] = b"#FAILURE#";

/// The length of a challenge of the old sort, the shortest that is answered.
const OLD_CHALLENGE: usize = 20;
/// An answer of either length has no name before it. Only the first is that of an MD5, but Python has both.
const OLD_ANSWERS: [usize; 2] = [16, 20];

/// What makes the MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digest {
    Md5,
    Sha256,
    Sha384,
    Sha3x256,
    Sha3x384,
}

impl Digest {
    const ALL: [Self; 5] = [
        Self::Md5,
        Self::Sha256,
        Self::Sha384,
        Self::Sha3x256,
        Self::Sha3x384,
    ];

    /// As it stands before challenges and answers.
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Md5 => b"{md5}",
            Self::Sha256 => b"{sha256}",
            Self::Sha384 => b"{sha384}",
            Self::Sha3x256 => b"{sha3_256}",
            Self::Sha3x384 => b"{sha3_384}",
        }
    }

    /// The digest that a message names, and the rest of it.
    fn split(message: &[u8]) -> Result<(Self, &[u8]), Failure> {
        let named = |digest: &Self| Some((*digest, message.strip_prefix(digest.prefix())?));
        let found = Self::ALL.iter().find_map(named);
        found.ok_or(Failure::NoSuchDigest)
    }

    fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => mac::<Hmac<Md5>>(key, message),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, message),
            Self::Sha384 => mac::<Hmac<Sha384>>(key, message),
            Self::Sha3x256 => mac::<Hmac<Sha3_256>>(key, message),
            Self::Sha3x384 => mac::<Hmac<Sha3_384>>(key, message),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key of any length will do");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// May the answer be made with MD5, as programs up to Python 3.11 do it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Old {
    Accepted,
    Refused,
}

impl Old {
    fn allows(self, digest: Digest) -> Result<(), Failure> {
        match (self, digest) {
            (Self::Refused, Digest::Md5) => Err(Failure::TooOld),
            _ => Ok(()),
        }
    }
}

/// Why the other side is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NoChallenge,
    TooShort(usize),
    NoSuchDigest,
    TooOld,
    /// Its answer to our challenge is not that of our key.
    WrongAnswer,
    /// It said that our answer is not that of its key, or nothing that makes sense.
    Rejected,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChallenge => {
                f.write_str("the other side sent no challenge, as one without a key")
            }
            Self::TooShort(length) => write!(f, "a challenge of {length} bytes is too short"),
            Self::NoSuchDigest => f.write_str("the other side names no digest that is known"),
            Self::TooOld => f.write_str(
                "the other side uses MD5, as programs up to Python 3.11; `legacy(true)` allows it",
            ),
            Self::WrongAnswer => f.write_str("the other side does not know the key"),
            Self::Rejected => {
                f.write_str("the other side did not accept the answer to its challenge")
            }
        }
    }
}

/// What we asked the other side.
#[derive(Clone, Debug)]
pub(crate) struct Challenge(Vec<u8>);

impl Challenge {
    /// One of the new sort, over SHA-256.
    pub(crate) fn new(random: [u8; RANDOM]) -> Self {
        Self([Digest::Sha256.prefix(), &random].concat())
    }

    /// The message that asks.
    pub(crate) fn message(&self) -> Vec<u8> {
        [CHALLENGE, &self.0].concat()
    }

    /// Is that the answer of one who knows the key?
    pub(crate) fn verify(&self, key: &[u8], answer: &[u8], old: Old) -> Result<(), Failure> {
        let (digest, mac) = if OLD_ANSWERS.contains(&answer.len()) {
            (Digest::Md5, answer)
        } else {
            Digest::split(answer)?
        };
        old.allows(digest)?;
        // Of different length is different: the length is no secret.
        let same = bool::from(digest.mac(key, &self.0).ct_eq(mac));
        if same {
            Ok(())
        } else {
            Err(Failure::WrongAnswer)
        }
    }
}

/// The message that tells the other side what we think of its answer.
pub(crate) fn verdict(of: Result<(), Failure>) -> &'static [u8] {
    if of.is_ok() { WELCOME } else { FAILURE }
}

/// Our answer to a message that should be a challenge.
pub(crate) fn answer(key: &[u8], message: &[u8], old: Old) -> Result<Vec<u8>, Failure> {
    let challenge = message
        .strip_prefix(CHALLENGE)
        .ok_or(Failure::NoChallenge)?;
    if challenge.len() < OLD_CHALLENGE {
        return Err(Failure::TooShort(challenge.len()));
    }
    if challenge.len() == OLD_CHALLENGE {
        old.allows(Digest::Md5)?;
        return Ok(Digest::Md5.mac(key, challenge));
    }
    let (digest, _) = Digest::split(challenge)?;
    old.allows(digest)?;
    Ok([digest.prefix(), &digest.mac(key, challenge)].concat())
}

/// Has our answer been accepted?
pub(crate) fn accepted(message: &[u8]) -> Result<(), Failure> {
    if message == WELCOME {
        Ok(())
    } else {
        Err(Failure::Rejected)
    }
}

/// What to do after a message has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Next {
    /// The message to send, if there is one.
    pub(crate) send: Option<Vec<u8>>,
    /// How it ended; `None` while it goes on.
    pub(crate) end: Option<Result<(), Failure>>,
}

impl Next {
    fn send(message: Vec<u8>) -> Self {
        Self {
            send: Some(message),
            end: None,
        }
    }

    fn fail(failure: Failure) -> Self {
        Self {
            send: None,
            end: Some(Err(failure)),
        }
    }

    /// A verdict, which ends it unless it is good and something follows.
    fn say(verdict: Result<(), Failure>, last: bool) -> Self {
        Self {
            send: Some(self::verdict(verdict).to_vec()),
            end: (last || verdict.is_err()).then_some(verdict),
        }
    }
}

/// A handshake of both sides. It has no copy of the key.
#[derive(Debug)]
pub(crate) struct Handshake {
    challenge: Challenge,
    old: Old,
    waits_for: Message,
}

/// In the order in which whoever accepts gets the first four, and whoever connects the others.
#[derive(Clone, Copy, Debug)]
enum Message {
    AnswerFirst,
    ChallengeLast,
    VerdictLast,
    ChallengeFirst,
    VerdictFirst,
    AnswerLast,
    Nothing,
}

impl Handshake {
    /// Of whoever accepted the connection, who asks first: the message to send.
    pub(crate) fn accepting(random: [u8; RANDOM], old: Old) -> (Self, Vec<u8>) {
        let challenge = Challenge::new(random);
        let message = challenge.message();
        let waits_for = Message::AnswerFirst;
        let handshake = Self {
            challenge,
            old,
            waits_for,
        };
        (handshake, message)
    }

    /// Of whoever connected, who is asked first.
    pub(crate) fn connecting(random: [u8; RANDOM], old: Old) -> Self {
        Self {
            challenge: Challenge::new(random),
            old,
            waits_for: Message::ChallengeFirst,
        }
    }

    /// A message has come.
    pub(crate) fn came(&mut self, key: &[u8], message: &[u8]) -> Next {
        let verify = || self.challenge.verify(key, message, self.old);
        let answer = || match answer(key, message, self.old) {
            Ok(answer) => Next::send(answer),
            Err(failure) => Next::fail(failure),
        };
        let (next, waits_for) = match self.waits_for {
            Message::AnswerFirst => (Next::say(verify(), false), Message::ChallengeLast),
            Message::ChallengeLast => (answer(), Message::VerdictLast),
            Message::VerdictLast => {
                let end = Some(accepted(message));
                (Next { send: None, end }, Message::Nothing)
            }
            Message::ChallengeFirst => (answer(), Message::VerdictFirst),
            Message::VerdictFirst => match accepted(message) {
                Ok(()) => (Next::send(self.challenge.message()), Message::AnswerLast),
                Err(failure) => (Next::fail(failure), Message::Nothing),
            },
            Message::AnswerLast => (Next::say(verify(), true), Message::Nothing),
            Message::Nothing => (Next::fail(Failure::Rejected), Message::Nothing),
        };
        let over = next.end.is_some();
        self.waits_for = if over { Message::Nothing } else { waits_for };
        next
    }
}
