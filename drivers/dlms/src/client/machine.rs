//! The client's states.

use super::config::{Association, AssociationConfig, Proof};
use super::conversation::{Answer, Conversation};
use super::exchange::{Exchange, Step};
use super::failure::ClientFailure;
use crate::apdu::{
    Aare, Aarq, ActionResult, Apdu, AssociateResult, AuthenticationValue, Ciphered, ContextName, GeneralBlock,
    InitiateRequest, InvokeId, Mechanism, MethodDescriptor, Release, ReleaseKind, ServiceException,
};
use crate::axdr::Value;
use crate::link::{DataLink, LinkEvent, LinkFailure, Stage};
use crate::security::signing::proof_text;
use crate::security::{Opened, Protection, SecurityContext, SecurityError, SystemTitle, hls};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use plomb_session::{Instant, Session, Transmit};

/// How long the answer to a release is waited for: some meters have none.
pub(super) const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest APDU in general blocks, in bytes.
const GENERAL_BLOCKS_BYTES_MAX: usize = super::exchange::ANSWER_BYTES_MAX;
/// The most APDUs that answer no question and are waited past, for one question: late and repeated answers, and what
/// the meter tells unasked. Without an end a meter could hold its line.
const STRAY_APDU_COUNT_MAX: u8 = 16;
/// The most blocks without a byte, for one question.
pub(super) const EMPTY_BLOCK_COUNT_MAX: u8 = 3;
/// The tag of general-block-transfer.
const GENERAL_BLOCK: u8 = 0xE0;
/// The class of association objects, and their method that takes a proof.
const ASSOCIATION_CLASS: u16 = 15;
const REPLY_TO_HLS: i8 = 1;

/// A conversation with a meter over a link.
pub struct Client<C> {
    link: DataLink,
    config: AssociationConfig,
    conversation: C,
    association: Association,
    state: State,
    exchange: Option<Exchange>,
    /// Blocks of an APDU in general block transfer, and the last block's number.
    blocks: Option<(Vec<u8>, u16)>,
    /// APDUs that were waited past, and blocks without a byte, since the last question.
    strays: u8,
    empty_blocks: u8,
    invocations: u8,
    events: VecDeque<ClientEvent>,
    release_by: Option<Instant>,
    now: Instant,
}

/// What a client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The association stands; both sides have proved themselves.
    Associated(Association),
    /// The meter told something unasked: an APDU in clear.
    Notified(Vec<u8>),
    /// The APDU of an answer, in clear, if that was asked for.
    Answered(Vec<u8>),
    /// All was asked, and the meter is let go.
    Done,
    /// Nothing more comes.
    Failed(ClientFailure),
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    LinkUp,
    Aare,
    MeterProof,
    Answer,
    Rlre,
    LinkDown,
    Finished,
}

impl<C: Conversation> Client<C> {
    /// A client that has this conversation over this link, which is not connected yet.
    #[must_use]
    pub fn new(link: DataLink, config: AssociationConfig, conversation: C) -> Self {
        Self {
            link,
            config,
            conversation,
            association: Association::default(),
            state: State::Idle,
            exchange: None,
            blocks: None,
            strays: 0,
            empty_blocks: 0,
            invocations: 0,
            events: VecDeque::new(),
            release_by: None,
            now: Instant::ORIGIN,
        }
    }

    /// The conversation so far.
    #[must_use]
    pub const fn conversation(&self) -> &C {
        &self.conversation
    }

    /// The conversation.
    #[must_use]
    pub fn into_conversation(self) -> C {
        self.conversation
    }

    /// Keys and counters as they are now: what is left of the counters, and the meter's last.
    #[must_use]
    pub const fn security(&self) -> Option<&SecurityContext> {
        self.config.security.as_ref()
    }

    /// What the link has seen.
    #[must_use]
    pub const fn link(&self) -> &DataLink {
        &self.link
    }

    fn drive(&mut self, now: Instant) {
        self.now = now;
        while let Some(event) = self.link.poll_event() {
            if let Err(failure) = self.take(event) {
                self.fail(failure);
            }
        }
    }

