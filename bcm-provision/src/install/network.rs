//! How a machine is in the network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// How a machine is in the network, while it is installed and afterwards. By default, by DHCP at the interface
/// that has a link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// The interface, where it matters.
    pub interface: Option<Interface>,
    /// Its address, instead of DHCP.
    pub fixed: Option<Fixed>,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interface {
    /// By its name.
    Name(InterfaceName),
    /// By its hardware address.
    Mac(Mac),
}

/// A name that Linux takes: 1 to 15 letters, digits and `._-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceName(String);

/// A hardware address of six bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac([u8; 6]);

/// An address with the length of its network's prefix: `192.0.2.5/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// An address that is the machine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    address: Cidr,
    gateway: IpAddr,
    dns: Vec<IpAddr>,
}

/// A machine cannot be in the network like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNetwork {
    /// No interface.
    #[error(
        "{0:?} is no interface: it is a name such as enp1s0, or a hardware address such as 52:54:00:12:34:56"
    )]
    Interface(String),
    /// No address.
    #[error(
        "{0:?} is no address with the length of its prefix, such as 192.0.2.5/24 or 2001:db8::5/64"
    )]
    Address(String),
    /// It is not an address that a machine can have.
    #[error(
        "{0} is no address that a machine can have: it is the network's own, or its broadcast address, or for no machine at all"
    )]
    NotAMachine(Cidr),
    /// The gateway is of another family.
    #[error("the gateway {gateway} and the address {address} are not both IPv4 or both IPv6")]
    Family {
        /// The address.
        address: Cidr,
        /// The gateway.
        gateway: IpAddr,
    },
    /// The gateway cannot be reached.
    #[error("the gateway {gateway} is not in the network of {address}")]
    Outside {
        /// The address.
        address: Cidr,
        /// The gateway.
        gateway: IpAddr,
    },
    /// The machine would be its own gateway.
    #[error("the gateway {0} is the machine's own address")]
    Own(IpAddr),
    /// Packages are fetched by names.
    #[error("with an address of its own the machine needs the address of a DNS server")]
    NoDns,
}

impl Fixed {
    /// An address, the gateway in its network (or at a link-local address, for IPv6), and DNS servers.
    ///
    /// # Errors
    /// See [`InvalidNetwork`].
    pub fn new(address: Cidr, gateway: IpAddr, dns: Vec<IpAddr>) -> Result<Self, InvalidNetwork> {
        if address.address.is_ipv4() != gateway.is_ipv4() {
            return Err(InvalidNetwork::Family { address, gateway });
        }
        if address.address == gateway {
            return Err(InvalidNetwork::Own(gateway));
        }
        let link_local = matches!(gateway, IpAddr::V6(gateway) if gateway.is_unicast_link_local());
        if !link_local && !address.contains(gateway) {
            return Err(InvalidNetwork::Outside { address, gateway });
        }
        if dns.is_empty() {
            return Err(InvalidNetwork::NoDns);
        }
        Ok(Self {
            address,
            gateway,
            dns,
        })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> Cidr {
        self.address
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// The DNS servers; there is at least one.
    #[must_use]
    pub fn dns(&self) -> &[IpAddr] {
        &self.dns
    }
}

/// An address as a number at the low end of 128 bits, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl Cidr {
    /// The address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The bits that are the machine's own, as a mask.
    fn own(self) -> u128 {
        let host = u32::from(bits(self.address).1 - self.prefix);
        u128::MAX.checked_shl(host).map_or(u128::MAX, |mask| !mask)
    }

    fn contains(self, other: IpAddr) -> bool {
        let ((mine, width), (theirs, other_width)) = (bits(self.address), bits(other));
        width == other_width && mine & !self.own() == theirs & !self.own()
    }

    fn is_a_machine(self) -> bool {
        let address = self.address;
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            return false;
        }
        let ((mine, width), own) = (bits(address), self.own());
        match width - self.prefix {
            // Alone, or with one other: RFC 3021, RFC 6164.
            0 | 1 => true,
            // IPv6 has no broadcast address.
            _ => mine & own != 0 && (width == 128 || mine & own != own),
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let address: IpAddr = address.parse().ok()?;
            let digits = prefix.len() <= 3 && prefix.chars().all(|c| c.is_ascii_digit());
            let prefix = prefix.parse().ok().filter(|_| digits)?;
            (1..=bits(address).1)
                .contains(&prefix)
                .then_some(Self { address, prefix })
        });
        let cidr = parsed.ok_or_else(|| InvalidNetwork::Address(text.to_owned()))?;
        match cidr.is_a_machine() {
            true => Ok(cidr),
            false => Err(InvalidNetwork::NotAMachine(cidr)),
        }
    }
}

