//! JSON values of which only the simple ones matter: whatever else an answer holds is read past
//! without being kept, so that a hostile answer costs no more memory than its own bytes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Scalar {
    /// There was none.
    #[default]
    Missing,
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    /// Anything else; the text says what.
    Other(&'static str),
}

impl Scalar {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Text(_) => "a text",
            Self::Other(kind) => kind,
        }
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(value).map_or(Scalar::Other("a number out of range"), Scalar::Integer))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other("a fraction or a number out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("an array"))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("an object"))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// The fields of an object that hubs' answers have; every other field is read past.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) name: Scalar,
    pub(super) kind: Scalar,
    pub(super) size: Scalar,
    pub(super) updated: Scalar,
    pub(super) linktime: Scalar,
    pub(super) target: Scalar,
    pub(super) official: Scalar,
    pub(super) md5: Scalar,
}

/// An object, or the kind of what is in its place.
#[derive(Debug)]
pub(super) enum Object {
    Fields(Box<Fields>),
    NotAnObject(Scalar),
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<Object, E> {
        ScalarVisitor.visit_unit().map(Object::NotAnObject)
    }
    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Object, E> {
        ScalarVisitor.visit_bool(value).map(Object::NotAnObject)
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Object, E> {
        ScalarVisitor.visit_i64(value).map(Object::NotAnObject)
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Object, E> {
        ScalarVisitor.visit_u64(value).map(Object::NotAnObject)
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Object, E> {
        ScalarVisitor.visit_f64(value).map(Object::NotAnObject)
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Object, E> {
        ScalarVisitor.visit_str(value).map(Object::NotAnObject)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Object, A::Error> {
        ScalarVisitor.visit_seq(seq).map(Object::NotAnObject)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut fields = Box::<Fields>::default();
        while let Some(key) = map.next_key::<String>()? {
            let place = match key.as_str() {
                "name" => &mut fields.name,
                "type" => &mut fields.kind,
                "size" => &mut fields.size,
                "updated" => &mut fields.updated,
                "linktime" => &mut fields.linktime,
                "target" => &mut fields.target,
                "official" => &mut fields.official,
                "md5" => &mut fields.md5,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = map.next_value()?;
        }
        Ok(Object::Fields(fields))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor)
    }
}
