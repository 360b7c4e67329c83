//! Those who act on the ledger from here: their folder, their way to the hub, and what they believe of its answers.
//!
//! A hub is asked and told, never believed: whatever is shown as proved was checked under the folder's own policy.
//!
//! | module | what it does |
//! |---|---|
//! | `folder` | `client.key`, `client.crt`, `ca.crt`, `policy.txt` of a party |
//! | `https` | requests to the hub, bounded in size and time |
//! | `trouble` | what went wrong on the way, in words that say what to do |
//! | `proof` | transactions with their proofs, checked; who signed them |
//! | `parties` | genesis, votes and certificates, fetched once |
//! | `lines` | the history as the hub tells it |
//! | `kept` | what was sealed, kept beside the key |
//! | `submit` | a signed transaction goes to the ledger |

mod folder;
mod https;
mod kept;
pub(crate) mod lines;
mod parties;
mod proof;
mod submit;
mod trouble;

pub(crate) use folder::Party;
pub(crate) use https::{Address, Hub};
pub(crate) use kept::Kept;
pub(crate) use parties::Register;
pub(crate) use proof::{Logged, Signer, read_statement, signer};
pub(crate) use submit::{Submitted, submit};
