//! What a `ShareableList` holds.

/// One item of a [`ShareableList`](crate::shared_memory::ShareableList): what Python's `None`, `bool`, `int` (of 64 bits), `float`, `str` and
/// `bytes` are.
///
/// Two items are equal when they are of the same type and have the same value. In Python `1 == 1.0 == True`.
///
/// # Examples
/// ```
/// use multiproc::shared_memory::Item;
///
/// assert_eq!(Item::from(7), Item::Int(7));
/// assert_eq!(Item::from("seven"), Item::Str("seven".to_owned()));
/// assert_eq!(Item::from(()), Item::None);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// `None`.
    None,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `float`.
    Float(f64),
    /// `str`.
    Str(String),
    /// `bytes`.
    Bytes(Vec<u8>),
}

impl From<()> for Item {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<bool> for Item {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Item {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Item {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u32> for Item {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Item {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Item {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}

impl From<String> for Item {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

impl From<&[u8]> for Item {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Item {
    fn from(value: &[u8; N]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl From<Vec<u8>> for Item {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl<T: Into<Item>> From<Option<T>> for Item {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}