impl FromStr for Interface {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let bytes: Vec<&str> = text.split([':', '-']).collect();
        if let [_, _, _, _, _, _] = bytes[..]
            && bytes
                .iter()
                .all(|byte| byte.len() == 2 && byte.chars().all(|c| c.is_ascii_hexdigit()))
        {
            let mut mac = [0; 6];
            for (to, from) in mac.iter_mut().zip(bytes) {
                *to = u8::from_str_radix(from, 16)
                    .map_err(|_| InvalidNetwork::Interface(text.to_owned()))?;
            }
            return Ok(Self::Mac(Mac(mac)));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_name = (1..=15).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(fits)
            // To Debian's installer this is no name.
            && text != "auto";
        match is_name {
            true => Ok(Self::Name(InterfaceName(text.to_owned()))),
            false => Err(InvalidNetwork::Interface(text.to_owned())),
        }
    }
}

impl Mac {
    /// The bytes with `between` between them.
    pub(super) fn joined(self, between: &str) -> String {
        self.0.map(|byte| format!("{byte:02x}")).join(between)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined(":"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(address: &str, gateway: &str) -> Result<Fixed, InvalidNetwork> {
        Fixed::new(
            address.parse()?,
            gateway.parse().unwrap(),
            vec!["192.0.2.1".parse().unwrap()],
        )
    }

    #[test]
    fn a_gateway_is_where_it_can_be_reached() {
        for (address, gateway) in [
            ("192.0.2.5/24", "192.0.2.1"),
            ("192.0.2.4/31", "192.0.2.5"),
            ("10.1.2.3/8", "10.255.255.254"),
            ("2001:db8::5/64", "2001:db8::1"),
            ("2001:db8::5/64", "fe80::1"),
            ("2001:db8::5/128", "fe80::1"),
        ] {
            assert!(fixed(address, gateway).is_ok(), "{address} {gateway}");
        }
        let refused = |address, gateway| fixed(address, gateway).unwrap_err().to_string();
        assert_eq!(
            refused("192.0.2.5/24", "192.0.3.1"),
            "the gateway 192.0.3.1 is not in the network of 192.0.2.5/24"
        );
        assert!(refused("2001:db8::5/64", "2001:db8:1::1").contains("not in the network"));
        assert!(refused("192.0.2.5/24", "2001:db8::1").contains("not both"));
        assert!(refused("192.0.2.5/24", "192.0.2.5").contains("own address"));
        let address = "192.0.2.5/24".parse().unwrap();
        let no_dns = Fixed::new(address, "192.0.2.1".parse().unwrap(), Vec::new());
        assert_eq!(no_dns, Err(InvalidNetwork::NoDns));
    }

    #[test]
    fn an_address_is_a_machines() {
        for wrong in [
            "",
            "192.0.2.5",
            "192.0.2.5/",
            "192.0.2.5/33",
            "192.0.2.5/0",
            "192.0.2/24",
            "192.0.2.5/+4",
            "::1/129",
            "x/24",
            "192.0.2.5/24 ",
        ] {
            let error = wrong.parse::<Cidr>().unwrap_err();
            assert!(
                matches!(error, InvalidNetwork::Address(_)),
                "{wrong}: {error}"
            );
        }
        for wrong in [
            "192.0.2.0/24",
            "192.0.2.255/24",
            "127.0.0.1/8",
            "224.0.0.1/4",
            "0.0.0.1/32x",
            "2001:db8::/64",
            "ff02::1/64",
            "::/64",
        ] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
        assert_eq!(
            "2001:DB8:0::5/64".parse::<Cidr>().unwrap().to_string(),
            "2001:db8::5/64"
        );
    }

    #[test]
    fn interfaces_are_names_or_hardware_addresses() {
        assert!(matches!("enp1s0".parse(), Ok(Interface::Name(_))));
        for mac in ["52:54:00:AB:cd:ef", "52-54-00-ab-cd-ef"] {
            let Ok(Interface::Mac(mac)) = mac.parse() else {
                unreachable!("{mac} is a hardware address");
            };
            assert_eq!(mac.to_string(), "52:54:00:ab:cd:ef");
        }
        for wrong in [
            "",
            "auto",
            "a b",
            "a'b",
            "a\nb",
            "1",
            "sixteen-letters-x",
            "52:54:00:ab:cd:eg",
            "52:54:00:ab:cd",
            "+1:+2:+3:+4:+5:+6",
            "e*",
        ] {
            assert!(wrong.parse::<Interface>().is_err(), "{wrong}");
        }
    }
}
