//! Python: `Timer(2, rings)`, `start`, `cancel`, `threading.excepthook`; `enumerate` and `active_count` while they wait.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::threading::{self, Timer};

mod pace;

fn ring() {
    println!("it rings");
    pace::sleep(0.1);
    println!("and stops");
}

fn main() -> multiproc::Result<()> {
    let never = Timer::new(pace::lasting(3600.0), || println!("it rings much too late"));
    never.start()?;
    println!("{} threads", threading::active_count());
    println!("cancelled in time: {}", never.cancel());
    never.join()?;

    let rings = Timer::new(pace::lasting(1.0), ring);
    rings.start()?;
    rings.join()?;
    println!("cancelled in time: {}", rings.cancel());

    threading::set_excepthook(|args| println!("told: {}", args.panic().message()));
    let breaks = Timer::new(pace::lasting(1.0), || panic!("the spring broke"));
    breaks.start()?;
    breaks.join()?;
    println!("left: {}", threading::enumerate().len());
    Ok(())
}
