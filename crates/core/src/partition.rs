//! Which partition of its pool a webhook's deliveries go to (DESIGN.md section 6).

use crate::id::WebhookId;

/// How many partitions a pool has unless provisioned otherwise.
pub const PARTITIONS_DEFAULT: u16 = 16;

/// What decides about a webhook's partition, however many there are.
///
/// FNV-1a of its id, 64 bits: it must never change between versions, because deliveries that wait
/// carry their partition in their subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u64);

impl Slot {
    /// That of a webhook.
    #[must_use]
    pub fn of(webhook: &WebhookId) -> Self {
        let bytes = webhook.as_str().bytes();
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    /// The partition it belongs to, among so many.
    #[must_use]
    pub fn among(self, partitions: u16) -> u16 {
        let partition = self.0 % u64::from(partitions.max(1));
        u16::try_from(partition).expect("the remainder of a u16 is a u16")
    }
}

/// The partition of `webhook` among `partitions`.
#[must_use]
pub fn partition_of(webhook: &WebhookId, partitions: u16) -> u16 {
    Slot::of(webhook).among(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_never_change_and_are_even() {
        let of = |id: &str| partition_of(&id.parse().unwrap(), 16);
        assert_eq!(
            (of("wh_1"), of("wh_2"), of("wh_a")),
            (of("wh_1"), of("wh_2"), of("wh_a"))
        );
        let mut counts = [0; 16];
        for number in 0..16_000 {
            counts[usize::from(of(&format!("wh_{number}")))] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1_200).contains(count)),
            "{counts:?}"
        );
    }
}
