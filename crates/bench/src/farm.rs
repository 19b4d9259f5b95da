//! The endpoints of many strangers: healthy, slow and hostile ones, each a host of its own.
//!
//! One process, one thread. What an endpoint does stands in its path, `/<behaviour>/<number>`. The
//! farm notes when each delivery was published (its event's number is that time) and when it came.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock::now_ns;
use crate::event::number_in;
use crate::sink::LISTENING;

/// Where [`Arrival`]s are answered.
pub(crate) const ARRIVALS_PATH: &str = "/arrivals";
/// Where [`Held`] is answered.
pub(crate) const HELD_PATH: &str = "/held";

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
const DRIP_INTERVAL: Duration = Duration::from_secs(1);
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// What a farm is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FarmArgs {
    /// How many hosts it has, all with the same port.
    #[arg(long)]
    pub(crate) hosts: u32,
    /// How long slow endpoints take, in milliseconds…
    #[arg(long, default_value_t = 1_000)]
    pub(crate) slow_ms: u64,
    /// …from when so many requests are held at once for the first time.
    #[arg(long, default_value_t = 0)]
    pub(crate) hold: u64,
}

/// What an endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behaviour {
    /// Answers 200 at once.
    Good,
    /// Answers 200 after a while.
    Slow,
    /// Never answers.
    Hang,
    /// Answers 500.
    Fail,
    /// Answers one byte a second.
    Drip,
}

impl Behaviour {
    pub(crate) fn path(self, number: u32) -> String {
        let name = match self {
            Self::Good => "good",
            Self::Slow => "slow",
            Self::Hang => "hang",
            Self::Fail => "fail",
            Self::Drip => "drip",
        };
        format!("/{name}/{number}")
    }

    fn of(path: &str) -> Option<(Self, u32)> {
        let (name, number) = path.strip_prefix('/')?.split_once('/')?;
        let behaviour = match name {
            "good" => Self::Good,
            "slow" => Self::Slow,
            "hang" => Self::Hang,
            "fail" => Self::Fail,
            "drip" => Self::Drip,
            _ => return None,
        };
        Some((behaviour, number.parse().ok()?))
    }
}

/// A request that came.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Arrival {
    pub(crate) behaviour: Behaviour,
    /// Which endpoint it is.
    pub(crate) number: u32,
    /// When the event was published, in nanoseconds since 1970.
    pub(crate) published_ns: u64,
    /// When the request was there.
    pub(crate) at_ns: u64,
}

/// How many requests slow endpoints hold.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Held {
    /// At once, at the most.
    pub(crate) peak: u64,
    /// In all, those that were answered included.
    pub(crate) all: u64,
}

/// The address of host `number`.
pub(crate) fn host(number: u32) -> Ipv4Addr {
    // 127.1.0.1 and following, none of which ends with 0 or 255.
    let (high, low) = (number / 250, number % 250);
    let [.., high_byte] = high.to_be_bytes();
    let [.., low_byte] = low.to_be_bytes();
    Ipv4Addr::new(127, 1, high_byte, low_byte + 1)
}

#[derive(Debug)]
struct Farm {
    arrivals: Mutex<Vec<Arrival>>,
    held: AtomicU64,
    held_peak: AtomicU64,
    held_all: AtomicU64,
    slow: Duration,
    hold: u64,
    is_full: watch::Sender<bool>,
}

/// Serves until the process is killed. Writes the address of its first host to standard output.
///
/// # Errors
/// Not all hosts can be listened at.
pub(crate) async fn run(args: FarmArgs) -> anyhow::Result<()> {
    let farm = Arc::new(Farm {
        arrivals: Mutex::default(),
        held: AtomicU64::new(0),
        held_peak: AtomicU64::new(0),
        held_all: AtomicU64::new(0),
        slow: Duration::from_millis(args.slow_ms),
        hold: args.hold,
        is_full: watch::Sender::new(args.hold == 0),
    });
    let first = TcpListener::bind((host(0), 0)).await?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for number in 1..args.hosts {
        let other = SocketAddr::from((host(number), address.port()));
        let listener = TcpListener::bind(other).await;
        listeners.push(listener.with_context(|| format!("cannot listen at {other}"))?);
    }
    println!("{LISTENING}http://{address}");
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        serving.spawn(accept(listener, Arc::clone(&farm)));
    }
    while serving.join_next().await.is_some() {}
    Ok(())
}

