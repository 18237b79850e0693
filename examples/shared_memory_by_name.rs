//! Python: `shm = SharedMemory(create=True, size=64)`, `shm.buf`, `SharedMemory(name)`, `close`, `unlink`; `ShareableList`, `l[1] += 1`, `l.shm.name`.
//!
//! Who knows the name finds the memory: a child, another program, a program in Python. Whoever made it owns it, and when he is gone the name is,
//! however he went.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::shared_memory::{Item, ShareableList, SharedMemory};
use multiproc::{Process, Queue, Result};
use std::sync::atomic::Ordering::SeqCst;

/// Knows nothing but two names.
fn visitor(memory: String, list: String) {
    let memory = SharedMemory::open(&memory).expect("main owns it");
    let mut greeting = [0; 5];
    memory.read(0, &mut greeting).expect("it is that long");
    println!("the visitor reads: {}", String::from_utf8_lossy(&greeting));
    memory.write(0, b"HELLO").expect("it is that long");
    let visits = memory.atomic_u64(8).expect("a multiple of eight");
    visits.fetch_add(1, SeqCst);
    let list = ShareableList::open(&list).expect("main owns it");
    list.set(1, 43).expect("there is room for a number");
    list.set(2, "größer")
        .expect("there is room for eight bytes");
}

/// Owns memory, and is killed.
fn owner(names: Queue<String>) {
    let memory = SharedMemory::create(64).expect("there is room");
    names.put(memory.name().to_owned()).expect("main reads");
    loop {
        std::thread::park();
    }
}

fn main() -> Result<()> {
    let memory = SharedMemory::create(64)?;
    let list = ShareableList::create([Item::from("egon"), 42.into(), Item::None, true.into()])?;
    memory.write(0, b"hello")?;
    let names = (memory.name().to_owned(), list.shm().name().to_owned());
    let mut process = Process::new(visitor, names);
    process.start()?;
    process.join()?;
    let mut greeting = [0; 5];
    memory.read(0, &mut greeting)?;
    println!("main reads: {}", String::from_utf8_lossy(&greeting));
    println!("visits: {}", memory.atomic_u64(8)?.load(SeqCst));
    for item in &list {
        println!("item: {:?}", item?);
    }

    // Dropped by its owner, the name is gone; who has it open keeps the memory.
    let name = memory.name().to_owned();
    let other = SharedMemory::open(&name)?;
    drop(memory);
    println!("found again: {}", SharedMemory::open(&name).is_ok());
    other.read(0, &mut greeting)?;
    println!("still there: {}", String::from_utf8_lossy(&greeting));

    let names = Queue::new()?;
    let mut process = Process::new(owner, (names.clone(),));
    process.start()?;
    let name = names.get()?;
    println!("owned by a child: {}", SharedMemory::open(&name).is_ok());
    process.kill()?;
    process.join()?;
    while SharedMemory::open(&name).is_ok() {
        std::thread::yield_now();
    }
    println!("and gone with it");
    Ok(())
}
