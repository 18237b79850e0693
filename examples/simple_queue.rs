//! Python: `q = SimpleQueue()`, `q.put(x)`, `q.get()`, `q.empty()`, `q.close()`; after that each of them is an `OSError`.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Result, SimpleQueue};

fn square(numbers: SimpleQueue<u64>, squares: SimpleQueue<u64>) {
    while let Ok(number) = numbers.get() {
        squares.put(number * number).expect("main reads");
    }
    println!("no more numbers");
}

fn main() -> Result<()> {
    let (numbers, squares) = (SimpleQueue::new()?, SimpleQueue::new()?);
    let mut process = Process::new(square, (numbers.clone(), squares.clone()));
    process.start()?;
    for number in 1..=3 {
        numbers.put(number)?;
        println!("the square of {number} is {}", squares.get()?);
    }
    println!("empty: {}", squares.is_empty()?);
    numbers.close();
    numbers.close();
    process.join()?;
    println!("put after close: {:?}", numbers.put(4));
    println!("get after close: {:?}", numbers.get());
    println!("empty after close: {:?}", numbers.is_empty());
    Ok(())
}
