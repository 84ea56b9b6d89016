//! The envelope that every answer comes in.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;
use crate::types::Operation;

/// An answer of the API, taken out of its envelope.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The result itself.
    Sync(Value),
    /// A background operation has begun.
    Async(Box<Operation>),
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_code: u16,
}

/// Why an answer is no answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NoAnswer {
    Api(ApiError),
    NotUnderstood(String),
}

/// Opens the envelope `body`, which came with `status`.
pub(crate) fn open(status: StatusCode, body: &[u8]) -> Result<Answer, NoAnswer> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| {
        NoAnswer::NotUnderstood(format!(
            "status {status}, {} bytes that are not the API's JSON: {error}",
            body.len()
        ))
    })?;
    match envelope.kind.as_str() {
        "sync" => Ok(Answer::Sync(envelope.metadata)),
        "async" => serde_json::from_value(envelope.metadata)
            .map(|operation| Answer::Async(Box::new(operation)))
            .map_err(|error| NoAnswer::NotUnderstood(format!("its operation: {error}"))),
        "error" => Err(NoAnswer::Api(ApiError {
            code: match envelope.error_code {
                0 => status.as_u16(),
                code => code,
            },
            message: envelope.error,
        })),
        other => Err(NoAnswer::NotUnderstood(format!("its type is {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_kinds() {
        let sync = br#"{"type":"sync","status":"Success","status_code":200,"metadata":["/1.0"]}"#;
        assert_eq!(
            open(StatusCode::OK, sync),
            Ok(Answer::Sync(serde_json::json!(["/1.0"])))
        );
        let asynchronous = br#"{"type":"async","operation":"/1.0/operations/x","metadata":
            {"id":"x","class":"task","status":"Running","status_code":103,"metadata":null,"err":""}}"#;
        assert!(matches!(
            open(StatusCode::ACCEPTED, asynchronous),
            Ok(Answer::Async(operation)) if operation.id == "x"
        ));
        let error = br#"{"type":"error","error":"not found","error_code":404,"metadata":null}"#;
        assert_eq!(
            open(StatusCode::NOT_FOUND, error),
            Err(NoAnswer::Api(ApiError {
                code: 404,
                message: "not found".to_owned()
            }))
        );
        assert!(matches!(
            open(StatusCode::BAD_GATEWAY, b"<html>"),
            Err(NoAnswer::NotUnderstood(_))
        ));
    }
}
