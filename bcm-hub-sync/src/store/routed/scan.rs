//! Going through all stores, one after the other.
//!
//! A cursor is that of the store with the store's number in the place of its first byte, which is
//! the same in all cursors of one store (see [`super::super::zdb`] and the other stores). So
//! cursors sort in the order of a scan.

use super::{KeyRange, RoutedStore};
use crate::block::BlockKey;
use crate::store::{BlockInfo, Cursor, Direction, StoreError};

impl RoutedStore {
    /// The block as it is shown by a scan: at its place in the first store that has it. Where none of
    /// them says where that is, `info` came from one all the same, and is shown as that of the first.
    pub(super) fn placed(&self, info: BlockInfo) -> BlockInfo {
        let mut first = None;
        // The cursor that came may be of any replica.
        for (number, member) in self.members.iter().enumerate() {
            if !member.range.contains(&info.key) {
                continue;
            }
            first = first.or(Some(number));
            if let Ok(Some(found)) = member.quick(|store| store.info(&info.key)) {
                return numbered(found, number);
            }
        }
        numbered(info, first.unwrap_or_default())
    }

    pub(super) fn scan_members(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let count = self.members.len();
        let (start, mut place) = match after {
            None => (None, None),
            Some(cursor) => {
                let number = usize::from(cursor.0[0]);
                let member = self.members.get(number).ok_or(StoreError::UnknownCursor)?;
                let first = member.attempt(|store| store.scan(None, Direction::Forward, 1))?;
                let mut own = *cursor;
                own.0[0] = first.first().map_or(0, |info| info.cursor.0[0]);
                (Some(number), Some(own))
            }
        };
        let order: Vec<usize> = match direction {
            Direction::Forward => (start.unwrap_or(0)..count).collect(),
            Direction::Backward => (0..=start.unwrap_or(count - 1)).rev().collect(),
        };
        for number in order {
            loop {
                let member = &self.members[number];
                let page = member.quick(|store| store.scan(place.as_ref(), direction, limit));
                let page = match page {
                    Ok(page) => page,
                    // In the middle of it, what is missing would go unnoticed.
                    Err(error) if place.is_some() || !self.others_work(number) => {
                        return Err(error);
                    }
                    Err(_) => break,
                };
                let Some(last) = page.last() else {
                    break;
                };
                place = Some(last.cursor);
                let shown = self.not_shown_before(number, page)?;
                if !shown.is_empty() {
                    return Ok(shown);
                }
            }
            place = None;
        }
        Ok(Vec::new())
    }

    /// Those of `page`, which the member `number` lists, that no member before it has.
    fn not_shown_before(
        &self,
        number: usize,
        page: Vec<BlockInfo>,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        let mut shown = vec![false; page.len()];
        for earlier in &self.members[..number] {
            let kept: Vec<usize> = (0..page.len())
                .filter(|at| !shown[*at] && earlier.range.contains(&page[*at].key))
                .collect();
            if kept.is_empty() {
                continue;
            }
            let keys: Vec<BlockKey> = kept.iter().map(|at| page[*at].key).collect();
            // One that cannot be asked has shown nothing.
            if let Ok(held) = earlier.quick(|store| store.contains(&keys)) {
                for (at, held) in kept.into_iter().zip(held) {
                    shown[at] = held;
                }
            }
        }
        let fresh = page.into_iter().zip(shown).filter(|(_, shown)| !shown);
        Ok(fresh.map(|(info, _)| numbered(info, number)).collect())
    }
}

impl RoutedStore {
    /// Whether members that work keep all that the member `number` keeps.
    fn others_work(&self, number: usize) -> bool {
        let own = self.members[number].range;
        let others = self.members.iter().enumerate();
        let mut ranges: Vec<KeyRange> = others
            .filter(|(at, other)| *at != number && !other.rests())
            .map(|(_, other)| other.range)
            .collect();
        ranges.extend(own.outside());
        super::route::gap(&ranges).is_none()
    }
}

fn numbered(mut info: BlockInfo, number: usize) -> BlockInfo {
    // There are at most `MAX_MEMBERS`.
    info.cursor.0[0] = u8::try_from(number).unwrap_or(u8::MAX);
    info
}
