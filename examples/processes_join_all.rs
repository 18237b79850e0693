//! Python: a list of `Process(target=piao, args=(name,))`, `start()` in one loop, `join()` in another.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;

mod pace;

fn stroll(name: String) {
    println!("{name} strolls");
    pace::sleep(3.0);
    println!("{name} is back");
}

fn main() -> multiproc::Result<()> {
    let names = ["egon", "alex", "wupeiqi", "yuanhao"];
    let mut processes = names.map(|name| Process::new(stroll, (name.to_owned(),)));
    for process in &mut processes {
        process.start()?;
    }
    for process in &processes {
        process.join()?;
    }
    println!("all are back");
    Ok(())
}
