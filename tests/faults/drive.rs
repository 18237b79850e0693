//! One row from end to end: a dry run that finds where something changes, then the kills.

use crate::capacity::Capacity;
use crate::row::{Keep, Leak, Scene, Victim};
use crate::shared::Shared;
use crate::tracee::{Step, Tracee};
use crate::{programs, watch};
use multiproc::arena::{self, Usage};
use multiproc::{Lock, Process};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Kills of a row in a plain run.
const KILLS: f64 = 25.0;

/// Instructions of all kills of a row together in a plain run: a debug build has ten times more, and only the release build counts.
const STEPS: f64 = if cfg!(debug_assertions) { 20e3 } else { 200e3 };

/// Instructions between two looks at the arena.
const LOOK: usize = if cfg!(debug_assertions) { 8 } else { 1 };

/// From this scale on, every state gets its kill.
pub(crate) const FULL: f64 = 20.0;

/// More instructions than any section has.
const TO_THE_END: usize = usize::MAX;

/// By how many instructions the way to a sleep may be shorter than it was in the dry run: who reads the clock may do so twice.
const SLACK: usize = 100;

/// A row that failed so often is given up.
const ENOUGH: usize = 5;

/// Where a child is killed: after so many instructions, or asleep in the one that follows them.
#[derive(Clone, Copy, Debug)]
struct Point {
    after: usize,
    asleep: bool,
}

/// What the dry run found.
struct Found {
    steps: usize,
    states: usize,
    points: Vec<Point>,
}

/// What the kills came to.
#[derive(Default)]
struct Tally {
    kills: usize,
    inside: usize,
    asleep: usize,
    leaks: usize,
    /// Kills after which blocks of the largest size were missing until smaller ones had been used and freed.
    in_pieces: usize,
    failures: usize,
}

/// Runs the row of scene `S`; panics when a promise was broken.
pub(crate) fn run<S: Scene>(name: &'static str) {
    let keep = begin();
    watch::now(format!("{name}, dry run"));
    // Before the dry run: every place has been used, so the kills find the arena as the dry run did.
    let mut capacity = Capacity::measure();
    let found = dry_run::<S>(&keep);
    let points = choose(&found, scale());
    let mut tally = Tally::default();
    for point in &points {
        watch::now(format!("{name}, killed {point:?}"));
        let once = AssertUnwindSafe(|| kill_at::<S>(&keep, *point, &mut tally, &mut capacity));
        if catch_unwind(once).is_err() {
            println!("  failed: {}", watch::doing());
            tally.failures += 1;
            if tally.failures == ENOUGH {
                break;
            }
        }
    }
    println!(
        "  {} steps, {} shared states; {} of {} kills: {} inside, {} of them asleep; {} leaked, {} left the heap in pieces",
        found.steps,
        found.states,
        tally.kills,
        found.points.len(),
        tally.inside,
        tally.asleep,
        tally.leaks,
        tally.in_pieces,
    );
    assert!(
        tally.failures == 0,
        "{} kills broke a promise",
        tally.failures
    );
    let changes = if S::IN_KERNEL {
        found.points.len() - 2
    } else {
        found.states - 1
    };
    assert!(changes > 0, "nothing shared changed: what was tested?");
    assert!(tally.inside > 0, "no kill landed inside");
}

/// The family: an arena small enough to be watched, and a fork server that runs.
fn begin() -> Keep {
    arena::set_size(1 << 20).unwrap();
    let keep = Keep {
        taken: Lock::new().unwrap(),
    };
    // It stays taken as long as this program lives.
    let _taken = ManuallyDrop::new(keep.taken.acquire().unwrap());
    let mut process = Process::new(|| (), ());
    process.start().unwrap();
    assert_eq!(process.join().unwrap(), 0);
    keep
}

/// How much larger than in a plain `cargo test`.
pub(crate) fn scale() -> f64 {
    let text = std::env::var("MULTIPROC_SCALE").unwrap_or_else(|_| "1.0".to_owned());
    let scale: f64 = text.parse().expect("MULTIPROC_SCALE is a number");
    assert!(scale > 0.0, "MULTIPROC_SCALE is {text}");
    scale
}

