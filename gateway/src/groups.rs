//! Who belongs to a group, by the system's own files. The kernel tells a socket's peer by its user and its
//! *present* group only; the groups that a user has beside it stand in `/etc/group`. They are read there, and
//! not from the peer's process: that may be another one by then, and systemd hides it from the daemon.

use std::{
    fs,
    path::{Path, PathBuf},
};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A group, asked for its members anew each time: who is added need not wait for the daemon.
#[derive(Debug, Clone)]
pub struct Group {
    name: String,
    passwd: PathBuf,
    group: PathBuf,
}

impl Group {
    /// A group of this system.
    pub fn named(name: &str) -> Self {
        Self::in_files(name, Path::new(PASSWD), Path::new(GROUP))
    }

    /// A group that these files describe, in the form of `/etc/passwd` and `/etc/group`.
    pub fn in_files(name: &str, passwd: &Path, group: &Path) -> Self {
        Self { name: name.into(), passwd: passwd.into(), group: group.into() }
    }

    /// Its id; `None` if there is no such group.
    pub fn id(&self) -> Option<u32> {
        self.line().and_then(|line| line.split(':').nth(2)?.parse().ok())
    }

    /// Whether a process of this user, with this present group, belongs to it: by that group, by the user's
    /// first one, or as a member.
    pub fn has(&self, uid: u32, gid: u32) -> bool {
        let Some(line) = self.line() else { return false };
        let id: Option<u32> = line.split(':').nth(2).and_then(|id| id.parse().ok());
        let Some(id) = id else { return false };
        if gid == id {
            return true;
        }
        let passwd = fs::read_to_string(&self.passwd).unwrap_or_default();
        // Several names may share a user id; each is that user.
        let mut names = passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, user, first) = (fields.next()?, fields.nth(1)?, fields.next()?);
            (user.parse() == Ok(uid)).then(|| (name, first.parse() == Ok(id)))
        });
        let members = line.split(':').nth(3).unwrap_or_default();
        names.any(|(name, first)| first || members.split(',').any(|member| member.trim() == name))
    }

    fn line(&self) -> Option<String> {
        let groups = fs::read_to_string(&self.group).ok()?;
        groups.lines().find(|line| line.split(':').next() == Some(self.name.as_str())).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_belongs_whatever_its_present_group_is() {
        let folder = tempfile::tempdir().unwrap();
        let (passwd, group) = (folder.path().join("passwd"), folder.path().join("group"));
        fs::write(
            &passwd,
            "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n\
             eve:x:1002:1002::/:/bin/sh\nann2:x:1003:990::/:/bin/sh\nbroken\nx:y:z\n",
        )
        .unwrap();
        fs::write(&group, "plomb:x:989:eve\nplomb-admin:x:990:bob, ann\nbroken\n").unwrap();
        let admins = Group::in_files("plomb-admin", &passwd, &group);
        assert_eq!(admins.id(), Some(990));
        assert!(admins.has(1000, 1000) && admins.has(1001, 989), "members with another present group");
        assert!(admins.has(1002, 990), "by the present group: a shell under `sg`");
        assert!(admins.has(1003, 1003), "by the user's first group");
        assert!(!admins.has(1002, 1002) && !admins.has(1002, 989), "a member of another group");
        assert!(!admins.has(4711, 4711), "a user whom the file does not know");
        assert!(!Group::in_files("nobody-knows", &passwd, &group).has(1000, 1000));
        // `usermod -aG` while the daemon runs.
        fs::write(&group, "plomb-admin:x:990:eve\n").unwrap();
        assert!(admins.has(1002, 1002) && !admins.has(1000, 1000));
    }
}
