//! Which addresses an endpoint may have: only globally reachable unicast, unless the operator says
//! otherwise.
//!
//! The rule is one pure function, [`AddressPolicy::check`]. It is asked about address literals when
//! a webhook is saved, about every resolved address before a connection, and about the peer after
//! it. Source: the IANA IPv4 and IPv6 special-purpose address registries, and CONTRACT.md section 6.
//!
//! Order of the rule, for one address:
//! 1. a network in [`AddressPolicy::deny`] contains it: denied, whatever else is said;
//! 2. it lies in a special block, or outside `2000::/3`: denied, unless a network in
//!    [`AddressPolicy::allow`] opens it;
//! 3. it carries an IPv4 address (mapped, NAT64, 6to4, Teredo, ISATAP, …): that address has to pass
//!    this same rule.
//!
//! Which allowed network opens a special block: any that contains the address, with two exceptions.
//! A **link-local** or **metadata** block opens only for a network that lies wholly inside that
//! block, so that neither `0.0.0.0/0`, `100.64.0.0/10`, `169.254.0.0/16` nor `fd00::/8` gives away
//! a cloud's credentials by accident; who needs `169.254.169.254` names it. A block that **carries
//! IPv4** opens only for a network of `/96` or longer (`64:ff9b::/96` for NAT64), because only then
//! the last 32 bits are the address that will be reached.
//!
//! A NAT64 prefix of the operator's own inside `2000::/3` cannot be recognised here; it belongs in
//! the deny list.

mod blocks;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use blocks::{Block, special_block};

/// The operator's exceptions to "only public addresses". The default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Networks that may be called although they are not public (`--egress-allow`).
    pub allow: Vec<IpNet>,
    /// Networks that may never be called (`--egress-deny`), our own public addresses among them.
    /// Stronger than `allow`.
    pub deny: Vec<IpNet>,
}

impl AddressPolicy {
    /// Says whether an endpoint may have the address `ip`.
    ///
    /// # Errors
    /// The class of the address when it may not be called.
    pub fn check(&self, ip: IpAddr) -> Result<(), AddressError> {
        if self.deny.iter().any(|net| net.contains(&ip)) {
            return Err(AddressError {
                address: ip,
                class: AddressClass::OperatorDenied,
            });
        }
        if let Some(block) = special_block(ip)
            && !self.opens(block, ip)
        {
            return Err(AddressError {
                address: ip,
                class: block.class,
            });
        }
        for carried in carried_ipv4(ip).into_iter().flatten() {
            self.check(IpAddr::V4(carried)).map_err(|_| AddressError {
                address: ip,
                class: AddressClass::EmbeddedIpv4,
            })?;
        }
        Ok(())
    }

    fn opens(&self, block: Block, ip: IpAddr) -> bool {
        self.allow
            .iter()
            .filter(|net| net.contains(&ip))
            .any(|net| match block.class {
                AddressClass::LinkLocal | AddressClass::Metadata => block.net.contains(net),
                AddressClass::EmbeddedIpv4 => net.prefix_len() >= 96,
                _ => true,
            })
    }
}

/// An address that may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {class}")]
pub struct AddressError {
    /// The address that was asked about.
    pub address: IpAddr,
    /// Why it is denied.
    pub class: AddressClass,
}

impl AddressError {
    /// The class as a stable word, such as `link_local`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.class.code()
    }
}

/// Why an address is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// `0.0.0.0/8`, `::`. Linux connects these to loopback.
    Unspecified,
    /// RFC 1918, unique local `fc00::/7`, site-local `fec0::/10`.
    Private,
    /// Carrier-grade NAT, `100.64.0.0/10`.
    Shared,
    /// `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// Where clouds serve credentials to their machines.
    Metadata,
    /// `224.0.0.0/4`, `ff00::/8`.
    Multicast,
    /// Networks for examples in documents.
    Documentation,
    /// `198.18.0.0/15`.
    Benchmarking,
    /// Protocol assignments, deprecated and unallocated ranges.
    Reserved,
    /// An IPv6 address that carries an IPv4 address.
    EmbeddedIpv4,
    /// In the operator's deny list.
    OperatorDenied,
}

impl AddressClass {
    /// A stable word for metrics, audit lines and problem details.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Unspecified => "unspecified",
            Self::Private => "private",
            Self::Shared => "shared",
            Self::LinkLocal => "link_local",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Reserved => "reserved",
            Self::EmbeddedIpv4 => "embedded_ipv4",
            Self::OperatorDenied => "operator_denied",
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Unspecified => "an unspecified address",
            Self::Private => "a private address",
            Self::Shared => "a carrier-grade NAT address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata address",
            Self::Multicast => "a multicast address",
            Self::Documentation => "a documentation address",
            Self::Benchmarking => "a benchmarking address",
            Self::Reserved => "a reserved address",
            Self::EmbeddedIpv4 => "an IPv6 form of an IPv4 address",
            Self::OperatorDenied => "an address the operator denies",
        })
    }
}

/// The IPv4 addresses that a packet to `ip` may end at: none for most, two for Teredo (its server
/// and its client).
fn carried_ipv4(ip: IpAddr) -> [Option<Ipv4Addr>; 2] {
    let IpAddr::V6(ip) = ip else {
        return [None, None];
    };
    let segments = ip.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => [Some(join(high, low)), None],
        // ISATAP (RFC 5214): the interface id is 0000:5efe or, with the universal bit, 0200:5efe.
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => [Some(join(high, low)), None],
        [0x2002, high, low, ..] => [Some(join(high, low)), None],
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            [Some(join(high, low)), Some(join(!client_high, !client_low))]
        }
        _ => [None, None],
    }
}

