//! Which addresses the proxy may connect to: the public internet, and what the administrator opened by number.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses, written `10.1.0.0/16` or `fd00::/8`; a single address stands for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same_prefix(u128::from(net.to_bits()) << 96, u128::from(ip.to_bits()) << 96, self.prefix),
            (IpAddr::V6(net), IpAddr::V6(ip)) => same_prefix(net.to_bits(), ip.to_bits(), self.prefix),
            _ => false,
        }
    }
}

fn same_prefix(a: u128, b: u128, prefix: u8) -> bool {
    prefix == 0 || (a ^ b) >> (128 - u32::from(prefix)) == 0
}

impl FromStr for Cidr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Cidr, Self::Err> {
        const WRONG: &str = "Write an address block such as 10.1.0.0/16 or fd00::/8.";
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| WRONG)?)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| WRONG)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        if prefix > longest { Err(WRONG) } else { Ok(Cidr { address, prefix }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for Cidr {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Cidr, Self::Error> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

/// Blocks of version 4 that are not the public internet, with what they are for.
const CLOSED_V4: &[(Ipv4Addr, u8, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "an unspecified address"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private address"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "an address shared by a provider's customers"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "an address of the machine itself"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local address"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "a protocol address"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "a documentation address"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay address"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private address"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "a benchmarking address"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "a documentation address"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "a documentation address"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast address"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved address"),
];

/// Blocks inside `2000::/3` that are not the public internet.
const CLOSED_V6: &[(Ipv6Addr, u8, &str)] = &[
    // Teredo, benchmarking, ORCHID and other protocol blocks.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "a protocol address"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "a documentation address"),
    // 6to4 carries any version 4 address, and nothing public lives there any more.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "a tunnelled address"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "a documentation address"),
];

/// None for an address of the public internet, else what kind of address it is.
pub(crate) fn why_closed(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let found =
                CLOSED_V4.iter().find(|(net, prefix, _)| Cidr { address: IpAddr::V4(*net), prefix: *prefix }.contains(IpAddr::V4(ip)));
            found.map(|(_, _, what)| *what)
        }
        IpAddr::V6(ip) => why_closed_v6(ip),
    }
}

fn why_closed_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let segments = ip.segments();
    // NAT64: on a network without version 4 this is the way to it, so what is embedded decides.
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return why_closed(IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() as u32)));
    }
    let within = |net: Ipv6Addr, prefix: u8| same_prefix(net.to_bits(), ip.to_bits(), prefix);
    if let Some((_, _, what)) = CLOSED_V6.iter().find(|(net, prefix, _)| within(*net, *prefix)) {
        return Some(what);
    }
    match segments[0] {
        0x2000..=0x3fff => None,
        0xfc00..=0xfdff => Some("a private address"),
        0xfe80..=0xfeff => Some("a link-local address"),
        0xff00..=0xffff => Some("a multicast address"),
        _ if ip.is_loopback() => Some("an address of the machine itself"),
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_open() {
        for open in
            ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "::ffff:9.9.9.9", "64:ff9b::808:808"]
        {
            assert_eq!(why_closed(open.parse().unwrap()), None, "{open}");
        }
        let closed = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.9",
            "203.0.113.80",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for closed in closed {
            assert!(why_closed(closed.parse().unwrap()).is_some(), "{closed}");
        }
    }

    #[test]
    fn blocks_are_parsed_and_matched() {
        let block: Cidr = "203.0.113.0/24".parse().unwrap();
        assert!(block.contains("203.0.113.80".parse().unwrap()) && block.contains("::ffff:203.0.113.1".parse().unwrap()));
        assert!(!block.contains("203.0.112.80".parse().unwrap()) && !block.contains("2001:db8::1".parse().unwrap()));
        let one: Cidr = "10.0.0.7".parse().unwrap();
        assert!(one.contains("10.0.0.7".parse().unwrap()) && !one.contains("10.0.0.8".parse().unwrap()));
        assert!("fd00::/8".parse::<Cidr>().unwrap().contains("fd12::1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains("1.2.3.4".parse().unwrap()));
        for bad in ["", "10.0.0.0/33", "x/8", "10.0.0/8", "fd00::/129", "10.0.0.0/-1"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&block).unwrap(), "\"203.0.113.0/24\"");
        assert_eq!(serde_json::from_str::<Cidr>("\"203.0.113.0/24\"").unwrap(), block);
    }
}
