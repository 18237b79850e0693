//! Python: `num = Value("d", 10.0)` and `numbers = Array("i", [1, 2, 3, 4, 5])`, which a child and its parent have in common.
//!
//! The type of the value is the type of the Rust value; there are no type codes.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Array, Process, Result, Value};

fn change(number: Value<f64>, numbers: Array<i32>) -> Result<()> {
    number.set(3.5)?;
    for place in 0..numbers.len() {
        numbers.update(place, |number| *number = -*number)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let number = Value::new(10.0)?;
    let numbers = Array::from_slice(&[1, 2, 3, 4, 5])?;
    println!("before: {} and {:?}", number.get()?, numbers.to_vec()?);

    let arguments = (number.clone(), numbers.clone());
    let mut process = Process::new(|a, b| change(a, b).expect("main lives"), arguments);
    process.start()?;
    process.join()?;
    println!("after: {} and {:?}", number.get()?, numbers.to_vec()?);

    // For longer work: nobody else comes to the array before the guard is dropped.
    let mut all = numbers.lock()?;
    all.reverse();
    println!("the sum is {}", all.iter().sum::<i32>());
    drop(all);
    println!("at last: {:?}", numbers.to_vec()?);
    Ok(())
}
