//! Each half of the handshake over a connection that is there already: Python's `deliver_challenge` and `answer_challenge`.

use super::auth::{self, Challenge, LONGEST};
use super::authkey::AuthKey;
use super::connection::Connection;
use super::greeting::{Terms, dice, failed};
use crate::error::Result;
use crate::sys::clock::Deadline;
use crate::wire::descriptors::Luggage;
use std::time::Duration;

/// Asks the other side to prove that it knows the key, and tells it what we think of its answer. A [`Listener`](crate::Listener) with a key does
/// this for all who connect, and has it done to itself: each side delivers once and [answers](answer_challenge) once.
///
/// `legacy` also believes an answer made with MD5, as Python up to 3.11 makes it. `timeout` is for all of it.
///
/// **When the process at the other end dies**, this ends at once.
///
/// # Errors
/// [`AuthenticationFailed`](crate::ErrorKind::AuthenticationFailed) when it does not know the key (it was told so): close the connection; [`TimedOut`](crate::ErrorKind::TimedOut);
/// [`TooLong`](crate::ErrorKind::TooLong) when the answer has more than 256 bytes; [`Disconnected`](crate::ErrorKind::Disconnected); [`Closed`](crate::ErrorKind::Closed).
///
/// # Examples
/// ```
/// use multiproc::auth::{answer_challenge, deliver_challenge};
/// use multiproc::{AuthKey, Pipe};
/// use std::time::Duration;
///
/// let key = AuthKey::from(b"secret");
/// let (one, other) = Pipe::<()>::new()?;
/// let second = Duration::from_secs(1);
/// let answers = std::thread::spawn({
///     let key = key.clone();
///     move || answer_challenge(&other, &key, false, second)
/// });
/// deliver_challenge(&one, &key, false, second)?;
/// answers.join().expect("no panic")?;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn deliver_challenge<S, R>(
    connection: &Connection<S, R>,
    key: &AuthKey,
    legacy: bool,
    timeout: Duration,
) -> Result<()> {
    let terms = Terms::new(key, legacy);
    let deadline = Deadline::after(timeout);
    let challenge = Challenge::new(dice()?);
    say(connection, &challenge.message(), deadline)?;
    let answer = hear(connection, deadline)?;
    let result = challenge.verify(terms.key.as_bytes(), &answer, terms.old);
    say(connection, auth::verdict(result), deadline)?;
    result.map_err(failed)
}

/// Proves to the other side that we know the key: the counterpart of [`deliver_challenge`].
///
/// `legacy` also answers challenges of Python up to 3.11, with MD5. `timeout` is for all of it.
///
/// **When the process at the other end dies**, this ends at once.
///
/// # Errors
/// [`AuthenticationFailed`](crate::ErrorKind::AuthenticationFailed) when the other side sends no challenge that can be answered, or does not accept the answer;
/// else as [`deliver_challenge`].
pub fn answer_challenge<S, R>(
    connection: &Connection<S, R>,
    key: &AuthKey,
    legacy: bool,
    timeout: Duration,
) -> Result<()> {
    let terms = Terms::new(key, legacy);
    let deadline = Deadline::after(timeout);
    let challenge = hear(connection, deadline)?;
    let answer = auth::answer(terms.key.as_bytes(), &challenge, terms.old).map_err(failed)?;
    say(connection, &answer, deadline)?;
    auth::accepted(&hear(connection, deadline)?).map_err(failed)
}

fn say<S, R>(connection: &Connection<S, R>, message: &[u8], deadline: Deadline) -> Result<()> {
    connection
        .stream()?
        .send(message, Luggage::default(), deadline)
}

fn hear<S, R>(connection: &Connection<S, R>, deadline: Deadline) -> Result<Vec<u8>> {
    connection.stream()?.receive_bytes(LONGEST, deadline)
}