    fn take(&mut self, event: LinkEvent) -> Result<(), ClientFailure> {
        match (event, self.state) {
            (LinkEvent::Connected(_), State::LinkUp) => self.ask_association(),
            (LinkEvent::Apdu(bytes), State::Aare | State::MeterProof | State::Answer | State::Rlre) => {
                self.take_apdu(&bytes)
            }
            (LinkEvent::Unsolicited(bytes), _) => {
                self.notified(bytes);
                Ok(())
            }
            (LinkEvent::Disconnected, State::LinkDown) => {
                self.end(ClientEvent::Done);
                Ok(())
            }
            // A meter that hangs up instead of answering a release has let go, too.
            (LinkEvent::Disconnected | LinkEvent::Failed(_), State::Rlre | State::LinkDown) => {
                self.end(ClientEvent::Done);
                Ok(())
            }
            (LinkEvent::Failed(LinkFailure::Silence { stage: Stage::Exchange, .. }), State::Aare) => {
                self.end(ClientEvent::Failed(ClientFailure::NoAnswer));
                Ok(())
            }
            (LinkEvent::Failed(failure), State::LinkUp | State::Aare | State::MeterProof | State::Answer) => {
                self.end(ClientEvent::Failed(failure.into()));
                Ok(())
            }
            (LinkEvent::Disconnected, State::LinkUp | State::Aare | State::MeterProof | State::Answer) => {
                self.end(ClientEvent::Failed(ClientFailure::Dropped));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, event: ClientEvent) {
        if self.state != State::Finished {
            self.events.push_back(event);
            self.state = State::Finished;
            self.release_by = None;
        }
    }

    /// Gives up, and lets go of the meter.
    fn fail(&mut self, failure: ClientFailure) {
        self.end(ClientEvent::Failed(failure));
        self.link.disconnect(self.now);
    }

    // Association.

    fn ask_association(&mut self) -> Result<(), ClientFailure> {
        let mechanism = self.config.mechanism();
        let mut initiate = InitiateRequest::new(self.config.conformance, self.config.max_pdu_bytes);
        let mut challenge = None;
        if let Proof::Password(password) = &self.config.proof {
            challenge = Some(AuthenticationValue::Text(password.to_vec()));
        } else if mechanism.is_high() {
            if !(hls::CHALLENGE_BYTES_MIN..=hls::CHALLENGE_BYTES_MAX).contains(&self.config.challenge.len()) {
                return Err(ClientFailure::Config("a challenge has 8 to 64 bytes"));
            }
            challenge = Some(AuthenticationValue::Text(self.config.challenge.clone()));
        }
        let mut bytes = None;
        if self.config.ciphered {
            initiate.dedicated_key = self.config.dedicated.as_ref().map(|key| key.bytes().to_vec());
            let security = self.config.security.as_mut().ok_or(NO_KEYS)?;
            bytes = Some(security.protect(&Apdu::InitiateRequest(initiate.clone()).emit())?);
        }
        let initiate = bytes.unwrap_or_else(|| Apdu::InitiateRequest(initiate).emit());
        let named = self.config.ciphered || mechanism >= Mechanism::GMAC;
        let title = self.config.security.as_ref().filter(|_| named).map(|security| security.title().0.to_vec());
        let aarq = Aarq {
            context: match self.config.ciphered {
                true => ContextName::LOGICAL_NAMES_CIPHERED,
                false => ContextName::LOGICAL_NAMES,
            },
            title,
            user: None,
            mechanism: Some(mechanism).filter(|mechanism| *mechanism != Mechanism::LOWEST),
            authentication: challenge,
            initiate,
            other: Vec::new(),
        };
        self.link.send(Apdu::Aarq(Box::new(aarq)).emit())?;
        self.state = State::Aare;
        Ok(())
    }

    fn take_aare(&mut self, aare: &Aare) -> Result<(), ClientFailure> {
        if let Some(title) = aare.title.as_deref().and_then(SystemTitle::from_slice)
            && let Some(security) = &mut self.config.security
        {
            security.set_meter(title);
        }
        if aare.result != AssociateResult(0) {
            if let Ok(Apdu::ConfirmedServiceError(error)) = Apdu::parse(&aare.initiate) {
                return Err(ClientFailure::Initiation(error));
            }
            return Err(ClientFailure::Refused {
                diagnostic: aare.diagnostic,
                passing: aare.result == AssociateResult(2),
                password: matches!(self.config.proof, Proof::Password(_) | Proof::None),
            });
        }
        let initiate = match (self.config.ciphered, self.config.security.as_mut()) {
            (true, Some(security)) => {
                if !aare.initiate.first().is_some_and(|tag| Ciphered::is_ciphered(*tag)) {
                    return Err(in_clear());
                }
                security.open(&aare.initiate)?.apdu
            }
            _ => aare.initiate.clone(),
        };
        match Apdu::parse(&initiate)? {
            Apdu::InitiateResponse(granted) => {
                let (conformance, max_pdu_bytes) = (granted.conformance, granted.max_pdu_bytes);
                self.association = Association { conformance, max_pdu_bytes };
            }
            Apdu::ConfirmedServiceError(error) => return Err(ClientFailure::Initiation(error)),
            other => return Err(ClientFailure::Unexpected { got: other.name(), expected: "an initiateResponse" }),
        }
        if let (true, Some(security), Some(key)) =
            (self.config.ciphered, self.config.security.as_mut(), self.config.dedicated.take())
        {
            security.set_dedicated(key);
        }
        if !self.config.mechanism().is_high() {
            return self.associated();
        }
        let challenge = aare.authentication.as_ref().map(AuthenticationValue::bytes).unwrap_or_default().to_vec();
        // Who gives our own challenge back wants us to prove to ourselves.
        if challenge.len() < hls::CHALLENGE_BYTES_MIN || challenge == self.config.challenge {
            return Err(ClientFailure::MeterNotProven);
        }
        self.prove(&challenge)
    }

    /// The third pass: shows the secret by the meter's challenge. The meter's challenge takes the place of the
    /// password until its own proof came.
    fn prove(&mut self, challenge: &[u8]) -> Result<(), ClientFailure> {
        let own = self.config.challenge.clone();
        let proof = match &self.config.proof {
            Proof::Hash(Mechanism::MD5, secret) => hls::md5(challenge, secret),
            Proof::Hash(Mechanism::SHA1, secret) => hls::sha1(challenge, secret),
            Proof::Hash(Mechanism::SHA256, secret) => {
                let (title, meter) = titles(self.config.security.as_ref())?;
                hls::sha256(secret, title, meter, challenge, &own)
            }
            Proof::Gmac => {
                let security = self.config.security.as_mut().ok_or(NO_KEYS)?;
                let (counter, keys) = (security.take_counter()?, security.keys());
                let (suite, title) = (security.suite(), security.title());
                hls::gmac(suite, &keys.encryption, keys.authentication.as_ref(), title, counter, challenge)?
            }
            Proof::Ecdsa(keys) => {
                let (title, meter) = titles(self.config.security.as_ref())?;
                keys.0.sign(&proof_text(title, meter, challenge, &own))
            }
            _ => return Err(ClientFailure::Config("this way of authentication is the manufacturer's own")),
        };
        // The proof of the meter is over both challenges.
        self.blocks = None;
        self.expected_proof(challenge)?;
        let method = MethodDescriptor::new(ASSOCIATION_CLASS, self.config.object, REPLY_TO_HLS);
        self.state = State::MeterProof;
        self.begin(super::Request::Action(method, Some(Value::OctetString(proof))))
    }

    /// What the meter must answer where that can be computed before; the challenge else. Takes the challenge's place.
    fn expected_proof(&mut self, challenge: &[u8]) -> Result<(), ClientFailure> {
        let own = self.config.challenge.clone();
        self.config.challenge = match &self.config.proof {
            Proof::Hash(Mechanism::MD5, secret) => hls::md5(&own, secret),
            Proof::Hash(Mechanism::SHA1, secret) => hls::sha1(&own, secret),
            Proof::Hash(Mechanism::SHA256, secret) => {
                let (title, meter) = titles(self.config.security.as_ref())?;
                hls::sha256(secret, meter, title, &own, challenge)
            }
            Proof::Ecdsa(_) => {
                let (title, meter) = titles(self.config.security.as_ref())?;
                proof_text(meter, title, &own, challenge)
            }
            _ => own,
        };
        Ok(())
    }

    /// The fourth pass: the meter shows the secret by our challenge.
    fn take_proof(&mut self, answer: Answer) -> Result<(), ClientFailure> {
        let Answer::Action(ActionResult::SUCCESS, Some(Ok(Value::OctetString(proof)))) = answer else {
            return Err(match answer {
                // Without a word of its own, a meter that says yes has proved nothing.
                Answer::Action(ActionResult::SUCCESS, _) => ClientFailure::MeterNotProven,
                _ => ClientFailure::ProofRefused,
            });
        };
        let good = match &self.config.proof {
            Proof::Gmac => {
                let security = self.config.security.as_ref().ok_or(NO_KEYS)?;
                let (keys, meter) = (security.keys(), security.meter().ok_or(SecurityError::TitleMissing)?);
                let (key, authentication) = (&keys.encryption, keys.authentication.as_ref());
                hls::check_gmac(security.suite(), key, authentication, meter, &proof, &self.config.challenge).is_ok()
            }
            Proof::Ecdsa(keys) => keys.1.verify(&self.config.challenge, &proof).is_ok(),
            _ => hls::is_same(&self.config.challenge, &proof),
        };
        if good { self.associated() } else { Err(ClientFailure::MeterNotProven) }
    }

    fn associated(&mut self) -> Result<(), ClientFailure> {
        self.events.push_back(ClientEvent::Associated(self.association));
        self.conversation.associated(self.config.ciphered);
        self.ask_next()
    }

    // Questions.

    fn ask_next(&mut self) -> Result<(), ClientFailure> {
        match self.conversation.next(&self.association) {
            Some(request) => {
                self.state = State::Answer;
                self.begin(request)
            }
            None => self.release(),
        }
    }

    fn begin(&mut self, request: super::Request) -> Result<(), ClientFailure> {
        (self.strays, self.empty_blocks) = (0, 0);
        self.invocations = self.invocations.wrapping_add(1);
        let id = InvokeId::new(self.invocations);
        let (exchange, apdu) = Exchange::begin(id, request, self.association.max_pdu_bytes)?;
        self.exchange = Some(exchange);
        self.send(&apdu)
    }

    fn send(&mut self, apdu: &Apdu) -> Result<(), ClientFailure> {
        let plain = apdu.emit();
        let bytes = match &mut self.config.security {
            Some(security) if self.config.ciphered => security.protect(&plain)?,
            _ => plain,
        };
        Ok(self.link.send(bytes)?)
    }

    fn take_apdu(&mut self, bytes: &[u8]) -> Result<(), ClientFailure> {
        if bytes.first() == Some(&GENERAL_BLOCK) {
            let Apdu::GeneralBlock(block) = Apdu::parse(bytes)? else { return Ok(()) };
            return match self.take_block(&block)? {
                // Blocks hold one APDU, never blocks: who packs blocks into blocks wants the stack.
                Some(whole) if whole.first() == Some(&GENERAL_BLOCK) => {
                    Err(ClientFailure::Unexpected { got: "a general block in general blocks", expected: "an APDU" })
                }
                Some(whole) => self.take_whole(&whole),
                None => Ok(()),
            };
        }
        self.take_whole(bytes)
    }

    fn take_whole(&mut self, bytes: &[u8]) -> Result<(), ClientFailure> {
        let was_clear = !bytes.first().is_some_and(|tag| Ciphered::is_ciphered(*tag));
        let apdu = self.in_clear(bytes)?;
        match (self.state, apdu) {
            (_, apdu @ (Apdu::DataNotification(_) | Apdu::EventNotification(_))) => {
                self.events.push_back(ClientEvent::Notified(apdu.emit()));
                self.wait_past()
            }
            (State::Aare, Apdu::Aare(aare)) => self.take_aare(&aare),
            (State::Aare, Apdu::ExceptionResponse(exception)) => Err(match exception.service {
                ServiceException::InvocationCounter(counter) => {
                    ClientFailure::CounterOutOfStep { expected: Some(counter) }
                }
                ServiceException::Reason(6) => ClientFailure::CounterOutOfStep { expected: None },
                ServiceException::Reason(5) => ClientFailure::KeysRefused,
                ServiceException::Reason(_) => ClientFailure::Exception(exception),
            }),
            (State::Aare, Apdu::ConfirmedServiceError(error)) => Err(ClientFailure::Initiation(error)),
            (State::Aare, other) => Err(ClientFailure::Unexpected { got: other.name(), expected: "an AARE" }),
            // Whatever it says, it answers the release.
            (State::Rlre, _) => {
                self.hang_up();
                Ok(())
            }
            // Nothing proves an exception in clear: it ends the association and answers no question, but for those that
            // can be asked in another way, whatever is at stake then.
            (State::Answer, Apdu::ExceptionResponse(exception))
                if self.is_unproven(was_clear) && matches!(exception.service, ServiceException::Reason(1..=4)) =>
            {
                Err(ClientFailure::Exception(exception))
            }
            (State::Answer, Apdu::ConfirmedServiceError(error)) if self.is_unproven(was_clear) => {
                Err(ClientFailure::ErrorInClear(error))
            }
            (state, apdu) => self.take_answer(state, apdu),
        }
    }

    fn is_unproven(&self, was_clear: bool) -> bool {
        let optional = self.exchange.as_ref().is_some_and(Exchange::is_one_of_several_ways);
        was_clear && self.config.ciphered && !optional
    }

    /// Waits for another APDU instead of this one, so many times.
    fn wait_past(&mut self) -> Result<(), ClientFailure> {
        self.strays = self.strays.saturating_add(1);
        if self.strays > STRAY_APDU_COUNT_MAX {
            return Err(ClientFailure::Unexpected { got: "one APDU after the other", expected: "the answer" });
        }
        Ok(self.link.receive_more(self.now)?)
    }

    fn take_answer(&mut self, state: State, apdu: Apdu) -> Result<(), ClientFailure> {
        let Some(exchange) = &mut self.exchange else { return Ok(()) };
        if self.config.tells_answers && state == State::Answer {
            self.events.push_back(ClientEvent::Answered(apdu.emit()));
        }
        match exchange.take(apdu)? {
            None => self.wait_past(),
            Some(Step::Send(apdu)) => self.send(&apdu),
            Some(Step::Done(answer)) => {
                self.exchange = None;
                if state == State::MeterProof {
                    return self.take_proof(answer);
                }
                self.conversation.answer(answer);
                self.ask_next()
            }
        }
    }

    /// The APDU in clear. What must be protected and is not, is not taken; but what only says that nothing comes may
    /// be in clear: the meter may not be able to protect it.
    fn in_clear(&mut self, bytes: &[u8]) -> Result<Apdu, ClientFailure> {
        let apdu = Apdu::parse(bytes)?;
        match (&mut self.config.security, apdu) {
            (Some(security), Apdu::Ciphered(_)) => {
                let Opened { apdu, .. } = security.open(bytes)?;
                Ok(Apdu::parse(&apdu)?)
            }
            (
                _,
                apdu @ (Apdu::Aare(_) | Apdu::Release(_) | Apdu::ExceptionResponse(_) | Apdu::ConfirmedServiceError(_)),
            ) => Ok(apdu),
            (_, _) if self.config.ciphered => Err(in_clear()),
            (_, apdu) => Ok(apdu),
        }
    }

    /// Takes a block of general block transfer, and acknowledges it where that is wanted.
    fn take_block(&mut self, block: &GeneralBlock) -> Result<Option<Vec<u8>>, ClientFailure> {
        let (mut bytes, last) = self.blocks.take().unwrap_or_default();
        let expected = last.wrapping_add(1);
        if block.number != expected {
            return Err(ClientFailure::Block { got: block.number.into(), expected: expected.into() });
        }
        if bytes.len().saturating_add(block.bytes.len()) > GENERAL_BLOCKS_BYTES_MAX {
            return Err(ClientFailure::TooLong { bytes_max: GENERAL_BLOCKS_BYTES_MAX });
        }
        bytes.extend(&block.bytes);
        if block.last {
            return Ok(Some(bytes));
        }
        self.empty_blocks = self.empty_blocks.saturating_add(u8::from(block.bytes.is_empty()));
        if self.empty_blocks > EMPTY_BLOCK_COUNT_MAX {
            return Err(ClientFailure::Unexpected { got: "blocks without a byte", expected: "the answer" });
        }
        self.blocks = Some((bytes, block.number));
        if block.streaming {
            self.link.receive_more(self.now)?;
        } else {
            let acknowledged = block.number;
            let number = acknowledged.wrapping_add(1);
            let wish =
                GeneralBlock { last: true, streaming: false, window: 1, number, acknowledged, bytes: Vec::new() };
            self.link.send(Apdu::GeneralBlock(wish).emit())?;
        }
        Ok(None)
    }

    fn notified(&mut self, bytes: Vec<u8>) {
        let plain = match (&mut self.config.security, bytes.first()) {
            (Some(security), Some(tag)) if Ciphered::is_ciphered(*tag) => {
                security.open(&bytes).map(|opened| opened.apdu)
            }
            _ => Ok(bytes),
        };
        // One that can't be opened is not this conversation's trouble.
        if let Ok(plain) = plain {
            self.events.push_back(ClientEvent::Notified(plain));
        }
    }

    // The end.

    fn release(&mut self) -> Result<(), ClientFailure> {
        let mut initiate = None;
        if let (true, Some(security)) = (self.config.ciphered, self.config.security.as_mut()) {
            let request = InitiateRequest::new(self.config.conformance, self.config.max_pdu_bytes);
            initiate = security.protect(&Apdu::InitiateRequest(request).emit()).ok();
        }
        let release = Release { kind: ReleaseKind::Request, reason: Some(0), initiate };
        self.link.send(Apdu::Release(release).emit())?;
        self.state = State::Rlre;
        Ok(())
    }

    fn hang_up(&mut self) {
        self.release_by = None;
        self.state = State::LinkDown;
        self.link.disconnect(self.now);
    }
}

const NO_KEYS: ClientFailure = ClientFailure::Config("ciphering needs keys: add them to the file of meter secrets");

fn in_clear() -> ClientFailure {
    SecurityError::Weaker { got: Protection::NONE, expected: Protection::FULL }.into()
}

/// The client's and the meter's title.
fn titles(security: Option<&SecurityContext>) -> Result<(SystemTitle, SystemTitle), ClientFailure> {
    let security = security.ok_or(ClientFailure::Config("this way of authentication needs a system title"))?;
    Ok((security.title(), security.meter().ok_or(SecurityError::TitleMissing)?))
}

impl<C: Conversation> Session for Client<C> {
    type Event = ClientEvent;

    fn start(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.state = State::LinkUp;
            self.link.connect(now);
            self.drive(now);
        }
    }

    fn handle_transmitted(&mut self, now: Instant) {
        self.link.handle_transmitted(now);
        if self.state == State::Rlre && self.release_by.is_none() {
            self.release_by = Some(now + RELEASE_TIMEOUT);
        }
        self.drive(now);
    }

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.link.handle_input(bytes, now);
        self.drive(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.link.handle_timeout(now);
        self.drive(now);
        if self.state == State::Rlre && self.release_by.is_some_and(|by| by <= now) {
            self.hang_up();
            self.drive(now);
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.link.poll_transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match (self.link.poll_timeout(), self.release_by) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    fn is_finished(&self) -> bool {
        self.state == State::Finished && self.link.poll_timeout().is_none()
    }
}
