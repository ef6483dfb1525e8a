//! Which addresses may be connected to for a project: the public internet, and what the administrator opened by number.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
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

/// Why nothing may connect to `address` for a project: `None` for the public internet and for what `open` holds.
pub fn why_closed(address: IpAddr, open: &[Cidr]) -> Option<&'static str> {
    if open.iter().any(|block| block.contains(address)) { None } else { wire::address::why_closed(address) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_opened_by_number_is_open_besides_the_internet() {
        let open: Vec<Cidr> = vec!["10.1.0.0/16".parse().unwrap()];
        let closed = |address: &str| why_closed(address.parse().unwrap(), &open).is_some();
        assert!(!closed("10.1.2.3") && !closed("::ffff:10.1.2.3") && !closed("1.1.1.1"));
        assert!(closed("10.2.0.1") && closed("127.0.0.1") && closed("169.254.169.254") && closed("::1"));
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
