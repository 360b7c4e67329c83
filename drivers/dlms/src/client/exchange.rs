//! One question on its way: to APDUs, through blocks, back to an answer.

use super::conversation::{Answer, LIST_COUNT_MAX, Request};
use super::failure::ClientFailure;
use super::machine::EMPTY_BLOCK_COUNT_MAX;
use crate::apdu::{
    ActionRequest, ActionResponse, Apdu, DataBlock, ExceptionResponse, GetRequest, GetResponse, InvokeId,
    ServiceException, SetRequest, SetResponse, read_answer,
};
use crate::axdr::Value;
use crate::object::class;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// The longest answer in blocks, in bytes: a profile of a year has less.
pub(super) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What an APDU needs beside a block: tags, numbers, descriptor, cipher.
const BLOCK_OVERHEAD_BYTES: usize = 64;
/// The smallest block.
const BLOCK_BYTES_MIN: usize = 32;

/// A question on its way.
pub(super) struct Exchange {
    id: InvokeId,
    request: Request,
    /// Bytes of the question that are still to be sent in blocks, and the next block's number.
    outgoing: Vec<u8>,
    sent: usize,
    block_bytes: usize,
    number: u32,
    /// Bytes of the answer so far, and the last block's number.
    incoming: Vec<u8>,
    received: u32,
    empty_blocks: u8,
}

/// What is to be done next.
pub(super) enum Step {
    /// This is to be sent.
    Send(Apdu),
    /// The answer is here.
    Done(Answer),
}

impl Exchange {
    /// Begins a question. `max_pdu_bytes` is the longest APDU that the meter takes; 0 for any.
    pub(super) fn begin(id: InvokeId, request: Request, max_pdu_bytes: u16) -> Result<(Self, Apdu), ClientFailure> {
        let longest = match max_pdu_bytes {
            0 => usize::MAX,
            bytes => usize::from(bytes),
        };
        let block_bytes = longest.saturating_sub(BLOCK_OVERHEAD_BYTES).max(BLOCK_BYTES_MIN);
        let mut exchange = Self {
            id,
            request,
            outgoing: Vec::new(),
            sent: 0,
            block_bytes,
            number: 1,
            incoming: Vec::new(),
            received: 0,
            empty_blocks: 0,
        };
        let apdu = exchange.first()?;
        Ok((exchange, apdu))
    }

    fn first(&mut self) -> Result<Apdu, ClientFailure> {
        let id = self.id;
        match &self.request {
            Request::Get(attribute, access) => {
                Ok(Apdu::GetRequest(GetRequest::Normal(id, (*attribute, access.clone().map(Box::new)))))
            }
            Request::GetList(list) if list.len() > LIST_COUNT_MAX => Err(ClientFailure::Config("a list is too long")),
            Request::GetList(list) => {
                let list = list.iter().map(|attribute| (*attribute, None)).collect();
                Ok(Apdu::GetRequest(GetRequest::WithList(id, list)))
            }
            Request::Set(attribute, value) => {
                let bytes = value.to_bytes();
                if bytes.len() <= self.block_bytes {
                    return Ok(Apdu::SetRequest(SetRequest::Normal(id, (*attribute, None), value.clone())));
                }
                let wanted = (*attribute, None);
                self.outgoing = bytes;
                Ok(Apdu::SetRequest(SetRequest::FirstBlock(id, wanted, self.next_block())))
            }
            Request::Action(method, parameters) => {
                let bytes = parameters.as_ref().map(Value::to_bytes).unwrap_or_default();
                if bytes.len() <= self.block_bytes {
                    return Ok(Apdu::ActionRequest(ActionRequest::Normal(id, *method, parameters.clone())));
                }
                let method = *method;
                self.outgoing = bytes;
                Ok(Apdu::ActionRequest(ActionRequest::FirstBlock(id, method, self.next_block())))
            }
        }
    }

    fn next_block(&mut self) -> DataBlock {
        let end = self.sent.saturating_add(self.block_bytes).min(self.outgoing.len());
        let bytes = self.outgoing.get(self.sent..end).unwrap_or_default().to_vec();
        let block = DataBlock { last: end >= self.outgoing.len(), number: self.number, bytes };
        self.sent = end;
        self.number = self.number.saturating_add(1);
        block
    }

    /// Takes the meter's APDU. `None`: it answers another question; a late one, or a repeated one.
    pub(super) fn take(&mut self, apdu: Apdu) -> Result<Option<Step>, ClientFailure> {
        match (apdu, &self.request) {
            (Apdu::GetResponse(response), Request::Get(..) | Request::GetList(_)) => self.take_get(response),
            (Apdu::SetResponse(response), Request::Set(..)) => self.take_set(&response),
            (Apdu::ActionResponse(response), Request::Action(..)) => self.take_action(response),
            (
                Apdu::ExceptionResponse(ExceptionResponse {
                    service: ServiceException::InvocationCounter(counter),
                    ..
                }),
                _,
            ) => Err(ClientFailure::CounterOutOfStep { expected: Some(counter) }),
            (Apdu::ExceptionResponse(ExceptionResponse { service: ServiceException::Reason(5), .. }), _) => {
                Err(ClientFailure::KeysRefused)
            }
            // A question that the meter does not serve is no reason to give the association up.
            (Apdu::ExceptionResponse(ExceptionResponse { service: ServiceException::Reason(1..=4), .. }), _)
            | (Apdu::ConfirmedServiceError(_), _) => Ok(Some(Step::Done(Answer::NotServed))),
            (Apdu::ExceptionResponse(exception), _) => Err(ClientFailure::Exception(exception)),
            (other, request) => Err(ClientFailure::Unexpected { got: other.name(), expected: request.expected() }),
        }
    }

