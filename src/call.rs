//! Functions that travel: a function is sent as the place of a constant in this program's image.
#![expect(
    unsafe_code,
    reason = "an address that arrives becomes a reference, and a function without captures a value"
)]
//!
//! For each combination of function, arguments and result the compiler makes one constant [`Descriptor`]. What is sent is its
//! distance from a static of this crate, and a hash of the types. Every process of a family runs the same image, perhaps at
//! another address, so the distance is the same; it is checked all the same ([`Call::resolve`]). Distances between
//! functions would not do: the compiler merges equal functions and duplicates others.
//!
//! # Safety
//! A descriptor is used only after its address was found inside constant memory of the main executable, aligned, with
//! the magic number, and with the hash that was sent.

use crate::error::{Error, ErrorKind, Result};
use crate::shm::message::Cargo;
use crate::sys::image;
use crate::wire::{self, Bytes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::any::TypeId;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// What a function gives back: its encoded result.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) bytes: Bytes,
    pub(crate) cargo: Cargo,
}

/// Tuples of up to eight values that can be sent to a function in another process.
///
/// Implemented for all tuples of types with serde's traits; nothing needs to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to another process",
    note = "arguments are a tuple, as `(1, \"two\".to_string())`, of values that implement serde's `Serialize` and `Deserialize`"
)]
pub trait Arguments: Serialize + DeserializeOwned + Send + 'static {}

impl<A: Serialize + DeserializeOwned + Send + 'static> Arguments for A {}

/// Functions that can be called in another process with the tuple `A`.
///
/// Implemented for function items and for closures *without captures* (their parameters need written types). Nothing needs to be
/// implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called in another process with the arguments `{A}`",
    note = "the function takes the values of the tuple by value, one parameter each, and a closure's parameters need their types written"
)]
pub trait Callable<A>: Copy + Send + 'static {
    /// What the function returns.
    type Output;
    /// Calls the function.
    fn call(self, arguments: A) -> Self::Output;
}

macro_rules! callable {
    ($($name:ident $value:ident)*) => {
        impl<Func, Out, $($name),*> Callable<($($name,)*)> for Func
        where
            Func: Fn($($name),*) -> Out + Copy + Send + 'static,
        {
            type Output = Out;

            fn call(self, ($($value,)*): ($($name,)*)) -> Out {
                self($($value),*)
            }
        }
    };
}

callable!();
callable!(A a);
callable!(A a B b);
callable!(A a B b C c);
callable!(A a B b C c D d);
callable!(A a B b C c D d E e);
callable!(A a B b C c D d E e F f);
callable!(A a B b C c D d E e F f G g);
callable!(A a B b C c D d E e F f G g H h);

const MAGIC: u64 = 0x6d75_6c74_6963_616c;

/// What an image says of one function.
#[repr(C)]
#[derive(Debug)]
struct Descriptor {
    magic: u64,
    /// Takes the encoded arguments, and what to call once they are decoded.
    invoke: fn(&[u8], &mut dyn FnMut()) -> Result<Reply>,
    hash: fn() -> u64,
    name: fn() -> &'static str,
}

/// Where distances are measured from.
static ANCHOR: u64 = MAGIC;

/// A function on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    distance: i64,
    hash: u64,
}

impl Call {
    fn of(descriptor: &'static Descriptor) -> Self {
        let distance = (&raw const *descriptor as i64).wrapping_sub(&raw const ANCHOR as i64);
        Self {
            distance,
            hash: (descriptor.hash)(),
        }
    }

    pub(crate) fn words(self) -> [u64; 2] {
        [self.distance.cast_unsigned(), self.hash]
    }

    pub(crate) fn from_words(words: [u64; 2]) -> Self {
        Self {
            distance: words[0].cast_signed(),
            hash: words[1],
        }
    }

    fn resolve(self) -> Result<&'static Descriptor> {
        let unknown = || Error::new(ErrorKind::Corrupt, "no such function in this program");
        let address = (&raw const ANCHOR as usize)
            .wrapping_add_signed(isize::try_from(self.distance).map_err(|_| unknown())?);
        let aligned = address.is_multiple_of(align_of::<Descriptor>());
        if !aligned || !image::is_constant(address, size_of::<Descriptor>()) {
            return Err(unknown());
        }
        let magic = std::ptr::with_exposed_provenance::<u64>(address);
        // SAFETY: eight aligned bytes of a constant, mapped segment of the executable.
        if unsafe { magic.read() } != MAGIC {
            return Err(unknown());
        }
        let descriptor = std::ptr::with_exposed_provenance::<Descriptor>(address);
        // SAFETY: constant memory with our magic number at the place of a descriptor is a descriptor, and it is never written.
        let descriptor = unsafe { &*descriptor };
        if (descriptor.hash)() == self.hash {
            Ok(descriptor)
        } else {
            Err(unknown())
        }
    }

    /// The name of the function, for messages.
    pub(crate) fn name(self) -> &'static str {
        self.resolve().map_or("?", |descriptor| (descriptor.name)())
    }

    /// Calls the function here, with encoded arguments. A panic goes through. `decoded` is called between the two: from then on the
    /// arguments hold their objects themselves, and their message may be dropped.
    pub(crate) fn invoke(self, arguments: &[u8], decoded: &mut dyn FnMut()) -> Result<Reply> {
        (self.resolve()?.invoke)(arguments, decoded)
    }
}

