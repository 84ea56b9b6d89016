# The messages of a version-1 flist: the values of its `entries` table.
#
# Ordinals and types are the format; names are ours to choose. Regenerate as mod.rs says.
@0xd1f60f1d2e8a4b37;

# Tells capnpc-rust which module the generated one is in.
annotation parentModule @0xabee386cd1450364 (file) :Text;
$parentModule("flist::schema");

# One directory with all that is in it.
struct Directory {
  name         @0 :Text;
  location     @1 :Text;    # full path without a leading slash; empty for the root
  contents     @2 :List(Inode);
  parent       @3 :Text;    # key of the parent's entry; the root has its own
  size         @4 :UInt64;  # 4096 as written upstream
  aclKey       @5 :Text;
  modified     @6 :UInt32;  # seconds since 1970
  created      @7 :UInt32;  # the inode's time of change, in seconds since 1970
}

struct Inode {
  name         @0 :Text;
  size         @1 :UInt64;  # bytes
  kind :union {
    directory  @2 :Subdirectory;
    file       @3 :File;
    link       @4 :Link;
    special    @5 :Special;
  }
  aclKey       @6 :Text;
  modified     @7 :UInt32;
  created      @8 :UInt32;
}

struct Subdirectory {
  key          @0 :Text;    # key of the directory's entry
}

struct File {
  blockSize    @0 :UInt16;  # in 4 KiB; written as 128 and ignored by readers
  blocks       @1 :List(FileBlock);
}

struct FileBlock {
  hash         @0 :Data;    # what the store keeps the block under
  key          @1 :Data;    # what it is encrypted with: the hash of its plain text
}

struct Link {
  target       @0 :Text;
}

struct Special {
  type         @0 :Type;
  data         @1 :Data;    # "MAJOR,MINOR" of a device

  enum Type {
    socket     @0;
    block      @1;
    character  @2;
    fifo       @3;
    unknown    @4;
  }
}

# Who owns an inode and what they may do, shared by all inodes that have the same.
struct Acl {
  user         @0 :Text;
  group        @1 :Text;
  mode         @2 :UInt16;
  rights       @3 :List(Right);
  id           @4 :UInt32;
  uid          @5 :Int64 = -1;
  gid          @6 :Int64 = -1;

  struct Right {
    right      @0 :Text;
    userGroupId @1 :UInt16;
  }
}
