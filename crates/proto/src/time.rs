//! Timestamps of the wire (`google.protobuf.Timestamp`) and of the domain.

use jiff::Timestamp;

/// The first second of the year 1, with which protobuf's timestamps begin.
const SECONDS_MIN: i64 = -62_135_596_800;

/// Reads a timestamp; `None` if it is outside the years 1 to 9999 or malformed.
#[must_use]
pub fn timestamp_from_wire(wire: &prost_types::Timestamp) -> Option<Timestamp> {
    if !(0..1_000_000_000).contains(&wire.nanos) || wire.seconds < SECONDS_MIN {
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
    fn an_instant_before_the_first_year_or_with_a_bad_fraction_is_none() {
        let read = |seconds, nanos| timestamp_from_wire(&prost_types::Timestamp { seconds, nanos });
        assert!(read(SECONDS_MIN, 0).is_some());
        for (seconds, nanos) in [
            (SECONDS_MIN - 1, 999_999_999),
            (i64::MAX, 0),
            (0, -1),
            (0, 1_000_000_000),
        ] {
            assert_eq!(read(seconds, nanos), None, "{seconds} {nanos}");
        }
    }

    #[test]
    fn timestamps_go_there_and_back() {
        for text in [
            "0001-01-01T00:00:00Z",
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
