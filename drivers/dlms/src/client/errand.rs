//! Changes at a meter, each asked for once.

use super::config::Association;
use super::conversation::{Answer, Conversation, Request};
use crate::apdu::{ActionResult, AttributeDescriptor, DataAccessResult};
use crate::axdr::Value;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What an attribute was, or why it was not told.
pub type Looked = Result<Value, DataAccessResult>;
/// Says what is to be changed, from what was found before; or why nothing is.
pub type Plan = Box<dyn FnOnce(&[Looked]) -> Result<Vec<Request>, String> + Send>;

/// Looks at a meter, changes something, and looks again.
///
/// Looking can be repeated; a change is asked for once. Where its answer is lost, nothing more is changed, in no other
/// association either: what the meter shows afterwards is all that can be known.
pub struct Errand {
    before: Vec<AttributeDescriptor>,
    plan: Option<Plan>,
    after: Vec<AttributeDescriptor>,
    changes: Vec<Request>,
    found: Vec<Looked>,
    shown: Vec<Looked>,
    returned: Vec<Option<Value>>,
    /// The change that has no answer yet.
    waits: bool,
    fate: Option<Fate>,
    answered: usize,
}

/// What became of the changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// None was asked for.
    Untouched,
    /// There is nothing that could be changed, or that should; in words.
    Unplanned(String),
    /// The meter did all of them.
    Accepted,
    /// The meter refused one; those before it were done.
    Refused {
        /// Which, from 0.
        change: usize,
        /// In which words.
        why: Refusal,
    },
    /// One was asked for, and no answer came; those before it were done.
    Lost {
        /// Which, from 0.
        change: usize,
    },
    /// One was to be asked for next, and it did not come to that; those before it were done.
    BrokenOff {
        /// Which, from 0.
        change: usize,
    },
}

/// How a meter refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// To write an attribute.
    Set(DataAccessResult),
    /// To do something.
    Action(ActionResult),
    /// It does not serve such questions at all.
    NotServed,
}

impl Errand {
    /// Reads `before`, makes a plan of it, carries it out, and reads `after`. Only what is asked for with
    /// [`Request::Set`] and [`Request::Action`] is a change.
    #[must_use]
    pub fn new(before: Vec<AttributeDescriptor>, plan: Plan, after: Vec<AttributeDescriptor>) -> Self {
        Self {
            before,
            plan: Some(plan),
            after,
            changes: Vec::new(),
            found: Vec::new(),
            shown: Vec::new(),
            returned: Vec::new(),
            waits: false,
            fate: None,
            answered: 0,
        }
    }

    /// Looks, and changes nothing.
    #[must_use]
    pub fn look(after: Vec<AttributeDescriptor>) -> Self {
        Self::new(Vec::new(), Box::new(|_| Ok(Vec::new())), after)
    }

    /// What became of the changes, as far as it went.
    #[must_use]
    pub fn fate(&self) -> Fate {
        match &self.fate {
            Some(fate) => fate.clone(),
            None if self.waits => Fate::Lost { change: self.returned.len() },
            None if self.plan.is_some() => Fate::Untouched,
            None if self.returned.len() < self.changes.len() => Fate::BrokenOff { change: self.returned.len() },
            None => Fate::Accepted,
        }
    }

    /// What was found before.
    pub fn found(&self) -> &[Looked] {
        &self.found
    }

    /// How many changes were planned.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.changes.len()
    }

    /// What methods gave back, change by change, as far as they were done.
    #[must_use]
    pub fn returned(&self) -> &[Option<Value>] {
        &self.returned
    }

    /// What the meter showed afterwards; less than was to be looked at where it did not get so far.
    pub fn shown(&self) -> &[Looked] {
        &self.shown
    }

    fn changed(&mut self, answer: Answer) {
        let why = match answer {
            Answer::Set(DataAccessResult::SUCCESS) => return self.returned.push(None),
            Answer::Action(ActionResult::SUCCESS, value) => return self.returned.push(value.and_then(Result::ok)),
            Answer::Set(result) => Refusal::Set(result),
            Answer::Action(result, _) => Refusal::Action(result),
            Answer::Values(_) | Answer::NotServed => Refusal::NotServed,
        };
        self.fate = Some(Fate::Refused { change: self.returned.len(), why });
    }
}

fn looked(answer: Answer) -> Looked {
    match answer {
        Answer::Values(values) => values.into_iter().next().unwrap_or(Err(DataAccessResult(250))),
        _ => Err(DataAccessResult(250)),
    }
}

impl Conversation for Errand {
    fn next(&mut self, _association: &Association) -> Option<Request> {
        if self.waits {
            // This is another association: the answer is lost.
            self.waits = false;
            self.fate = Some(Fate::Lost { change: self.returned.len() });
        }
        if let Some(attribute) = self.before.get(self.found.len()).filter(|_| self.plan.is_some()) {
            return Some(Request::Get(*attribute, None));
        }
        if let Some(plan) = self.plan.take() {
            match plan(&self.found) {
                Ok(changes) => self.changes = changes,
                Err(why) => self.fate = Some(Fate::Unplanned(why)),
            }
        }
        if self.fate.is_none()
            && let Some(change) = self.changes.get(self.returned.len())
        {
            self.waits = true;
            return Some(change.clone());
        }
        self.after.get(self.shown.len()).map(|attribute| Request::Get(*attribute, None))
    }

