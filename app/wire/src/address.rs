//! Which addresses are the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
pub fn why_closed(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let within = |net: Ipv4Addr, prefix: u8| prefix == 0 || (net.to_bits() ^ ip.to_bits()) >> (32 - u32::from(prefix)) == 0;
            let found = CLOSED_V4.iter().find(|(net, prefix, _)| within(*net, *prefix));
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
    let within = |net: Ipv6Addr, prefix: u8| prefix == 0 || (net.to_bits() ^ ip.to_bits()) >> (128 - u32::from(prefix)) == 0;
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
}