fn join(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> AddressPolicy {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        AddressPolicy {
            allow: nets(allow),
            deny: nets(deny),
        }
    }

    fn code(policy: &AddressPolicy, ip: &str) -> &'static str {
        policy
            .check(ip.parse().unwrap())
            .map_or_else(|error| error.code(), |()| "public")
    }

    #[test]
    fn every_class_is_told_by_its_stable_code() {
        let policy = AddressPolicy::default();
        for (ip, expected) in [
            ("127.0.0.1", "loopback"),
            ("::1", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("::", "unspecified"),
            ("10.1.2.3", "private"),
            ("172.31.0.1", "private"),
            ("fd12::1", "private"),
            ("fec0::1", "private"),
            ("100.64.0.1", "shared"),
            ("169.254.1.1", "link_local"),
            ("fe80::1", "link_local"),
            ("169.254.169.254", "metadata"),
            ("168.63.129.16", "metadata"),
            ("100.100.100.200", "metadata"),
            ("fd00:ec2::254", "metadata"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("192.0.2.1", "documentation"),
            ("2001:db8::1", "documentation"),
            ("198.19.0.1", "benchmarking"),
            ("255.255.255.255", "reserved"),
            ("192.88.99.1", "reserved"),
            ("100::1", "reserved"),
            ("5f00::1", "reserved"),
            ("c000::1", "reserved"),
            ("::ffff:8.8.8.8", "embedded_ipv4"),
            ("64:ff9b::808:808", "embedded_ipv4"),
            ("2002:808:808::1", "embedded_ipv4"),
            ("2606:4700::200:5efe:10.0.0.1", "embedded_ipv4"),
            ("2606:4700::200:5efe:8.8.8.8", "public"),
            ("8.8.8.8", "public"),
            ("2606:4700::1", "public"),
        ] {
            assert_eq!(code(&policy, ip), expected, "{ip}");
        }
    }

    #[test]
    fn the_text_names_the_address_and_its_class() {
        let error = AddressPolicy::default()
            .check("10.0.0.1".parse().unwrap())
            .unwrap_err();
        assert_eq!(error.to_string(), "10.0.0.1 is a private address");
    }

    #[test]
    fn the_operator_opens_own_networks_and_only_those() {
        let policy = policy(&["10.1.0.0/16", "127.0.0.0/8", "::1/128"], &["10.1.9.0/24"]);
        for (ip, expected) in [
            ("10.1.2.3", "public"),
            ("127.0.0.1", "public"),
            ("::1", "public"),
            ("10.2.0.1", "private"),
            ("0.0.0.0", "unspecified"),
            ("::ffff:127.0.0.1", "embedded_ipv4"),
            ("10.1.9.9", "operator_denied"),
        ] {
            assert_eq!(code(&policy, ip), expected, "{ip}");
        }
    }

    #[test]
    fn deny_is_stronger_than_public_and_than_allow_in_every_form() {
        let policy = policy(
            &["64:ff9b::/96", "8.8.0.0/16"],
            &["8.8.8.8/32", "2606:4700::/32"],
        );
        for (ip, expected) in [
            ("8.8.8.8", "operator_denied"),
            ("2606:4700::1", "operator_denied"),
            ("64:ff9b::8.8.8.8", "embedded_ipv4"),
            ("2a00::5efe:8.8.8.8", "embedded_ipv4"),
            ("64:ff9b::8.8.4.4", "public"),
        ] {
            assert_eq!(code(&policy, ip), expected, "{ip}");
        }
    }

    #[test]
    fn metadata_and_link_local_open_only_for_a_network_inside_their_block() {
        for (allow, ip, expected) in [
            ("0.0.0.0/0", "169.254.169.254", "metadata"),
            ("0.0.0.0/0", "169.254.1.1", "link_local"),
            ("0.0.0.0/0", "10.0.0.1", "public"),
            ("168.0.0.0/6", "169.254.1.1", "link_local"),
            ("169.254.0.0/16", "169.254.1.1", "public"),
            ("169.254.0.0/16", "169.254.169.254", "metadata"),
            ("169.254.169.254/32", "169.254.169.254", "public"),
            ("100.64.0.0/10", "100.100.100.200", "metadata"),
            ("100.64.0.0/10", "100.100.100.201", "public"),
            ("fd00::/8", "fd00:ec2::254", "metadata"),
            ("fd00::/8", "fd01::1", "public"),
            ("::/0", "fe80::1", "link_local"),
            ("fe80::/10", "fe80::1", "public"),
            ("fe80::/10", "fe80::a9fe:a9fe", "metadata"),
        ] {
            assert_eq!(
                code(&policy(&[allow], &[]), ip),
                expected,
                "{ip} with {allow}"
            );
        }
    }

    #[test]
    fn a_declared_nat64_prefix_passes_only_what_its_ipv4_address_may() {
        for (allow, ip, expected) in [
            ("64:ff9b::/96", "64:ff9b::8.8.8.8", "public"),
            ("64:ff9b::/96", "64:ff9b::10.0.0.1", "embedded_ipv4"),
            ("64:ff9b::/96", "64:ff9b::169.254.169.254", "embedded_ipv4"),
            ("64:ff9b:1::/96", "64:ff9b:1::8.8.8.8", "public"),
            ("64:ff9b:1::/96", "64:ff9b:1::127.0.0.1", "embedded_ipv4"),
            // RFC 6052 has other layouts for shorter prefixes; they cannot be told apart.
            ("64:ff9b:1::/48", "64:ff9b:1::8.8.8.8", "embedded_ipv4"),
            ("2000::/3", "2001:0:808:808::1", "embedded_ipv4"),
        ] {
            assert_eq!(
                code(&policy(&[allow], &[]), ip),
                expected,
                "{ip} with {allow}"
            );
        }
    }
}
