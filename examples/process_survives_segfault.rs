//! What a thread cannot: children that crash, panic, leave, and never return, and a parent that reports each and lives on.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;

mod pace;

#[expect(unsafe_code, reason = "the bug that is survived")]
fn segfaults() {
    let nowhere = std::ptr::without_provenance_mut::<u8>(16);
    // SAFETY: none. Nothing is mapped there: this is what a bug in a C library may do.
    unsafe { nowhere.write_volatile(1) };
}

fn panics() {
    panic!("no more bananas");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a library that ends its host, in a process of its own"
)]
fn leaves() {
    std::process::exit(3);
}

fn never_returns() {
    loop {
        pace::sleep(1.0);
    }
}

fn report(process: &Process) -> multiproc::Result<()> {
    let name = process.name();
    if process.join_timeout(pace::lasting(2.0))?.is_none() {
        println!("{name}: too long, terminated");
        process.terminate()?;
    }
    let code = process.join()?;
    match process.panic() {
        Some(panic) => println!("{name}: code {code}, {}", panic.message()),
        None if code < 0 => println!("{name}: killed by signal {}", -code),
        None => println!("{name}: code {code}"),
    }
    Ok(())
}

fn main() -> multiproc::Result<()> {
    let children = [
        Process::builder(segfaults, ()).name("segfaults").start()?,
        Process::builder(panics, ()).name("panics").start()?,
        Process::builder(leaves, ()).name("leaves").start()?,
        Process::builder(never_returns, ())
            .name("never returns")
            .start()?,
    ];
    for process in &children {
        report(process)?;
    }
    println!("main lives");
    Ok(())
}
