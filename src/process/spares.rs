//! Spare children: forked ahead, tied to this process, and waiting for an order. A start is a hand-over then, not a fork.
//!
//! To the fork server a spare is a child like any other; it finds no message and waits on a word of its slot instead
//! ([`Member::await_order`]). When one is used up another is asked for, and the answer is read when it is needed.

use super::client::{LINK, Link};
use super::connection::{Answered, Connection};
use super::server::Request;
use super::settings::SETTINGS;
use super::{client, current, exit, start};
use crate::error::{Error, ErrorKind, Result};
use crate::shm::{Member, settle};
use crate::sys::clock::Deadline;
use crate::sys::private::PrivateGuard;
use crate::sys::{limits, pidfd, process};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// So many requests and answers surely have room on a socket that nobody reads for a while.
const MOST: usize = 64;

/// A child that waits for an order.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) member: Member,
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) connection: Arc<Connection>,
}

impl Spare {
    fn is_dead(&self) -> bool {
        !matches!(pidfd::wait(self.pidfd.as_fd(), Deadline::now()), Ok(false))
    }

    fn discard(self) {
        dismiss(self.member, &self.pidfd);
    }
}

/// Ends a child that has no order.
pub(super) fn dismiss(member: Member, pidfd: &OwnedFd) {
    member.dismiss();
    // One that is stopped does not hear; one that has more rights than we have now is not killed.
    let _not_allowed = pidfd::send_signal(pidfd.as_fd(), nix::libc::SIGKILL);
    let _ended = pidfd::wait(pidfd.as_fd(), Deadline::after(GRACE));
    settle::abandon(member);
}

/// How long a dismissed child may take to be gone. It is nobody's concern afterwards.
const GRACE: Duration = Duration::from_secs(1);

/// The spare children of this process.
#[derive(Debug, Default)]
pub(super) struct Spares {
    ready: VecDeque<Spare>,
    /// Asked for and not answered yet, by the connection in use.
    asked: VecDeque<Member>,
    /// Why one was not started: said when the lock is free, because a logger may wait for whoever forks, who waits for the lock.
    failed: Option<io::Error>,
}

impl Spares {
    pub(super) const NONE: Self = Self {
        ready: VecDeque::new(),
        asked: VecDeque::new(),
        failed: None,
    };

    /// Hears of one that was asked for.
    fn hear(&mut self, connection: &Arc<Connection>, member: Member) -> Result<()> {
        match connection.answer()? {
            Answered::Started(pid, pidfd) => self.ready.push_back(Spare {
                member,
                pid,
                pidfd,
                connection: Arc::clone(connection),
            }),
            Answered::Unheld(pid) => {
                let _gone = process::send_signal(pid, nix::libc::SIGKILL);
                give_up(member);
            }
            Answered::Failed(error) => {
                self.failed = Some(error);
                settle::abandon(member);
            }
        }
        Ok(())
    }

    /// Waits for the answers to all that were asked for.
    pub(super) fn hear_all(&mut self, connection: &Arc<Connection>) -> Result<()> {
        while let Some(member) = self.asked.pop_front() {
            self.hear(connection, member)
                .inspect_err(|_| give_up(member))?;
        }
        Ok(())
    }

    /// The server that would have answered is gone.
    pub(super) fn lose(&mut self) {
        self.asked.drain(..).for_each(give_up);
    }

    /// In a forked child: they are the parent's.
    pub(super) fn forget(&mut self) {
        self.asked.clear();
        for spare in self.ready.drain(..) {
            spare.connection.close();
        }
    }
}

/// It may run, and nobody will ever give it an order.
fn give_up(member: Member) {
    member.end();
    settle::abandon(member);
}

/// A spare child, if there is one or will be at once. It is roused: an order is to come.
pub(super) fn take(link: &mut Link) -> Option<Spare> {
    loop {
        let Some(spare) = link.spares.ready.pop_front() else {
            hear_next(link)?;
            continue;
        };
        // At once: whether it lives is asked while it wakes.
        spare.member.rouse();
        if !spare.is_dead() {
            return Some(spare);
        }
        spare.discard();
    }
}

