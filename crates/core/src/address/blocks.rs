//! The ranges that are not public: the IANA special-purpose registries, with what clouds serve
//! credentials from and everything outside `2000::/3`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::AddressClass;

/// A range that is not public, with its class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) net: IpNet,
    pub(super) class: AddressClass,
}

/// The block that decides about `ip`, `None` for a public address.
pub(super) fn special_block(ip: IpAddr) -> Option<Block> {
    let blocks: &[Block] = match ip {
        IpAddr::V4(_) => &IPV4_BLOCKS,
        IpAddr::V6(_) => &IPV6_BLOCKS,
    };
    blocks.iter().find(|block| block.net.contains(&ip)).copied()
}

/// The narrower block stands first, because the first match decides.
const IPV4_BLOCKS: [Block; 23] = {
    use AddressClass::{
        Benchmarking, Documentation, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved,
        Shared, Unspecified,
    };
    [
        // Azure's WireServer: looks public, is the host of the virtual machine.
        v4([168, 63, 129, 16], 32, Metadata),
        // AWS, GCP, Azure and most others; AWS time and DNS are in the same /24.
        v4([169, 254, 169, 0], 24, Metadata),
        // ECS task and EKS pod credentials.
        v4([169, 254, 170, 0], 24, Metadata),
        // Scaleway, Tencent.
        v4([169, 254, 42, 42], 32, Metadata),
        v4([169, 254, 0, 23], 32, Metadata),
        // Alibaba, Oracle.
        v4([100, 100, 100, 200], 32, Metadata),
        v4([192, 0, 0, 192], 32, Metadata),
        v4([0, 0, 0, 0], 8, Unspecified),
        v4([10, 0, 0, 0], 8, Private),
        v4([100, 64, 0, 0], 10, Shared),
        v4([127, 0, 0, 0], 8, Loopback),
        v4([169, 254, 0, 0], 16, LinkLocal),
        v4([172, 16, 0, 0], 12, Private),
        v4([192, 0, 0, 0], 24, Reserved),
        v4([192, 0, 2, 0], 24, Documentation),
        v4([192, 88, 99, 0], 24, Reserved),
        v4([192, 168, 0, 0], 16, Private),
        v4([198, 18, 0, 0], 15, Benchmarking),
        v4([198, 51, 100, 0], 24, Documentation),
        v4([203, 0, 113, 0], 24, Documentation),
        v4([224, 0, 0, 0], 4, Multicast),
        v4([255, 255, 255, 255], 32, Reserved),
        v4([240, 0, 0, 0], 4, Reserved),
    ]
};

/// The narrower block stands first, because the first match decides.
const IPV6_BLOCKS: [Block; 24] = {
    use AddressClass::{
        Documentation, EmbeddedIpv4, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved,
        Unspecified,
    };
    [
        v6([0, 0, 0, 0, 0, 0, 0, 0], 128, Unspecified),
        v6([0, 0, 0, 0, 0, 0, 0, 1], 128, Loopback),
        // AWS and EKS, GCP, Oracle, Scaleway, OpenStack.
        v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32, Metadata),
        v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0], 32, Metadata),
        v6([0xfd00, 0xc1, 0, 0, 0, 0, 0, 0], 32, Metadata),
        v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128, Metadata),
        v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, Metadata),
        // IPv4-mapped, IPv4-compatible, IPv4-translated (SIIT, RFC 2765).
        v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, EmbeddedIpv4),
        v6([0, 0, 0, 0, 0, 0, 0, 0], 96, EmbeddedIpv4),
        v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, EmbeddedIpv4),
        // NAT64: well-known (RFC 6052) and local-use (RFC 8215).
        v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, EmbeddedIpv4),
        v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, EmbeddedIpv4),
        // Teredo (RFC 4380), then the protocol assignments around it.
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, EmbeddedIpv4),
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Reserved),
        v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Documentation),
        // 6to4 (RFC 3056).
        v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, EmbeddedIpv4),
        v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Documentation),
        v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Private),
        v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, LinkLocal),
        v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Private),
        v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Multicast),
        // Discard-only and everything else below 2000::/3 and above it.
        v6([0, 0, 0, 0, 0, 0, 0, 0], 3, Reserved),
        v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2, Reserved),
        v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1, Reserved),
    ]
};

const fn v4(octets: [u8; 4], prefix_len: u8, class: AddressClass) -> Block {
    let [a, b, c, d] = octets;
    Block {
        net: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_len)),
        class,
    }
}

const fn v6(segments: [u16; 8], prefix_len: u8, class: AddressClass) -> Block {
    let [a, b, c, d, e, f, g, h] = segments;
    let address = Ipv6Addr::new(a, b, c, d, e, f, g, h);
    Block {
        net: IpNet::V6(Ipv6Net::new_assert(address, prefix_len)),
        class,
    }
}
