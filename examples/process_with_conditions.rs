//! Python has these in `subprocess.Popen` and `resource`: `cwd=`, `env=`, `umask=`; `os.nice`; `setrlimit`.
//!
//! They hold for the child only, from before its function begins.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;

fn look_around() {
    println!(
        "in {}",
        std::env::current_dir().expect("it exists").display()
    );
    println!("GREETING is {:?}", std::env::var("GREETING").ok());
    println!("HOME is {:?}", std::env::var("HOME").ok());
    let much = Vec::<u8>::new().try_reserve_exact(1 << 30);
    println!("a GiB is too much: {}", much.is_err());
}

fn main() -> multiproc::Result<()> {
    let process = Process::builder(look_around, ())
        .cwd("/")
        .env("GREETING", "hello")
        .env_remove("HOME")
        .nice(5)
        .umask(0o077)
        .memory_limit(512 << 20)
        .cpu_time_limit(60)
        .start()?;
    println!("ended with {}", process.join()?);
    Ok(())
}
