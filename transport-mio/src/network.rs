//! Addresses that belong together: a network, written as an address and how many of its first bits count.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network, or a single address: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`.
///
/// An IPv4 address written as IPv6 is taken for the IPv4 address that it is, on either side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether this address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        first_bits(address.to_canonical(), self.bits) == Some(self.address)
    }
}

/// The address with all but its first bits zero; `None` if it has not so many.
fn first_bits(address: IpAddr, bits: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits.into())?).unwrap_or(0);
            Some(IpAddr::V4((address.to_bits() & mask).into()))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits.into())?).unwrap_or(0);
            Some(IpAddr::V6((address.to_bits() & mask).into()))
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let fail = |problem| NetworkError { text: text.to_owned(), problem };
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let address: IpAddr = address.parse().map_err(|_| fail(Problem::Address))?;
        let Some(bits) = bits else { return Ok(address.into()) };
        let plain = bits.bytes().all(|digit| digit.is_ascii_digit());
        let bits = bits.parse().ok().filter(|_| plain).ok_or_else(|| fail(Problem::Bits))?;
        match first_bits(address, bits) {
            None => Err(fail(Problem::Bits)),
            Some(first) if first != address => Err(fail(Problem::Rest(first, bits))),
            Some(address) => Ok(Self { address, bits }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::from(self.address) {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.bits)
        }
    }
}

/// Why a text is no network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkError {
    text: String,
    problem: Problem,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Problem {
    Address,
    Bits,
    /// There is something behind the bits that count. The network that was perhaps meant.
    Rest(IpAddr, u8),
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match &self.problem {
            Problem::Address => write!(
                f,
                "\"{text}\" is no address and no network; write it as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32"
            ),
            Problem::Bits => write!(
                f,
                "\"{text}\" has a wrong number of bits behind the slash; IPv4 has 0 to 32, IPv6 0 to 128"
            ),
            Problem::Rest(first, bits) => {
                write!(f, "\"{text}\" is an address inside a network; the network is {first}/{bits}")
            }
        }
    }
}

impl Error for NetworkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_other() {
        for (network, inside, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "::a00:1"][..],
            ),
            ("192.0.2.1", &["192.0.2.1"], &["192.0.2.0", "192.0.2.2"]),
            ("192.0.2.128/25", &["192.0.2.128", "192.0.2.255"], &["192.0.2.127"]),
            ("0.0.0.0/0", &["255.255.255.255"], &["::1"]),
            ("::/0", &["::1", "ffff::"], &["1.2.3.4", "::ffff:1.2.3.4"]),
            ("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::"]),
            ("::ffff:192.0.2.1", &["192.0.2.1", "::ffff:192.0.2.1"], &["192.0.2.2"]),
        ] {
            let network: Network = network.parse().unwrap();
            for address in inside {
                assert!(network.contains(address.parse().unwrap()), "{network} {address}");
            }
            for address in outside {
                assert!(!network.contains(address.parse().unwrap()), "{network} {address}");
            }
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_a_sentence() {
        for (text, words) in [
            ("", "no address"),
            ("localhost", "no address"),
            ("10.0.0/8", "no address"),
            ("10.0.0.0/", "wrong number of bits"),
            ("10.0.0.0/33", "wrong number of bits"),
            ("10.0.0.0/+8", "wrong number of bits"),
            ("::/129", "wrong number of bits"),
            ("10.1.0.0/8", "the network is 10.0.0.0/8"),
            ("10.0.0.0/255.0.0.0", "wrong number of bits"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(text), "{error}");
        }
        for text in ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1", "::1", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
