//! Which partition of its pool a webhook's deliveries go to (DESIGN.md section 6).

use crate::id::WebhookId;

/// How many partitions a pool has unless provisioned otherwise.
pub const PARTITIONS_DEFAULT: u16 = 16;

/// The partition of `webhook` among `partitions`.
///
/// FNV-1a, 64 bits: it must never change between versions, because deliveries that wait carry
/// their partition in their subject.
#[must_use]
pub fn partition_of(webhook: &WebhookId, partitions: u16) -> u16 {
    let hash = webhook
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    u16::try_from(hash % u64::from(partitions.max(1))).expect("the remainder of a u16 is a u16")
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
