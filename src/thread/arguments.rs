//! What a thread can be given to do: a function and its arguments, called once.

/// Functions that can be called once, on another thread, with the tuple `A` as their arguments.
///
/// Implemented for function items, and for closures with or without captures, of up to eight parameters: threads share their
/// memory, so nothing is serialised, and captures go along. Nothing needs to be implemented by hand. What is called in another
/// *process* is a [`Callable`](crate::Callable).
///
/// # Examples
/// ```
/// use multiproc::threading::CallOnce;
///
/// fn add(a: u32, b: u32) -> u32 {
///     a + b
/// }
///
/// assert_eq!(add.call_once((2, 3)), 5);
///
/// let greeting = String::from("hello");
/// let greet = move |name: &str| format!("{greeting}, {name}");
/// assert_eq!(greet.call_once(("bob",)), "hello, bob");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called with the arguments `{A}`",
    note = "arguments are a tuple of up to eight values, `(1,)` for one and `()` for none; the function takes them by value, one \
            parameter each, and a closure's parameters may need their types written"
)]
pub trait CallOnce<A> {
    /// What the function returns.
    type Output;
    /// Calls the function.
    fn call_once(self, arguments: A) -> Self::Output;
}

macro_rules! call_once {
    ($($name:ident $value:ident)*) => {
        impl<Func, Out, $($name),*> CallOnce<($($name,)*)> for Func
        where
            Func: FnOnce($($name),*) -> Out,
        {
            type Output = Out;

            fn call_once(self, ($($value,)*): ($($name,)*)) -> Out {
                self($($value),*)
            }
        }
    };
}

call_once!();
call_once!(A a);
call_once!(A a B b);
call_once!(A a B b C c);
call_once!(A a B b C c D d);
call_once!(A a B b C c D d E e);
call_once!(A a B b C c D d E e F f);
call_once!(A a B b C c D d E e F f G g);
call_once!(A a B b C c D d E e F f G g H h);

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: u8, b: u16, c: u32, d: u64) -> u64 {
        u64::from(a) + u64::from(b) + u64::from(c) + d
    }

    fn call<A, F: CallOnce<A>>(function: F, arguments: A) -> F::Output {
        function.call_once(arguments)
    }

    #[test]
    fn functions_and_closures_are_called() {
        assert_eq!(call(sum, (1, 2, 3, 4)), 10);
        let kept = String::from("kept");
        assert_eq!(call(move || kept, ()), "kept");
        let eight = |a, b, c, d, e, f, g, h| [a, b, c, d, e, f, g, h];
        assert_eq!(call(eight, (1, 2, 3, 4, 5, 6, 7, 8)).len(), 8);
    }
}
