//! An independent, verified mirror of a Zero-OS Bootstrap: the kernels that nodes boot, the run modes that
//! link to them, and the scripts and boot media that lead a machine there.
//!
//! Names that come from outside become values of checked types where they enter: [`kernel::KernelName`],
//! [`run_mode::RunMode`], and the words of a boot script in [`ipxe`]. Nothing after that handles free text.
//! Boot media are made in [`image`].

pub mod content;
pub mod image;
pub mod ipxe;
pub mod kernel;
pub mod layout;
pub mod link;
pub mod local;
pub mod manifest;
pub mod policy;
pub mod report;
pub mod run_mode;
pub mod serve;
pub mod sync;
pub mod upstream;
pub mod verify;
