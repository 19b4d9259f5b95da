//! One message, one acknowledgement.

use async_nats::{Client, Request, RequestErrorKind};
use serde::Deserialize;

use super::{MESSAGE_ID, Outgoing, PublishError, Stored};
use crate::connect::ACK_TIMEOUT;

/// The account's, the server's and the stream's limits of memory and disk.
const NO_SPACE: [u64; 5] = [10_002, 10_023, 10_028, 10_047, 10_077];
/// The same message is being stored right now, as another copy of it.
const IN_PROCESS: u64 = 10_158;
const MESSAGE_TOO_LARGE: u64 = 10_054;

/// The broker's answer to a published message (`io.nats.jetstream.api.v1.pub_ack_response`).
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<AnswerError>,
}

#[derive(Debug, Deserialize)]
struct AnswerError {
    code: u16,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Answer {
    pub(super) fn into_result(self, bytes: usize) -> Result<Stored, PublishError> {
        let Some(error) = self.error else {
            return Ok(Stored {
                sequence: self.seq,
                duplicate: self.duplicate,
            });
        };
        Err(match (error.err_code, error.code) {
            (MESSAGE_TOO_LARGE, _) => PublishError::TooLarge { bytes },
            (code, _) if NO_SPACE.contains(&code) => PublishError::Full {
                detail: error.description,
            },
            (IN_PROCESS, _) | (_, 503) => PublishError::Unavailable {
                detail: error.description,
            },
            (code, _) => PublishError::Refused {
                code,
                detail: error.description,
            },
        })
    }
}

pub(super) async fn publish(client: &Client, message: Outgoing) -> Result<Stored, PublishError> {
    let mut headers = message.headers;
    headers.insert(MESSAGE_ID, message.id.as_str());
    let request = Request::new()
        .headers(headers)
        .payload(message.payload.clone());
    ask(client, message.subject, request, message.payload.len())
        .await?
        .into_result(message.payload.len())
}

/// Sends a request and reads the broker's acknowledgement.
pub(super) async fn ask(
    client: &Client,
    subject: String,
    request: Request,
    bytes: usize,
) -> Result<Answer, PublishError> {
    let unavailable = |detail: String| PublishError::Unavailable { detail };
    let request = request.timeout(Some(ACK_TIMEOUT));
    // The client waits without limit for room in its own queue while it is disconnected.
    let answer = tokio::time::timeout(ACK_TIMEOUT * 2, client.send_request(subject, request));
    let answer = match answer.await {
        Err(_) => return Err(unavailable(String::from("not connected"))),
        Ok(Err(error)) => {
            return Err(match error.kind() {
                RequestErrorKind::MaxPayloadExceeded => PublishError::TooLarge { bytes },
                _ => unavailable(error.to_string()),
            });
        }
        Ok(Ok(answer)) => answer,
    };
    serde_json::from_slice(&answer.payload)
        .map_err(|error| unavailable(format!("the acknowledgement cannot be read: {error}")))
}
