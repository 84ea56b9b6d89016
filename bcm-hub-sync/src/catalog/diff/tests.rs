use std::collections::BTreeSet;

use super::*;
use crate::catalog::Repository;
use bcm_core::digest::Md5;
use proptest::prelude::*;

const NOW: i64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;

fn options() -> DiffOptions {
    DiffOptions {
        now: NOW,
        delete_after: Some(Duration::ZERO),
        max_delete: 1.0,
        recheck_after: Duration::from_secs(7 * DAY),
        form: "verbatim".to_owned(),
        blocks: true,
        recheck_blocks: false,
        pinned: BTreeSet::new(),
    }
}

fn wanted(catalog: &Catalog) -> Wanted {
    Wanted {
        catalog: catalog.clone(),
        ..Wanted::default()
    }
}

fn file(size: u64, updated: i64) -> RegularFile {
    RegularFile {
        size: Some(size),
        listed_size: crate::catalog::local::listed_size(size),
        updated,
        md5: None,
    }
}

fn record(file: &RegularFile) -> FlistRecord {
    FlistRecord {
        md5: Md5::of(b""),
        listed_size: file.listed_size.clone(),
        updated: file.updated,
        listed_at: NOW - 60,
        checked: NOW - 60,
        file_size: file.size.unwrap(),
        file_md5: Md5::of(b""),
        form: "verbatim".to_owned(),
        blocks: true,
    }
}

/// What is remembered of `catalog` when it was just published.
fn memory(catalog: &Catalog) -> Memory {
    let mut memory = Memory::default();
    for (place, entry) in catalog.entries() {
        if let Entry::Regular(file) = entry {
            memory.flists.insert(place, record(file));
        }
    }
    memory
}

/// A catalogue with the flists `names` of size 5000, changed at 1000.
fn flists(names: &[&str]) -> Catalog {
    let mut catalog = Catalog::default();
    for name in names {
        let place = FlistRef::try_from((*name).to_owned()).unwrap();
        let repository = catalog.repositories.entry(place.repository).or_default();
        let entry = Entry::Regular(file(5000, 1000));
        repository.entries.insert(place.name, entry);
    }
    catalog
}

fn regular<'a>(catalog: &'a mut Catalog, name: &str) -> &'a mut RegularFile {
    let place = FlistRef::try_from(name.to_owned()).unwrap();
    let repository = catalog.repositories.get_mut(&place.repository).unwrap();
    match repository.entries.get_mut(&place.name).unwrap() {
        Entry::Regular(file) => file,
        other => panic!("{other:?}"),
    }
}

fn reasons(diff: &Diff) -> Vec<(String, Reason)> {
    diff.flists
        .iter()
        .map(|change| (change.place.to_string(), change.reason))
        .collect()
}

#[test]
fn every_kind_of_change_to_an_flist_is_seen() {
    let upstream = flists(&["a/x"]);
    let local = upstream.clone();
    let known = memory(&local);
    let same = diff(&wanted(&upstream), &local, &known, &options());
    assert!(same.is_empty() && same.doubtful.is_empty());
    assert_eq!(same.unchanged, 1);

    let changed = |upstream: &Catalog, local: &Catalog, known: &Memory, options: &DiffOptions| {
        let found = diff(&wanted(upstream), local, known, options);
        match reasons(&found).as_slice() {
            [(_, reason)] => Some(*reason),
            [] => None,
            more => panic!("{more:?}"),
        }
    };
    let mut overwritten = upstream.clone();
    regular(&mut overwritten, "a/x").listed_size = "4.89 KB".to_owned();
    assert_eq!(
        changed(&overwritten, &local, &known, &options()),
        Some(Reason::Listing)
    );
    for time in [1001, 999, 0] {
        let mut other = upstream.clone();
        regular(&mut other, "a/x").updated = time;
        assert_eq!(
            changed(&other, &local, &known, &options()),
            Some(Reason::Listing),
            "{time}"
        );
    }
    for (size, time) in [(5001, 1000), (5000, 1001)] {
        let mut touched = local.clone();
        *regular(&mut touched, "a/x") = file(size, time);
        assert_eq!(
            changed(&upstream, &touched, &known, &options()),
            Some(Reason::LocalFile)
        );
    }
    let nothing = Memory::default();
    assert_eq!(
        changed(&upstream, &local, &nothing, &options()),
        Some(Reason::Unrecorded)
    );
    assert_eq!(
        changed(&upstream, &Catalog::default(), &known, &options()),
        Some(Reason::New)
    );
    let mut rewritten = options();
    rewritten.form = "other".to_owned();
    assert_eq!(
        changed(&upstream, &local, &known, &rewritten),
        Some(Reason::Form)
    );
    let mut recheck = options();
    recheck.recheck_blocks = true;
    assert_eq!(
        changed(&upstream, &local, &known, &recheck),
        Some(Reason::Blocks)
    );
    recheck.blocks = false;
    assert_eq!(changed(&upstream, &local, &known, &recheck), None);
}

