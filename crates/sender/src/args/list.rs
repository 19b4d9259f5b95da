//! Lists with commas, as one option's value. Empty text is an empty list: an explicit "none".

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// Items with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

/// An item that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{item:?}: {detail}")]
pub struct ListError {
    item: String,
    detail: String,
}

/// A network such as `10.0.0.0/8`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

/// Where a name server listens; at port 53 unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

impl<T: FromStr<Err: fmt::Display>> FromStr for List<T> {
    type Err = ListError;

    fn from_str(text: &str) -> Result<Self, ListError> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        let read = |item: &str| {
            item.parse().map_err(|error: T::Err| ListError {
                item: item.to_owned(),
                detail: error.to_string(),
            })
        };
        items.map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Network {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self(IpNet::from(address))),
            Err(_) => text.parse().map(Self),
        }
    }
}

impl FromStr for NameServer {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self(SocketAddr::new(address, 53))),
            Err(_) => text.parse().map(Self),
        }
    }
}
