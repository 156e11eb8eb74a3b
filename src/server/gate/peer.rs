//! Who counts as one peer, wherever something is bounded per peer.
//!
//! Pure. An IPv4 address is one peer. Of IPv6 the first 64 bits are: whoever has one address of such
//! a network has all of it (RFC 4291, section 2.5.1: the other 64 bits are the interface's own), and
//! could take a new one for every connection. An IPv4 address that was mapped into IPv6, as a socket
//! for both shows it, is the IPv4 address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that make a peer.
const IPV6_BITS: u32 = 64;

/// All addresses that count as one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerGroup(IpAddr);

impl PeerGroup {
    /// The group that an address belongs to.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = v6.to_bits() & (u128::MAX << (u128::BITS - IPV6_BITS));
                Ipv6Addr::from_bits(network).into()
            }
            v4 => v4,
        })
    }
}

impl fmt::Display for PeerGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(network) => write!(f, "{network}/{IPV6_BITS}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(address: &str, group: &str) {
        assert_eq!(PeerGroup::of(address.parse().unwrap()).to_string(), group, "{address}");
    }

    #[test]
    fn an_ipv4_address_is_a_peer_of_its_own_also_when_mapped_into_ipv6() {
        check("192.0.2.1", "192.0.2.1");
        check("::ffff:192.0.2.1", "192.0.2.1");
        check("::ffff:c000:0201", "192.0.2.1");
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_peer() {
        check("2001:db8:1:2::", "2001:db8:1:2::/64");
        check("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64");
        check("2001:db8:1:3::1", "2001:db8:1:3::/64");
        check("ffff:ffff:ffff:ffff:1::", "ffff:ffff:ffff:ffff::/64");
        check("::1", "::/64");
    }

    proptest! {
        #[test]
        fn two_ipv6_addresses_are_one_peer_if_their_first_64_bits_are_equal(
            network in 1..u64::MAX, other: u64, host: u64, other_host: u64,
        ) {
            let group = |network: u64, host: u64| {
                let bits = (u128::from(network) << 64) | u128::from(host);
                PeerGroup::of(Ipv6Addr::from_bits(bits).into())
            };
            prop_assert_eq!(group(network, host), group(network, other_host));
            let same = group(network, host) == group(other, other_host);
            prop_assert_eq!(same, network == other);
        }
    }
}
