//! Names: what they resolve to decides whether they are called.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidings_core::address::AddressPolicy;
use tidings_egress::{EgressClient, EgressOptions, NameServers};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{End, OK_EMPTY, SHORT, Server, loopback, outcome, send};

/// What the name server says about a name.
#[derive(Clone)]
pub(crate) enum Zone {
    Records(Vec<Data>),
    ServerFailure,
    Silence,
}

#[derive(Clone)]
pub(crate) enum Data {
    Address(IpAddr),
    Alias(String),
}

type Zones = HashMap<String, Zone>;

pub(crate) fn addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Zone {
    Zone::Records(addresses.into_iter().map(Data::Address).collect())
}

fn alias(of: &str) -> Zone {
    Zone::Records(vec![Data::Alias(of.to_owned())])
}

/// A name server on UDP. It does not know the names that are not in its zones.
pub(crate) struct Dns {
    addr: SocketAddr,
    pub(crate) queries: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Dns {
    pub(crate) async fn start<Name: Into<String>>(
        zones: impl IntoIterator<Item = (Name, Zone)>,
    ) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let addr = socket.local_addr().expect("an address");
        let queries = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&queries);
        let zones: Zones = zones
            .into_iter()
            .map(|(name, zone)| (name.into(), zone))
            .collect();
        let task = tokio::spawn(async move {
            let mut query = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                counter.fetch_add(1, Ordering::SeqCst);
                if let Some(answer) = answer(&query[..length], &zones) {
                    socket.send_to(&answer, from).await.expect("sent");
                }
            }
        });
        Self {
            addr,
            queries,
            task,
        }
    }

    pub(crate) fn options(&self) -> EgressOptions {
        EgressOptions {
            name_servers: NameServers::Explicit(vec![self.addr]),
            dns_timeout: SHORT,
            ..loopback()
        }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// RFC 1035, section 4: as much of it as one question needs.
fn answer(query: &[u8], zones: &Zones) -> Option<Vec<u8>> {
    let (name, end) = read_name(&query[12..]);
    let question = &query[12..12 + end + 4];
    let kind = u16::from_be_bytes([question[end], question[end + 1]]);
    let code = match zones.get(&name) {
        None => 3,
        Some(Zone::ServerFailure) => 2,
        Some(Zone::Silence) => return None,
        Some(Zone::Records(_)) => 0,
    };
    let records = records(&name, kind, zones);
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1]);
    answer.extend(
        u16::try_from(records.len())
            .expect("few records")
            .to_be_bytes(),
    );
    answer.extend([0, 0, 0, 0]);
    answer.extend(question);
    answer.extend(records.concat());
    Some(answer)
}

/// The records of this kind, with the aliases that lead to them.
fn records(asked: &str, kind: u16, zones: &Zones) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut name = asked.to_owned();
    while let Some(Zone::Records(data)) = zones.get(&name) {
        // A pointer to the question saves the space that many addresses need.
        let owner = if name == asked {
            vec![0xc0, 12]
        } else {
            write_name(&name)
        };
        let mut next = None;
        for item in data {
            match (kind, item) {
                (1, Data::Address(IpAddr::V4(v4))) => records.push(record(&owner, 1, &v4.octets())),
                (28, Data::Address(IpAddr::V6(v6))) => {
                    records.push(record(&owner, 28, &v6.octets()));
                }
                (_, Data::Address(_)) => {}
                (_, Data::Alias(to)) => {
                    records.push(record(&owner, 5, &write_name(to)));
                    next = Some(to.clone());
                }
            }
        }
        match next {
            Some(next) if records.len() < 100 && next != asked => name = next,
            _ => break,
        }
    }
    records
}

