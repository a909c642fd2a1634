//! A server of object storage, small enough for a test: objects in memory, conditions that it honors or not, faults on demand.
//!
//! The operations that memwatch uses, as Amazon S3's reference describes them: objects (GET with ranges, HEAD, PUT with conditions and
//! copies, DELETE), ListObjectsV2 in pages, DeleteObjects, uploads in parts. Signatures are not checked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

/// Objects of a page of a listing: few, so that tests see more than one page.
const PAGE: usize = 7;

/// What becomes of conditions on writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    Honored,
    /// `If-None-Match` and `If-Match` are written over.
    Ignored,
    /// Only `If-Match` is.
    IfMatchIgnored,
    /// 501.
    NotImplemented,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing happens, and this is the answer.
    Status(u16),
    /// Nothing happens, and the connection closes.
    Lost,
    /// It happens, and the connection closes without an answer.
    AnswerLost,
    /// The answer is cut in its middle.
    Cut,
    /// The answer never comes.
    Silence,
}

/// A request, as faults and tests see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Below the bucket.
    pub(crate) key: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

type FaultOf = Box<dyn FnMut(&Request) -> Fault + Send>;

struct Object {
    content: Vec<u8>,
    modified: SystemTime,
    /// As the hash of the content, which is what S3 does: equal content, equal tag.
    tag: String,
}

fn tag_of(content: &[u8]) -> String {
    use std::hash::Hasher as _;
    let mut hash = std::hash::DefaultHasher::new();
    hash.write(content);
    format!("\"{:016x}{:016x}\"", hash.finish(), content.len())
}

struct State {
    bucket: String,
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    conditions: Conditions,
    fault: FaultOf,
    log: Vec<Request>,
}

/// A server on a port of its own; it ends with the test.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// With one empty bucket, `bucket`.
    pub(crate) fn start(conditions: Conditions) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            bucket: "bucket".to_owned(),
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            conditions,
            fault: Box::new(|_| Fault::None),
            log: Vec::new(),
        }));
        let ended = Arc::new(AtomicBool::new(false));
        let (serving, ending) = (Arc::clone(&state), Arc::clone(&ended));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&serving);
                std::thread::spawn(move || while let Ok(true) = serve(&connection, &state) {});
            }
        });
        Server {
            address,
            state,
            ended,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on these faults happen.
    pub(crate) fn faults(&self, fault: impl FnMut(&Request) -> Fault + Send + 'static) {
        self.state().fault = Box::new(fault);
    }

    /// The requests since the last call.
    pub(crate) fn take_log(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().log)
    }

    /// The names of all objects.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// Uploads in parts that nobody ended.
    pub(crate) fn open_uploads(&self) -> usize {
        self.state().uploads.len()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.state().objects.get(key).map(|o| o.content.clone())
    }

    pub(crate) fn put(&self, key: &str, content: Vec<u8>) {
        self.state().insert(key, content);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // Wakes the listener.
    }
}

