//! The fork server: one thread that forks when a member asks, answers with a pidfd, reaps, and says how children ended.
//!
//! Every member has its own control socket to it. The server ends when the last of them is closed, that is, when the family is
//! gone, and nobody of it is left who owns a name ([`super::keeping`]). It allocates nothing in the arena and takes no lease, so that no member, dead, mad or stopped, can hold it up.

use super::exec::{self, Hello};
use super::keeping::Keeping;
use super::{child, current, panics, surroundings};
use crate::call::Call;
use crate::shm::arena::Arena;
use crate::shm::handle;
use crate::shm::label::{self, Sweeper};
use crate::shm::member::{Member, Status};
use crate::shm::settle;
use crate::sys::atomic::{AtomicBool, Relaxed};
use crate::sys::clock::Deadline;
use crate::sys::process::{self, Fork};
use crate::sys::{atfork, exit, lifeline, pidfd, signal, socket, spawn, thread};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signalfd::SignalFd;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// A request to start a child; its order comes through its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) member: Member,
    /// It does not die with who asks. Said here, because it must be known before a lifeline is armed: who asks may be gone by then.
    pub(super) detached: bool,
    /// A parcel comes with it: the descriptors among its arguments.
    pub(super) laden: bool,
}

impl Request {
    pub(super) const SIZE: usize = 12;

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let Member { slot, generation } = self.member;
        let options = u32::from(self.detached) | u32::from(self.laden) << 1;
        let words = [slot, generation, options];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let mut words = [0; 3];
        for (word, place) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes([place[0], place[1], place[2], place[3]]);
        }
        let [slot, generation, options] = words;
        Self {
            member: Member { slot, generation },
            detached: options & 1 != 0,
            laden: options & 2 != 0,
        }
    }
}

/// Is this process a fork server?
static SERVING: AtomicBool = AtomicBool::new(false);

/// Is this process a fork server?
pub(super) fn is_serving() -> bool {
    SERVING.load(Relaxed)
}

/// After so long without a request the server does what can wait.
const IDLE: Duration = Duration::from_millis(5);

/// The answer: the child's pid, or the error number of the call that failed, negative.
pub(super) type Answer = i32;

/// A member, seen from here.
#[derive(Debug)]
struct Peer {
    control: OwnedFd,
    /// The read end of its lifeline; it comes with its first request.
    lifeline: Option<OwnedFd>,
}

/// The descriptors that a child begins with.
#[derive(Debug)]
pub(super) struct Belongings {
    pub(super) control: OwnedFd,
    /// Its end of the lifeline; a detached one has none.
    pub(super) tie: Option<OwnedFd>,
    /// What its arguments have of descriptors.
    pub(super) parcel: Option<OwnedFd>,
}

#[derive(Debug)]
struct Server {
    /// The program that started it is the first of them.
    peers: Vec<Peer>,
    keeping: Keeping,
    children: Vec<(i32, Member)>,
    /// Children whose start time is not noted yet: that is done when there is nothing else to do.
    unnoted: Vec<(i32, Member)>,
    signals: SignalFd,
    /// Descriptors that a preload function left open: statics may own them, in the children too.
    inherited: Vec<u32>,
    /// What children are called by the system, as this program is.
    own_name: CString,
}

/// Calls what is to be called first; the answer is what went wrong.
fn begin(preload: Option<Call>) -> io::Result<String> {
    signal::be_deaf_as_server()?;
    let trouble = preload.and_then(|call| preloaded(call).err());
    if preload.is_some() {
        // Whatever it has changed is not for children, and must not make the server miss their ends.
        signal::default_handlers()?;
        signal::be_deaf_as_server()?;
    }
    surroundings::note_baseline();
    child::prepare_for_all();
    Ok(trouble.unwrap_or_default())
}

