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
//! All other transactions take the same way from step 3 on; they come through the control socket, or, when no hub
//! runs, straight from the subcommand. They get a line in the [history], and configurations and commands a record
//! of what became of them, in the same commit.
//!
//! # Invariants
//!
//! - Log, state records, orders, history, archive, height and signed checkpoint change in one redb transaction, durable at
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
//! `docs/ledger.md` has each with its meaning. Here is where they are:
//!
//! | rules | of | in |
//! |---|---|---|
//! | `transaction-size`, `transaction-form`, `signature` | all | `state/rules/mod.rs`, `state/judge/mod.rs` |
//! | `genesis-first`, `-once`, `-members` | genesis | `state/rules/mod.rs` |
//! | `member-origin`, `-known-author`, `-base`, `-change`, `-vote-once`, `-votes-max` | votes | `state/rules/member.rs` |
//! | `known-author`, `certificate-origin`, `-unique`, `-role`, `-validity`, `-fields-match-x509`, `revoke-known`, `revoke-author` | certificates | `state/rules/certificate.rs`, `state/x509.rs` |
//! | `anchor-known-certificate`, `-no-fork`, `-continuous`, `-epoch`, `-checkpoint` | anchors | `state/rules/anchor.rs` |
//! | `sealing-origin`, `-known-gateway`, `-serial` | sealing keys | `state/rules/config.rs` |
//! | `config-origin`, `-known-admin`, `-scope`, `-size`, `-base`, `-recipient`, `-window` | configurations | `state/rules/config.rs` |
//! | `command-origin`, `-known-operator`, `-scope`, `-size`, `-counter`, `-expiry`, `-recipient`, `-room` | commands | `state/rules/command.rs` |
//! | `approval-origin`, `-known-operator`, `-known`, `-scope`, `-other-operator`, `-once`, `-in-time`, `-open` | approvals | `state/rules/command.rs` |
//! | `outcome-origin`, `-known-gateway`, `-current`, `-of`, `-effect`, `-once`, `-released` | outcomes | `state/rules/outcome.rs` |
//! | `batch-present`, `-gateway`, `-verifies`, `-continues` | batches | rules of the hub that archives, not of the state machine |
//!
//! # Deliberately absent
//!
//! - **Byzantine tolerance.** The only engine is [`Solo`](engine::Solo): one process, one word. It is
//!   tamper-evident: a log that is rewritten contradicts checkpoints that gateways carry in their anchors
//!   and witnesses hold. It is not tamper-proof, and it can refuse service.
//! - Judging what is sealed: only the gateway can read it.
//! - Witnesses outside this process; pages for people over HTTP.
//! - Pruning: log, archive and history grow for ever, in one file.
//! - Protection against an operator who puts back an older copy of the whole file: this node would sign
//!   another future. Gateways notice (`anchor-checkpoint` refuses their anchors, which name checkpoints
//!   that the old copy never reached); nothing here prevents it.

mod after;
pub mod archive;
pub mod block;
pub mod cli;
pub mod config;
pub mod desk;
pub mod engine;
mod enrol;
mod error;
pub mod files;
mod handed;
pub mod history;
mod http;
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
