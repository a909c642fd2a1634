//! A group robot of WeCom (企业微信群机器人): text or markdown, limits in bytes.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

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

#[derive(Serialize)]
struct Body<'a> {
    msgtype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    markdown: Option<Markdown>,
}

#[derive(Serialize)]
struct Text<'a> {
    content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentioned_list: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentioned_mobile_list: Vec<&'a str>,
}

#[derive(Serialize)]
struct Markdown {
    content: String,
}

pub(super) fn build(content: &Content<'_>, integration: &Integration) -> Payload {
    // Nobody is called for good news.
    let fires = !content.firing.is_empty();
    let called = |names: &'_ [Arc<str>]| -> Vec<String> {
        let names = names.iter().filter(|_| fires);
        names.map(ToString::to_string).collect()
    };
    let (users, mobiles) = (
        called(&integration.mentions),
        called(&integration.mobile_mentions),
    );
    let (body, truncated) = if integration.markdown {
        let (content, truncated) = markdown(content, &users);
        let body = Body {
            msgtype: "markdown",
            text: None,
            markdown: Some(Markdown { content }),
        };
        (serde_json::to_string(&body), truncated)
    } else {
        let (content, truncated) = plain(content);
        let body = Body {
            msgtype: "text",
            text: Some(Text {
                content,
                mentioned_list: users.iter().map(String::as_str).collect(),
                mentioned_mobile_list: mobiles.iter().map(String::as_str).collect(),
            }),
            markdown: None,
        };
        (serde_json::to_string(&body), truncated)
    };
    Payload {
        body: body.unwrap_or_default(),
        truncated,
    }
}

fn plain(content: &Content<'_>) -> (String, Option<String>) {
    let alerts = content.alerts().map(|(status, alert)| {
        let mark = if status == "firing" { "●" } else { "✓" };
        let mut text = format!("\n{mark} {}", content.story(status, alert));
        for line in content.notes(alert) {
            let _ = write!(text, "\n   {line}");
        }
        text
    });
    fit(content.subject(), &alerts.collect::<Vec<_>>(), TEXT_BYTES)
}

/// Mentions stand first, so that a cut does not lose them.
fn markdown(content: &Content<'_>, mentions: &[String]) -> (String, Option<String>) {
    let mut head = String::new();
    for user in mentions {
        let _ = write!(head, "<@{}> ", user.trim_start_matches('@'));
    }
    let color = if content.firing.is_empty() {
        "info"
    } else {
        "warning"
    };
    let subject = content.subject();
    let _ = write!(head, "**<font color=\"{color}\">{subject}</font>**");
    let alerts = content.alerts().map(|(status, alert)| {
        let mut text = format!("\n> {status} {}", content.story(status, alert));
        for line in content.notes(alert) {
            let _ = write!(text, "\n> {line}");
        }
        text
    });
    fit(head, &alerts.collect::<Vec<_>>(), MARKDOWN_BYTES)
}

/// As many whole alerts as fit, and how many were left out; when not even the first fits, as much of it as does.
fn fit(head: String, alerts: &[String], limit: usize) -> (String, Option<String>) {
    let whole = head.len() + alerts.iter().map(String::len).sum::<usize>();
    if whole <= limit {
        return (head + &alerts.concat(), None);
    }
    let rest = |left_out: usize| format!("\n… and {left_out} more");
    let mut kept = 0;
    let mut length = head.len();
    while kept < alerts.len() {
        let left_out = alerts.len() - kept - 1;
        let closing = if left_out == 0 {
            0
        } else {
            rest(left_out).len()
        };
        if length + alerts[kept].len() + closing > limit {
            break;
        }
        length += alerts[kept].len();
        kept += 1;
    }
    let left_out = alerts.len() - kept;
    let why = format!("content had {whole} bytes, {limit} are taken");
    if kept > 0 {
        let text = head + &alerts[..kept].concat() + &rest(left_out);
        return (text, Some(format!("{left_out} alerts left out: {why}")));
    }
    let text = head + alerts.first().map_or("", String::as_str);
    let text = format!("{}{ELLIPSIS}", cut(&text, limit - ELLIPSIS.len()));
    (text, Some(format!("cut: {why}")))
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{content_of, one, with_annotation};
    use super::*;
    use crate::Timestamp;
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
    fn whole_alerts_are_left_out_before_one_is_cut() {
        let alert = |text: &str| format!("\n{text}");
        let alerts = [alert("内存泄漏"), alert("b"), alert("c")];
        // 1 + 13 + 2 + 2 bytes fit, or they do not: then not even the first does beside `… and 2 more`.
        let fitted = |limit| fit("h".to_owned(), &alerts, limit);
        assert_eq!(fitted(18), ("h\n内存泄漏\nb\nc".to_owned(), None));
        let (text, said) = fitted(17);
        assert_eq!(text, "h\n内存泄漏…");
        assert_eq!(
            said.as_deref(),
            Some("cut: content had 18 bytes, 17 are taken")
        );
        let many = vec![alert("内存"); 9]; // 7 bytes each.
        let (text, said) = fit("h".to_owned(), &many, 37);
        assert_eq!(text, "h\n内存\n内存\n内存\n… and 6 more");
        assert_eq!(
            said.as_deref(),
            Some("6 alerts left out: content had 64 bytes, 37 are taken")
        );
        // A cut inside of a character falls before it.
        for (limit, expected) in [
            (4, "h…"),
            (8, "h\n内…"),
            (9, "h\n内…"),
            (10, "h\n内…"),
            (11, "h\n内存…"),
        ] {
            let (text, _) = fit("h".to_owned(), &[alert("内存泄漏内存泄漏")], limit);
            assert_eq!(text, expected, "{limit}");
        }
    }

    #[test]
    fn a_text_says_since_when_and_what() {
        let (mut alerts, message) = one();
        alerts[0].fired_at = Timestamp(1_795_410_189_000_000_000);
        let integration = Integration::new(IntegrationKind::WeCom);
        let payload = build(&content_of(&alerts, &message), &integration);
        assert_eq!(
            content_text(&payload, "text"),
            "[FIRING:1] Leak (cart P1)\n\
             ● memory grows {instance=\"cart-0\"} since 11-23 05:03:09 UTC\n\
             ✓ memory grows {instance=\"cart-1\"} ended 01-01 00:00:00 UTC after 0s"
        );
    }

    #[test]
    fn mentions() {
        let (alerts, mut message) = one();
        let mut integration = Integration::new(IntegrationKind::WeCom);
        integration.mentions = vec!["@all".into(), "zhang".into()];
        integration.mobile_mentions = vec!["13800001111".into()];
        let payload = build(&content_of(&alerts, &message), &integration);
        let expected =
            r#","mentioned_list":["@all","zhang"],"mentioned_mobile_list":["13800001111"]}}"#;
        assert!(payload.body.ends_with(expected), "{}", payload.body);
        integration.markdown = true;
        let payload = build(&content_of(&alerts, &message), &integration);
        let text = content_text(&payload, "markdown");
        assert!(text.starts_with("<@all> <@zhang> **"), "{text}");
        assert_eq!(payload.truncated, None);
        // Nobody is called when it is over.
        message.resolved = std::mem::take(&mut message.firing);
        let text = content_text(
            &build(&content_of(&alerts, &message), &integration),
            "markdown",
        );
        assert!(
            text.starts_with("**<font color=\"info\">[RESOLVED]"),
            "{text}"
        );
    }
}
