//! Askers: a request is charged to its address, or to its token's device.

use std::net::{IpAddr, Ipv6Addr};

use roost_shared::WorkspaceId;

/// The asker that a request is charged to, never the workspace that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    /// An address; of an IPv6 address the first 64 bits, because one machine has all that follow.
    Address(IpAddr),
    /// The bearer of a valid token: its device or, where it has none, the token.
    Bearer(WorkspaceId, [u8; 16]),
}

impl Asker {
    /// An address that asks without a token.
    pub fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Self::Address(Ipv6Addr::from_bits(network).into())
            }
            address @ IpAddr::V4(_) => Self::Address(address),
        }
    }
}
