//! Python: `KeyboardInterrupt` around `pool.close()`, `pool.terminate()`, `pool.join()`, and tracebacks of all workers.
//!
//! Ctrl-C stops a program with a pool in stages. The first press: no new work, what was begun is finished. The second: the pool is
//! terminated. The third: the program is killed, and its processes with it. Here the presses are signals, and the program runs three
//! times, in processes.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::signal::{self, Signal, Stage, on_interrupt};
use multiproc::{Pool, Process, Queue, Result};
use std::sync::Arc;
use std::sync::mpsc::channel;

mod pace;

/// How long tasks take, and then the report, in seconds.
type Times = (f64, f64);

fn task(seconds: f64) {
    pace::sleep(seconds);
}

/// Runs until Ctrl-C is pressed, and then for as long as it takes. Says when it is ready for the next press.
fn program((work, report): Times, ready: Queue<()>) {
    let pool = Arc::new(Pool::new(2).expect("a pool"));
    let (tell, stopped) = (ready.clone(), Arc::clone(&pool));
    let (interrupts, interrupted) = channel();
    let guard = on_interrupt(move |stage| {
        println!("  Ctrl-C: {stage:?}");
        // Main may have gone on.
        let _sent = interrupts.send(());
        match stage {
            Stage::Drain => stopped.close(),
            Stage::Terminate => stopped.terminate(),
            Stage::Kill => {
                let killed = signal::send(std::process::id(), Signal::KILL);
                killed.expect("it is our own number");
            }
        }
        tell.put(()).expect("main listens");
    });
    let guard = guard.expect("SIGINT can be handled");
    let tasks = [(); 4].map(|()| pool.apply_async(task, (work,)).expect("it is open"));
    ready.put(()).expect("main listens");
    let _guard_has_the_other_end = interrupted.recv();
    let done = tasks.into_iter().filter_map(|task| task.get().ok()).count();
    // Whoever comes before the first stage is done closes it too.
    pool.close();
    pool.join().expect("it is closed");
    println!("  {done} tasks of 4 are done");
    pace::sleep(report);
    println!("  the report is written");
    drop(guard);
}

fn main() -> Result<()> {
    let runs: [(usize, Times); 3] = [(1, (0.5, 0.0)), (2, (600.0, 0.0)), (3, (600.0, 600.0))];
    for (presses, times) in runs {
        println!("pressed {presses} times:");
        let ready = Queue::new()?;
        let mut process = Process::new(program, (times, ready.clone()));
        process.start()?;
        for _ in 0..presses {
            ready.get()?;
            process.interrupt()?;
        }
        println!("  ended with {}", process.join()?);
    }
    Ok(())
}
