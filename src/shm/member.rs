//! The members of the family: who this process is, who else is there, and the proof that one of them is dead.
//!
//! The *identity* of a slot is one word: state, generation, pid. A slot goes from free to reserved (its future parent asks for
//! a child) to living (the child, or a stranger that claims one for itself) to ended (proved dead) and, once settled, to free
//! with the next generation. Each step is one compare-and-swap, so a kill falls between two steps and never inside one.
//!
//! Nothing here is cached across a fork: in the child of any fork this process has no identity until it claims one.

use super::arena::Arena;
use super::keeper::low_half;
use super::layout::{LIVED, Slot};
use super::lease;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atfork::{self, Forkable};
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32, AtomicU64, Relaxed, Release, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::private::Private;
use crate::sys::{futex, pidfd, process, thread};
use std::cell::Cell;
use std::os::fd::AsFd;
use std::time::Duration;

/// A place in the table of members, at one time of its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Member {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    /// For a child that does not run yet; the pid is its future parent's.
    Reserved,
    Living,
    /// Proved dead, not settled yet.
    Ended,
}

/// An identity, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) state: State,
    pub(crate) generation: u32,
    pub(crate) pid: i32,
}

const GENERATIONS: u32 = (1 << 28) - 1;

/// Start times in clock ticks: 21 years of a machine that does not stop.
const START_TIMES: u64 = (1 << 36) - 1;

impl Identity {
    pub(crate) fn read(word: u64) -> Self {
        let state = match word >> 60 {
            1 => State::Reserved,
            2 => State::Living,
            3 => State::Ended,
            _ => State::Free,
        };
        let generation = (word >> 32) as u32 & GENERATIONS;
        let pid = ((word & 0xffff_ffff) as u32).cast_signed();
        Self {
            state,
            generation,
            pid,
        }
    }

    /// The free slot that this one becomes.
    pub(super) fn next(self) -> Self {
        let generation = self.generation.wrapping_add(1) & GENERATIONS;
        Self {
            state: State::Free,
            generation,
            pid: 0,
        }
    }

    pub(crate) fn word(self) -> u64 {
        let state = match self.state {
            State::Free => 0,
            State::Reserved => 1,
            State::Living => 2,
            State::Ended => 3,
        };
        state << 60
            | u64::from(self.generation & GENERATIONS) << 32
            | u64::from(self.pid.cast_unsigned())
    }
}

/// This process's member, as slot + 1 and generation; 0 when it has none.
static OWN: AtomicU64 = AtomicU64::new(0);
static CLAIMING: Private<()> = Private::new(());

/// The pid of this process, while it has a member.
static PID: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// This thread as the owner of a lease; 0 when not yet asked.
    static ME: Cell<u64> = const { Cell::new(0) };
}

struct Identities;

impl Forkable for Identities {
    fn before(&self) {}
    fn after(&self) {}
    fn child(&self) {
        OWN.store(0, Relaxed);
        PID.store(0, Relaxed);
        ME.with(|me| me.set(0));
    }
}

/// Once a process image: what must be true in forked children.
pub(super) fn register() {
    static IDENTITIES: &dyn Forkable = &Identities;
    static CLAIM: &dyn Forkable = &CLAIMING;
    static COUNTS: &dyn Forkable = &super::handle::Counts;
    atfork::register(&[&IDENTITIES, &CLAIM, &COUNTS]);
}

/// This thread as the owner of a lease.
#[inline]
pub(crate) fn me() -> Result<u64> {
    let me = ME.with(Cell::get);
    if me != 0 { Ok(me) } else { ask_me() }
}

#[cold]
fn ask_me() -> Result<u64> {
    let member = own()?;
    let me = lease::owner(member.slot, member.generation, thread::gettid());
    ME.with(|cell| cell.set(me));
    Ok(me)
}

/// This process's member, if it has one.
#[inline]
pub(crate) fn known() -> Option<Member> {
    let own = OWN.load(Acquire);
    let slot = u32::try_from(own >> 32).ok()?.checked_sub(1)?;
    Some(Member {
        slot,
        generation: (own & 0xffff_ffff) as u32,
    })
}