/// Some of the points, evenly spread, the first and the last among them.
fn choose(found: &Found, scale: f64) -> Vec<Point> {
    let points = &found.points;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "float casts saturate, and this is a guess"
    )]
    let most = (KILLS.min(STEPS / (found.steps + 1) as f64 * 2.0) * scale).max(3.0) as usize;
    if scale >= FULL || points.len() <= most {
        return points.to_vec();
    }
    let last = points.len() - 1;
    (0..most).map(|n| points[n * last / (most - 1)]).collect()
}

fn start<S: Scene>(scene: &mut S, keep: &Keep) -> (Victim, Tracee) {
    let victim = scene.victim(keep);
    let tracee = match Tracee::catch(victim.pid()) {
        Ok(tracee) => tracee,
        Err(errno) => {
            if let Victim::Child(process) = victim {
                process.kill().unwrap();
                let _killed = process.join();
            }
            programs::skip(&format!("ptrace is not permitted ({errno})"));
        }
    };
    scene.entered();
    (victim, tracee)
}

/// The watchdog sees that a long section gets on; one without an end is none.
fn tell(steps: usize) {
    if steps.is_multiple_of(1000) {
        watch::now(format!("step {steps}"));
    }
    assert!(steps < 1_000_000, "the section does not end");
}

/// Runs the whole section, and looks at the arena after every instruction.
fn dry_run<S: Scene>(keep: &Keep) -> Found {
    let before = arena::usage().unwrap();
    let mut scene = S::prepare();
    let (victim, mut tracee) = start(&mut scene, keep);
    let mut shared = Shared::open();
    let at = |after| Point {
        after,
        asleep: false,
    };
    let mut points = vec![at(0)];
    let mut steps = 0;
    loop {
        let syscall = tracee.next_is_syscall();
        let mut asleep = || {
            points.push(Point {
                after: steps,
                asleep: true,
            });
            scene.asleep();
            true
        };
        let step = tracee.step(S::SLEEPS.then_some(&mut asleep));
        if step != Some(Step::Inside) {
            break;
        }
        steps += 1;
        if steps.is_multiple_of(LOOK) && shared.changed() || syscall {
            points.push(at(steps));
        }
        tell(steps);
    }
    points.push(at(TO_THE_END));
    finish(scene, &victim, tracee, true);
    assert_usage(before, Leak::NOTHING);
    Found {
        steps,
        states: shared.states(),
        points,
    }
}

fn kill_at<S: Scene>(keep: &Keep, point: Point, tally: &mut Tally, capacity: &mut Capacity) {
    let before = arena::usage().unwrap();
    let mut scene = S::prepare();
    let (victim, mut tracee) = start(&mut scene, keep);
    let mut left = false;
    let sure = if point.asleep { SLACK } else { 0 };
    for step in 0..point.after.saturating_sub(sure) {
        tell(step);
        let mut asleep = || {
            scene.asleep();
            true
        };
        left = tracee.step(S::SLEEPS.then_some(&mut asleep)) == Some(Step::Left);
        if left {
            break;
        }
    }
    tally.kills += 1;
    if point.asleep && !left {
        let mut step = Some(Step::Inside);
        while step == Some(Step::Inside) {
            step = tracee.step(Some(&mut || false));
        }
        left = step == Some(Step::Left);
        tally.asleep += usize::from(!left);
    }
    tally.inside += usize::from(!left);
    finish(scene, &victim, tracee, left);
    if assert_usage(before, S::MAY_LEAK) {
        tally.leaks += 1;
        *capacity = Capacity::measure();
    } else if S::FILLS || left {
        tally.in_pieces += usize::from(Capacity::measure().compare(*capacity));
    }
}

fn finish<S: Scene>(mut scene: S, victim: &Victim, tracee: Tracee, left: bool) {
    scene.last_look();
    tracee.kill();
    victim.bury();
    scene.check(left);
}

/// Is the arena's use what it was, but for what may leak? `true` when it did.
fn assert_usage(before: Usage, may_leak: Leak) -> bool {
    let after = arena::usage().unwrap();
    let kept = after.objects >= before.objects && after.blocks >= before.blocks;
    let allowed = after.objects <= before.objects + may_leak.objects
        && after.blocks <= before.blocks + may_leak.blocks;
    let right = kept && allowed && after.members == before.members;
    assert!(right, "{after:?} in use, {before:?} before");
    after != before
}
