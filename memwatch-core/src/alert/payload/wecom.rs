//! A group robot of WeCom (企业微信群机器人): text or markdown, limits in bytes.

use std::fmt::Write as _;

use serde_json::json;

use super::{Content, Payload, cut};
use crate::alert::notifications::Integration;

/// Bytes of `text.content`.
const TEXT_BYTES: usize = 2048;
/// Bytes of `markdown.content`.
const MARKDOWN_BYTES: usize = 4096;
/// What stands where something was cut.
const ELLIPSIS: &str = "…";

/// Messages that one robot takes within a minute.
pub(super) const PER_MINUTE: usize = 20;

/// What a robot takes, in words.
pub(super) fn limits(markdown: bool) -> Vec<String> {
    let bytes = if markdown { MARKDOWN_BYTES } else { TEXT_BYTES };
    vec![
        format!("{bytes} bytes of content"),
        format!("{PER_MINUTE} messages a minute"),
    ]
}

pub(super) fn build(content: &Content<'_>, integration: &Integration) -> Payload {
    let (text, limit) = if integration.markdown {
        (markdown(content, &integration.mentions), MARKDOWN_BYTES)
    } else {
        (plain(content), TEXT_BYTES)
    };
    let whole = text.len();
    let (text, truncated) = if whole > limit {
        let kept = format!("{}{ELLIPSIS}", cut(&text, limit - ELLIPSIS.len()));
        (
            kept,
            Some(format!(
                "content cut: it had {whole} bytes, {limit} are taken"
            )),
        )
    } else {
        (text, None)
    };
    let body = if integration.markdown {
        json!({ "msgtype": "markdown", "markdown": { "content": text } })
    } else {
        let mentions: Vec<&str> = integration.mentions.iter().map(AsRef::as_ref).collect();
        json!({ "msgtype": "text", "text": { "content": text, "mentioned_list": mentions } })
    };
    Payload {
        body: body.to_string(),
        truncated,
    }
}

fn plain(content: &Content<'_>) -> String {
    let mut text = content.subject();
    for (status, alert) in content.alerts() {
        let _ = write!(text, "\n{status}: {}", alert.labels.canonical());
        for (_, value) in &alert.annotations {
            let _ = write!(text, "\n  {value}");
        }
    }
    text
}

/// Mentions stand first, so that a cut does not lose them.
fn markdown(content: &Content<'_>, mentions: &[std::sync::Arc<str>]) -> String {
    let mut text = String::new();
    for user in mentions {
        let _ = write!(text, "<@{user}> ");
    }
    let color = if content.firing.is_empty() {
        "info"
    } else {
        "warning"
    };
    let _ = write!(
        text,
        "**<font color=\"{color}\">{}</font>**",
        content.subject()
    );
    for (status, alert) in content.alerts() {
        let _ = write!(text, "\n> {status}: {}", alert.labels.canonical());
        for (_, value) in &alert.annotations {
            let _ = write!(text, "\n> {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{content_of, one, with_annotation};
    use super::*;
    use crate::alert::IntegrationKind;

    fn content_text(payload: &Payload, kind: &str) -> String {
        let json: serde_json::Value = serde_json::from_str(&payload.body).unwrap();
        json[kind]["content"].as_str().unwrap().to_owned()
    }

    #[test]
    fn limits_are_bytes_and_cuts_keep_characters() {
        let (alerts, message) = with_annotation(&"内存".repeat(2000));
        let mut integration = Integration::new(IntegrationKind::WeCom);
        for (markdown, kind, limit) in [
            (false, "text", TEXT_BYTES),
            (true, "markdown", MARKDOWN_BYTES),
        ] {
            integration.markdown = markdown;
            let payload = build(&content_of(&alerts, &message), &integration);
            let text = content_text(&payload, kind);
            assert!(
                text.len() <= limit && text.len() > limit - 4,
                "{}",
                text.len()
            );
            assert!(text.ends_with('…'));
            assert!(payload.truncated.is_some());
        }
    }

    #[test]
    fn mentions() {
        let (alerts, message) = one();
        let mut integration = Integration::new(IntegrationKind::WeCom);
        integration.mentions = vec!["@all".into()];
        let payload = build(&content_of(&alerts, &message), &integration);
        assert!(
            payload.body.contains(r#""mentioned_list":["@all"]"#),
            "{}",
            payload.body
        );
        integration.markdown = true;
        let payload = build(&content_of(&alerts, &message), &integration);
        assert!(content_text(&payload, "markdown").starts_with("<@@all> **"));
        assert_eq!(payload.truncated, None);
    }
}
