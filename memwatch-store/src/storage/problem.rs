//! What a server or the network said, in the words of somebody who has to mend it: what is wrong, and which variable to look at.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

use crate::Error;

/// What is searched for, what it means, and what to do. The first that is found counts.
const KNOWN: &[(&[&str], &str, &str)] = &[
    (
        &["169.254.169.254", "metadata endpoint"],
        "no credentials found",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (profiles of ~/.aws are not read), or AWS_SKIP_SIGNATURE=true for a bucket that \
         is open to all",
    ),
    (
        &["NoSuchBucket"],
        "there is no such bucket",
        "make it, or look at AWS_ENDPOINT_URL and AWS_REGION",
    ),
    (
        &["InvalidAccessKeyId"],
        "the server does not know this access key",
        "look at AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
    ),
    (
        &["SignatureDoesNotMatch"],
        "the signature is wrong",
        "look at AWS_SECRET_ACCESS_KEY and AWS_REGION",
    ),
    (
        &["ExpiredToken", "InvalidToken", "TokenRefreshRequired"],
        "the temporary credentials are not valid any more",
        "renew AWS_SESSION_TOKEN, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        &["RequestTimeTooSkewed"],
        "the clock of this machine is wrong",
        "set it",
    ),
    (
        &[
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraint",
            "redirect without LOCATION",
        ],
        "the bucket is in another region",
        "set AWS_REGION to its own",
    ),
    (
        &["AccessDenied", "403 Forbidden", "AllAccessDisabled"],
        "access denied (403)",
        "the owner of AWS_ACCESS_KEY_ID needs s3:ListBucket on the bucket and s3:GetObject on what is below the prefix, for writing also \
         s3:PutObject and s3:DeleteObject",
    ),
    (
        &["401 Unauthorized"],
        "credentials refused (401)",
        "look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        &["SlowDown", "503 Service", "429 Too Many"],
        "the server asks to slow down",
        "try again later",
    ),
    (
        &[
            "dns error",
            "failed to lookup address",
            "Name or service not known",
        ],
        "the server's name cannot be resolved",
        "look at AWS_ENDPOINT_URL, or at AWS_REGION without one",
    ),
    (
        &["certificate", "UnknownIssuer"],
        "the server's certificate is not trusted",
        "set SSL_CERT_FILE to that of its authority, or look at AWS_ENDPOINT_URL",
    ),
    (
        &["scheme is not allowed", "BadScheme"],
        "http:// is not allowed",
        "set AWS_ALLOW_HTTP=true, or AWS_ENDPOINT_URL to https://",
    ),
    (
        &[
            "Connection refused",
            "tcp connect error",
            "Network is unreachable",
            "No route to host",
        ],
        "nothing answers at the server's address",
        "look at AWS_ENDPOINT_URL",
    ),
    (
        &["timed out"],
        "no answer in time",
        "look at AWS_ENDPOINT_URL and at the network",
    ),
    (
        &[
            "error sending request",
            "connection closed",
            "Connection reset",
            "IncompleteMessage",
            "decoding response body",
        ],
        "the connection broke",
        "try again; look at AWS_ENDPOINT_URL if it stays so",
    ),
    (
        &["NoSuchKey", "404 Not Found"],
        "there is no such object",
        "look at the prefix and at AWS_ENDPOINT_URL",
    ),
    (
        &["500 Internal Server Error", "502 Bad", "504 Gateway"],
        "the server failed",
        "try again later",
    ),
];

/// All that was said, without line breaks: error and sources, each once.
pub(super) fn words(error: &dyn StdError) -> String {
    let mut all = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !all.contains(&text) {
            if !all.is_empty() {
                all.push_str(": ");
            }
            all.push_str(&text);
        }
        next = error.source();
    }
    all
}

/// What a server said, for the chain of causes.
#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Said {}

/// Characters of what a server said.
const SAID: usize = 240;

/// An error of this crate for one of object storage.
pub(super) fn failed(path: &Path, action: &'static str, error: object_store::Error) -> Error {
    let words = words(&error);
    let known = KNOWN
        .iter()
        .find(|(needles, _, _)| needles.iter().any(|needle| words.contains(needle)));
    let problem = match known {
        Some((_, what, look)) => format!("{what}: {look}"),
        None => "object storage failed".to_owned(),
    };
    let said = match words.char_indices().nth(SAID) {
        Some((end, _)) => format!("{} …", &words[..end]),
        None => words,
    };
    Error::ObjectStorage {
        path: path.to_path_buf(),
        action,
        problem,
        source: Some(Box::new(Said(said))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`failed`] says, for what a server or the network says.
    #[track_caller]
    fn check(said: &str, problem: &str, variable: &str) {
        let error = object_store::Error::Generic {
            store: "S3",
            source: said.to_owned().into(),
        };
        let told = failed(Path::new("s3://b/p/memwatch.json"), "read", error).to_string();
        let begin = format!("s3://b/p/memwatch.json: cannot read: {problem}");
        assert!(told.starts_with(&begin), "{told}");
        assert!(told.contains(variable), "{told}");
    }

    #[test]
    fn each_problem_names_what_to_look_at() {
        check(
            "Error performing PUT http://169.254.169.254/latest/api/token in 5s",
            "no credentials",
            "AWS_ACCESS_KEY_ID",
        );
        check(
            "404 Not Found: <Error><Code>NoSuchBucket</Code></Error>",
            "there is no such bucket",
            "AWS_ENDPOINT_URL",
        );
        check(
            "403 Forbidden: <Code>AccessDenied</Code>",
            "access denied (403)",
            "s3:PutObject",
        );
        check(
            "403 Forbidden: <Code>InvalidAccessKeyId</Code>",
            "the server does not know",
            "AWS_ACCESS_KEY_ID",
        );
        check(
            "403 Forbidden: <Code>SignatureDoesNotMatch</Code>",
            "the signature is wrong",
            "AWS_SECRET_ACCESS_KEY",
        );
        check(
            "400 Bad Request: <Code>ExpiredToken</Code>",
            "the temporary credentials",
            "AWS_SESSION_TOKEN",
        );
        check(
            "403 Forbidden: <Code>RequestTimeTooSkewed</Code>",
            "the clock",
            "set it",
        );
        check(
            "301: <Code>PermanentRedirect</Code>",
            "the bucket is in another region",
            "AWS_REGION",
        );
        check(
            "dns error: failed to lookup address information",
            "the server's name",
            "AWS_ENDPOINT_URL",
        );
        check(
            "error sending request: tcp connect error: Connection refused (os error 111)",
            "nothing answers",
            "AWS_ENDPOINT_URL",
        );
        check(
            "error sending request: operation timed out",
            "no answer in time",
            "AWS_ENDPOINT_URL",
        );
        check(
            "invalid peer certificate: UnknownIssuer",
            "the server's certificate",
            "SSL_CERT_FILE",
        );
        check(
            "503 Service Unavailable: <Code>SlowDown</Code>",
            "the server asks to slow down",
            "later",
        );
        check("500 Internal Server Error", "the server failed", "later");
        check("something else", "object storage failed", "");
    }

    #[test]
    fn what_was_said_is_short_and_on_one_line() {
        let error = object_store::Error::Generic {
            store: "S3",
            source: format!("<Error>\n  {}", "é".repeat(2_000)).into(),
        };
        let error = failed(Path::new("s3://b"), "read", error);
        let said = error.source().unwrap().to_string();
        assert!(
            said.chars().count() <= SAID + 2 && !said.contains('\n'),
            "{said}"
        );
    }
}