impl State {
    fn insert(&mut self, key: &str, content: Vec<u8>) -> String {
        let tag = tag_of(&content);
        let object = Object {
            content,
            modified: SystemTime::now(),
            tag: tag.clone(),
        };
        self.objects.insert(key.to_owned(), object);
        tag
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    answer(status, body)
}

/// One request of a connection; whether another may follow.
fn serve(connection: &TcpStream, state: &Mutex<State>) -> io::Result<bool> {
    // Clients wait for the answer before they send more, so nothing is buffered past a request.
    let mut from = BufReader::new(connection);
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(false);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(false);
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    from.read_exact(&mut body)?;
    let path = decoded(path);
    let (bucket, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((path.trim_start_matches('/'), ""));
    let request = Request {
        method: method.to_owned(),
        key: key.to_owned(),
        query: pairs(query),
        headers,
    };
    let fault = {
        let mut state = state.lock().unwrap();
        state.log.push(request.clone());
        (state.fault)(&request)
    };
    let given = match fault {
        Fault::Lost => return Ok(false),
        Fault::Silence => {
            std::thread::sleep(Duration::from_secs(5));
            return Ok(false);
        }
        Fault::Status(403) => error(403, "AccessDenied"),
        Fault::Status(status) => error(status, "InternalError"),
        Fault::None | Fault::AnswerLost | Fault::Cut => {
            let mut state = state.lock().unwrap();
            if bucket == state.bucket {
                handle(&mut state, &request, body)
            } else {
                error(404, "NoSuchBucket")
            }
        }
    };
    if fault == Fault::AnswerLost {
        return Ok(false);
    }
    let mut head = format!("HTTP/1.1 {} x\r\n", given.status);
    let length = match given
        .headers
        .iter()
        .find(|(name, _)| *name == "content-length")
    {
        Some(_) => String::new(),
        None => format!("content-length: {}\r\n", given.body.len()),
    };
    head.push_str(&length);
    for (name, value) in &given.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut whole = head.into_bytes();
    if request.method != "HEAD" {
        whole.extend(given.body);
    }
    let sent = if fault == Fault::Cut {
        whole.len() - whole.len() / 4
    } else {
        whole.len()
    };
    let mut to = connection;
    to.write_all(&whole[..sent])?;
    Ok(fault != Fault::Cut)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // In a query a plus is a space.
            let value = value.replace('+', " ");
            (decoded(name), decoded(&value))
        })
        .collect()
}