/// Ends all of them: their server does not fit any more.
pub(super) fn discard(link: &mut Link) {
    while hear_next(link).is_some() {}
    link.spares.lose();
    link.spares.ready.drain(..).for_each(Spare::discard);
}

/// Waits for the next answer; `None` when none is to come.
fn hear_next(link: &mut Link) -> Option<()> {
    let connection = link.connection.clone()?;
    let member = link.spares.asked.pop_front()?;
    if link.spares.hear(&connection, member).is_err() {
        give_up(member);
        link.spares.lose();
        link.connection = None;
    }
    Some(())
}

/// Asks for as many as are missing, and hears of those that have come. Called when there is time: a start would wait for it. Not when
/// another thread is at it, which may take long and does the same; nor when this process leaves.
pub(super) fn tend() {
    let wanted = SETTINGS.lock().spares;
    if wanted == 0 || exit::is_ending() {
        return;
    }
    match start::prepare() {
        Ok(parent) => {
            if let Some(link) = LINK.try_lock() {
                fill(link, wanted, parent);
            }
        }
        Err(error) => log::warn!("spare children cannot be started: {error}"),
    }
}

fn fill(mut link: PrivateGuard<'_, Link>, wanted: usize, parent: Member) {
    let asked = ask_for(&mut link, wanted, parent);
    let failed = link.spares.failed.take();
    drop(link);
    say(failed);
    if let Err(error) = asked {
        log::warn!("spare children cannot be started: {error}");
    }
}

fn say(failed: Option<io::Error>) {
    if let Some(error) = failed {
        log::warn!("a spare child was not started: {error}");
    }
}

fn ask_for(link: &mut Link, wanted: usize, parent: Member) -> Result<()> {
    let Some(connection) = link.connection.clone() else {
        return Ok(());
    };
    // Not those that have not come: nobody waits here.
    while !link.spares.asked.is_empty() && connection.has_answer() {
        _ = hear_next(link);
    }
    let lifeline = link.watched()?;
    while link.spares.ready.len() + link.spares.asked.len() < wanted {
        let member = start::reserve_child(parent)?;
        let request = Request {
            member,
            detached: false,
            laden: false,
        };
        let asked = connection.ask(request, &lifeline, None);
        if matches!(asked, Ok(true)) {
            link.spares.asked.push_back(member);
            continue;
        }
        settle::abandon(member);
        return asked.map(drop);
    }
    Ok(())
}

/// Ends those that are too many: all of them, when the process leaves.
pub(super) fn discard_all_but(count: usize) {
    let mut link = LINK.lock();
    while hear_next(&mut link).is_some() {}
    link.spares.lose();
    let kept = link.spares.ready.len().min(count);
    let others = link.spares.ready.split_off(kept);
    let failed = link.spares.failed.take();
    drop(link);
    say(failed);
    others.into_iter().for_each(Spare::discard);
}

/// Lets the fork server keep so many idle children ready for this process. A start hands an order to one of them, which costs a wake-up
/// instead of a fork; another takes its place meanwhile. The default is none.
///
/// They are children of this process in every respect: they die with it, and at its end. One that dies before it is used is
/// replaced with the next start. Only [`StartMethod::ForkServer`](crate::StartMethod::ForkServer) uses them.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for more than 64; [`ErrorKind::Misuse`] in a daemon; [`ErrorKind::StartMethodUnavailable`].
///
/// # Examples
/// ```
/// multiproc::set_spare_children(2)?;
/// let child = multiproc::spawn(|n: u32| n + 1, (1,))?;
/// assert_eq!(child.join()?, 2);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn set_spare_children(count: usize) -> Result<()> {
    if count > MOST {
        let text = "64 spare children at most";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    if current::identity().daemon {
        let text = "a daemon may not have children";
        return Err(Error::new(ErrorKind::Misuse, text));
    }
    let parent = start::prepare()?;
    SETTINGS.lock().spares = count;
    discard_all_but(count);
    if count == 0 {
        return Ok(());
    }
    client::renew(limits::rights())?;
    fill(LINK.lock(), count, parent);
    Ok(())
}
