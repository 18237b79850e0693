//! Python: `get_all_start_methods()`, `get_start_method()`, `set_start_method("spawn")`, `get_context("fork")` and its `Process`.
//!
//! The default is chosen once, by the program and not by a library; a context has a method of its own and changes nothing else.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Context, ErrorKind, Process, StartMethod};

fn child(number: u32) {
    println!("child {number}");
}

fn main() -> multiproc::Result<()> {
    let names = multiproc::all_start_methods().map(|method| method.to_string());
    println!("there are {}", names.join(", "));
    multiproc::set_start_method(StartMethod::Spawn)?;
    println!("the default is {} now", multiproc::start_method());
    let again = multiproc::set_start_method(StartMethod::Fork);
    let refused = again.expect_err("it is fixed");
    println!("refused: {}", refused.kind() == ErrorKind::Misuse);

    let contexts = [Context::default(), Context::fork(), Context::forkserver()];
    for (context, number) in contexts.iter().zip(1..) {
        let mut process = context.process(child, (number,));
        process.start()?;
        let (name, method) = (process.name().to_owned(), process.start_method());
        println!("{name} by {method} ended with {}", process.join()?);
    }
    let one = Process::builder(child, (4,)).start_method(StartMethod::Fork);
    println!("{}", one.build().start_method());
    Ok(())
}
