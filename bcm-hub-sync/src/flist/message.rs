//! Entries as Cap'n Proto messages, and back.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use capnp::{serialize, text};

use super::entry::{Acl, Directory, Inode, Kind, Special, SpecialType};
use super::schema::flist_capnp as schema;
use crate::block::BlockKey;
use crate::block::codec::{ChunkKey, ChunkRef};

/// Words of a message, of its fixed parts.
const WORD: usize = 8;
/// `File.blockSize` as upstream writes it; readers ignore it.
const BLOCK_SIZE: u16 = 128;
/// Directory → inode → kind → blocks → block → data, and some room.
const NESTING: i32 = 16;

/// Why bytes are not the message that they should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum MessageError {
    #[error("{0}")]
    Capnp(#[from] capnp::Error),
    #[error("an inode is of a kind that is not known")]
    Kind,
    #[error("a key is not text")]
    Text,
    #[error("{what} has {size} bytes")]
    KeySize { what: &'static str, size: usize },
    #[error("it is too large for a message")]
    TooLarge,
}

fn options(bytes: &[u8], ratio: u32) -> ReaderOptions {
    let words = (bytes.len() / WORD + 1).saturating_mul(ratio as usize);
    *ReaderOptions::new()
        .traversal_limit_in_words(Some(words))
        .nesting_limit(NESTING)
}

/// Reads a directory. Memory is bounded by the size of `bytes` times `ratio`.
pub(super) fn read_directory(mut bytes: &[u8], ratio: u32) -> Result<Directory, MessageError> {
    let options = options(bytes, ratio);
    // No inode takes less than a word, whatever the list says of its length.
    let most = bytes.len() / WORD;
    let message = serialize::read_message(&mut bytes, options)?;
    let directory: schema::directory::Reader<'_> = message.get_root()?;
    let list = directory.get_contents()?;
    let mut contents = Vec::with_capacity((list.len() as usize).min(most));
    for inode in list {
        contents.push(read_inode(inode, most)?);
    }
    Ok(Directory {
        name: os_string(directory.get_name()?),
        location: os_string(directory.get_location()?),
        contents,
        parent: string(directory.get_parent()?)?,
        size: directory.get_size(),
        acl_key: string(directory.get_acl_key()?)?,
        modified: directory.get_modified(),
        created: directory.get_created(),
    })
}

fn read_inode(inode: schema::inode::Reader<'_>, most: usize) -> Result<Inode, MessageError> {
    use schema::inode::kind;
    let kind = match inode.get_kind().which() {
        Ok(kind::Directory(directory)) => Kind::Directory(string(directory?.get_key()?)?),
        Ok(kind::File(file)) => {
            let list = file?.get_blocks()?;
            let mut chunks = Vec::with_capacity((list.len() as usize).min(most));
            for block in list {
                chunks.push(read_chunk(block)?);
            }
            Kind::File(chunks)
        }
        Ok(kind::Link(link)) => Kind::Link(os_string(link?.get_target()?)),
        Ok(kind::Special(special)) => {
            let special = special?;
            use schema::special::Type;
            Kind::Special(Special {
                declared: match special.get_type() {
                    Ok(Type::Socket) => SpecialType::Socket,
                    Ok(Type::Block) => SpecialType::Block,
                    Ok(Type::Character) => SpecialType::Character,
                    Ok(Type::Fifo) => SpecialType::Fifo,
                    Ok(Type::Unknown) | Err(_) => SpecialType::Unknown,
                },
                data: special.get_data()?.to_vec(),
            })
        }
        Err(_) => return Err(MessageError::Kind),
    };
    Ok(Inode {
        name: os_string(inode.get_name()?),
        size: inode.get_size(),
        kind,
        acl_key: string(inode.get_acl_key()?)?,
        modified: inode.get_modified(),
        created: inode.get_created(),
    })
}

fn read_chunk(block: schema::file_block::Reader<'_>) -> Result<ChunkRef, MessageError> {
    let hash = block.get_hash()?;
    let key = block.get_key()?;
    Ok(ChunkRef {
        hash: BlockKey::from_bytes(hash).map_err(|_| MessageError::KeySize {
            what: "the hash of a block",
            size: hash.len(),
        })?,
        key: ChunkKey(key.try_into().map_err(|_| MessageError::KeySize {
            what: "the key of a block",
            size: key.len(),
        })?),
    })
}

/// Reads an ACL.
pub(super) fn read_acl(mut bytes: &[u8], ratio: u32) -> Result<Acl, MessageError> {
    let options = options(bytes, ratio);
    let message = serialize::read_message(&mut bytes, options)?;
    let acl: schema::acl::Reader<'_> = message.get_root()?;
    Ok(Acl {
        user: string(acl.get_user()?)?,
        group: string(acl.get_group()?)?,
        mode: acl.get_mode(),
        uid: acl.get_uid(),
        gid: acl.get_gid(),
    })
}

/// Writes a directory as one segment, which every reader takes.
pub(super) fn write_directory(directory: &Directory) -> Result<Vec<u8>, MessageError> {
    let mut message = builder(directory_words(directory))?;
    let mut to = message.init_root::<schema::directory::Builder<'_>>();
    to.set_name(text_of(&directory.name));
    to.set_location(text_of(&directory.location));
    to.set_parent(directory.parent.as_str());
    to.set_size(directory.size);
    to.set_acl_key(directory.acl_key.as_str());
    to.set_modified(directory.modified);
    to.set_created(directory.created);
    let count = u32::try_from(directory.contents.len()).map_err(|_| MessageError::TooLarge)?;
    let mut list = to.init_contents(count);
    for (index, inode) in (0..count).zip(&directory.contents) {
        write_inode(inode, list.reborrow().get(index))?;
    }
    Ok(serialize::write_message_to_words(&message))
}

fn write_inode(inode: &Inode, mut to: schema::inode::Builder<'_>) -> Result<(), MessageError> {
    to.set_name(text_of(&inode.name));
    to.set_size(inode.size);
    to.set_acl_key(inode.acl_key.as_str());
    to.set_modified(inode.modified);
    to.set_created(inode.created);
    let kind = to.init_kind();
    match &inode.kind {
        Kind::Directory(key) => kind.init_directory().set_key(key.as_str()),
        Kind::File(chunks) => {
            let mut file = kind.init_file();
            file.set_block_size(BLOCK_SIZE);
            // Upstream leaves the list out of empty files.
            if !chunks.is_empty() {
                let count = u32::try_from(chunks.len()).map_err(|_| MessageError::TooLarge)?;
                let mut list = file.init_blocks(count);
                for (index, chunk) in (0..count).zip(chunks) {
                    let mut block = list.reborrow().get(index);
                    block.set_hash(chunk.hash.as_bytes());
                    block.set_key(&chunk.key.0);
                }
            }
        }
        Kind::Link(target) => kind.init_link().set_target(text_of(target)),
        Kind::Special(special) => {
            let mut to = kind.init_special();
            to.set_type(match special.declared {
                SpecialType::Socket => schema::special::Type::Socket,
                SpecialType::Block => schema::special::Type::Block,
                SpecialType::Character => schema::special::Type::Character,
                SpecialType::Fifo => schema::special::Type::Fifo,
                SpecialType::Unknown => schema::special::Type::Unknown,
            });
            to.set_data(&special.data);
        }
    }
    Ok(())
}

/// Writes an ACL.
pub(super) fn write_acl(acl: &Acl) -> Result<Vec<u8>, MessageError> {
    let words = 1 + 6 + text_words(acl.user.len()) + text_words(acl.group.len());
    let mut message = builder(words + 8)?;
    let mut to = message.init_root::<schema::acl::Builder<'_>>();
    to.set_user(acl.user.as_str());
    to.set_group(acl.group.as_str());
    to.set_mode(acl.mode);
    to.set_uid(acl.uid);
    to.set_gid(acl.gid);
    Ok(serialize::write_message_to_words(&message))
}

/// A builder whose first segment has room for all.
fn builder(words: usize) -> Result<Builder<HeapAllocator>, MessageError> {
    // What a pointer can reach, and what a segment may have.
    const MOST: usize = (1 << 29) - 1;
    let words = u32::try_from(words).map_err(|_| MessageError::TooLarge)?;
    if words as usize > MOST {
        return Err(MessageError::TooLarge);
    }
    Ok(Builder::new(
        HeapAllocator::new().first_segment_words(words),
    ))
}

/// At least the words that the message of `directory` takes.
fn directory_words(directory: &Directory) -> usize {
    let own = 1
        + 7
        + 1
        + text_words(directory.name.len())
        + text_words(directory.location.len())
        + text_words(directory.parent.len())
        + text_words(directory.acl_key.len());
    directory
        .contents
        .iter()
        .map(|inode| {
            // The inode itself has 6 words.
            let kind = match &inode.kind {
                Kind::Directory(key) => 1 + text_words(key.len()),
                // A list's tag, and for each block two pointers and two times 16 or 32 bytes.
                Kind::File(chunks) => {
                    3 + chunks
                        .iter()
                        .map(|chunk| 4 + chunk.hash.as_bytes().len().div_ceil(WORD))
                        .sum::<usize>()
                }
                Kind::Link(target) => 1 + text_words(target.len()),
                Kind::Special(special) => 2 + special.data.len().div_ceil(WORD),
            };
            6 + text_words(inode.name.len()) + text_words(inode.acl_key.len()) + kind
        })
        .sum::<usize>()
        + own
}

/// Words of a text, with the NUL that ends it.
fn text_words(bytes: usize) -> usize {
    (bytes + 1).div_ceil(WORD)
}

fn text_of(text: &OsStr) -> text::Reader<'_> {
    text::Reader(text.as_bytes())
}

