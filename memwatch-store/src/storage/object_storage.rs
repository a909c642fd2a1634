//! How a bucket is reached: what the environment says, or what a program gives.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::client::SpawnedReqwestConnector;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use tokio::runtime::Handle;

use crate::{Error, Result};

/// How object storage is reached, for [`crate::Store::open_with`] and [`crate::Store::create_with`].
///
/// What is not given comes from the environment, from the variables that AWS' own tools read:
///
/// | variable | meaning |
/// |---|---|
/// | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | credentials |
/// | `AWS_WEB_IDENTITY_TOKEN_FILE` with `AWS_ROLE_ARN`, `AWS_CONTAINER_CREDENTIALS_*` | credentials in Kubernetes and ECS; without any, those of the EC2 instance |
/// | `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` | another server than AWS', `http://` or `https://` |
/// | `AWS_REGION`, `AWS_DEFAULT_REGION` | the bucket's region, `us-east-1` by default |
/// | `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`, `AWS_SERVER_SIDE_ENCRYPTION`, `AWS_SSE_KMS_KEY_ID`, `AWS_SKIP_SIGNATURE` … | as in the `object_store` crate |
///
/// ```no_run
/// # fn main() -> Result<(), memwatch_store::Error> {
/// use memwatch_store::{ObjectStorage, Store};
/// let minio = ObjectStorage::from_env()
///     .endpoint("http://localhost:9000")
///     .credentials("minio", "secret");
/// let store = Store::create_with("s3://recordings/checkout", &minio)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ObjectStorage {
    given: Vec<(AmazonS3ConfigKey, String)>,
    timeout: Duration,
    retry_for: Duration,
    pub(super) lease: Duration,
}

impl fmt::Debug for ObjectStorage {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.given.iter().map(|(key, _)| key.as_ref());
        f.debug_struct("ObjectStorage")
            .field("given", &names.collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("retry_for", &self.retry_for)
            .field("lease", &self.lease)
            .finish()
    }
}

impl ObjectStorage {
    /// As the environment says when the store is opened. A request may take a minute; one that fails for a reason that may pass is
    /// repeated for half a minute; a writer that is not heard of for a minute is taken for dead.
    #[must_use]
    pub fn from_env() -> ObjectStorage {
        ObjectStorage {
            given: Vec::new(),
            timeout: Duration::from_secs(60),
            retry_for: Duration::from_secs(30),
            lease: Duration::from_secs(60),
        }
    }

    /// The server: `http://host:port` or `https://host`.
    #[must_use]
    pub fn endpoint(self, url: &str) -> ObjectStorage {
        self.set(AmazonS3ConfigKey::S3Endpoint, url)
    }

    /// The bucket's region.
    #[must_use]
    pub fn region(self, region: &str) -> ObjectStorage {
        self.set(AmazonS3ConfigKey::Region, region)
    }

    /// The access key and its secret.
    #[must_use]
    pub fn credentials(self, access_key_id: &str, secret_access_key: &str) -> ObjectStorage {
        self.set(AmazonS3ConfigKey::AccessKeyId, access_key_id)
            .set(AmazonS3ConfigKey::SecretAccessKey, secret_access_key)
    }

    /// The token of temporary credentials.
    #[must_use]
    pub fn session_token(self, token: &str) -> ObjectStorage {
        self.set(AmazonS3ConfigKey::Token, token)
    }

    /// How long one request may take.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> ObjectStorage {
        ObjectStorage { timeout, ..self }
    }

    /// For how long a request that fails for a reason that may pass is repeated.
    #[must_use]
    pub fn retry_for(self, retry_for: Duration) -> ObjectStorage {
        ObjectStorage { retry_for, ..self }
    }

    /// After how long without a sign of life a writer is taken for dead. It gives one every third of it.
    #[must_use]
    pub fn lease(self, lease: Duration) -> ObjectStorage {
        ObjectStorage { lease, ..self }
    }

    fn set(mut self, key: AmazonS3ConfigKey, value: &str) -> ObjectStorage {
        self.given.push((key, value.to_owned()));
        self
    }

    /// A client whose requests run on the threads of `io`, whoever waits for them.
    pub(super) fn client(&self, root: &Path, bucket: &str, io: Handle) -> Result<AmazonS3> {
        let mut builder = AmazonS3Builder::from_env();
        for (key, value) in &self.given {
            builder = builder.with_config(*key, value);
        }
        let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
            .iter()
            .find_map(|key| builder.get_config_value(key));
        let options = ClientOptions::new()
            .with_timeout(self.timeout)
            .with_connect_timeout(self.timeout.min(Duration::from_secs(5)))
            .with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")));
        builder
            .with_bucket_name(bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_client_options(options)
            .with_http_connector(SpawnedReqwestConnector::new(io))
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(5),
                    base: 2.0,
                },
                max_retries: 12,
                retry_timeout: self.retry_for,
            })
            .build()
            .map_err(|error| super::problem::failed(root, "open", error))
    }
}

/// The bucket and the prefix of `s3://bucket/prefix`.
pub(super) fn parse(root: &Path) -> Result<(String, object_store::path::Path)> {
    let wrong = |problem: &str| Error::ObjectStorage {
        path: root.to_path_buf(),
        action: "open",
        problem: problem.to_owned(),
        source: None,
    };
    let text = root
        .to_str()
        .ok_or_else(|| wrong("expected UTF-8, found other bytes"))?;
    let rest = text
        .strip_prefix("s3://")
        .ok_or_else(|| wrong("expected s3://bucket/prefix"))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if bucket.is_empty() || !bucket.chars().all(known) {
        return Err(wrong(
            "expected s3://bucket/prefix, found no name of a bucket after s3://",
        ));
    }
    let prefix = object_store::path::Path::parse(prefix)
        .ok()
        .filter(|_| !prefix.starts_with('/'))
        .ok_or_else(|| wrong("expected a prefix of names with one / between two"))?;
    Ok((bucket.to_owned(), prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, expected) in [
            ("s3://b", Some(("b", ""))),
            ("s3://b/", Some(("b", ""))),
            ("s3://my-bucket.x/a/b c/é", Some(("my-bucket.x", "a/b c/é"))),
            ("s3://b/p/", Some(("b", "p"))),
            ("s3://", None),
            ("s3:///p", None),
            ("s3://key:secret@b/p", None),
            ("s3://b?x/p", None),
            ("s3://b/a//c", None),
            ("s3://b//c", None),
            ("s3://b/a/../c", None),
            ("gs://b/p", None),
        ] {
            let found = parse(Path::new(url)).ok();
            let found = found.as_ref().map(|(b, p)| (b.as_str(), p.as_ref()));
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let given = ObjectStorage::from_env()
            .credentials("canary-id", "canary-secret")
            .session_token("canary-token");
        let shown = format!("{given:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
