//! The secret of a family, by which its processes know each other over sockets.

use crate::sys::random;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The key with which the processes of a program authenticate to each other.
///
/// The first process makes 32 random bytes; a child has its creator's key, unless it was given another before its start. It is
/// never printed and does not serialise: whoever sends it somewhere has to say so, by [`as_bytes`](Self::as_bytes).
///
/// ```
/// use multiproc::{AuthKey, current_process};
///
/// let key = current_process().authkey();
/// assert_eq!(key.as_bytes().len(), 32);
/// assert_eq!(format!("{key:?}"), "AuthKey(..)");
/// assert_ne!(key, AuthKey::from(b"guess".as_slice()));
/// ```
#[derive(Clone)]
pub struct AuthKey(Arc<[u8]>);

impl AuthKey {
    /// 32 random bytes; all zeros where the kernel has none to give, which it has.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 32];
        if let Err(error) = random::fill(&mut bytes) {
            log::error!("no random bytes for an authentication key: {error}");
        }
        Self(Arc::from(bytes))
    }

    /// The secret itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for AuthKey {
    fn from(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for AuthKey {
    fn from(bytes: &[u8; N]) -> Self {
        Self(Arc::from(&bytes[..]))
    }
}

impl From<Vec<u8>> for AuthKey {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::from(bytes))
    }
}

/// Two keys are compared in a time that tells nothing of where they differ.
impl PartialEq for AuthKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for AuthKey {}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(..)")
    }
}

/// For the one message that may carry it: the start of a child.
pub(crate) fn serialize<S: Serializer>(key: &AuthKey, serializer: S) -> Result<S::Ok, S::Error> {
    key.0.serialize(serializer)
}

/// See [`serialize`].
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AuthKey, D::Error> {
    Ok(AuthKey(Vec::deserialize(deserializer)?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_compare() {
        let (one, other) = (AuthKey::random(), AuthKey::random());
        assert_ne!(one, other);
        assert_eq!(one, AuthKey::from(one.as_bytes()));
        assert_ne!(one, AuthKey::from(one.as_bytes()[1..].to_vec()));
    }
}
