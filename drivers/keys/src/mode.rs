//! Who may read the key file.

use thiserror::Error;

/// Permission bits of anyone but the owner.
const OTHERS: u32 = 0o077;

/// Why a key file's owner or mode is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ModeError {
    /// Others may read or write it.
    #[error("mode {mode:04o} lets others in: chmod 600")]
    Open {
        /// The permission bits.
        mode: u32,
    },
    /// Another user owns it and can change it at will.
    #[error("user {owner} owns it: chown it to root or to the user of this program")]
    Foreign {
        /// The owner.
        owner: u32,
    },
}

/// Checks a key file's mode (`st_mode`) and owner (`st_uid`) for a program that runs as `user`.
///
/// # Errors
/// [`ModeError`].
pub const fn check_mode(mode: u32, owner: u32, user: u32) -> Result<(), ModeError> {
    if mode & OTHERS != 0 {
        return Err(ModeError::Open { mode: mode & 0o7777 });
    }
    if owner != 0 && owner != user {
        return Err(ModeError::Foreign { owner });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_only_ours() {
        assert_eq!(check_mode(0o100_600, 990, 990), Ok(()));
        assert_eq!(check_mode(0o100_400, 0, 990), Ok(()));
        assert_eq!(check_mode(0o100_640, 0, 990), Err(ModeError::Open { mode: 0o640 }));
        assert_eq!(check_mode(0o100_602, 0, 0), Err(ModeError::Open { mode: 0o602 }));
        assert_eq!(check_mode(0o100_600, 1000, 990), Err(ModeError::Foreign { owner: 1000 }));
    }
}