/// This process's member, claimed now if it has none.
#[inline]
pub(crate) fn own() -> Result<Member> {
    known().map_or_else(claim, Ok)
}

/// Makes this process a member, if it was forked behind our back: from now on it holds what it has handles of, or they are stale.
#[inline]
pub(crate) fn join() -> Result<()> {
    if known().is_none() {
        claim()?;
    }
    Ok(())
}

/// The pid of this process, which has a member: without a system call.
#[inline]
pub(crate) fn own_pid() -> u32 {
    PID.load(Relaxed)
}

fn set_own(member: Member) {
    PID.store(process::getpid().cast_unsigned(), Relaxed);
    OWN.store(
        u64::from(member.slot + 1) << 32 | u64::from(member.generation),
        Release,
    );
}

/// A process that nobody reserved a slot for: the first of the family, or one forked behind our back.
#[cold]
fn claim() -> Result<Member> {
    let arena = Arena::get()?;
    let claiming = CLAIMING.lock();
    if let Some(member) = known() {
        return Ok(member);
    }
    let member = reserve()?;
    occupy(member)?;
    super::name::note(nobodys_name());
    member.note_start_time(process::getpid());
    drop(claiming);
    super::handle::adopt_inherited(arena, member);
    Ok(member)
}

/// The name of a process that no parent gave one.
pub(crate) fn nobodys_name() -> &'static str {
    let first = atfork::generation() == 0;
    if first {
        "MainProcess"
    } else {
        "ForeignProcess"
    }
}

/// Takes a free slot. The search begins where the last one ended, so that a slot rests before it is used again.
pub(crate) fn reserve() -> Result<Member> {
    let arena = Arena::get()?;
    let slots = arena.layout.slots;
    for round in 0..2 {
        for _ in 0..slots {
            let slot = arena.header().next_slot.fetch_add(1, Relaxed) % slots;
            if let Some(member) = try_reserve(arena, slot) {
                return Ok(member);
            }
        }
        // A stranger without a place cannot settle others: that takes an identity.
        if round == 0 && known().is_some() {
            super::settle::sweep(arena);
        }
    }
    Err(Error::new(
        ErrorKind::NoSpace,
        format!("all {slots} places for processes are taken"),
    ))
}

fn try_reserve(arena: &Arena, number: u32) -> Option<Member> {
    let slot = arena.slot(number)?;
    let word = slot.identity.load(Acquire);
    let free = Identity::read(word);
    if free.state != State::Free {
        return None;
    }
    // The bit first: who looks for holders must see this slot before it can hold anything.
    arena.used(number)?.fetch_or(1 << (number % 64), SeqCst);
    let reserved = Identity {
        state: State::Reserved,
        pid: process::getpid(),
        ..free
    };
    slot.identity
        .compare_exchange(word, reserved.word(), SeqCst, Relaxed)
        .ok()?;
    slot.start_time.store(0, Relaxed);
    slot.noted.store(0, Relaxed);
    slot.order.store(0, Relaxed);
    slot.flags.store(0, Relaxed);
    slot.in_barriers.store(0, Relaxed);
    slot.uncounted.store(0, Relaxed);
    super::name::write(slot, "");
    // A stranger has none, and must not be left to the parent of whoever was here before.
    slot.parent.store(0, Release);
    slot.status
        .store(Status::Running.word(free.generation), Release);
    Some(Member {
        slot: number,
        generation: free.generation,
    })
}

/// This process becomes the member that was reserved for it.
pub(crate) fn occupy(member: Member) -> Result<()> {
    let arena = Arena::get()?;
    let slot = member.slot(arena).ok_or(ErrorKind::StaleHandle)?;
    let word = slot.identity.load(Acquire);
    let reserved = Identity::read(word);
    if reserved.state != State::Reserved || reserved.generation != member.generation {
        return Err(Error::new(
            ErrorKind::StaleHandle,
            "the place for this process was given up",
        ));
    }
    slot.flags.fetch_or(LIVED, AcqRel);
    let living = Identity {
        state: State::Living,
        pid: process::getpid(),
        ..reserved
    };
    let swapped = slot
        .identity
        .compare_exchange(word, living.word(), AcqRel, Relaxed);
    swapped.map_err(|_| Error::from(ErrorKind::StaleHandle))?;
    set_own(member);
    Ok(())
}

