//! The number of sockets that the system allows this process.

/// Raises the limit of open files to the highest that this user may have; gives the limit that holds now.
///
/// Every connection is an open file, and many systems begin with 1024. This is a matter of the whole process, so the program decides
/// and the library does not do it by itself.
///
/// # Errors
/// If the system does not say or change the limit. The relay runs all the same.
pub fn raise_file_limit() -> std::io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}
