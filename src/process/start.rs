//! A start, up to where the start methods part: the plan of a process becomes an order, and the order a child.

use super::builder::new_identity;
use super::child::{Order, Task};
use super::current::{self, Identity, Parent};
use super::direct::{self, Body};
use super::method::{self, StartMethod};
use super::running::{self, Reaper, Running};
use super::server::Request;
use super::spares;
use super::surroundings::{Options, Surroundings};
use super::{client, exec, exit, hook, hooks, settings, watcher};
use crate::call::{self, Arguments, Call, Callable, Reply};
use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{Block, Owner};
use crate::shm::message::Cargo;
use crate::shm::{Member, member, message, settle};
use crate::sys::atfork::{self, Forkable};
use crate::sys::atomic::{AtomicBool, Release, SeqCst};
use crate::sys::private::Private;
use crate::sys::{companions, descriptor};
use crate::thread;
use crate::wire::descriptors::{Ends, Luggage};
use crate::wire::{self, Bytes};
use std::any::Any;
use std::fmt;
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

pub(super) type Encode = Box<dyn FnOnce() -> Result<(Bytes, Cargo, Luggage)> + Send>;

/// What a process is to do.
pub(super) enum Target {
    /// A function that is sent; its arguments are encoded at the start.
    Sent {
        call: Call,
        /// Somebody waits for its value.
        answers: bool,
        encode: Encode,
    },
    /// A closure that a fork copies.
    Copied(Closure),
}

type Copied = Box<dyn FnOnce() -> Option<Result<Reply>> + Send>;

/// A closure that a fork copies; it answers with the encoded value, where somebody waits for one.
pub(super) struct Closure(Copied);

impl Closure {
    pub(super) fn new(closure: impl FnOnce() -> Option<Result<Reply>> + Send + 'static) -> Self {
        Self(Box::new(closure))
    }

    /// Runs it, in the child.
    pub(super) fn run(self) -> Option<Result<Reply>> {
        (self.0)()
    }
}

/// A process before its start.
pub(super) struct Plan {
    target: Target,
    pub(super) method: Option<StartMethod>,
    pub(super) detached: bool,
    pub(super) options: Options,
}

impl Plan {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            method: None,
            detached: false,
            options: Options::default(),
        }
    }

    /// How it will come to be.
    pub(super) fn method(&self) -> StartMethod {
        match (self.method, &self.target) {
            (Some(method), _) => method,
            (None, Target::Copied(_)) => StartMethod::Fork,
            (None, Target::Sent { .. }) => method::chosen().unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("method", &self.method())
            .field("detached", &self.detached)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Starts what was planned.
pub(super) fn launch_plan(identity: &Identity, plan: Plan) -> Result<Arc<Running>> {
    let method = plan.method();
    plan.options.check()?;
    let mut order = Order {
        identity: identity.clone(),
        task: None,
        detached: plan.detached,
        surroundings: Surroundings::default(),
    };
    let work = match plan.target {
        Target::Copied(_) if method != StartMethod::Fork => {
            let rule =
                "a closure with captures is copied by a fork and cannot be started otherwise";
            return Err(Error::new(ErrorKind::Misuse, rule));
        }
        Target::Copied(closure) => Work::Copied(closure),
        Target::Sent {
            call,
            answers,
            encode,
        } => {
            let (arguments, cargo, luggage) = encode()?;
            order.task = Some(Task { call, answers });
            Work::Sent(arguments, cargo, Parcel::of(luggage)?)
        }
    };
    launch(method, order, &plan.options, work, |_| ())
}

/// Starts a daemon that calls `function`, for a service of this crate. `lost` is called when it cannot be held: it may
/// run then, and is not settled yet.
pub(crate) fn launch_service<F: Callable<A>, A: Arguments>(
    name: String,
    method: StartMethod,
    function: F,
    arguments: &A,
    lost: impl FnOnce(Member),
) -> Result<Arc<Running>> {
    let (bytes, cargo) = wire::encode(arguments)?;
    let call = call::target::<F, A>(function);
    let order = Order {
        identity: new_identity("Process", Some(name), Some(true)),
        task: Some(Task {
            call,
            answers: false,
        }),
        detached: false,
        surroundings: Surroundings::default(),
    };
    let work = Work::Sent(bytes, cargo, None);
    launch(method, order, &Options::default(), work, lost)
}

/// What a child is to do, ready to travel.
enum Work {
    Sent(Bytes, Cargo, Option<Parcel>),
    Copied(Closure),
}

impl Work {
    fn parcel(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Sent(_, _, Some(parcel)) => parcel.socket.as_fd(),
            _ => None,
        }
    }
}

/// The descriptors among the arguments, on their way. If they do not arrive, the ends among them are ended: nobody else has them.
pub(super) struct Parcel {
    socket: descriptor::Shared,
    ends: Option<Ends>,
}

impl Parcel {
    fn of(luggage: Luggage) -> Result<Option<Self>> {
        if luggage.is_empty() {
            return Ok(None);
        }
        let socket = luggage.pack();
        let ends = luggage.depart();
        match socket {
            Ok(socket) => Ok(Some(Self {
                socket: descriptor::Shared::new(socket),
                ends: Some(ends),
            })),
            Err(error) => {
                drop(ends.into_ending());
                Err(Error::os("send descriptors to a process", error))
            }
        }
    }

    /// In a forked child: takes the way to its own copies, and leaves the parent's.
    pub(super) fn take(&self) -> Option<OwnedFd> {
        self.ends.iter().for_each(Ends::close);
        self.socket.take()
    }

    /// The child runs. Where another one may have copied the ends that it has now, they are ended when its death is noticed.
    fn deliver(mut self) -> Kept {
        let ends = self.ends.take()?;
        running::unforked(move || {
            // They are in flight in it, too.
            drop(self);
            if atfork::has_begun() {
                return ends.into_ending().map(|ending| Box::new(ending) as _);
            }
            drop(ends);
            None
        })
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        drop(self.ends.take().and_then(Ends::into_ending));
    }
}

/// A child that was started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) reaper: Reaper,
}

