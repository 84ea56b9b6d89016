//! A master boot record with one partition, an EFI System Partition.

use super::disk::DISK_SECTOR;

/// The type of an EFI System Partition in a master boot record (UEFI specification 2.10, 5.2.2).
const ESP: u8 = 0xef;

/// The first sector of a disk whose only partition has `len` bytes from `start`. `code` is at most 440
/// bytes. The partition is marked active: some BIOSes start from no disk without one.
pub(crate) fn sector(code: &[u8], signature: u32, start: u64, len: u64) -> [u8; 512] {
    let mut sector = [0; 512];
    sector[..code.len()].copy_from_slice(code);
    sector[440..444].copy_from_slice(&signature.to_le_bytes());
    let first = start / DISK_SECTOR;
    let count = len / DISK_SECTOR;
    let entry = &mut sector[446..462];
    entry[0] = 0x80;
    entry[1..4].copy_from_slice(&chs(first));
    entry[4] = ESP;
    entry[5..8].copy_from_slice(&chs(first + count - 1));
    entry[8..12].copy_from_slice(&first.to_le_bytes()[..4]);
    entry[12..].copy_from_slice(&count.to_le_bytes()[..4]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// A sector's address by cylinder, head and sector, for 255 heads of 63 sectors.
#[allow(clippy::cast_possible_truncation, reason = "masked to its bits")]
fn chs(lba: u64) -> [u8; 3] {
    let (cylinder, head, sector) = (lba / (255 * 63), lba / 63 % 255, lba % 63 + 1);
    if cylinder > 1023 {
        return [254, 255, 255];
    }
    [
        head as u8,
        (sector as u8) | ((cylinder >> 2) as u8 & 0xc0),
        cylinder as u8,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_partition_tools_write() {
        assert_eq!(chs(0), [0, 1, 0]);
        assert_eq!(chs(2048), [32, 33, 0]);
        assert_eq!(chs(20_479), [70, 5, 1]);
        assert_eq!(chs(u64::MAX / 2), [254, 255, 255]);
    }

    #[test]
    fn the_partition_is_where_it_was_said_to_be() {
        let sector = sector(&[7; 440], 0x0102_0304, 1 << 20, 1 << 20);
        assert_eq!(sector[439], 7);
        assert_eq!(sector[440..446], [4, 3, 2, 1, 0, 0]);
        assert_eq!(
            sector[446..462],
            [0x80, 32, 33, 0, 0xef, 65, 1, 0, 0, 8, 0, 0, 0, 8, 0, 0]
        );
        assert_eq!(sector[510..], [0x55, 0xaa]);
    }
}