    fn answer(&mut self, answer: Answer) {
        self.answered = self.answered.saturating_add(1);
        if self.waits {
            self.waits = false;
            self.changed(answer);
        } else if self.plan.is_some() {
            self.found.push(looked(answer));
        } else {
            self.shown.push(looked(answer));
        }
    }

    fn answered(&self) -> usize {
        self.answered
    }
}

impl fmt::Debug for Errand {
    /// Without what is to be changed: tokens are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand").field("fate", &self.fate()).field("answered", &self.answered).finish_non_exhaustive()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(result) => write!(f, "data-access-result {result}"),
            Self::Action(result) => write!(f, "action-result {result}"),
            Self::NotServed => f.write_str("the meter does not serve such requests"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apdu::{Conformance, MethodDescriptor};
    use alloc::vec;
    use plomb_session::Obis;
    use proptest::prelude::*;

    const SWITCH: Obis = Obis([0, 0, 96, 3, 10, 255]);

    fn association() -> Association {
        Association { conformance: Conformance::of_client(), max_pdu_bytes: 0 }
    }

    fn change(number: i8) -> Request {
        Request::Action(MethodDescriptor::new(70, SWITCH, number), Some(Value::Integer(number)))
    }

    fn errand(changes: i8) -> Errand {
        let look = AttributeDescriptor::new(70, SWITCH, 2);
        let plan = Box::new(move |_: &[Looked]| Ok((0..changes).map(change).collect()));
        Errand::new(vec![look], plan, vec![look, look])
    }

    fn value() -> Answer {
        Answer::Values(vec![Ok(Value::Boolean(1))])
    }

    const DONE: Answer = Answer::Action(ActionResult::SUCCESS, None);

    #[test]
    fn it_looks_changes_and_looks_again() {
        let mut errand = errand(2);
        let mut asked = Vec::new();
        assert_eq!(errand.fate(), Fate::Untouched);
        while let Some(request) = errand.next(&association()) {
            errand.answer(if matches!(request, Request::Get(..)) { value() } else { DONE });
            asked.push(matches!(request, Request::Action(..)));
        }
        assert_eq!(asked, [false, true, true, false, false]);
        assert_eq!((errand.fate(), errand.found().len(), errand.shown().len()), (Fate::Accepted, 1, 2));
    }

    #[test]
    fn after_a_refusal_nothing_more_is_changed() {
        let mut errand = errand(3);
        let refused = ActionResult(3);
        let answers = [value(), DONE, Answer::Action(refused, None), value(), value()];
        for answer in answers {
            assert!(errand.next(&association()).is_some());
            errand.answer(answer);
        }
        assert!(errand.next(&association()).is_none());
        assert_eq!(errand.fate(), Fate::Refused { change: 1, why: Refusal::Action(refused) });
        assert_eq!(Refusal::Action(refused).to_string(), "action-result read-write-denied (3)");
    }

    #[test]
    fn a_plan_that_comes_to_nothing_changes_nothing() {
        let look = AttributeDescriptor::new(8, SWITCH, 2);
        let mut errand = Errand::new(vec![look], Box::new(|_| Err("no zone".into())), vec![]);
        assert!(errand.next(&association()).is_some());
        errand.answer(Answer::NotServed);
        assert!(errand.next(&association()).is_none());
        assert_eq!(errand.fate(), Fate::Unplanned("no zone".into()));
    }

    use alloc::string::ToString;

    proptest! {
        /// Wherever associations break off, and however often: no change is asked for twice, and what is said of it
        /// is true of a meter that did all that it was asked.
        #[test]
        fn no_change_is_asked_for_twice(changes in 0i8..4, breaks in prop::collection::vec(any::<(bool, bool)>(), 0..40)) {
            let mut errand = errand(changes);
            let mut asked = Vec::new();
            let mut answered = Vec::new();
            for (answers, refuses) in breaks {
                let Some(request) = errand.next(&association()) else { break };
                if let Request::Action(method, _) = &request {
                    asked.push(method.method);
                }
                if !answers {
                    // Another association begins.
                    continue;
                }
                match request {
                    Request::Action(..) if refuses => errand.answer(Answer::NotServed),
                    Request::Action(method, _) => {
                        answered.push(method.method);
                        errand.answer(DONE);
                    }
                    _ => errand.answer(value()),
                }
            }
            let count = asked.len();
            prop_assert_eq!(&asked, &(0..changes).take(count).collect::<Vec<_>>());
            match errand.fate() {
                Fate::Untouched => prop_assert!(asked.is_empty()),
                Fate::Accepted => prop_assert_eq!(answered.len(), usize::try_from(changes).unwrap()),
                Fate::Lost { change } => prop_assert_eq!((change, count), (answered.len(), answered.len() + 1)),
                Fate::Refused { change, .. } => prop_assert_eq!((change, count), (answered.len(), answered.len() + 1)),
                Fate::BrokenOff { change } => prop_assert_eq!((change, count), (answered.len(), answered.len())),
                Fate::Unplanned(_) => prop_assert!(false),
            }
        }
    }
}