fn launch(
    method: StartMethod,
    mut order: Order,
    options: &Options,
    work: Work,
    lost: impl FnOnce(Member),
) -> Result<Arc<Running>> {
    let own = current::identity();
    if own.daemon {
        let rule = "a daemon may not have children";
        return Err(Error::new(ErrorKind::Misuse, rule));
    }
    let parent = prepare()?;
    order.identity.parent = Some(Parent {
        name: own.name.clone(),
        pid: std::process::id().cast_signed(),
        member: parent,
    });
    let mut begun = begin(method, parent, order.detached, work.parcel())?;
    order.surroundings = Surroundings::now(method, options);
    if !begun.fits(order.surroundings.rights) {
        begun.give_up();
        client::renew(order.surroundings.rights)?;
        begun = begin(method, parent, order.detached, work.parcel())?;
    }
    let member = begun.member();
    let place = Place(member);
    let (started, kept) = send(begun, &mut order, work).inspect_err(|_| lost(member))?;
    let _used = ManuallyDrop::new(place);
    let running = running_child(method, order, member, started, kept);
    running::add(&running);
    if method == StartMethod::ForkServer {
        spares::tend();
    }
    Ok(running)
}

/// The place of a child that never runs, or that nobody will ever ask for, when this is dropped.
struct Place(Member);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.end();
        settle::abandon(self.0);
    }
}

/// A child that has a place, and no order yet.
enum Begun {
    Served(client::Begun),
    Forked(Member),
    Spawned(Member),
}

/// Where somebody else forks the child, that is asked for first: the rest is done while it comes.
fn begin(
    method: StartMethod,
    parent: Member,
    detached: bool,
    parcel: Option<BorrowedFd<'_>>,
) -> Result<Begun> {
    Ok(match method {
        StartMethod::ForkServer => Begun::Served(client::begin(parent, detached, parcel)?),
        StartMethod::Fork => Begun::Forked(reserve_child(parent)?),
        StartMethod::Spawn => Begun::Spawned(reserve_child(parent)?),
    })
}

impl Begun {
    fn member(&self) -> Member {
        match self {
            Self::Served(begun) => begun.member(),
            Self::Forked(member) | Self::Spawned(member) => *member,
        }
    }

    /// May a child that comes this way do what this process may?
    fn fits(&self, rights: u64) -> bool {
        match self {
            Self::Served(begun) => begun.connection().fits(rights),
            Self::Forked(_) | Self::Spawned(_) => true,
        }
    }

    /// It shall not be.
    fn give_up(self) {
        let member = self.member();
        member.dismiss();
        match self {
            Self::Served(begun) => match begun.finish() {
                Ok(started) => spares::dismiss(member, &started.pidfd),
                Err(_) => settle::abandon(member),
            },
            Self::Forked(_) | Self::Spawned(_) => settle::abandon(member),
        }
    }
}

