//! The page around the report: what it may load (nothing), its style, its script and its data.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::markup::escape;

const STYLE: &str = concat!(
    include_str!("../../../assets/uplot.min.css"),
    include_str!("../../../assets/report.css")
);
const SCRIPT: &str = concat!(
    "/*!\n",
    include_str!("../../../assets/uplot.LICENSE"),
    "*/\n",
    include_str!("../../../assets/uplot.min.js"),
    "\n",
    include_str!("../../../assets/report.js")
);

/// A block of data that the script reads by its id; browsers do nothing with it.
pub fn island(id: &str, data: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string(data)?;
    let mut out = String::with_capacity(json.len() + 64);
    let _ = write!(
        out,
        "<script type=\"application/json\" id=\"{}\">",
        escape(id)
    );
    // Inside of JSON these stand in texts only, and mean the same escaped: no text can end the block or begin another.
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push_str("</script>\n");
    Ok(out)
}

/// The whole document. `body` is markup that was made here.
pub fn document(title: &str, body: &str, islands: &str) -> String {
    // Nothing is loaded, and nothing runs but this script: whatever text from outside may hold.
    let script = format!("'{}'", hash(SCRIPT));
    page(
        title,
        &script,
        &format!("{body}{islands}<script>{SCRIPT}</script>\n"),
    )
}

/// A whole document in which nothing runs.
pub fn inert(title: &str, body: &str) -> String {
    page(title, "'none'", body)
}

fn page(title: &str, script: &str, body: &str) -> String {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src {script}; base-uri 'none'; form-action 'none'",
        hash(STYLE),
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

/// What a content security policy calls an inline block by.
fn hash(block: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(block.as_bytes())))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let all = chunk
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0u32, |all, byte| all << 8 | u32::from(*byte));
        for i in 0..4 {
            let digit = (all >> (18 - 6 * i)) & 63;
            if i <= chunk.len() {
                out.push(char::from(DIGITS[digit as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_rfc_4648_has_it() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn data_cannot_leave_its_block() {
        let block = island("x", &"</script><!--<script>&\u{2028}").unwrap();
        let inside = block
            .strip_prefix("<script type=\"application/json\" id=\"x\">")
            .and_then(|b| b.strip_suffix("</script>\n"))
            .unwrap();
        assert!(!inside.contains(['<', '>', '&', '\u{2028}']), "{inside}");
        let back: String = serde_json::from_str(inside).unwrap();
        assert_eq!(back, "</script><!--<script>&\u{2028}");
    }

    #[test]
    fn the_page_asks_for_nothing() {
        let page = document("t", "", "");
        for asks in [
            "src=",
            "href=\"http",
            "@import",
            "url(",
            "fetch(",
            "XMLHttpRequest",
            "WebSocket",
            "import(",
        ] {
            assert!(!page.contains(asks), "{asks}");
        }
        assert_eq!(SCRIPT.matches("</script").count(), 0);
        assert_eq!(STYLE.matches("</style").count(), 0);
    }
}
