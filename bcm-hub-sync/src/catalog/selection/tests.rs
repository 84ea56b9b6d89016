use super::*;
use crate::catalog::upstream::Listed;
use crate::catalog::{Catalog, Entry, FlistRef, RegularFile, Symlink, Tag, TagLink, TagRef};
use bcm_core::names::{EntryName, TagName};

/// `a/x`: an flist; `a/x>b/y`: a link; `a/x@b/tags/t`: a link to a tag; `a#t x>b/y`: a tag's link.
fn listed(lines: &[&str]) -> Listed {
    let mut catalog = Catalog::default();
    for line in lines {
        if let Some((tag, link)) = line.split_once(' ') {
            let (repository, tag) = tag.split_once('#').unwrap();
            let (name, target) = link.split_once('>').unwrap();
            let repository = catalog.repositories.entry(repository.parse().unwrap());
            let tags = &mut repository.or_default().tags;
            let tag: &mut Tag = tags.entry(TagName::new(tag).unwrap()).or_default();
            let target = target.to_owned().try_into().unwrap();
            tag.links.insert(
                name.parse().unwrap(),
                Symlink {
                    target,
                    linktime: 1,
                },
            );
            continue;
        }
        let (place, entry) = if let Some((place, target)) = line.split_once('>') {
            let target = target.to_owned().try_into().unwrap();
            (
                place,
                Entry::Symlink(Symlink {
                    target,
                    linktime: 1,
                }),
            )
        } else if let Some((place, target)) = line.split_once('@') {
            let target = target.to_owned().try_into().unwrap();
            (
                place,
                Entry::TagLink(TagLink {
                    target,
                    linktime: 1,
                }),
            )
        } else {
            let file = RegularFile {
                size: None,
                listed_size: "1.00 KB".to_owned(),
                updated: 1,
                md5: None,
            };
            (*line, Entry::Regular(file))
        };
        let place = FlistRef::try_from(place.to_owned()).unwrap();
        let repository = catalog.repositories.entry(place.repository).or_default();
        repository.entries.insert(place.name, entry);
    }
    Listed {
        catalog,
        ..Listed::default()
    }
}

fn chosen(lines: &[&str], repositories: &[&str], names: &[&str]) -> (Vec<String>, Wanted) {
    let selection = Selection::new(repositories, names, None).unwrap();
    let wanted = choose(&listed(lines), &selection);
    let entries = wanted.catalog.entries().map(|(place, _)| place.to_string());
    let tags = wanted.catalog.tags().map(|(place, _)| place.to_string());
    (entries.chain(tags).collect(), wanted)
}

#[test]
fn links_bring_along_what_they_lead_to() {
    let lines = [
        "zos/production@zos/tags/v1",
        "zos/old",
        "zos#v1 boot>builder/latest",
        "zos#v1 gone>nobody/nothing",
        "zos#v2 boot>unused/x",
        "builder/latest>builder-2601",
        "builder/builder-2601",
        "builder/other",
        "unused/x",
    ];
    let (found, wanted) = chosen(&lines, &["zos"], &["production"]);
    let all = [
        "builder/builder-2601",
        "builder/latest",
        "zos/production",
        "zos/tags/v1",
    ];
    assert_eq!(found, all);
    assert_eq!(wanted.refusals.total(), 0);
    let place = TagRef::try_from("zos/tags/v1".to_owned()).unwrap();
    assert_eq!(wanted.catalog.tag(&place).unwrap().links.len(), 2);
}

#[test]
fn circles_and_nonsense_are_refused_by_name() {
    let mut lines = vec![
        "a/self>self".to_owned(),
        "a/one>two".to_owned(),
        "a/two>one".to_owned(),
        "a/into>one".to_owned(),
        "a/t@a/tags/none".to_owned(),
        "a/x>t".to_owned(),
        "a#bad l>a/one".to_owned(),
        "a/fine".to_owned(),
        "a/c0>fine".to_owned(),
    ];
    for n in 1..=MAX_CHAIN {
        lines.push(format!("a/c{n}>c{}", n - 1));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (found, wanted) = chosen(&lines, &[], &[]);
    assert!(found.contains(&"a/t".to_owned()) && found.contains(&"a/c7".to_owned()));
    let refused: Vec<&str> = wanted
        .refusals
        .named()
        .iter()
        .map(|refused| refused.subject.as_str())
        .collect();
    assert_eq!(
        refused,
        [
            "a/c8",
            "a/into",
            "a/one",
            "a/self",
            "a/two",
            "a/x",
            "a/tags/bad"
        ]
    );
    assert!(!found.iter().any(|name| refused.contains(&name.as_str())));
}

#[test]
fn globs_take_in_and_out() {
    let lines = ["tf-a/x", "tf-a/y", "tf-test/x", "alice/x"];
    assert_eq!(
        chosen(&lines, &["tf-*", "!*test"], &[]).0,
        ["tf-a/x", "tf-a/y"]
    );
    assert_eq!(chosen(&lines, &["!tf-*"], &["x"]).0, ["alice/x"]);
    assert_eq!(chosen(&lines, &[], &[]).0.len(), 4);
    assert!(Selection::new(&["a[", "b"], &[""; 0], None).is_err());
    let zos = Selection::new(&[""; 0], &[""; 0], Some(Profile::Zos)).unwrap();
    let names = ["tf-zos", "tf-official-vms", "tf-bootable"];
    let taken = names.map(|name| zos.repository(&RepoName::new(name).unwrap()));
    assert_eq!(taken, [true, true, false]);
    let _: EntryName = "x".parse().unwrap();
}