fn read_name(bytes: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 0);
    while bytes[at] != 0 {
        let end = at + 1 + usize::from(bytes[at]);
        labels.push(String::from_utf8_lossy(&bytes[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), at + 1)
}

fn write_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn record(name: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = name.to_vec();
    bytes.extend([0, kind, 0, 1, 0, 0, 0, 60]);
    bytes.extend(u16::try_from(data.len()).expect("short data").to_be_bytes());
    bytes.extend(data);
    bytes
}

pub(crate) const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

#[tokio::test]
async fn a_name_is_resolved_and_called() {
    let dns = Dns::start([
        ("hook.example.test", addresses([LOCAL])),
        ("alias.example.test", alias("hook.example.test")),
    ])
    .await;
    let client = EgressClient::new(dns.options()).expect("a client");
    let server = Server::answering(OK_EMPTY, End::Keep).await;
    for host in [
        "hook.example.test",
        "HOOK.example.test.",
        "alias.example.test",
    ] {
        let url = format!("http://{host}:{}/", server.addr.port());
        let exchange = send(&client, &url).await;
        assert_eq!(outcome(&exchange), "200", "{host}: {:?}", exchange.result);
        assert_eq!(exchange.remote_addr, Some(server.addr));
        assert!(exchange.timings.dns.is_some());
    }
}

#[tokio::test]
async fn one_forbidden_address_blocks_the_name() {
    let v6_loopback = "::1".parse().expect("an address");
    let dns = Dns::start([
        ("private.example.test", addresses([PRIVATE])),
        ("mixed.example.test", addresses([LOCAL, PRIVATE])),
        ("mixed6.example.test", addresses([LOCAL, v6_loopback])),
        ("alias.example.test", alias("private.example.test")),
    ])
    .await;
    let client = EgressClient::new(dns.options()).expect("a client");
    let server = Server::answering(OK_EMPTY, End::Keep).await;
    for host in ["private", "mixed", "mixed6", "alias"] {
        let url = format!("http://{host}.example.test:{}/", server.addr.port());
        let exchange = send(&client, &url).await;
        assert_eq!(
            outcome(&exchange),
            "blocked",
            "{host}: {:?}",
            exchange.result
        );
        assert_eq!(exchange.remote_addr, None);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn localhost_is_blocked_unless_loopback_is_allowed() {
    let dns = Dns::start::<&str>([]).await;
    let options = EgressOptions {
        addresses: EgressOptions::default().addresses,
        ..dns.options()
    };
    let client = EgressClient::new(options).expect("a client");
    assert_eq!(
        outcome(&send(&client, "http://localhost:1/").await),
        "blocked"
    );
    assert_eq!(
        outcome(&send(&client, "http://a.localhost:1/").await),
        "blocked"
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_error() {
    let many = (0..65).map(|last| IpAddr::from([127, 0, 1, last]));
    let dns = Dns::start([
        ("empty.example.test", addresses([])),
        ("broken.example.test", Zone::ServerFailure),
        ("silent.example.test", Zone::Silence),
        ("many.example.test", addresses(many)),
    ])
    .await;
    let client = EgressClient::new(dns.options()).expect("a client");
    for (host, text) in [
        ("missing", "it does not exist"),
        ("empty", "it has no address"),
        ("broken", "the name servers report an error"),
        ("silent", "no answer in time"),
        ("many", "it has too many addresses"),
    ] {
        let began = Instant::now();
        let exchange = send(&client, &format!("http://{host}.example.test/")).await;
        assert_eq!(outcome(&exchange), "dns_error", "{host}");
        let failure = exchange.result.expect_err("no answer");
        assert_eq!(
            failure.to_string(),
            format!("the name could not be resolved: {text}")
        );
        assert!(!failure.is_ours());
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{host}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn an_answer_is_remembered() {
    let dns = Dns::start([("hook.example.test", addresses([LOCAL]))]).await;
    let client = EgressClient::new(dns.options()).expect("a client");
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let server = Server::answering(answer, End::Close).await;
    let url = format!("http://hook.example.test:{}/", server.addr.port());
    for _ in 0..5 {
        assert_eq!(outcome(&send(&client, &url).await), "200");
    }
    assert_eq!(server.connections(), 5);
    assert_eq!(dns.queries.load(Ordering::SeqCst), 2, "one A, one AAAA");
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let other = IpAddr::from([127, 0, 0, 9]);
    let dns = Dns::start([("hook.example.test", addresses([other, LOCAL]))]).await;
    let client = EgressClient::new(dns.options()).expect("a client");
    // It listens on 127.0.0.1 only.
    let server = Server::answering(OK_EMPTY, End::Keep).await;
    let url = format!("http://hook.example.test:{}/", server.addr.port());
    let exchange = send(&client, &url).await;
    assert_eq!(outcome(&exchange), "200", "{:?}", exchange.result);
    assert_eq!(exchange.remote_addr, Some(server.addr));
}

/// The zone of the corpus as it is at send time: the first of the answers that change are left out.
fn corpus_zones() -> Zones {
    let mut zones = Zones::new();
    for line in include_str!("../../../../tests/corpora/ssrf-zone.tsv")
        .lines()
        .skip(1)
    {
        let cells: Vec<_> = line.split('\t').collect();
        let (name, turn, kind, data) = (cells[0], cells[1], cells[2], cells[3]);
        if !matches!(turn, "*" | "2+" | "even") || name.starts_with('#') {
            continue;
        }
        let item = match kind {
            "A" | "AAAA" => Data::Address(data.parse().expect("an address")),
            "CNAME" => Data::Alias(data.trim_end_matches('.').to_owned()),
            "SERVFAIL" => {
                zones.insert(name.to_owned(), Zone::ServerFailure);
                continue;
            }
            "DROP" => {
                zones.insert(name.to_owned(), Zone::Silence);
                continue;
            }
            "NODATA" => {
                zones.insert(name.to_owned(), addresses([]));
                continue;
            }
            _ => continue,
        };
        match zones
            .entry(name.to_owned())
            .or_insert_with(|| addresses([]))
        {
            Zone::Records(records) => records.push(item),
            Zone::ServerFailure | Zone::Silence => {}
        }
    }
    zones
}

/// Whether the name leads to an address that is not allowed, to none at all, or to public ones.
fn expected(name: &str, zones: &Zones, policy: &AddressPolicy) -> Option<&'static str> {
    let mut name = name.to_owned();
    for _ in 0..8 {
        let Some(Zone::Records(data)) = zones.get(&name) else {
            return Some("dns_error");
        };
        match data.as_slice() {
            [] => return Some("dns_error"),
            [Data::Alias(to)] => name = to.clone(),
            data => {
                let is_denied = |item: &Data| matches!(item, Data::Address(address) if policy.check(*address).is_err());
                return data.iter().any(is_denied).then_some("blocked");
            }
        }
    }
    Some("dns_error")
}

#[tokio::test]
async fn no_name_of_the_corpus_leads_to_a_forbidden_address() {
    let zones = corpus_zones();
    let dns = Dns::start(zones.clone()).await;
    let addresses = AddressPolicy {
        // One of our own public addresses, says the zone.
        deny: vec!["203.0.112.77/32".parse().expect("a network")],
        ..AddressPolicy::default()
    };
    let options = EgressOptions {
        addresses,
        ..dns.options()
    };
    let policy = options.addresses.clone();
    let client = EgressClient::new(options).expect("a client");
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for name in zones.keys() {
        // What leads to public addresses is not called from here.
        let Some(expected) = expected(name, &zones, &policy) else {
            continue;
        };
        checked += 1;
        let exchange = send(&client, &format!("http://{name}/hook")).await;
        let seen = outcome(&exchange);
        if seen != expected || exchange.remote_addr.is_some() {
            wrong.push(format!("{name}: {seen} rather than {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 40, "only {checked} names");
}