fn preloaded(call: Call) -> Result<(), String> {
    current::become_server();
    panics::install();
    let called = panics::catch(false, || call.invoke(&[], &mut || ()));
    // Each child would write its copy of what stands in the buffers.
    exit::flush();
    match called {
        Err(panic) => Err(format!("the preload function panicked: {}", panic.message)),
        Ok(Err(error)) => Err(format!("the preload function: {error}")),
        // A fork would copy their locks and not them.
        Ok(Ok(_)) if thread::count() > 1 => {
            Err("the preload function left threads running".to_owned())
        }
        Ok(Ok(_)) => Ok(()),
    }
}

/// Serves until the family is gone. In a child, does not return at all.
pub(super) fn run(control: OwnedFd, hello: u64, preload: Option<Call>) -> io::Result<()> {
    SERVING.store(true, Relaxed);
    let own_name = current::program_name();
    nix::sys::prctl::set_name(c"multiproc-fs")?;
    let trouble = begin(preload)?;
    let mut inherited = Vec::new();
    if preload.is_some() {
        inherited = spawn::open_descriptors()?;
        inherited.retain(|&fd| fd != control.as_raw_fd().cast_unsigned());
    }
    let signals = signal::child_signals()?;
    let hello = Hello {
        number: hello,
        trouble: &trouble,
    };
    hello.send(&control)?;
    if !trouble.is_empty() {
        return Ok(());
    }
    let peers = vec![Peer {
        control,
        lifeline: None,
    }];
    let mut server = Server {
        peers,
        keeping: Keeping::new(),
        children: Vec::new(),
        unnoted: Vec::new(),
        signals,
        inherited,
        own_name,
    };
    while !server.peers.is_empty() || server.keeping.waits(&server.children) {
        server.turn()?;
    }
    server.reap();
    label::sweep_or_say(Sweeper::Leaving);
    Ok(())
}

