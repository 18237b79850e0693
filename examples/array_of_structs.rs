//! Python: `class Point(Structure)` with `_fields_`, `Array(Point, [(1, 2), (3, 4)])`, `for point in points`: a structure of one's own.
//!
//! Any type may be shared that is plain data: fixed layout, no pointers, no gaps. The derive checks that.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::bytemuck;
use multiproc::{Array, Process, Result};

#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[bytemuck(crate = "multiproc::bytemuck")]
#[repr(C)]
struct Point {
    x: f64,
    y: f64,
}

fn square(points: Array<Point>) -> Result<()> {
    for point in points.lock()?.iter_mut() {
        point.x *= point.x;
        point.y *= point.y;
    }
    Ok(())
}

fn main() -> Result<()> {
    let start = [Point { x: 1.5, y: -6.0 }, Point { x: 5.5, y: 2.0 }];
    let points = Array::from_slice(&start)?;
    let work = |points| square(points).expect("main lives");
    let mut process = Process::new(work, (points.clone(),));
    process.start()?;
    process.join()?;
    for Point { x, y } in points.to_vec()? {
        println!("{x} {y}");
    }
    println!("the second: {:?}", points.get(1)?);
    if let Err(error) = points.get(2) {
        println!("the third: {error}");
    }
    Ok(())
}
