//! Every type of plain data, as a value and in arrays, with and without lock: changed by a child, and seen.

use crate::kit::start;
use crate::runner::{Case, case};
use crate::ways::{WAYS, fine, start_by};
use multiproc::bytemuck;
use multiproc::{Array, ErrorKind, Plain, RawArray, RawValue, Value};
use std::fmt::Debug;
use std::num::NonZeroU32;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("value_types::integers", integers),
        case("value_types::floats", floats),
        case("value_types::bool_and_char", bool_and_char),
        case("value_types::arrays_of_arrays", arrays_of_arrays),
        case("value_types::structures", structures),
        case("value_types::checked_ones", checked_ones),
        case("value_types::many_at_once_are_doubled", doubled),
        case("value_types::other_bytes_are_an_error", other_bytes),
        case("value_types::aligned", aligned),
    ]
}

/// All kinds with that type.
type All<T> = (Value<T>, RawValue<T>, Array<T>, RawArray<T>);

fn changes<T: Plain + PartialEq + Debug>((value, raw, array, raw_array): All<T>) {
    let values = array.to_vec().unwrap();
    assert_eq!(raw_array.to_vec().unwrap(), values);
    assert_eq!(value.get().unwrap(), values[0]);
    assert_eq!(raw.get().unwrap(), values[0]);
    value.set(values[1]).unwrap();
    raw.set(values[2]).unwrap();
    array.lock().unwrap().reverse();
    (0..3).for_each(|index| raw_array.set(index, values[2 - index]).unwrap());
}

/// Three different values go through all kinds, by all ways to start a process.
fn goes<T: Plain + PartialEq + Debug>(values: [T; 3]) {
    assert!(values[0] != values[1] && values[1] != values[2] && values[0] != values[2]);
    for way in WAYS {
        let all: All<T> = (
            Value::new(values[0]).unwrap(),
            RawValue::new(values[0]).unwrap(),
            Array::from_slice(&values).unwrap(),
            RawArray::from_slice(&values).unwrap(),
        );
        fine(&start_by(way, changes::<T>, (all.clone(),)));
        let (value, raw, array, raw_array) = all;
        let turned = [values[2], values[1], values[0]];
        assert_eq!(value.get().unwrap(), values[1]);
        assert_eq!(raw.get().unwrap(), values[2]);
        assert_eq!(array.to_vec().unwrap(), turned);
        assert_eq!(raw_array.to_vec().unwrap(), turned);
        assert_eq!(*array.lock().unwrap(), turned);
        assert_eq!(*value.lock().unwrap(), values[1]);
    }
}

fn integers() {
    macro_rules! each {
        ($($integer:ty)*) => { $( goes([<$integer>::MIN, <$integer>::MAX, 42]); )* };
    }
    each!(i8 u8 i16 u16 i32 u32 i64 u64 i128 u128 isize usize);
}

fn floats() {
    goes([f32::MIN, f32::INFINITY, -0.1]);
    goes([f64::MIN_POSITIVE, f64::NEG_INFINITY, 0.1 + 0.2]);
    // All bits of it, also of what is equal to nothing.
    let odd = f64::from_bits(0x7ff8_0000_dead_beef);
    let value = Value::new(odd).unwrap();
    assert_eq!(value.get().unwrap().to_bits(), odd.to_bits());
    value.update(|it| *it = -0.0).unwrap();
    assert!(value.get().unwrap().is_sign_negative());
}

fn bool_and_char() {
    goes(['\0', 'ß', char::MAX]);
    let pair = (Value::new(false).unwrap(), RawValue::new(true).unwrap());
    let turns = |(value, raw): (Value<bool>, RawValue<bool>)| {
        value.update(|it| *it = !*it).unwrap();
        raw.set(!raw.get().unwrap()).unwrap();
    };
    fine(&start(turns, (pair.clone(),)));
    assert!(pair.0.get().unwrap() && !pair.1.get().unwrap());
    let flags = Array::<bool>::zeroed(100).unwrap();
    let sets = |flags: Array<bool>| {
        flags.set(99, true).unwrap();
        assert!(
            flags
                .update(7, |it| std::mem::replace(it, true))
                .is_ok_and(|was| !was)
        );
    };
    fine(&start(sets, (flags.clone(),)));
    let set: Vec<_> = flags.to_vec().unwrap();
    assert_eq!(set.iter().filter(|flag| **flag).count(), 2);
    assert!(set[7] && set[99]);
    assert_eq!(
        Array::<char>::zeroed(2).unwrap().to_vec().unwrap(),
        ['\0'; 2]
    );
}

fn arrays_of_arrays() {
    goes([[1_u8, 2, 3], [4, 5, 6], [7, 8, 9]]);
    goes([[[1.0_f32; 2]; 3], [[2.0; 2]; 3], [[3.0; 2]; 3]]);
    goes([[1_u64; 32], [2; 32], [3; 32]]);
}

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[bytemuck(crate = "multiproc::bytemuck")]
#[repr(C)]
struct Point {
    x: f64,
    y: f64,
    colour: [u8; 4],
    number: i32,
}

fn point(number: i32) -> Point {
    Point {
        x: f64::from(number) / 2.0,
        y: -1.5,
        colour: [number.to_le_bytes()[0]; 4],
        number,
    }
}