#[test]
fn where_size_and_time_may_lie_the_md5_decides() {
    let upstream = flists(&["a/x"]);
    let doubtful = |edit: &dyn Fn(&mut FlistRecord)| {
        let mut known = memory(&upstream);
        known.flists.values_mut().for_each(edit);
        let found = diff(&wanted(&upstream), &upstream, &known, &options());
        assert!(found.is_empty());
        found.doubtful.len() == 1
    };
    assert!(!doubtful(&|_| {}));
    // Listed in the second in which it was changed, or by a clock that is behind the file's.
    assert!(doubtful(&|record| record.listed_at = 1000));
    assert!(doubtful(&|record| record.listed_at = 1001));
    assert!(doubtful(&|record| record.listed_at = 10));
    assert!(!doubtful(&|record| record.listed_at = 1002));
    // Not asked for a week; or this machine's clock was set back.
    assert!(doubtful(&|record| record.checked = NOW - 7 * DAY as i64));
    assert!(doubtful(&|record| record.checked = NOW + 1));
}

#[test]
fn what_is_gone_is_deleted_after_its_time_of_grace_unless_it_returns() {
    let local = flists(&["a/x", "a/y", "b/z"]);
    let mut upstream = flists(&["a/x", "a/y"]);
    upstream.repositories.get_mut("a").unwrap().updated = 0;
    let mut known = memory(&local);
    let mut week = options();
    week.delete_after = Some(Duration::from_secs(7 * DAY));
    let first = diff(&wanted(&upstream), &local, &known, &week);
    assert!(first.is_empty() && first.guard.is_none());
    let buried: Vec<_> = first.tombstones.keys().map(ToString::to_string).collect();
    assert_eq!(buried, ["b", "b/z"]);
    known.tombstones = first.tombstones;

    week.now = NOW + 7 * DAY as i64 - 1;
    let mut records = known.clone();
    records
        .flists
        .values_mut()
        .for_each(|record| record.checked = week.now);
    assert!(
        diff(&wanted(&upstream), &local, &records, &week)
            .deletions
            .is_empty()
    );
    let back = diff(&wanted(&local), &local, &records, &week);
    assert!(back.tombstones.is_empty() && back.is_empty());
    week.now += 1;
    let due = diff(&wanted(&upstream), &local, &records, &week);
    let deleted: Vec<_> = due.deletions.iter().map(ToString::to_string).collect();
    assert_eq!(deleted, ["b/z", "b"]);
    assert!(due.tombstones.is_empty());
    week.delete_after = None;
    week.now = i64::MAX;
    let never = diff(&wanted(&upstream), &local, &records, &week);
    assert!(never.deletions.is_empty() && never.tombstones.len() == 2);
}

#[test]
fn an_upstream_that_lists_almost_nothing_deletes_nothing() {
    let names: Vec<String> = (0..10).map(|n| format!("a/{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let local = flists(&names);
    let mut known = memory(&local);
    let mut guarded = options();
    guarded.max_delete = 0.2;
    let run = |left: &[&str], known: &Memory| diff(&wanted(&flists(left)), &local, known, &guarded);
    assert_eq!(run(&names[2..], &known).deletions.len(), 2);
    let found = run(&names[3..], &known);
    assert_eq!((found.deletions.len(), found.tombstones.len()), (0, 0));
    let guard = found.guard.unwrap();
    assert_eq!((guard.missing, guard.held), (3, 10));
    assert!(guard.to_string().contains("max-delete"));
    // Old tombstones stay, and are not carried out.
    known
        .tombstones
        .insert(Item::try_from("a/0".to_owned()).unwrap(), 1);
    let found = run(&[], &known);
    assert!(found.deletions.is_empty() && found.tombstones.len() == 1);
    // A single entry may always go, but not the last one.
    let two = flists(&["a/x", "a/y"]);
    let one = flists(&["a/x"]);
    assert!(
        diff(&wanted(&one), &two, &memory(&two), &guarded)
            .guard
            .is_none()
    );
    assert!(
        diff(&wanted(&Catalog::default()), &one, &memory(&one), &guarded)
            .guard
            .is_some()
    );
}

#[test]
fn what_is_refused_is_kept() {
    let local = flists(&["a/x", "a/y", "b/z"]);
    let mut all = wanted(&flists(&["a/x"]));
    for item in ["a/y", "b"] {
        let item = Item::try_from(item.to_owned()).unwrap();
        all.refusals.add(Some(item), "it", "no".to_owned());
    }
    let found = diff(&all, &local, &memory(&local), &options());
    assert!(found.deletions.is_empty() && found.tombstones.is_empty());
}

/// What a publication of all of `diff` makes of `local`.
fn applied(mut local: Catalog, diff: &Diff) -> Catalog {
    for item in &diff.deletions {
        let repository = local.repositories.get_mut(item.repository()).unwrap();
        match item {
            Item::Entry(place) => drop(repository.entries.remove(&place.name)),
            Item::Tag(place) => drop(repository.tags.remove(&place.tag)),
            Item::Repository(name) => {
                let gone = local.repositories.remove(name).unwrap();
                assert!(gone.entries.is_empty() && gone.tags.is_empty());
            }
        }
    }
    for name in &diff.repositories {
        local
            .repositories
            .insert(name.clone(), Repository::default());
    }
    let mut put = |place: &FlistRef, entry| {
        let repository = local.repositories.get_mut(&place.repository).unwrap();
        repository.entries.insert(place.name.clone(), entry);
    };
    for change in &diff.flists {
        put(&change.place, Entry::Regular(change.listed.clone()));
    }
    for (place, link) in &diff.links {
        put(place, Entry::Symlink(link.clone()));
    }
    for (place, link) in &diff.taglinks {
        put(place, Entry::TagLink(link.clone()));
    }
    for (place, tag) in &diff.tags {
        let repository = local.repositories.get_mut(&place.repository).unwrap();
        repository.tags.insert(place.tag.clone(), tag.clone());
    }
    for (item, time) in &diff.times {
        let repository = local.repositories.get_mut(item.repository()).unwrap();
        match item {
            Item::Tag(place) => repository.tags.get_mut(&place.tag).unwrap().updated = *time,
            _ => repository.updated = *time,
        }
    }
    local
}

fn arbitrary_entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        (0_u64..3, 0_i64..3).prop_map(|(size, time)| Entry::Regular(file(size * 1000, time))),
        ("[ab](/[xyz])?", 0_i64..3).prop_map(|(target, linktime)| {
            let target = target.try_into().unwrap();
            Entry::Symlink(Symlink { target, linktime })
        }),
        ("[ab]/tags/[tu]", 0_i64..3).prop_map(|(target, linktime)| {
            let target = target.try_into().unwrap();
            Entry::TagLink(TagLink { target, linktime })
        }),
    ]
}

