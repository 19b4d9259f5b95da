//! When an event was stored, on its way with each of its deliveries, so that a sender can tell how
//! long it took to the first attempt.

use async_nats::HeaderMap;
use jiff::Timestamp;

/// Milliseconds since 1970, by the broker's clock.
const EVENT_TIME: &str = "Tidings-Event-Time";

/// Puts the time into a delivery's headers.
pub fn write(stored_at: Timestamp, headers: &mut HeaderMap) {
    headers.insert(EVENT_TIME, stored_at.as_millisecond().to_string());
}

/// Takes the time from a delivery's headers; older deliveries have none.
#[must_use]
pub fn read(headers: Option<&HeaderMap>) -> Option<Timestamp> {
    let millisecond = headers?.get(EVENT_TIME)?.as_str().parse().ok()?;
    Timestamp::from_millisecond(millisecond).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_goes_through_headers() {
        let at: Timestamp = "2026-01-01T00:00:00.123Z".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(read(Some(&headers)), None);
        write(at, &mut headers);
        assert_eq!(read(Some(&headers)), Some(at));
        headers.insert(EVENT_TIME, "soon");
        assert_eq!(read(Some(&headers)), None);
    }
}