impl Server {
    /// Waits for something to happen, and deals with all that has.
    fn turn(&mut self) -> io::Result<()> {
        let all = std::iter::once(self.signals.as_fd())
            .chain(self.peers.iter().map(|peer| peer.control.as_fd()))
            .chain(self.keeping.awaited());
        let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let all_is_done = self.unnoted.is_empty() && self.keeping.has_looked;
        let idle = if all_is_done {
            Deadline::NEVER
        } else {
            Deadline::after(IDLE)
        };
        if !socket::poll_until(&mut fds, idle)? {
            self.do_what_can_wait();
            return Ok(());
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        if ready[0] {
            self.reap();
        }
        let peers = self.peers.len();
        // From the last: a peer that has gone is removed, a new one is added behind the end.
        for index in (0..peers).rev() {
            if ready[index + 1] && !self.hear(index) {
                self.peers.remove(index);
                self.keeping.peer_has_gone(index);
            }
        }
        if ready.get(peers + 1) == Some(&true) {
            self.keeping.first_has_ended();
        }
        Ok(())
    }

    fn do_what_can_wait(&mut self) {
        for (pid, member) in std::mem::take(&mut self.unnoted) {
            member.note_start_time(pid);
        }
        self.keeping.look();
    }

    /// Reads one request of a peer; `false` when the peer has gone or makes no sense.
    fn hear(&mut self, index: usize) -> bool {
        let mut bytes = [0; Request::SIZE];
        let peer = &mut self.peers[index];
        let mut packet = match socket::recv(peer.control.as_fd(), &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Ok(packet) if packet.length == Request::SIZE => packet,
            Ok(_) | Err(_) => return false,
        };
        if packet.came.lost {
            // What did come is not told from what did not.
            let full: Answer = -nix::libc::EMFILE;
            return socket::send(peer.control.as_fd(), &full.to_ne_bytes(), &[]).is_ok();
        }
        let request = Request::from_bytes(bytes);
        let parcel = if request.laden {
            packet.came.fds.pop()
        } else {
            None
        };
        if let Some(lifeline) = packet.came.fds.pop() {
            peer.lifeline = Some(lifeline);
        }
        self.start(index, request, parcel).is_ok()
    }

    /// Forks and answers. An error means that the answer could not be given.
    fn start(&mut self, index: usize, request: Request, parcel: Option<OwnedFd>) -> io::Result<()> {
        let started = self.fork(index, request, parcel);
        let peer = self.peers[index].control.as_fd();
        match started {
            Err(error) => {
                let answer: Answer = -error.raw_os_error().unwrap_or(nix::libc::EIO);
                socket::send(peer, &answer.to_ne_bytes(), &[])
            }
            Ok((pid, pidfd, control)) => {
                let answered = socket::send(peer, &pid.to_ne_bytes(), &[pidfd.as_fd()]);
                self.children.push((pid, request.member));
                self.peers.push(Peer {
                    control,
                    lifeline: None,
                });
                self.unnoted.push((pid, request.member));
                answered
            }
        }
    }

    fn fork(
        &mut self,
        index: usize,
        request: Request,
        parcel: Option<OwnedFd>,
    ) -> io::Result<(i32, OwnedFd, OwnedFd)> {
        let (ours, theirs) = socket::pair()?;
        let lifeline = self.peers[index].lifeline.as_ref();
        let lifeline = lifeline.ok_or(io::ErrorKind::InvalidInput)?;
        let tie = (!request.detached).then(|| lifeline::reopen(lifeline.as_fd()));
        let tie = tie.transpose()?;
        // What a preload function holds, its children hold.
        let _heir = handle::bequeath(Some(request.member));
        match fork()? {
            Fork::Child => {
                let _no_harm = nix::sys::prctl::set_name(&self.own_name);
                let fds = Belongings {
                    control: theirs,
                    tie,
                    parcel,
                };
                become_child(fds, request, &self.inherited)
            }
            Fork::Parent { child } => {
                // Not one of `children`, so nobody else would reap it.
                let pidfd = pidfd::open(child).inspect_err(|_| exec::discard(child))?;
                Ok((child, pidfd, ours))
            }
        }
    }

    fn reap_next(&self) -> Option<(i32, i32)> {
        if self.children.is_empty() {
            None
        } else {
            process::reap_any()
        }
    }

    /// Reaps all children that have ended, and says how.
    fn reap(&mut self) {
        // The signal is one bit, however many children have ended.
        let _signal = self.signals.read_signal();
        while let Some((pid, status)) = self.reap_next() {
            let Some(index) = self.children.iter().position(|&(child, _)| child == pid) else {
                continue;
            };
            let (_, member) = self.children.swap_remove(index);
            self.unnoted.retain(|&(child, _)| child != pid);
            // Asked first: whoever hears of its end may settle it at once, and then the next member has its place.
            let named = label::is_named(member);
            member.set_status(Status::Reaped(status));
            settle::announce(member);
            if named {
                label::sweep_or_say(Sweeper::Other);
            }
        }
    }
}

#[expect(unsafe_code, reason = "fork has a condition")]
fn fork() -> io::Result<Fork> {
    // SAFETY: the server has one thread.
    atfork::ours(|| unsafe { process::fork() })
}

fn become_child(fds: Belongings, request: Request, inherited: &[u32]) -> ! {
    SERVING.store(false, Relaxed);
    let own = [Some(&fds.control), fds.tie.as_ref(), fds.parcel.as_ref()];
    let own = own.into_iter().flatten().map(AsFd::as_fd);
    // The arena's too: this child may have to start a fork server of its own.
    let keep = own.chain(Arena::existing().map(Arena::fd));
    let keep = keep.map(|fd| fd.as_raw_fd().cast_unsigned());
    let mut keep: Vec<u32> = keep.chain(inherited.iter().copied()).collect();
    close_all_but(&mut keep);
    child::live(fds, request)
}

#[expect(
    unsafe_code,
    reason = "closing descriptors that have owners has a condition"
)]
fn close_all_but(keep: &mut [u32]) {
    // SAFETY: what a preload function left open is kept, so the owners of the others are the server's tables, which the child neither
    // uses nor drops: it never returns.
    unsafe { spawn::close_all_but(keep) };
}