/// One more thread of this process, or one less, is at a barrier.
pub(crate) fn come_to_barrier(comes: bool) {
    let slot = Arena::existing().and_then(|arena| arena.slot(known()?.slot));
    if let Some(slot) = slot {
        let change = if comes { 1 } else { u32::MAX };
        slot.in_barriers.fetch_add(change, AcqRel);
    }
}

impl Member {
    /// The slot, if it is still this member's.
    pub(crate) fn slot(self, arena: &Arena) -> Option<&'static Slot> {
        let slot = arena.slot(self.slot)?;
        (Identity::read(slot.identity.load(Acquire)).generation == self.generation).then_some(slot)
    }

    /// The process id noted in its slot.
    pub(super) fn pid(self, slot: &Slot) -> u32 {
        let identity = Identity::read(slot.identity.load(Acquire));
        identity.pid.cast_unsigned()
    }

    /// Ends a child that nobody holds: refuses it its place, or kills it and waits until it is gone.
    pub(crate) fn end(self) {
        let slot = Arena::existing().and_then(|arena| self.slot(arena));
        let Some(slot) = slot else { return };
        loop {
            let word = slot.identity.load(Acquire);
            let identity = Identity::read(word);
            if identity.generation != self.generation {
                return;
            }
            match identity.state {
                State::Free | State::Ended => return,
                State::Reserved => {
                    let state = State::Ended;
                    let ended = Identity { state, ..identity }.word();
                    if slot
                        .identity
                        .compare_exchange(word, ended, AcqRel, Relaxed)
                        .is_ok()
                    {
                        return;
                    }
                }
                State::Living => return kill_and_wait(self, identity.pid),
            }
        }
    }

    /// Notes the process that is to take this place, so that others see its death before it has come there.
    pub(crate) fn note_child(self, pid: i32) {
        let slot = Arena::existing().and_then(|arena| self.slot(arena));
        if let Some(slot) = slot {
            let word = u64::from(self.generation) << 32 | u64::from(pid.cast_unsigned());
            slot.child.store(word, Release);
        }
    }

    /// Notes when the process began, which tells it from a later one with its pid.
    pub(crate) fn note_start_time(self, pid: i32) {
        let slot = Arena::existing().and_then(|arena| self.slot(arena));
        if let (Some(slot), Ok(stat)) = (slot, process::stat(pid)) {
            // With the generation, so that a late writer cannot hit the slot's next user.
            let generation = u64::from(self.generation) << 36;
            slot.start_time
                .store(generation | stat.start_time & START_TIMES, Relaxed);
        }
    }

    /// How the process ended, as far as anybody has said.
    pub(crate) fn status(self) -> Option<Status> {
        let slot = Arena::existing()?.slot(self.slot)?;
        Status::read(slot.status.load(Acquire), self.generation)
    }

    /// Notes how the process ended, and wakes who waits to hear it. What the kernel said is never overwritten.
    pub(crate) fn set_status(self, status: Status) {
        let Some(slot) = Arena::existing().and_then(|arena| arena.slot(self.slot)) else {
            return;
        };
        let mut word = slot.status.load(Acquire);
        while !matches!(
            Status::read(word, self.generation),
            None | Some(Status::Reaped(_))
        ) {
            match slot
                .status
                .compare_exchange(word, status.word(self.generation), AcqRel, Acquire)
            {
                Ok(_) => {
                    futex::wake(low_half(&slot.status), u32::MAX, futex::Scope::Shared);
                    return;
                }
                Err(now) => word = now,
            }
        }
    }

    /// Sleeps until the status may have changed from `Running`.
    pub(crate) fn sleep_on_status(self, timeout: Duration) {
        let Some(slot) = Arena::existing().and_then(|arena| arena.slot(self.slot)) else {
            return;
        };
        let expected = slot.status.load(Acquire);
        if let Some(Status::Running) = Status::read(expected, self.generation) {
            let low = (expected & 0xffff_ffff) as u32;
            futex::wait(low_half(&slot.status), low, timeout, futex::Scope::Shared);
        }
    }
}