fn os_string(text: text::Reader<'_>) -> OsString {
    OsString::from_vec(text.as_bytes().to_vec())
}

fn string(text: text::Reader<'_>) -> Result<String, MessageError> {
    text.to_string().map_err(|_| MessageError::Text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn directory(contents: Vec<Inode>) -> Directory {
        Directory {
            name: "share".into(),
            location: "usr/share".into(),
            contents,
            parent: "577f16f80745b1ed8114271d9f365991".into(),
            size: 4096,
            acl_key: "d7683de000c13689".into(),
            modified: 1,
            created: 2,
        }
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        let chunk = any::<([u8; 16], [u8; 16])>().prop_map(|(hash, key)| ChunkRef {
            hash: BlockKey::Short(hash),
            key: ChunkKey(key),
        });
        prop_oneof![
            "[0-9a-f]{32}".prop_map(Kind::Directory),
            prop::collection::vec(chunk, 0..40).prop_map(Kind::File),
            ".{1,40}".prop_map(|target| Kind::Link(target.into())),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(|data| Kind::Special(Special {
                declared: SpecialType::Fifo,
                data,
            })),
        ]
    }

    fn inodes() -> impl Strategy<Value = Inode> {
        (
            prop::collection::vec(any::<u8>(), 0..300),
            any::<u64>(),
            kinds(),
            any::<(u32, u32)>(),
        )
            .prop_map(|(name, size, kind, (modified, created))| Inode {
                name: OsString::from_vec(name),
                size,
                kind,
                acl_key: "5f64cf1389d15471".into(),
                modified,
                created,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn directories_survive_a_round_trip(contents in prop::collection::vec(inodes(), 0..8)) {
            let directory = directory(contents);
            let bytes = write_directory(&directory).unwrap();
            // One segment: the first word counts the others.
            prop_assert_eq!(&bytes[..4], &[0; 4]);
            prop_assert_eq!(read_directory(&bytes, 4).unwrap(), directory);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_directory(&bytes, 4);
            let _ = read_acl(&bytes, 4);
        }

        #[test]
        fn no_damage_makes_it_panic(
            contents in prop::collection::vec(inodes(), 0..6),
            at: prop::sample::Index,
            value: u8,
        ) {
            let mut bytes = write_directory(&directory(contents)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = read_directory(&bytes, 4);
        }
    }

    #[test]
    fn a_list_that_says_it_is_endless_is_refused() {
        let mut bytes = write_directory(&directory(vec![])).unwrap();
        // A list of 2^29 - 1 empty structs at the root's third pointer.
        let root = 8 + 8 + 2 * 8;
        let list = root + 2 * 8;
        bytes[list..list + 8].copy_from_slice(&[1, 0, 0, 0, 0xf8, 0xff, 0xff, 0xff]);
        assert!(read_directory(&bytes, 4).is_err());
    }
}
