//! Timestamps of the wire (`google.protobuf.Timestamp`) and of the domain.

use jiff::Timestamp;

/// Reads a timestamp; `None` if it is outside the years -9999 to 9999 or malformed.
#[must_use]
pub fn timestamp_from_wire(wire: &prost_types::Timestamp) -> Option<Timestamp> {
    if !(0..1_000_000_000).contains(&wire.nanos) {
        return None;
    }
    Timestamp::new(wire.seconds, wire.nanos).ok()
}

/// Writes a timestamp.
#[must_use]
pub fn timestamp_to_wire(timestamp: Timestamp) -> prost_types::Timestamp {
    let (mut seconds, mut nanos) = (timestamp.as_second(), timestamp.subsec_nanosecond());
    // jiff counts fractions towards zero, protobuf always forward.
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    prost_types::Timestamp { seconds, nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_go_there_and_back() {
        for text in [
            "1969-12-31T23:59:59.75Z",
            "1970-01-01T00:00:00Z",
            "2026-11-22T10:00:00.123456789Z",
        ] {
            let timestamp: Timestamp = text.parse().unwrap();
            assert_eq!(
                timestamp_from_wire(&timestamp_to_wire(timestamp)),
                Some(timestamp)
            );
        }
        let broken = prost_types::Timestamp {
            seconds: 0,
            nanos: -1,
        };
        assert_eq!(timestamp_from_wire(&broken), None);
    }
}
