//! The members as votes have left them, and the votes that are not decided.

use plomb_seal::{
    Hash, Malformed, Name, PublicKey,
    cbor::{Decoder, Encoder},
    reading::TEXT_BYTES_MAX,
    transaction::{MEMBERS_MAX, Member},
};

use super::{Founding, encode_members, key, members, name};

/// The most members that ever left.
pub const FORMER_MAX: usize = 1024;
/// The most undecided votes of one member.
pub const VOTES_OPEN_MAX: usize = 16;
/// What all members' undecided votes come to at most.
const BALLOTS_MAX: usize = MEMBERS_MAX * VOTES_OPEN_MAX;

/// Who the members are since the first vote. Before it, the genesis alone says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consortium {
    /// How many changes took effect: the base of the next vote.
    pub changes: u64,
    /// The members.
    pub members: Vec<Member>,
    /// How many of them must agree.
    pub quorum: u32,
    /// Those who left. Neither their names nor their keys serve again.
    pub former: Vec<Former>,
    /// What was voted for and is not decided; by what stands in the votes.
    pub ballots: Vec<Ballot>,
}

/// A member that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// Its name.
    pub name: Name,
    /// Its key.
    pub key: PublicKey,
    /// The time of the block in which it was removed, Unix milliseconds.
    pub left_ms: i64,
}

/// A change that some voted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// [`Vote::ballot`](plomb_seal::transaction::Vote::ballot): what exactly is voted for.
    pub statement: Hash,
    /// The same in words.
    pub change: String,
    /// Who voted for it so far.
    pub voters: Vec<Name>,
}

impl Consortium {
    /// The members of the genesis; nobody has voted.
    pub fn founded(founding: &Founding) -> Self {
        Self {
            changes: 0,
            members: founding.members.clone(),
            quorum: founding.quorum,
            former: Vec::new(),
            ballots: Vec::new(),
        }
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        encode_members(&self.members, out.unsigned(self.changes));
        out.unsigned(self.quorum.into()).array(self.former.len());
        for former in &self.former {
            out.array(3).text(former.name.as_str()).bytes(&former.key.to_bytes()).signed(former.left_ms);
        }
        out.array(self.ballots.len());
        for ballot in &self.ballots {
            out.array(3).hash(&ballot.statement).text(&ballot.change).array(ballot.voters.len());
            for voter in &ballot.voters {
                out.text(voter.as_str());
            }
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (changes, members, quorum) = (from.unsigned()?, members(from)?, from.unsigned32()?);
        let count = from.array("a list of former members", FORMER_MAX)?;
        let former = (0..count)
            .map(|_| {
                from.array_exact(3)?;
                Ok(Former { name: name(from)?, key: key(from)?, left_ms: from.signed()? })
            })
            .collect::<Result<_, Malformed>>()?;
        let count = from.array("a list of ballots", BALLOTS_MAX)?;
        let ballots = (0..count)
            .map(|_| {
                from.array_exact(3)?;
                let (statement, change) = (from.hash()?, from.text("a change", TEXT_BYTES_MAX)?.into());
                let count = from.array("a list of voters", MEMBERS_MAX)?;
                let voters = (0..count).map(|_| name(from)).collect::<Result<_, _>>()?;
                Ok(Ballot { statement, change, voters })
            })
            .collect::<Result<_, Malformed>>()?;
        Ok(Self { changes, members, quorum, former, ballots })
    }
}
