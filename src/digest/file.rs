//! The digest on disk.
