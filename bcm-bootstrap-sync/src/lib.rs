//! An independent, verified mirror of a Zero-OS Bootstrap: the kernels that nodes boot, the run modes that
//! link to them, and the scripts and boot media that lead a machine there.
