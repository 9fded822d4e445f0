//! Where a connection comes from: whoever shares an address shares a budget.
//!
//! An IPv4 address is one source, and an IPv4 address written as IPv6 is the same. Of IPv6 it is the /64, since a subscriber has at
//! least so much; and because many have a /48 or can get one, its /64s together have ten times the budget of one.

use core::fmt;
use core::net::IpAddr;

/// How many sources a site stands for.
pub(super) const SITE_FACTOR: u32 = 10;

/// Where a connection comes from, as far as the embedder knows and believes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// From this address. Behind a proxy it is the client's that the proxy names, or all clients share one budget.
    Address(IpAddr),
    /// From nobody knows where. All such connections share one budget.
    Unknown,
}

impl Source {
    /// Whom it shares a budget with: the IPv4 address, the /64 of the IPv6 address, or everybody who is unknown.
    #[must_use]
    pub const fn group(self) -> SourceGroup {
        SourceGroup(match self {
            Self::Unknown => Group::Unknown,
            Self::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => Group::Address(address.to_bits()),
                IpAddr::V6(address) => Group::Subnet(prefix(address.to_bits(), 64)),
            },
        })
    }
}

/// The first bits of an address, as a number.
const fn prefix(address: u128, bits: u32) -> u64 {
    (address >> (128 - bits)) as u64
}

/// Connections that share a budget. Its `Debug` names no address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceGroup(Group);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Group {
    Unknown,
    Address(u32),
    /// An IPv6 /64.
    Subnet(u64),
    /// An IPv6 /48.
    Site(u64),
}

impl SourceGroup {
    /// Whom it shares the larger budget of a site with: the /48 of an IPv6 /64.
    #[must_use]
    pub const fn site(self) -> Option<Self> {
        match self.0 {
            Group::Subnet(subnet) => Some(Self(Group::Site(subnet >> 16))),
            Group::Unknown | Group::Address(_) | Group::Site(_) => None,
        }
    }
}

impl fmt::Debug for SourceGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceGroup")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> SourceGroup {
        Source::Address(address.parse().unwrap()).group()
    }

    #[track_caller]
    fn check(a: &str, b: &str, group: bool, site: bool) {
        let (a, b) = (from(a), from(b));
        assert_eq!((a == b, a.site() == b.site()), (group, site));
    }

    #[test]
    fn an_ipv4_address_is_one_source_however_it_is_written() {
        check("192.0.2.1", "192.0.2.1", true, true);
        check("192.0.2.1", "192.0.2.2", false, true);
        check("192.0.2.1", "::ffff:192.0.2.1", true, true);
        check("192.0.2.1", "::192.0.2.1", false, false);
        assert_eq!(from("192.0.2.1").site(), None);
        assert_eq!(from("::ffff:192.0.2.1").site(), None);
    }

    #[test]
    fn of_ipv6_it_is_the_subnet_and_beyond_it_the_site() {
        check("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true, true);
        check("2001:db8:1:2::1", "2001:db8:1:3::1", false, true);
        check("2001:db8:1:2::1", "2001:db8:2:2::1", false, false);
        assert_ne!(Some(from("::1")), from("::1").site());
    }

    #[test]
    fn all_that_is_unknown_is_one_source() {
        assert_eq!(Source::Unknown.group(), Source::Unknown.group());
        assert_ne!(Source::Unknown.group(), from("0.0.0.0"));
        assert_eq!(Source::Unknown.group().site(), None);
        assert_eq!(std::format!("{:?}", from("192.0.2.1")), "SourceGroup");
    }
}