/// Kills the process of a member, if it is still that one.
fn kill_and_wait(member: Member, pid: i32) {
    let Ok(pidfd) = pidfd::open(pid) else { return };
    if !proved_dead(member.slot, member.generation) {
        // One that this process may not kill is not waited for either.
        if pidfd::send_signal(pidfd.as_fd(), nix::libc::SIGKILL).is_ok() {
            let _ended = pidfd::wait(pidfd.as_fd(), Deadline::NEVER);
        }
    }
}

/// How a member ended: one word with the member's generation, so that a late writer cannot hit the slot's next user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    /// The process said so itself, just before it left.
    Leaving(i32),
    /// The kernel said so to whoever reaped it: a raw wait status.
    Reaped(i32),
}

impl Status {
    fn word(self, generation: u32) -> u64 {
        let (kind, value): (u64, i32) = match self {
            Self::Running => (1, 0),
            Self::Leaving(code) => (2, code),
            Self::Reaped(status) => (3, status),
        };
        // The kind lies in the low half, where the futex looks.
        let value = u64::from(value.cast_unsigned()) & 0xff_ffff;
        u64::from(generation) << 32 | kind << 24 | value
    }

    fn read(word: u64, generation: u32) -> Option<Self> {
        let value = ((word & 0xff_ffff) as u32).cast_signed();
        match (word >> 32 == u64::from(generation), word >> 24 & 0xff) {
            (true, 1) => Some(Self::Running),
            (true, 2) => Some(Self::Leaving(value)),
            (true, 3) => Some(Self::Reaped(value)),
            _ => None,
        }
    }
}

/// Is it known without asking the kernel that the member is dead?
pub(crate) fn known_dead(slot: u32, generation: u32) -> bool {
    let Some(slot) = Arena::existing().and_then(|arena| arena.slot(slot)) else {
        return true;
    };
    let identity = Identity::read(slot.identity.load(Acquire));
    identity.generation != generation || matches!(identity.state, State::Ended | State::Free)
}

/// Is it proved that the member is dead? Its pid is gone, has another start time, or is a zombie without threads. Nothing
/// else counts: not a timeout, and not a lock or a socket that a process can lose and live.
pub(crate) fn proved_dead(slot: u32, generation: u32) -> bool {
    if known_dead(slot, generation) {
        return true;
    }
    let slot_number = slot;
    let Some(slot) = Arena::existing().and_then(|arena| arena.slot(slot)) else {
        return true;
    };
    let word = slot.identity.load(Acquire);
    let identity = Identity::read(word);
    let start_time = match identity.state {
        State::Living => Some(slot.start_time.load(Relaxed))
            .filter(|noted| noted >> 36 == u64::from(generation))
            .map_or(0, |noted| noted & START_TIMES),
        _ => 0,
    };
    // Somebody may have said so in the meantime: then its place looks different, because it is dead.
    let same = || slot.identity.load(Acquire) == word || known_dead(slot_number, generation);
    process::proved_dead(identity.pid, start_time) && same()
}

/// Is it proved that the child which was to take this place is dead? Its parent has noted it, and not reaped it yet.
pub(super) fn child_proved_dead(slot: &Slot, generation: u32) -> bool {
    let word = slot.child.load(Acquire);
    let pid = ((word & 0xffff_ffff) as u32).cast_signed();
    let noted = pid != 0 && word >> 32 == u64::from(generation);
    noted && process::proved_dead(pid, 0)
}

/// Has the process in `slot` no thread of this number?
pub(crate) fn has_no_thread(slot: u32, tid: u32) -> bool {
    let Some(slot) = Arena::existing().and_then(|arena| arena.slot(slot)) else {
        return true;
    };
    let identity = Identity::read(slot.identity.load(Acquire));
    !process::has_thread(identity.pid, tid)
}
