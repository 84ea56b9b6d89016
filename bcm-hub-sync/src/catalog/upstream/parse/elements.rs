//! Walks JSON arrays without keeping them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::ParseError;
use crate::catalog::upstream::scalar::Object;

/// Calls `each` for every element of the array that `body` is.
pub(super) fn each_element(body: &[u8], mut each: impl FnMut(Object)) -> Result<(), ParseError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let other = Elements(&mut each)
        .deserialize(&mut json)
        .and_then(|other| json.end().map(|()| other))
        .map_err(ParseError::Json)?;
    outline(other, "an array")
}

/// Receives the lists of an object, one after the other.
pub(super) trait Lists {
    /// A list with this name begins; `false` reads past it.
    fn begins(&mut self, name: &str) -> bool;
    /// Its next element.
    fn element(&mut self, object: Object);
    /// It ended; `other` says what it is where it is not a list.
    fn ended(&mut self, other: Option<&'static str>);
}

/// Hands every list of the object that `body` is to `lists`.
pub(super) fn each_list(body: &[u8], lists: &mut impl Lists) -> Result<(), ParseError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let other = (&mut json)
        .deserialize_any(ListsVisitor(lists))
        .and_then(|other| json.end().map(|()| other))
        .map_err(ParseError::Json)?;
    outline(other, "an object")
}

fn outline(other: Option<&'static str>, expected: &'static str) -> Result<(), ParseError> {
    match other {
        None => Ok(()),
        Some(found) => Err(ParseError::Outline { expected, found }),
    }
}

/// The outcome of a visit: `None` for what was expected, else what came instead.
type Other = Option<&'static str>;

macro_rules! simple_values_are_other {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON value")
        }
        fn visit_unit<E>(self) -> Result<Other, E> {
            Ok(Some("null"))
        }
        fn visit_bool<E>(self, _: bool) -> Result<Other, E> {
            Ok(Some("a boolean"))
        }
        fn visit_i64<E>(self, _: i64) -> Result<Other, E> {
            Ok(Some("a number"))
        }
        fn visit_u64<E>(self, _: u64) -> Result<Other, E> {
            Ok(Some("a number"))
        }
        fn visit_f64<E>(self, _: f64) -> Result<Other, E> {
            Ok(Some("a number"))
        }
        fn visit_str<E>(self, _: &str) -> Result<Other, E> {
            Ok(Some("a text"))
        }
    };
}

struct Elements<'a>(&'a mut dyn FnMut(Object));

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = Other;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Other, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Other;
    simple_values_are_other!();
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Other, A::Error> {
        while let Some(object) = seq.next_element()? {
            (self.0)(object);
        }
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Other, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some("an object"))
    }
}

struct ListsVisitor<'a, L>(&'a mut L);

impl<'de, L: Lists> Visitor<'de> for ListsVisitor<'_, L> {
    type Value = Other;
    simple_values_are_other!();
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Other, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some("an array"))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Other, A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if !self.0.begins(&name) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let lists = &mut *self.0;
            let other = map.next_value_seed(Elements(&mut |object| lists.element(object)))?;
            self.0.ended(other);
        }
        Ok(None)
    }
}