async fn accept(listener: TcpListener, farm: Arc<Farm>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let farm = Arc::clone(&farm);
        // One that breaks is the sender's business.
        connections.spawn(async move { drop(serve(stream, &farm).await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, farm: &Farm) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(2_048);
    while let Some(request) = next_request(&mut stream, &mut buffer).await? {
        let at_ns = now_ns();
        match Behaviour::of(&request.path) {
            Some((behaviour, number)) => {
                farm.note(behaviour, number, &request.body, at_ns);
                farm.behave(behaviour, &mut stream).await?;
            }
            None => stream.write_all(&farm.report(&request.path)).await?,
        }
    }
    Ok(())
}

impl Farm {
    fn note(&self, behaviour: Behaviour, number: u32, body: &[u8], at_ns: u64) {
        let arrival = Arrival {
            behaviour,
            number,
            published_ns: number_in(body).unwrap_or(0),
            at_ns,
        };
        let arrivals = self.arrivals.lock();
        arrivals
            .unwrap_or_else(PoisonError::into_inner)
            .push(arrival);
    }

    async fn behave(&self, behaviour: Behaviour, stream: &mut TcpStream) -> std::io::Result<()> {
        match behaviour {
            Behaviour::Good => stream.write_all(OK).await,
            Behaviour::Fail => stream.write_all(FAILED).await,
            Behaviour::Slow => {
                self.hold().await;
                stream.write_all(OK).await
            }
            Behaviour::Hang => {
                // Until the sender has had enough.
                stream.read(&mut [0]).await.map(drop)
            }
            Behaviour::Drip => {
                for byte in OK {
                    stream.write_all(&[*byte]).await?;
                    sleep(DRIP_INTERVAL).await;
                }
                Ok(())
            }
        }
    }

    async fn hold(&self) {
        let held = self.held.fetch_add(1, Ordering::Relaxed) + 1;
        self.held_peak.fetch_max(held, Ordering::Relaxed);
        self.held_all.fetch_add(1, Ordering::Relaxed);
        if held >= self.hold {
            self.is_full.send_replace(true);
        }
        let mut is_full = self.is_full.subscribe();
        // It never fails: the farm has the sender.
        let _ = is_full.wait_for(|is_full| *is_full).await;
        sleep(self.slow).await;
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    fn report(&self, path: &str) -> Vec<u8> {
        let body = match path {
            ARRIVALS_PATH => {
                let arrivals = self.arrivals.lock();
                serde_json::to_vec(&*arrivals.unwrap_or_else(PoisonError::into_inner))
            }
            HELD_PATH => serde_json::to_vec(&Held {
                peak: self.held_peak.load(Ordering::Relaxed),
                all: self.held_all.load(Ordering::Relaxed),
            }),
            _ => Ok(Vec::new()),
        };
        let body = body.expect("numbers can be written");
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend(body);
        answer
    }
}

struct Request {
    path: String,
    body: Vec<u8>,
}

/// Reads one request, of the two forms that senders and measurements make: without a body, or with
/// one of a length that is told.
async fn next_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<Request>> {
    loop {
        if let Some((request, length)) = parse(buffer) {
            buffer.drain(..length);
            return Ok(Some(request));
        }
        if buffer.len() > REQUEST_BYTES_MAX || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse(buffer: &[u8]) -> Option<(Request, usize)> {
    let head_length = buffer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&buffer[..head_length]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    });
    let end = head_length + length.unwrap_or(0);
    let body = buffer.get(head_length..end)?.to_vec();
    let path = head.split(' ').nth(1)?.to_owned();
    Some((Request { path, body }, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_an_address_of_its_own() {
        let all: std::collections::BTreeSet<_> = (0..1_000).map(host).collect();
        assert_eq!(all.len(), 1_000);
        assert!(all.iter().all(Ipv4Addr::is_loopback));
    }

    #[test]
    fn a_request_is_read_once_it_is_whole() {
        let whole = b"POST /slow/7 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET";
        let (request, length) = parse(whole).unwrap();
        assert_eq!(
            (request.body.as_slice(), length),
            (&b"hi"[..], whole.len() - 3)
        );
        assert_eq!(Behaviour::of(&request.path), Some((Behaviour::Slow, 7)));
        assert!(parse(&whole[..whole.len() - 4]).is_none());
    }

    #[test]
    fn a_path_names_its_behaviour() {
        for behaviour in [
            Behaviour::Good,
            Behaviour::Hang,
            Behaviour::Fail,
            Behaviour::Drip,
        ] {
            assert_eq!(Behaviour::of(&behaviour.path(3)), Some((behaviour, 3)));
        }
        assert_eq!(Behaviour::of(HELD_PATH), None);
    }
}
