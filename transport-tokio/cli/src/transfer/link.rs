//! A symbolic link is kept if it stays in the folder that is sent: for the sender, and again for the receiver.
//!
//! It stays if it goes up first, no further than to the top of that folder, and then down by names only. Folders on the way up are real
//! ones, and every link on the way down stays by the same rule; so nobody who follows them, in whatever order, gets out.

/// Whether a link in a folder so many levels below the top of what is sent (0: in the top folder itself) stays in it.
pub(super) fn stays(target: &[u8], depth: usize) -> bool {
    let mut names = target.split(|byte| *byte == b'/').peekable();
    let mut up = 0;
    while names.next_if(|name| *name == b"..").is_some() {
        up += 1;
    }
    up <= depth && !target.contains(&0) && names.all(|name| !matches!(name, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_or_leaves() {
        for (target, depth, stay) in [
            ("x", 0, true),
            ("x/y", 0, true),
            ("../x", 1, true),
            ("..", 1, true),
            ("../../x", 2, true),
            ("../x", 0, false),
            ("../../x", 1, false),
            ("/etc", 5, false),
            ("", 1, false),
            (".", 1, false),
            ("x/../y", 1, false),
            ("x//y", 1, false),
            ("x/", 1, false),
            ("x\0y", 1, false),
        ] {
            assert_eq!(stays(target.as_bytes(), depth), stay, "{target:?} at {depth}");
        }
    }
}
