//! Python: four times `Process(target=piao, args=(name,))` and `start()`, and no `join()`.
//!
//! The program's last line is not its last output: at its end it waits for the children.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;

mod pace;

fn stroll(name: String) {
    println!("{name} strolls");
    pace::sleep(2.0);
    println!("{name} is back");
}

fn main() -> multiproc::Result<()> {
    for name in ["egon", "alex", "wupeiqi", "yuanhao"] {
        Process::new(stroll, (name.to_owned(),)).start()?;
    }
    println!("main has nothing more to do");
    Ok(())
}