fn structures() {
    goes([1, 2, 3].map(point));
    let points = Array::from_slice(&[1, 2, 3, 4].map(point)).unwrap();
    let moves = |points: Array<Point>| {
        for point in points.lock().unwrap().iter_mut() {
            point.x *= 2.0;
            point.number += 10;
        }
    };
    fine(&start(moves, (points.clone(),)));
    let last = points.get(3).unwrap();
    assert_eq!((last.x, last.y, last.number), (4.0, -1.5, 14));
    points.update(0, |point| point.y = 9.0).unwrap();
    assert_eq!(points.to_vec().unwrap()[0].y, 9.0);
    let zero = RawArray::<Point>::zeroed(2).unwrap().get(1).unwrap();
    assert_eq!(zero, bytemuck::Zeroable::zeroed());
}

/// A type with bytes that are none of its values.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::NoUninit, bytemuck::CheckedBitPattern)]
#[bytemuck(crate = "multiproc::bytemuck")]
#[repr(u8)]
enum Light {
    Red = 1,
    Yellow = 2,
    Green = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::NoUninit, bytemuck::CheckedBitPattern)]
#[bytemuck(crate = "multiproc::bytemuck")]
#[repr(C)]
struct Crossing {
    sign: char,
    light: Light,
    open: bool,
    cars: u16,
}

fn crossing(light: Light) -> Crossing {
    Crossing {
        sign: '✓',
        light,
        open: light == Light::Green,
        cars: 7,
    }
}

fn checked_ones() {
    goes([Light::Red, Light::Yellow, Light::Green]);
    goes([Light::Red, Light::Yellow, Light::Green].map(crossing));
    goes([1, 2, 3].map(|number| NonZeroU32::new(number).unwrap()));
}

/// Python's `test_sharedctypes`: many types, a structure and text, all doubled by a child.
fn doubled() {
    let numbers = (
        Value::new(7_i32).unwrap(),
        Value::new(1.0 / 3.0).unwrap(),
        Value::new(point(3)).unwrap(),
        Value::new(1_u64 << 40).unwrap(),
        Value::new('a').unwrap(),
    );
    let rows = (
        Array::from_slice(&[0.0, 1.0, 2.0, 3.0]).unwrap(),
        Array::from_slice(b"hello").unwrap(),
    );
    type Numbers = (
        Value<i32>,
        Value<f64>,
        Value<Point>,
        Value<u64>,
        Value<char>,
    );
    let doubles = |numbers: Numbers, rows: (Array<f64>, Array<u8>)| {
        numbers.0.update(|it| *it *= 2).unwrap();
        numbers.1.update(|it| *it *= 2.0).unwrap();
        numbers.2.update(|it| it.number *= 2).unwrap();
        *numbers.3.lock().unwrap() *= 2;
        numbers.4.set('ä').unwrap();
        rows.0.lock().unwrap().iter_mut().for_each(|it| *it *= 2.0);
        rows.1.lock().unwrap().make_ascii_uppercase();
    };
    fine(&start(doubles, (numbers.clone(), rows.clone())));
    assert_eq!(numbers.0.get().unwrap(), 14);
    assert_eq!(numbers.1.get().unwrap(), 2.0 / 3.0);
    assert_eq!(numbers.2.get().unwrap().number, 6);
    assert_eq!(numbers.3.get().unwrap(), 1 << 41);
    assert_eq!(numbers.4.get().unwrap(), 'ä');
    assert_eq!(rows.0.to_vec().unwrap(), [0.0, 2.0, 4.0, 6.0]);
    assert_eq!(*rows.1.lock().unwrap(), *b"HELLO");
}

/// Zeros that are no value of the type are an error, and no guard of the array is given out. They can be written over.
fn other_bytes() {
    let lights = Array::<Light>::zeroed(3).unwrap();
    let is_corrupt = || {
        assert_eq!(lights.get(0).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(lights.to_vec().unwrap_err().kind(), ErrorKind::Corrupt);
        let guard = lights.lock().map_err(multiproc::Error::from);
        assert_eq!(guard.unwrap_err().kind(), ErrorKind::Corrupt);
        let update = lights.update(0, |light| *light = Light::Red);
        assert_eq!(update.unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(!lights.get_lock().locked(), "nobody is left with the lock");
    };
    is_corrupt();
    lights.set(1, Light::Green).unwrap();
    assert_eq!(lights.get(1).unwrap(), Light::Green);
    is_corrupt();
    lights.copy_from_slice(&[Light::Red; 3]).unwrap();
    assert_eq!(lights.to_vec().unwrap(), [Light::Red; 3]);
    let raw = RawArray::<Light>::zeroed(1).unwrap();
    assert_eq!(raw.get(0).unwrap_err().kind(), ErrorKind::Corrupt);
    raw.set(0, Light::Yellow).unwrap();
    assert_eq!(raw.get(0).unwrap(), Light::Yellow);
}

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[bytemuck(crate = "multiproc::bytemuck")]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A slice of shared memory is aligned as its type demands, small and large.
fn aligned() {
    goes([1, 2, 3].map(|byte| Line([byte; 64])));
    for length in [1, 2, 3, 1000] {
        let lines = Array::<Line>::zeroed(length).unwrap();
        assert_eq!(lines.lock().unwrap().as_ptr().addr() % 64, 0);
        let numbers = Array::<u128>::zeroed(length).unwrap();
        assert_eq!(numbers.lock().unwrap().as_ptr().addr() % 16, 0);
    }
}
