//! A thread that kills a worker every now and then.

use multiproc::Pool;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// One kill in this time.
const PERIOD: Duration = Duration::from_millis(10);

/// Does the work while the workers of the pool are being killed, one by one.
pub(crate) fn around<R>(pool: &Pool, work: impl FnOnce() -> R) -> R {
    let (alive, stop) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || kill_until(pool, &stop));
        let done = work();
        drop(alive);
        done
    })
}

/// Kills until the other end of `stop` is gone.
fn kill_until(pool: &Pool, stop: &Receiver<()>) {
    let mut random = Random::new();
    let mut next = Instant::now() + PERIOD;
    loop {
        let pause = next.saturating_duration_since(Instant::now());
        if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        next += PERIOD;
        let pids = pool.worker_pids();
        let victim = pids.get(random.below(pids.len()));
        if let Some(pid) = victim.and_then(|pid| i32::try_from(*pid).ok()) {
            // A worker that has just died by itself is no error; the pool's statistics tell what landed.
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap_or_default();
        }
    }
}

/// Marsaglia's xorshift: random enough to pick a victim.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let clock = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Random(u64::from(clock.subsec_nanos()) << 20 | 1)
    }

    /// A number below `end`; 0 when there is none.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let end = (end as u64).max(1);
        usize::try_from(self.0 % end).unwrap_or_default()
    }
}
