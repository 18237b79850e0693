//! Python: `set_forkserver_preload`, for what every child needs and is slow to make; and spare children, which Python has not.
//!
//! The function runs once, in the fork server; its children begin with what it left. A spare child was forked before it was
//! needed, so a start is only a hand-over.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{os, set_forkserver_preload, set_spare_children, spawn};
use std::sync::OnceLock;

/// The squares, and the process that made them.
static TABLE: OnceLock<(Vec<u64>, u32)> = OnceLock::new();

fn make_table() -> (Vec<u64>, u32) {
    ((0..1_000_000).map(|n| n * n).collect(), os::getpid())
}

fn preload() {
    TABLE.get_or_init(make_table);
}

/// Without the preload each child would make the table anew.
fn look_up(place: usize) -> (u64, u32, u32) {
    let (squares, maker) = TABLE.get_or_init(make_table);
    (squares[place], os::getpid(), *maker)
}

fn main() -> multiproc::Result<()> {
    set_forkserver_preload(preload)?;
    set_spare_children(2)?;
    for place in [3, 4, 5] {
        let (square, child, maker) = spawn(look_up, (place,))?.join()?;
        println!("{square} says {child}, made by {maker}");
    }
    println!(
        "main is {}, and made none: {}",
        os::getpid(),
        TABLE.get().is_none()
    );
    Ok(())
}