fn running_child(
    method: StartMethod,
    order: Order,
    member: Member,
    started: Started,
    kept: Kept,
) -> Arc<Running> {
    Arc::new(Running {
        identity: order.identity,
        method,
        detached: order.detached,
        pid: started.pid,
        member,
        pidfd: descriptor::Shared::new(started.pidfd),
        reaper: started.reaper,
        forked: atfork::generation(),
        ended: Private::new(None),
        value: Private::new(None),
        kept: Private::new(kept),
    })
}

/// A place for a child of this process.
pub(super) fn reserve_child(parent: Member) -> Result<Member> {
    let member = member::reserve()?;
    let slot = member.slot(Arena::get()?).ok_or(ErrorKind::StaleHandle)?;
    slot.parent.store(
        u64::from(parent.generation) << 32 | u64::from(parent.slot + 1),
        Release,
    );
    Ok(member)
}

/// What stays with the parent until the child has ended.
type Kept = Option<Box<dyn Any + Send>>;

/// Gives the child its order.
fn send(begun: Begun, order: &mut Order, work: Work) -> Result<(Started, Kept)> {
    let member = begun.member();
    let (arguments, cargo, parcel) = match work {
        Work::Sent(arguments, cargo, parcel) => (arguments, cargo, parcel),
        Work::Copied(closure) => {
            let (started, closure) =
                direct::start(member, order.detached, Body::Copied(order, closure))?;
            let kept =
                closure.map(|closure| Box::new(Private::new(closure)) as Box<dyn Any + Send>);
            return Ok((started, kept));
        }
    };
    if let Begun::Served(begun) = &begun {
        order.surroundings.complete(begun.connection().known);
    }
    let stored = store(member, order, &arguments, cargo);
    let started = deliver(begun, order.detached, stored, parcel.as_ref())?;
    Ok((started, parcel.and_then(Parcel::deliver)))
}

/// Gives the child its order, which lies in a block.
fn deliver(
    begun: Begun,
    detached: bool,
    stored: Result<Block>,
    parcel: Option<&Parcel>,
) -> Result<Started> {
    match begun {
        Begun::Served(begun) => {
            let given = stored.and_then(|message| begun.member().give_order(message));
            // Heard in any case, or the answer would be taken for the next one's.
            let finished = begun.finish();
            given.and(finished)
        }
        Begun::Forked(member) => {
            let body = Body::Message(stored?, parcel);
            direct::start(member, detached, body).map(|started| started.0)
        }
        Begun::Spawned(member) => {
            member.give_order(stored?)?;
            let request = Request {
                member,
                detached,
                laden: parcel.is_some(),
            };
            exec::start(request, parcel.and_then(|parcel| parcel.socket.as_fd()))
        }
    }
}

/// Stores order and arguments in a block.
pub(super) fn store(
    member: Member,
    order: &Order,
    arguments: &Bytes,
    cargo: Cargo,
) -> Result<Block> {
    let (first, _no_handles) = wire::encode(order)?;
    let bytes = [first.as_slice(), arguments.as_slice()].concat();
    // The block is the child's from the start: whoever of the two dies, settling the child's slot frees it.
    message::store(&bytes, cargo, Owner::member(member.slot))
}

/// Once in the life of a process image: what a fork must do to the tables of this room; and the exit handler.
pub(super) fn prepare() -> Result<Member> {
    hook::keep();
    let own = member::own()?;
    register_tables();
    exit::install_for_parent();
    Ok(own)
}

/// What a fork must do to the tables of this room. A child does it before anything else: it has a connection from the start.
pub(super) fn register_tables() {
    static PREPARED: AtomicBool = AtomicBool::new(false);
    static LINK: &dyn Forkable = &client::CloseInChild;
    static WATCHER: &dyn Forkable = &watcher::Absent;
    static CHILDREN: &dyn Forkable = &running::Siblings;
    static OWN: &dyn Forkable = &current::OWN;
    static EXITS: &dyn Forkable = &hooks::EXITS;
    static FORKS: &dyn Forkable = &hooks::FORKS;
    static SETTINGS: &dyn Forkable = &settings::SETTINGS;
    if !PREPARED.swap(true, SeqCst) {
        companions::register(&running::KEPT);
        thread::register();
        atfork::register(&[&LINK, &WATCHER, &CHILDREN, &OWN, &EXITS, &FORKS, &SETTINGS]);
    }
}
