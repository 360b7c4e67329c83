//! The hub: ledger state machine, log, engine and archive, and the process that joins them to the broker.
//!
//! # How a batch becomes a receipt
//!
//! ```text
//!  gateway ── up/batch ──► broker ──► hub::judge ──► Node ──► Engine ──► Node ──► Ledger
//!                                     signatures,    waits    order,     asks     rules, log, records,
//!                                     chain, root             time                archive, checkpoint
//!  gateway ◄─ down/receipt ─ broker ◄─ hub::bridge ◄── answer, after the commit ◄──────┘
//! ```
//!
//! 1. The broker passes the batch on; its guard has checked that the topic is the sender's own.
//! 2. The hub compares topic and anchor, finds the gateway's certified key on the ledger, and checks every
//!    signature, the chain within, the head and the root ([`plomb_seal::Batch::verify`]), off the
//!    runtime's threads, several batches at once.
//! 3. The [`Node`](node::Node) offers the anchor to the [engine], in the order of arrival. The engine puts
//!    it into a [block]: order and time, no judgement.
//! 4. The [`Ledger`](ledger::Ledger) applies the block. The [state machine](state) judges each transaction by its
//!    rules. What holds goes to the log, its record to the state, its batch to the [archive]; then the
//!    checkpoint is signed and cosigned, and all of it is one durable commit.
//! 5. Only then the receipt is made and published, and the batch acknowledged to the broker.
//!
//! Certificates take the same way from step 3 on; they come through the control socket, or, when no hub
//! runs, straight from the subcommand.
//!
//! # Invariants
//!
//! - Log, state records, archive, height and signed checkpoint change in one redb transaction, durable at
//!   once and in two phases, or not at all. A failed commit ends the process.
//! - No checkpoint leaves before the log that it speaks of is durable. So no two published checkpoints of
//!   one file contradict each other.
//! - The state is a function of the log: [`Ledger::replay`](ledger::Ledger::replay) comes to the same
//!   state hash, whoever runs it. Rules see no clock; time is the block's.
//! - What is refused leaves no trace but a counter and a log line. The same bytes again get the same
//!   answer and the same receipt, byte for byte, for ever.
//! - A gateway's numbers are admitted once each: every entry stands in the archive once, in order.
//! - The retained receipt of a gateway is its newest and never goes back.
//! - Who may take part is asked of the state at every handshake and again at every change; a revocation
//!   acts on open connections at once.
//!
//! # The rules
//!
//! | rule | of | what must hold |
//! |---|---|---|
//! | `transaction-form` | all | the bytes are a transaction of a known kind and version |
//! | `signature` | all | the named key made it |
//! | `genesis-first`, `genesis-once` | genesis | it stands first, and once |
//! | `genesis-members` | genesis | distinct members with authorities, a quorum that they can reach |
//! | `known-author` | certificate | a member signed |
//! | `certificate-origin` | certificate | it is meant for this ledger |
//! | `certificate-unique` | issue | never recorded before; the key serves one subject |
//! | `certificate-role` | issue | a name keeps its role; a gateway has no scope |
//! | `certificate-validity` | issue | it begins before it ends, and has not ended |
//! | `certificate-fields-match-x509` | issue | name, key, validity and issuer are those that TLS will show |
//! | `revoke-known`, `revoke-author` | revoke | it was issued, holds, and by whom it was issued it is revoked |
//! | `anchor-known-certificate` | anchor | the key is in a current certificate of that gateway |
//! | `anchor-no-fork` | anchor | no other anchor holds this number |
//! | `anchor-continuous` | anchor | number, first entry and hash follow the last anchor, or a later epoch begins |
//! | `anchor-checkpoint` | anchor | the checkpoint it names is this log's |
//! | `batch-present`, `batch-gateway`, `batch-verifies`, `batch-continues` | batch | rules of the hub that archives, not of the state machine |
//!
//! # Deliberately absent
//!
//! - **Byzantine tolerance.** The only engine is [`Solo`](engine::Solo): one process, one word. It is
//!   tamper-evident: a log that is rewritten contradicts checkpoints that gateways carry in their anchors
//!   and witnesses hold. It is not tamper-proof, and it can refuse service.
//! - Members added or removed after the genesis; configurations, commands and outcomes.
//! - Witnesses outside this process, log tiles and pages over HTTP.
//! - Pruning: log and archive grow for ever, in one file.
//! - Protection against an operator who puts back an older copy of the whole file: this node would sign
//!   another future. Gateways notice (`anchor-checkpoint` refuses their anchors, which name checkpoints
//!   that the old copy never reached); nothing here prevents it.

pub mod archive;
pub mod block;
pub mod cli;
pub mod config;
pub mod desk;
pub mod engine;
mod error;
pub mod files;
pub mod history;
pub mod hub;
pub mod ledger;
mod log;
pub mod node;
mod orders;
pub mod pki;
mod replay;
mod signers;
pub mod state;
pub mod strict_toml;

pub use error::LedgerError;
