//! Python: `semaphore = Semaphore(2)`, `semaphore.acquire()` and `semaphore.release()`: so many at the same time and no more.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, RawValue, Result, Semaphore};

mod pace;

/// How many guests sit there, and how many there were at the same time.
type Counts = (RawValue<u32>, RawValue<u32>);

fn eat(name: &str, tables: &Semaphore, (guests, most): &Counts) -> Result<()> {
    let _table = tables.acquire()?;
    let number = guests.fetch_add(1)? + 1;
    most.fetch_max(number)?;
    println!("{name} sits down");
    pace::sleep(0.3);
    println!("{name} leaves");
    guests.fetch_sub(1)?;
    Ok(())
}

fn main() -> Result<()> {
    let tables = Semaphore::new(2)?;
    let counts = (RawValue::new(0)?, RawValue::new(0)?);
    let mut guests = Vec::new();
    for name in ["egon", "alex", "wupeiqi", "yuanhao", "piao"] {
        let visit = |name: String, tables: Semaphore, counts: Counts| {
            eat(&name, &tables, &counts).expect("main lives");
        };
        let arguments = (name.to_owned(), tables.clone(), counts.clone());
        guests.push(Process::builder(visit, arguments).name(name).start()?);
    }
    for guest in &guests {
        guest.join()?;
    }
    println!("at the same time: {} at most", counts.1.load()?);
    println!("free tables: {}", tables.value());
    Ok(())
}
