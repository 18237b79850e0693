//! Python: `with Pool(2) as pool: pool.map(f, [1, 2, 3]); pool.apply(g, (a, b))`.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Pool;

fn square(x: u64) -> u64 {
    x * x
}

fn main() -> multiproc::Result<()> {
    let pool = Pool::new(2)?;
    println!("{:?}", pool.map(square, [1, 2, 3])?);
    let joined = pool.apply(
        |a: String, b: u32| format!("{a} {b}"),
        ("seven".to_owned(), 7),
    )?;
    println!("{joined}");
    pool.close();
    pool.join()
}
