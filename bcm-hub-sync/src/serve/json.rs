//! JSON values as flists' metadata has them.

use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Number;

pub(super) use bcm_core::serve::json::to_bytes;

/// Any JSON value with the members of objects in the order they came in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads an flist's metadata value the way hubs' tool does: an object or a list is JSON,
    /// anything else is text.
    pub(super) fn of_metadata(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(value @ (Self::List(_) | Self::Object(_))) => value,
            _ => Self::Text(text.to_owned()),
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(items) => items.serialize(serializer),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_hubs_write_them() {
        let value = Json::Object(vec![
            (
                "z".into(),
                Json::List(vec![Json::Null, Json::Bool(true), Json::Number(7.into())]),
            ),
            (
                "a".into(),
                Json::Text("\"\\/\n\u{1f} ~\u{7f}Ü–文😀end".into()),
            ),
        ]);
        assert_eq!(
            String::from_utf8(to_bytes(&value).unwrap()).unwrap(),
            "{\"z\": [null, true, 7], \"a\": \"\\\"\\\\/\\n\\u001f ~\\u007f\\u00dc\\u2013\\u6587\\ud83d\\ude00end\"}\n"
        );
    }

    #[test]
    fn metadata_keeps_its_order_and_text_stays_text() {
        let text = r#"{"namespace": "default", "host": "h", "port": 9900}"#;
        let bytes = to_bytes(&Json::of_metadata(text)).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap().trim_end(), text);
        for text in ["5", "true", "# Read me", "{broken", "\"quoted\""] {
            assert_eq!(Json::of_metadata(text), Json::Text(text.to_owned()));
        }
        // A nest deeper than the parser's limit is text too, not a stack overflow.
        let deep = "[".repeat(100_000);
        assert_eq!(Json::of_metadata(&deep), Json::Text(deep));
    }
}
