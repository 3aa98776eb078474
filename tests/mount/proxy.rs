//! A proxy before the embedded server that can be told to lie: it rewrites answers on the wire, and refuses or alters requests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use holdfast::bucket::Versioning;

use crate::mounted::Endpoint;
use crate::remote::{Embedded, Remote};
use crate::require;
use crate::world::World;

/// A request, as far as a lie may depend on it.
pub struct Asked {
    pub method: String,
    /// Path and query, encoded.
    pub target: String,
    headers: Vec<(String, String)>,
}

/// What the server answered, to be rewritten.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection breaks after so many bytes of the body.
    pub breaks_after: Option<usize>,
}

type Lie = Arc<dyn Fn(&Asked, Answer) -> Answer + Send + Sync>;
/// Sees a request with its body before the server does. What it answers, if anything, is the answer.
type Guard = Arc<dyn Fn(&Asked, &mut Vec<u8>) -> Option<Answer> + Send + Sync>;

/// The embedded server behind the proxy.
pub struct Lying {
    embedded: Embedded,
    endpoint: Endpoint,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    lie: Mutex<Option<Lie>>,
    guard: Mutex<Option<Guard>>,
}

impl Asked {
    /// A GET or HEAD of an object, not a listing.
    pub fn is_get(&self) -> bool {
        self.method == "GET" && !self.is_list()
    }

    pub fn is_list(&self) -> bool {
        self.target.contains("list-type=2")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        find(&self.headers, name).unwrap_or_default()
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self = self.without_header(name);
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let len = self.body.len().to_string();
        self.with_header("content-length", &len)
    }

    /// S3's document for an error, with this status and no header that tells of an object.
    pub fn error(status: u16, code: &str) -> Self {
        let body =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>says the proxy</Message></Error>");
        let headers = vec![("content-type".to_string(), "application/xml".to_string())];
        Self { status, headers, body: Vec::new(), breaks_after: None }.with_body(body)
    }
}

impl Lying {
    /// A mount through an honest proxy, with short deadlines.
    pub fn world(args: &[&str]) -> Option<World<Self>> {
        Self::world_of(Embedded::start(Versioning::Off), args)
    }

    /// The same before a server of one's own.
    pub fn world_of(embedded: Embedded, args: &[&str]) -> Option<World<Self>> {
        require::fuse().then(|| {
            let args: Vec<&str> = ["--deadline", "2s", "--attempt-timeout", "1s"].iter().chain(args).copied().collect();
            World::of(Self::before(embedded), &args)
        })
    }

    pub fn before(embedded: Embedded) -> Self {
        let upstream: SocketAddr = embedded.endpoint().url["http://".len()..].parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let endpoint = Endpoint { url, ..embedded.endpoint() };
        let told: Arc<Told> = Arc::default();
        let listens = told.clone();
        // Ends with the process: a thread in accept(2) harms nobody.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let told = listens.clone();
                // An error is a client that has gone, which is its business.
                std::thread::spawn(move || pass(client, upstream, &told));
            }
        });
        Self { embedded, endpoint, told }
    }

    /// From now on answers go through `lie`.
    pub fn lie(&self, lie: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) {
        *self.told.lie.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(lie));
    }

    /// From now on requests go past `guard`.
    pub fn guard(&self, guard: impl Fn(&Asked, &mut Vec<u8>) -> Option<Answer> + Send + Sync + 'static) {
        *self.told.guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(guard));
    }

    /// The server behind, and what it has.
    pub fn embedded(&self) -> &Embedded {
        &self.embedded
    }

    pub fn be_honest(&self) {
        *self.told.lie.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.told.guard.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Remote for Lying {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn bucket(&self) -> &str {
        self.embedded.bucket()
    }

    fn put_bytes(&self, key: &str, bytes: Bytes) {
        self.embedded.put_bytes(key, bytes);
    }

    fn delete(&self, key: &str) {
        self.embedded.delete(key);
    }
}

/// One request and its answer, then the connection ends.
fn pass(client: TcpStream, upstream: SocketAddr, told: &Told) -> io::Result<()> {
    let mut from_client = BufReader::new(client.try_clone()?);
    let (line, headers) = read_head(&mut from_client)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let asked = Asked { method: method.to_string(), target: target.to_string(), headers };
    let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut client = client;
    if length > 0 && asked.header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = vec![0; length];
    from_client.read_exact(&mut body)?;
    let guard = told.guard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let refused = guard.and_then(|guard| guard(&asked, &mut body));
    let answer = match refused {
        Some(answer) => answer,
        None => ask(upstream, &line, &asked, &body)?,
    };
    let lie = told.lie.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let answer = match lie {
        Some(lie) => lie(&asked, answer),
        None => answer,
    };
    let mut head = format!("HTTP/1.1 {} Said\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "connection: close\r\n\r\n";
    client.write_all(head.as_bytes())?;
    if asked.method != "HEAD" {
        let end = answer.breaks_after.unwrap_or(usize::MAX).min(answer.body.len());
        client.write_all(&answer.body[..end])?;
    }
    client.flush()
}

fn ask(upstream: SocketAddr, line: &str, asked: &Asked, body: &[u8]) -> io::Result<Answer> {
    let mut server = TcpStream::connect(upstream)?;
    let mut head = format!("{line}\r\n");
    let ours = |name: &str| ["connection", "expect"].iter().any(|ours| name.eq_ignore_ascii_case(ours));
    for (name, value) in asked.headers.iter().filter(|(name, _)| !ours(name)) {
        head += &format!("{name}: {value}\r\n");
    }
    head += "connection: close\r\n\r\n";
    server.write_all(head.as_bytes())?;
    server.write_all(body)?;
    let mut from_server = BufReader::new(server);
    let (line, headers) = read_head(&mut from_server)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut body = Vec::new();
    from_server.read_to_end(&mut body)?;
    let answer = Answer { status: status.unwrap_or(0), headers, body, breaks_after: None };
    if answer.header("transfer-encoding") != "chunked" {
        return Ok(answer);
    }
    let body = unchunk(&answer.body)?;
    Ok(answer.without_header("transfer-encoding").with_body(body))
}

fn read_head(from: &mut impl BufRead) -> io::Result<(String, Vec<(String, String)>)> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        from.read_line(&mut header)?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_string(), value.to_string())),
            None => return Ok((line.trim_end().to_string(), headers)),
        }
    }
}

fn unchunk(mut chunks: &[u8]) -> io::Result<Vec<u8>> {
    let broken = || io::Error::other("a broken chunk");
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        chunks.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim_end(), 16).map_err(|_| broken())?;
        if size == 0 {
            return Ok(body);
        }
        let (chunk, rest) = chunks.split_at_checked(size).ok_or_else(broken)?;
        body.extend_from_slice(chunk);
        chunks = rest.strip_prefix(b"\r\n").ok_or_else(broken)?;
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
