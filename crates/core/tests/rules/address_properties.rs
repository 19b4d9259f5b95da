//! I20 and I21: no special-purpose address is public, in whatever IPv6 address it travels.
//!
//! The oracle is the registries' text, read here on its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use tidings_core::address::AddressPolicy;

/// IANA IPv4 special-purpose registry, the entries that are not globally reachable, with multicast,
/// the deprecated 6to4 relays and Azure's WireServer.
const NOT_PUBLIC_IPV4: &str = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 \
    172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 \
    198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32 168.63.129.16/32";

/// The same for what lies inside `2000::/3`; nothing outside is public.
const NOT_PUBLIC_IPV6: &str = "2001::/23 2001:db8::/32 2002::/16 3fff::/20";

fn nets<N: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<N> {
    text.split_whitespace()
        .map(|net| net.parse().unwrap())
        .collect()
}

fn is_public(ip: impl Into<IpAddr>) -> bool {
    AddressPolicy::default().check(ip.into()).is_ok()
}

/// Every way in which an IPv6 address carries `ip`, by name.
fn carriers(ip: Ipv4Addr) -> [(&'static str, Ipv6Addr); 11] {
    let [a, b, c, d] = ip.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    [
        ("mapped", Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low)),
        ("compatible", Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low)),
        ("SIIT", Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low)),
        ("NAT64", Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low)),
        (
            "local NAT64 /96",
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        ),
        (
            "local NAT64 /48",
            Ipv6Addr::new(0x64, 0xff9b, 1, high, low >> 8, low << 8, 0, 0),
        ),
        ("6to4", Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)),
        (
            "Teredo client",
            Ipv6Addr::new(0x2001, 0, 0x0808, 0x0808, 0, 0, !high, !low),
        ),
        (
            "Teredo server",
            Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0xf7f7, 0xf7f7),
        ),
        (
            "ISATAP",
            Ipv6Addr::new(0x2606, 0x4700, 0, 1, 0, 0x5efe, high, low),
        ),
        (
            "ISATAP universal",
            Ipv6Addr::new(0x2a00, 1, 2, 3, 0x200, 0x5efe, high, low),
        ),
    ]
}

/// A spread that is the same in every run.
fn scatter(number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1).rotate_left(13) ^ 0x5bd1_e995
}

#[test]
fn every_ipv4_16_block_is_judged_as_the_registry_says() {
    let not_public: Vec<Ipv4Net> = nets(NOT_PUBLIC_IPV4);
    for block in 0..=0xffff_u32 {
        let inside = (0..4).map(|draw| scatter(block ^ (draw << 16)) & 0xffff);
        for low in [0, 1, 0xffff].into_iter().chain(inside) {
            let ip = Ipv4Addr::from((block << 16) | low);
            let expected = !not_public.iter().any(|net| net.contains(&ip));
            assert_eq!(is_public(ip), expected, "{ip}");
        }
    }
}

#[test]
fn every_ipv4_range_ends_where_the_registry_says() {
    let not_public: Vec<Ipv4Net> = nets(NOT_PUBLIC_IPV4);
    for net in &not_public {
        let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
        for bits in [first.wrapping_sub(1), first, last, last.wrapping_add(1)] {
            let ip = Ipv4Addr::from(bits);
            let expected = !not_public.iter().any(|net| net.contains(&ip));
            assert_eq!(is_public(ip), expected, "{ip} at the edge of {net}");
        }
    }
}

#[test]
fn no_carrier_in_any_16_block_is_more_public_than_its_ipv4_address() {
    for block in 0..=0xffff_u32 {
        for low in [0, scatter(block) & 0xffff] {
            let ip = Ipv4Addr::from((block << 16) | low);
            let ip_is_public = is_public(ip);
            for (kind, carrier) in carriers(ip) {
                let expected = kind.starts_with("ISATAP") && ip_is_public;
                assert_eq!(is_public(carrier), expected, "{kind} {carrier} of {ip}");
            }
        }
    }
}

#[test]
fn every_ipv6_16_block_outside_global_unicast_is_denied() {
    for block in 0..=0xffff_u16 {
        let low = scatter(u32::from(block)).to_be_bytes();
        let ip = Ipv6Addr::new(
            block,
            0x1234,
            0,
            0,
            0,
            0,
            u16::from(low[0]),
            u16::from(low[1]),
        );
        let special = block == 0x2002 || !(0x2000..=0x3fff).contains(&block);
        assert_eq!(is_public(ip), !special, "{ip}");
    }
}

#[test]
fn every_ipv6_range_inside_global_unicast_ends_where_the_registry_says() {
    let not_public: Vec<IpNet> = nets(NOT_PUBLIC_IPV6);
    for block in 0..=0xffff_u16 {
        for first in [0x2001, 0x3fff] {
            let ip = Ipv6Addr::new(first, block, 0xffff, 0, 0, 0, 0, 1);
            let expected = !not_public.iter().any(|net| net.contains(&IpAddr::V6(ip)));
            assert_eq!(is_public(ip), expected, "{ip}");
        }
    }
}

proptest! {
    #[test]
    fn any_ipv4_address_is_judged_as_the_registry_says(bits: u32) {
        let ip = Ipv4Addr::from(bits);
        let not_public: Vec<Ipv4Net> = nets(NOT_PUBLIC_IPV4);
        prop_assert_eq!(is_public(ip), !not_public.iter().any(|net| net.contains(&ip)));
    }

    #[test]
    fn any_ipv6_address_that_is_public_is_global_unicast(bits: u128) {
        let ip = Ipv6Addr::from(bits);
        let not_public: Vec<IpNet> = nets(NOT_PUBLIC_IPV6);
        if is_public(ip) {
            prop_assert_eq!(bits >> 125, 1);
            prop_assert!(!not_public.iter().any(|net| net.contains(&IpAddr::V6(ip))));
        }
    }

    #[test]
    fn what_is_denied_stays_denied_whatever_is_allowed(
        bits: u32, address: u128, allowed in any::<[(u32, u8); 4]>()
    ) {
        let nets = allowed.map(|(bits, length)| {
            IpNet::V4(Ipv4Net::new(Ipv4Addr::from(bits), length % 33).unwrap())
        });
        let deny = vec![IpNet::from(IpAddr::V4(Ipv4Addr::from(bits)))];
        let policy = AddressPolicy { allow: nets.to_vec(), deny };
        prop_assert!(policy.check(IpAddr::V4(Ipv4Addr::from(bits))).is_err());
        for (kind, carrier) in carriers(Ipv4Addr::from(bits)) {
            prop_assert!(policy.check(IpAddr::V6(carrier)).is_err(), "{}", kind);
        }
        // IPv4 exceptions open nothing in IPv6.
        let ip = IpAddr::V6(Ipv6Addr::from(address));
        prop_assert_eq!(policy.check(ip).is_ok(), is_public(ip));
    }
}
