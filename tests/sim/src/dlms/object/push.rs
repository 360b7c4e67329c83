//! Stub.
use super::Object;
pub(in crate::dlms) fn objects() -> Vec<Object> {
    Vec::new()
}