    fn take_get(&mut self, response: GetResponse) -> Result<Option<Step>, ClientFailure> {
        match response {
            GetResponse::Normal(id, _) | GetResponse::WithList(id, _) | GetResponse::Block(id, ..) if !self.is(id) => {
                Ok(None)
            }
            GetResponse::Normal(_, result) => Ok(done(Answer::Values(vec![result]))),
            GetResponse::WithList(_, results) => Ok(done(Answer::Values(results))),
            GetResponse::Block(_, _, Some(result)) => Ok(done(Answer::Values(vec![Err(result); self.wanted()]))),
            GetResponse::Block(id, block, None) => {
                if !self.add(&block)? {
                    return Ok(None);
                }
                if !block.last {
                    return Ok(send(Apdu::GetRequest(GetRequest::Next(id, block.number))));
                }
                let values = match &self.request {
                    Request::GetList(_) => read_answer::list(&self.incoming)?,
                    _ => vec![Ok(Value::parse_whole(&self.incoming).map_err(crate::apdu::ApduError::from)?)],
                };
                self.incoming = Vec::new();
                Ok(done(Answer::Values(values)))
            }
        }
    }

    fn take_set(&mut self, response: &SetResponse) -> Result<Option<Step>, ClientFailure> {
        match *response {
            SetResponse::Normal(id, result) | SetResponse::LastBlock(id, result, _) if self.is(id) => {
                Ok(done(Answer::Set(result)))
            }
            SetResponse::Block(id, number) if self.is(id) => {
                self.acknowledged(number)?;
                let block = self.next_block();
                Ok(send(Apdu::SetRequest(SetRequest::Block(id, block))))
            }
            SetResponse::WithList(..) | SetResponse::LastBlockWithList(..) => {
                Err(ClientFailure::Unexpected { got: "a set-response with a list", expected: "one for one attribute" })
            }
            _ => Ok(None),
        }
    }

    fn take_action(&mut self, response: ActionResponse) -> Result<Option<Step>, ClientFailure> {
        match response {
            ActionResponse::Normal(id, (result, value)) if self.is(id) => Ok(done(Answer::Action(result, value))),
            ActionResponse::Next(id, number) if self.is(id) => {
                self.acknowledged(number)?;
                let block = self.next_block();
                Ok(send(Apdu::ActionRequest(ActionRequest::Block(id, block))))
            }
            ActionResponse::Block(id, block) if self.is(id) => {
                if !self.add(&block)? {
                    return Ok(None);
                }
                if !block.last {
                    return Ok(send(Apdu::ActionRequest(ActionRequest::Next(id, block.number))));
                }
                let (result, value) = read_answer::action(&self.incoming)?;
                Ok(done(Answer::Action(result, value)))
            }
            ActionResponse::WithList(..) => {
                Err(ClientFailure::Unexpected { got: "an action-response with a list", expected: "one for one method" })
            }
            _ => Ok(None),
        }
    }

    /// Adds a block. `false`: it came twice.
    fn add(&mut self, block: &DataBlock) -> Result<bool, ClientFailure> {
        if block.number == self.received && self.received > 0 {
            return Ok(false);
        }
        let expected = self.received.saturating_add(1);
        // Some meters count from 0.
        if block.number != expected && !(self.received == 0 && block.number == 0 && self.incoming.is_empty()) {
            return Err(ClientFailure::Block { got: block.number, expected });
        }
        if self.incoming.len().saturating_add(block.bytes.len()) > ANSWER_BYTES_MAX {
            return Err(ClientFailure::TooLong { bytes_max: ANSWER_BYTES_MAX });
        }
        self.empty_blocks = self.empty_blocks.saturating_add(u8::from(block.bytes.is_empty()));
        if self.empty_blocks > EMPTY_BLOCK_COUNT_MAX {
            return Err(ClientFailure::Unexpected { got: "blocks without a byte", expected: self.request.expected() });
        }
        self.received = block.number;
        self.incoming.extend(&block.bytes);
        Ok(true)
    }

    fn acknowledged(&self, number: u32) -> Result<(), ClientFailure> {
        match self.number.saturating_sub(1) {
            expected if expected != number => Err(ClientFailure::Block { got: number, expected }),
            _ if self.sent >= self.outgoing.len() => {
                Err(ClientFailure::Unexpected { got: "a wish for another block", expected: "the result" })
            }
            _ => Ok(()),
        }
    }

    /// Whether the same can be asked in another way: values of a list one by one, rows of a profile by number. An
    /// answer that is no answer changes no value then.
    pub(super) fn is_one_of_several_ways(&self) -> bool {
        match &self.request {
            Request::GetList(_) => true,
            Request::Get(attribute, access) => {
                access.is_some() || attribute.class == class::PROFILE && attribute.attribute == 7
            }
            Request::Set(..) | Request::Action(..) => false,
        }
    }

    fn is(&self, id: InvokeId) -> bool {
        id.number() == self.id.number()
    }

    fn wanted(&self) -> usize {
        match &self.request {
            Request::GetList(list) => list.len(),
            _ => 1,
        }
    }
}

fn done(answer: Answer) -> Option<Step> {
    Some(Step::Done(answer))
}

fn send(apdu: Apdu) -> Option<Step> {
    Some(Step::Send(apdu))
}

impl Request {
    const fn expected(&self) -> &'static str {
        match self {
            Self::Get(..) | Self::GetList(_) => "a get-response",
            Self::Set(..) => "a set-response",
            Self::Action(..) => "an action-response",
        }
    }
}
