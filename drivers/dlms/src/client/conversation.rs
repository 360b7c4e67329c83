//! What is asked in an association, one question after the other.

use crate::apdu::{ActionResult, AttributeDescriptor, DataAccessResult, MethodDescriptor, SelectiveAccess};
use crate::axdr::Value;
use alloc::vec::Vec;

/// The most attributes of one question with a list.
pub const LIST_COUNT_MAX: usize = 64;

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// One attribute, or a part of it.
    Get(AttributeDescriptor, Option<SelectiveAccess>),
    /// Several attributes at once; at most [`LIST_COUNT_MAX`]. Only where
    /// [`Association::with_list`](super::Association::with_list) says that the meter takes it.
    GetList(Vec<AttributeDescriptor>),
    /// Changes an attribute.
    Set(AttributeDescriptor, Value),
    /// Has the meter do something.
    Action(MethodDescriptor, Option<Value>),
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Request::Get`] and [`Request::GetList`]: a value for each attribute, or why there is none.
    Values(Vec<Result<Value, DataAccessResult>>),
    /// To [`Request::Set`].
    Set(DataAccessResult),
    /// To [`Request::Action`]: the result, and what the method gives back, if anything.
    Action(ActionResult, Option<Result<Value, DataAccessResult>>),
    /// The meter does not serve questions of this kind; the association stands.
    NotServed,
}

/// Decides what is asked, from the answers so far.
///
/// A conversation sees values only: links, blocks and ciphers are the [`Client`](super::Client)'s.
pub trait Conversation {
    /// The next question; `None`: nothing more, and the association is released.
    fn next(&mut self, association: &super::Association) -> Option<Request>;

    /// The answer to the question before.
    fn answer(&mut self, answer: Answer);

    /// An association stands: the first, or another after one that was broken off. Unless `proven`, with keys of its own,
    /// whoever answers now may be another meter.
    fn associated(&mut self, proven: bool) {
        let _ = proven;
    }

    /// How many questions were answered. A conversation that was broken off goes on in another association, with the
    /// question that has no answer yet.
    fn answered(&self) -> usize;
}

/// One question, and its answer.
#[derive(Clone, Debug)]
pub struct Once {
    request: Request,
    answer: Option<Answer>,
}

impl Once {
    /// A conversation of this question.
    #[must_use]
    pub const fn new(request: Request) -> Self {
        Self { request, answer: None }
    }

    /// The answer, once there is one.
    #[must_use]
    pub fn into_answer(self) -> Option<Answer> {
        self.answer
    }
}

impl Conversation for Once {
    fn next(&mut self, _association: &super::Association) -> Option<Request> {
        self.answer.is_none().then(|| self.request.clone())
    }

    fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    fn answered(&self) -> usize {
        usize::from(self.answer.is_some())
    }
}
