//! What the errors of the HTTP libraries mean.

use std::error::Error;
use std::io;

use h2::Reason;
use hyper_util::client::legacy;

use crate::connector::ConnectError;
use crate::dial;
use crate::failure::{Failure, Http2Failure, OurFailure, UrlFault};
use crate::wire::{self, ConnectionInfo};

/// What `error` means, on `connection` if it came that far.
pub(crate) fn failure_of(error: &legacy::Error, connection: Option<&ConnectionInfo>) -> Failure {
    if let Some(connect) = first_cause::<ConnectError>(error) {
        return connect.failure.clone();
    }
    if let Some(http2) = first_cause::<h2::Error>(error)
        && !http2.is_io()
    {
        return Failure::Http2(failure_of_http2(http2));
    }
    if let Some(breakage) = connection.and_then(ConnectionInfo::breakage) {
        return breakage.failure();
    }
    if let Some(io) = first_cause::<io::Error>(error) {
        return failure_of_io(io);
    }
    match last_cause::<hyper::Error>(error) {
        Some(http) => failure_of_http1(http),
        None if error.source().is_none() => Failure::InvalidUrl(UrlFault::Scheme),
        None => Failure::ConnectionClosed,
    }
}

/// Whether the library gave the request up before it sent any of it.
pub(crate) fn is_unsent(error: &legacy::Error) -> bool {
    first_cause::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled)
}

fn failure_of_http1(error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        return Failure::HeadTooLarge;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Failure::ConnectionClosed;
    }
    // Its Display is one of a list of phrases, without anything of what was read.
    Failure::InvalidResponse(error.to_string())
}

fn failure_of_http2(error: &h2::Error) -> Http2Failure {
    let reason = error.reason();
    match (error.is_remote(), error.is_go_away()) {
        (true, true) if reason == Some(Reason::NO_ERROR) => Http2Failure::GoingAway,
        (true, true) => Http2Failure::GoAwayError,
        (true, false) if reason == Some(Reason::REFUSED_STREAM) => Http2Failure::Refused,
        (true, false) => Http2Failure::Reset,
        (false, _) if reason == Some(Reason::ENHANCE_YOUR_CALM) => Http2Failure::Flood,
        (false, _) => Http2Failure::Protocol,
    }
}

fn failure_of_io(error: &io::Error) -> Failure {
    match error.kind() {
        _ if dial::is_out_of_resources(error) => Failure::Ours(OurFailure::Resources),
        kind if wire::is_reset(kind) => Failure::ConnectionReset,
        _ => Failure::ConnectionClosed,
    }
}

/// The outermost error of type `E` in the chain.
pub(crate) fn first_cause<'a, E: Error + 'static>(
    error: &'a (dyn Error + 'static),
) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The innermost error of type `E` in the chain.
fn last_cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).filter_map(|error| error.downcast_ref()).last()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