/// The constants of a function, its arguments, and what becomes of its result.
struct Carrier<F, A>(PhantomData<(F, A)>);

impl<F: Callable<A>, A: Arguments> Carrier<F, A> {
    const NO_CAPTURES: () = assert!(
        size_of::<F>() == 0,
        "this closure captures variables, and captures cannot travel to another process: pass them as arguments instead, \
         as in `Process::new(|n: u64| ..., (n,))`; function pointers cannot travel either, name the function itself"
    );

    /// The function, out of nothing: it has no bytes.
    fn function() -> F {
        let () = Self::NO_CAPTURES;
        // SAFETY: `F` has no bytes because of the assertion, so an aligned pointer is enough to read one; it is
        // `Copy`, so a value that exists in the sender may be had again here.
        unsafe { NonNull::<F>::dangling().as_ptr().read() }
    }

    fn hash() -> u64 {
        let mut hasher = DefaultHasher::new();
        TypeId::of::<(F, A)>().hash(&mut hasher);
        hasher.finish()
    }

    /// Calls it and throws the result away.
    const DISCARDS: &'static Descriptor = &Descriptor {
        magic: MAGIC,
        invoke: |arguments, decoded| {
            let arguments = wire::decode::<A>(arguments)?;
            decoded();
            let _result = Self::function().call(arguments);
            let (bytes, cargo) = wire::encode(&())?;
            Ok(Reply { bytes, cargo })
        },
        hash: Self::hash,
        name: std::any::type_name::<F>,
    };
}

impl<F: Callable<A>, A: Arguments> Carrier<F, A>
where
    F::Output: Serialize,
{
    /// Calls it and encodes the result.
    const ANSWERS: &'static Descriptor = &Descriptor {
        magic: MAGIC,
        invoke: |arguments, decoded| {
            let arguments = wire::decode::<A>(arguments)?;
            decoded();
            let result = Self::function().call(arguments);
            let (bytes, cargo) = wire::encode(&result)?;
            Ok(Reply { bytes, cargo })
        },
        hash: || Self::hash() ^ 1,
        name: std::any::type_name::<F>,
    };
}

/// How to call `F` when nobody asks for its result.
pub(crate) fn target<F: Callable<A>, A: Arguments>(_function: F) -> Call {
    let () = Carrier::<F, A>::NO_CAPTURES;
    Call::of(Carrier::<F, A>::DISCARDS)
}

/// How to call `F` for its result.
pub(crate) fn task<F: Callable<A>, A: Arguments>(_function: F) -> Call
where
    F::Output: Serialize,
{
    let () = Carrier::<F, A>::NO_CAPTURES;
    Call::of(Carrier::<F, A>::ANSWERS)
}

/// The function that calls `function` with each item.
pub(crate) fn each<F: Callable<(T,)>, T: Arguments>(
    _function: F,
) -> impl Callable<(Vec<T>,), Output = Vec<F::Output>> {
    |items: Vec<T>| {
        let call = |item| Carrier::<F, (T,)>::function().call((item,));
        items.into_iter().map(call).collect::<Vec<_>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(a: u32, b: u32) -> u32 {
        a + b
    }

    #[test]
    fn a_function_is_found_again_and_called() {
        let call = task::<_, (u32, u32)>(add);
        let again = Call::from_words(call.words());
        let (arguments, _cargo) = wire::encode(&(2_u32, 3_u32)).expect("numbers encode");
        let reply = again
            .invoke(arguments.as_slice(), &mut || ())
            .expect("the function is here");
        assert_eq!(
            wire::decode::<u32>(reply.bytes.as_slice()).expect("a number"),
            5
        );
        assert!(again.name().contains("add"), "{}", again.name());
    }

    #[test]
    fn equal_closures_differ() {
        let one = task::<_, (u32,)>(|n: u32| n + 1);
        let other = task::<_, (u32,)>(|n: u32| n + 1);
        assert_ne!(one, other);
    }

    #[test]
    fn no_random_call_is_believed() {
        let call = task::<_, (u32, u32)>(add);
        for distance in (-5000..5000)
            .map(|n| n * 8 + 8)
            .chain([i64::MAX, i64::MIN, 1])
        {
            let wrong = Call {
                distance: call.distance.wrapping_add(distance),
                hash: call.hash,
            };
            assert!(wrong.invoke(&[], &mut || ()).is_err());
        }
        let wrong = Call {
            hash: call.hash + 1,
            ..call
        };
        assert!(wrong.invoke(&[], &mut || ()).is_err());
    }
}