fn handle(state: &mut State, request: &Request, body: Vec<u8>) -> Answer {
    let upload = request.query.get("uploadId");
    match request.method.as_str() {
        "GET" if request.query.contains_key("list-type") => list(state, request),
        "GET" | "HEAD" => get(state, request),
        "PUT" if upload.is_some() => {
            let number = request.query["partNumber"].parse().unwrap();
            let Some(parts) = state.uploads.get_mut(&request.query["uploadId"]) else {
                return error(404, "NoSuchUpload");
            };
            parts.insert(number, body);
            tagged(format!("\"part-{number}\""))
        }
        "PUT" => put(state, request, body),
        "POST" if request.query.contains_key("uploads") => {
            let id = format!("{}-{}", request.key.len(), state.log.len());
            state.uploads.insert(id.clone(), BTreeMap::new());
            answer(
                200,
                format!(
                    "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                ),
            )
        }
        "POST" if upload.is_some() => {
            let Some(parts) = state.uploads.remove(&request.query["uploadId"]) else {
                return error(404, "NoSuchUpload");
            };
            let content = parts.into_values().flatten().collect();
            let tag = state.insert(&request.key, content);
            answer(
                200,
                format!(
                    "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
                ),
            )
        }
        "POST" if request.query.contains_key("delete") => {
            let text = String::from_utf8(body).unwrap();
            let mut deleted = String::new();
            for key in text.split("<Key>").skip(1) {
                let key = key.split("</Key>").next().unwrap();
                state.objects.remove(key);
                deleted.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
            }
            answer(200, format!("<DeleteResult>{deleted}</DeleteResult>"))
        }
        "DELETE" => {
            match upload {
                Some(id) => drop(state.uploads.remove(id)),
                None => drop(state.objects.remove(&request.key)),
            }
            answer(204, "")
        }
        _ => error(405, "MethodNotAllowed"),
    }
}

fn tagged(tag: String) -> Answer {
    Answer {
        headers: vec![("etag", tag)],
        ..answer(200, "")
    }
}

fn put(state: &mut State, request: &Request, body: Vec<u8>) -> Answer {
    let there = state.objects.get(&request.key);
    let (absent, version) = (request.header("if-none-match"), request.header("if-match"));
    match state.conditions {
        Conditions::NotImplemented if absent.or(version).is_some() => {
            return error(501, "NotImplemented");
        }
        Conditions::Honored | Conditions::IfMatchIgnored if absent.is_some() && there.is_some() => {
            return error(412, "PreconditionFailed");
        }
        Conditions::Honored if version.is_some() && there.is_none() => {
            return error(404, "NoSuchKey");
        }
        Conditions::Honored if version.is_some_and(|tag| there.is_none_or(|o| o.tag != tag)) => {
            return error(412, "PreconditionFailed");
        }
        _ => {}
    }
    let Some(source) = request.header("x-amz-copy-source") else {
        return tagged(state.insert(&request.key, body));
    };
    let source = decoded(source);
    let key = source
        .trim_start_matches('/')
        .split_once('/')
        .map_or("", |(_, key)| key)
        .to_owned();
    let Some(content) = state.objects.get(&key).map(|o| o.content.clone()) else {
        return error(404, "NoSuchKey");
    };
    let tag = state.insert(&request.key, content);
    answer(
        200,
        format!("<CopyObjectResult><ETag>{tag}</ETag></CopyObjectResult>"),
    )
}

fn get(state: &State, request: &Request) -> Answer {
    let Some(object) = state.objects.get(&request.key) else {
        return error(404, "NoSuchKey");
    };
    let size = object.content.len();
    let range = request
        .header("range")
        .and_then(|r| r.strip_prefix("bytes="));
    let mut headers = vec![
        ("etag", object.tag.clone()),
        ("last-modified", http_date(object.modified)),
    ];
    if request.method == "HEAD" {
        headers.push(("content-length", size.to_string()));
        return Answer {
            headers,
            ..answer(200, "")
        };
    }
    let Some(range) = range else {
        return Answer {
            headers,
            ..answer(200, object.content.clone())
        };
    };
    let (from, to) = range.split_once('-').unwrap();
    let from: usize = from.parse().unwrap();
    let to = to.parse::<usize>().map_or(size, |to| (to + 1).min(size));
    if from >= size {
        return error(416, "InvalidRange");
    }
    headers.push(("content-range", format!("bytes {from}-{}/{size}", to - 1)));
    Answer {
        headers,
        ..answer(206, &object.content[from..to])
    }
}

fn list(state: &State, request: &Request) -> Answer {
    let prefix = request.query.get("prefix").map_or("", String::as_str);
    let after = request
        .query
        .get("continuation-token")
        .map_or("", String::as_str);
    let delimiter = request.query.contains_key("delimiter");
    let mut found: BTreeSet<(String, bool)> = BTreeSet::new();
    for key in state.objects.keys().filter(|key| key.starts_with(prefix)) {
        let below = &key[prefix.len()..];
        match below.find('/') {
            Some(end) if delimiter => found.insert((format!("{prefix}{}", &below[..=end]), true)),
            _ => found.insert((key.clone(), false)),
        };
    }
    let rest: Vec<_> = found
        .into_iter()
        .filter(|(name, _)| name.as_str() > after)
        .collect();
    let mut body = format!(
        "<ListBucketResult><IsTruncated>{}</IsTruncated>",
        rest.len() > PAGE
    );
    for (name, folder) in rest.iter().take(PAGE) {
        let text = name.replace('&', "&amp;").replace('<', "&lt;");
        if *folder {
            body.push_str(&format!(
                "<CommonPrefixes><Prefix>{text}</Prefix></CommonPrefixes>"
            ));
        } else {
            let object = &state.objects[name];
            body.push_str(&format!(
                "<Contents><Key>{text}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
                chrono_like(object.modified), object.tag.replace('"', "&quot;"), object.content.len()
            ));
        }
    }
    if rest.len() > PAGE {
        body.push_str(&format!(
            "<NextContinuationToken>{}</NextContinuationToken>",
            rest[PAGE - 1].0
        ));
    }
    body.push_str("</ListBucketResult>");
    answer(200, body)
}

fn chrono_like(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    memwatch_core::Timestamp(i64::try_from(since.as_nanos()).unwrap()).to_string()
}

/// `Thu, 26 Nov 2026 15:14:58 GMT`; the day of the week is not looked at.
fn http_date(at: SystemTime) -> String {
    let text = chrono_like(at);
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month: usize = text[5..7].parse().unwrap();
    let days = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days % 7).unwrap()];
    format!(
        "{day}, {} {} {} {} GMT",
        &text[8..10],
        months[month - 1],
        &text[..4],
        &text[11..19]
    )
}
