//! Reading bodies within bounds: of each one's size, of its time, and of all bytes held at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use tidings_service::problem::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::unavailable;

/// Bytes are counted in blocks of this size, so that a permit count fits 32 bits.
const BLOCK_BYTES: usize = 1_024;

/// Reads bodies. All that are read at the same time share one bound.
#[derive(Debug)]
pub(super) struct Bodies {
    blocks: Arc<Semaphore>,
    timeout: Duration,
}

/// A body in memory. What it takes is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _blocks: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// At most `bytes_max` are held at once, and a body must be there within `timeout`.
    pub(super) fn new(bytes_max: usize, timeout: Duration) -> Self {
        let blocks = Arc::new(Semaphore::new((bytes_max / BLOCK_BYTES).max(1)));
        Self { blocks, timeout }
    }

    /// Reads a body of at most `bytes_max`.
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        bytes_max: usize,
    ) -> Result<Held, Problem> {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|bytes: u64| bytes > bytes_max as u64) {
            return Err(too_large(bytes_max));
        }
        // The deadline is for the whole body, so that a drop now and then does not extend it.
        match tokio::time::timeout(self.timeout, self.read_to_end(body, bytes_max)).await {
            Ok(held) => held,
            Err(_) => {
                let detail = format!("the body was not there within {:?}", self.timeout);
                Err(Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "body_timeout",
                    detail,
                ))
            }
        }
    }

    async fn read_to_end(&self, mut body: Body, bytes_max: usize) -> Result<Held, Problem> {
        let mut bytes = BytesMut::new();
        let mut blocks: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > bytes_max {
                return Err(too_large(bytes_max));
            }
            self.hold(&mut blocks, bytes.len() + data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(Held {
            bytes: bytes.freeze(),
            _blocks: blocks,
        })
    }

    /// Takes what is missing for holding `bytes` in all.
    fn hold(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Problem> {
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(BLOCK_BYTES).saturating_sub(has);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.blocks).try_acquire_many_owned(more) else {
            let detail = "too much is being received at once; try again";
            return Err(unavailable("overloaded", detail, Duration::from_secs(1)));
        };
        match held {
            Some(held) => held.merge(permit),
            None => *held = Some(permit),
        }
        Ok(())
    }
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body is larger than {bytes_max} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

fn broken(error: &axum::Error) -> Problem {
    let detail = format!("the body broke off: {error}");
    Problem::new(StatusCode::BAD_REQUEST, "broken_body", detail)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn chunks(count: usize) -> Body {
        let chunks = (0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1_000])));
        Body::from_stream(stream::iter(chunks))
    }

    fn bodies() -> Bodies {
        Bodies::new(10 * BLOCK_BYTES, Duration::from_secs(10))
    }

    async fn code(bodies: &Bodies, body: Body, bytes_max: usize) -> String {
        let read = bodies.read(&HeaderMap::new(), body, bytes_max).await;
        read.map_or_else(
            |problem| problem.code.to_owned(),
            |held| held.bytes.len().to_string(),
        )
    }

    #[tokio::test]
    async fn a_body_is_cut_at_its_limit_without_knowing_its_length() {
        assert_eq!(code(&bodies(), chunks(5), 5_000).await, "5000");
        assert_eq!(code(&bodies(), chunks(6), 5_000).await, "too_large");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, "5001".parse().unwrap());
        let read = bodies().read(&headers, chunks(1), 5_000).await;
        assert_eq!(read.unwrap_err().code, "too_large");
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded_and_free_their_share() {
        let bodies = bodies();
        let none = HeaderMap::new();
        let held = bodies.read(&none, chunks(6), 8_000).await.unwrap();
        assert_eq!(code(&bodies, chunks(6), 8_000).await, "overloaded");
        drop(held);
        assert_eq!(code(&bodies, chunks(6), 8_000).await, "6000");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_in_time_is_given_up() {
        let dripping = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        let body = Body::from_stream(Box::pin(dripping));
        assert_eq!(code(&bodies(), body, 5_000).await, "body_timeout");
    }
}
