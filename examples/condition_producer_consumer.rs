//! Python: `condition = Condition()`, `with condition:`, `condition.wait_for(predicate)`, `condition.notify()` and `notify_all()`: a
//! producer and two consumers with a store of three places between them.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Condition, Process, RawArray, RawValue, Result};
use serde::{Deserialize, Serialize};

const GOODS: u32 = 8;

/// The producer has gone home.
const END: u32 = 0;

#[derive(Clone, Serialize, Deserialize)]
struct Store {
    changed: Condition,
    places: RawArray<u32>,
    /// How many were put in and taken out, since the beginning.
    put: RawValue<usize>,
    taken: RawValue<usize>,
}

impl Store {
    fn new(places: usize) -> Result<Store> {
        Ok(Store {
            changed: Condition::new()?,
            places: RawArray::zeroed(places)?,
            put: RawValue::new(0)?,
            taken: RawValue::new(0)?,
        })
    }

    fn filled(&self) -> usize {
        let number = |of: &RawValue<usize>| of.load().expect("main lives");
        number(&self.put) - number(&self.taken)
    }

    fn put(&self, goods: u32) -> Result<()> {
        let _guard = self.changed.acquire()?;
        self.changed
            .wait_for(|| self.filled() < self.places.len())?;
        let place = self.put.fetch_add(1)? % self.places.len();
        self.places.set(place, goods)?;
        self.changed.notify_all()?;
        Ok(())
    }

    fn take(&self) -> Result<u32> {
        let _guard = self.changed.acquire()?;
        self.changed.wait_for(|| self.filled() > 0)?;
        let place = self.taken.fetch_add(1)? % self.places.len();
        self.changed.notify_all()?;
        self.places.get(place)
    }
}

fn consume(name: String, store: Store) {
    while let Ok(goods) = store.take() {
        if goods == END {
            break;
        }
        println!("{name} takes {goods}");
    }
    println!("{name} goes home");
}

fn main() -> Result<()> {
    let store = Store::new(3)?;
    let mut consumers = Vec::new();
    for name in ["egon", "alex"] {
        let mut consumer = Process::new(consume, (name.to_owned(), store.clone()));
        consumer.start()?;
        consumers.push(consumer);
    }
    for goods in 1..=GOODS {
        println!("put {goods}");
        store.put(goods)?;
    }
    for _ in &consumers {
        store.put(END)?;
    }
    for consumer in &mut consumers {
        consumer.join()?;
    }
    println!("left in the store: {}", store.filled());
    Ok(())
}
