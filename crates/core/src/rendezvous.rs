//! Which sender works which partition (DESIGN.md section 6): rendezvous hashing over those alive.
//!
//! Every sender computes the same answer from the same members, without asking anybody. When a
//! member comes or goes, only the partitions that it wins or held move.

use sha2::{Digest as _, Sha256};

/// The partitions among `0..partitions` that `own` wins against the other `members`. A member that
/// is not listed wins nothing.
#[must_use]
pub fn partitions_of(own: &str, members: &[String], partitions: u16) -> Vec<u16> {
    (0..partitions)
        .filter(|&partition| winner(partition, members) == Some(own))
        .collect()
}

/// The member that works `partition`.
#[must_use]
pub fn winner(partition: u16, members: &[String]) -> Option<&str> {
    members
        .iter()
        .map(String::as_str)
        .max_by_key(|member| (score(partition, member), *member))
}

fn score(partition: u16, member: &str) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(partition.to_be_bytes());
    hash.update(member);
    let digest = hash.finalize();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(count: usize) -> Vec<String> {
        (0..count)
            .map(|number| format!("sender-{number}"))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_partition_has_exactly_one_worker(count in 1_usize..20, partitions in 1_u16..64) {
            let members = members(count);
            let mut worked: Vec<u16> = members
                .iter()
                .flat_map(|member| partitions_of(member, &members, partitions))
                .collect();
            worked.sort_unstable();
            prop_assert_eq!(worked, (0..partitions).collect::<Vec<_>>());
        }

        #[test]
        fn a_newcomer_takes_partitions_only_for_itself(count in 1_usize..20) {
            let (before, after) = (members(count), members(count + 1));
            for partition in 0..64 {
                let (old, new) = (winner(partition, &before), winner(partition, &after));
                prop_assert!(old == new || new == Some(after[count].as_str()));
            }
        }
    }

    #[test]
    fn nobody_works_where_nobody_lives() {
        assert_eq!(winner(0, &[]), None);
        assert!(partitions_of("stranger", &members(2), 16).is_empty());
    }
}