fn arbitrary_tag() -> impl Strategy<Value = Tag> {
    let link = ("[ab]/[xyz]", 0_i64..3).prop_map(|(target, linktime)| {
        let target = target.try_into().unwrap();
        Symlink { target, linktime }
    });
    let name = "[xyz]".prop_map(|name| name.parse().unwrap());
    (0_i64..3, proptest::collection::btree_map(name, link, 0..3))
        .prop_map(|(updated, links)| Tag { updated, links })
}

fn arbitrary_catalog() -> impl Strategy<Value = Catalog> {
    let entry_name = "[xyz]".prop_map(|name| name.parse().unwrap());
    let tag_name = "[tu]".prop_map(|name| name.parse().unwrap());
    let repository = (
        0_i64..3,
        proptest::collection::btree_map(entry_name, arbitrary_entry(), 0..4),
        proptest::collection::btree_map(tag_name, arbitrary_tag(), 0..3),
    )
        .prop_map(|(updated, entries, tags)| Repository {
            official: false,
            updated,
            entries,
            tags,
        });
    let name = "[abc]".prop_map(|name| name.parse().unwrap());
    proptest::collection::btree_map(name, repository, 0..4)
        .prop_map(|repositories| Catalog { repositories })
}

proptest! {
    #[test]
    fn a_diff_that_is_applied_leaves_nothing_to_do(
        upstream in arbitrary_catalog(),
        local in arbitrary_catalog(),
    ) {
        let all = wanted(&upstream);
        let first = diff(&all, &local, &memory(&local), &options());
        let after = applied(local, &first);
        prop_assert_eq!(&after, &upstream);
        let second = diff(&all, &after, &memory(&after), &options());
        prop_assert!(second.is_empty(), "{:?}", second);
        prop_assert!(second.doubtful.is_empty() && second.tombstones.is_empty());
    }

    #[test]
    fn nothing_is_named_twice_and_nothing_wanted_is_deleted(
        upstream in arbitrary_catalog(),
        local in arbitrary_catalog(),
    ) {
        let found = diff(&wanted(&upstream), &local, &memory(&local), &options());
        let changed: Vec<Item> = found
            .flists.iter().map(|change| change.place.clone().into())
            .chain(found.links.iter().map(|(place, _)| place.clone().into()))
            .chain(found.taglinks.iter().map(|(place, _)| place.clone().into()))
            .chain(found.tags.iter().map(|(place, _)| place.clone().into()))
            .chain(found.deletions.iter().cloned())
            .collect();
        let unique: BTreeSet<_> = changed.iter().collect();
        prop_assert_eq!(unique.len(), changed.len());
        for item in &found.deletions {
            let listed = match item {
                Item::Entry(place) => upstream.entry(place).is_some(),
                Item::Tag(place) => upstream.tag(place).is_some(),
                Item::Repository(name) => upstream.repositories.contains_key(name),
            };
            prop_assert!(!listed, "{}", item);
        }
    }
}
