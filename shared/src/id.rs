//! The four ids, 16 bytes each, printed as 32 lowercase hex digits.

use std::fmt;
use std::str::FromStr;

use wincode::{SchemaRead, SchemaWrite};

use crate::hash::Hash;

/// The text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hex digits")]
pub struct IdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, SchemaRead, SchemaWrite)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// All zeros: "none" where a layout has the field and the entry does not.
            pub const ZERO: Self = Self([0; 16]);
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut out = [0; 16];
                // One spelling an id: upper case is refused.
                let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
                hex::decode_to_slice(text, &mut out).ok().filter(|()| lower).map(|()| Self(out)).ok_or(IdError)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// A workspace. It certifies itself: it is a hash of the owner's Ed25519 key.
    WorkspaceId
}
id! {
    /// A document of a workspace.
    DocumentId
}
id! {
    /// A device of a workspace. It certifies itself: it is a hash of the device's two public keys.
    DeviceId
}
id! {
    /// One life of a workspace's log; a server that lost history gets a new one.
    LogId
}

impl WorkspaceId {
    /// `SHA256("roost/v1/workspace\0" || owner_ed_pub)[..16]`
    pub fn of_owner(owner_ed: &[u8; 32]) -> Self {
        Self(first_16(Hash::of(&[b"roost/v1/workspace\0", owner_ed])))
    }
}

impl DeviceId {
    /// `SHA256("roost/v1/device\0" || ed_pub || x_pub)[..16]`
    pub fn of_keys(ed: &[u8; 32], x: &[u8; 32]) -> Self {
        Self(first_16(Hash::of(&[b"roost/v1/device\0", ed, x])))
    }
}

fn first_16(hash: Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash.0[..16]);
    out
}
