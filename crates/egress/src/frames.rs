//! Counts HTTP/2 frames in a stream of bytes, without looking into them.

/// Where in the frames the bytes read so far have ended (RFC 9113, section 4.1).
#[derive(Debug, Default)]
pub(crate) struct FrameMeter {
    /// How many of the nine bytes of a frame header have come.
    header_bytes: u8,
    /// The length field of that header, as far as it has come.
    payload_bytes: u32,
    /// How much payload is still to come before the next header.
    payload_left: u32,
}

impl FrameMeter {
    const HEADER_BYTES: u8 = 9;
    const LENGTH_BYTES: u8 = 3;

    /// Takes the next bytes and returns how many frames began in them.
    pub(crate) fn count(&mut self, mut bytes: &[u8]) -> u32 {
        let mut frames = 0;
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let skipped = bytes.len().min(self.payload_left as usize);
                self.payload_left -= u32::try_from(skipped).unwrap_or(self.payload_left);
                bytes = &bytes[skipped..];
                continue;
            }
            if self.header_bytes < Self::LENGTH_BYTES {
                self.payload_bytes = self.payload_bytes << 8 | u32::from(byte);
            }
            self.header_bytes += 1;
            bytes = rest;
            if self.header_bytes == Self::HEADER_BYTES {
                frames += 1;
                *self = Self {
                    payload_left: self.payload_bytes,
                    ..Self::default()
                };
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::FrameMeter;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([1, 4, 0, 0, 0, 1]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn frames_are_counted_however_the_bytes_are_cut() {
        let bytes = [frame(b""), frame(&[0; 300]), frame(b"abc"), frame(b"")].concat();
        for piece in 1..bytes.len() {
            let mut meter = FrameMeter::default();
            let frames: u32 = bytes.chunks(piece).map(|chunk| meter.count(chunk)).sum();
            assert_eq!(frames, 4, "in pieces of {piece}");
        }
    }
}
