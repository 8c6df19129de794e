//! A case as data: requests and their expected responses. The [`driver`](crate::driver) sends them,
//! and the [`Target`](crate::target::Target) is the gateway that answers.

/// One case: a conversation on one connection. When its steps are done the connection is either
/// closed, or fit for one more request: the driver makes sure of that after every case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
    /// The features of the gateway that the case needs, beyond plain requests and responses.
    pub(crate) needs: Vec<Need>,
    /// Records that must be in the log, once for each time that they stand here.
    pub(crate) logs: Vec<(Level, &'static str)>,
}

/// A feature that some gateways, or ways to them, lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The application sees the request body while it is still on its way.
    Duplex,
    /// The client gets an answer while it is still sending, and no 100 unless the body is read.
    EarlyAnswer,
    /// Each chunk goes out when the application gives it.
    Streaming,
    /// The response breaks visibly where the response body does.
    BrokenEnd,
    /// The client may close its sending side and still read.
    HalfClose,
    /// A connection that is reset looks different from one that is closed.
    Reset,
    /// The file wrapper, with validators and ranges.
    Files,
    /// httpd's own answers: ErrorDocument, TRACE, its limits.
    Httpd,
}

/// The level of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// One step of a case.
///
/// In every text `{probe}` stands for the mount point of the probe and `{scheme}` for the URL's
/// scheme. `{etag}` and `{modified}` stand for the last ETag and Last-Modified.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends a request and reads the response.
    Ask(Ask, Expect),
    /// Asks by GET and by HEAD: the same status and headers, and no body to the HEAD.
    HeadLikeGet(&'static str),
    /// Sends bytes as they are.
    Write(Vec<u8>),
    /// Reads an interim response with this status.
    ReadInterim(u16),
    /// Reads a response to a request with this method.
    Read(&'static str, Expect),
    /// Reads the head of a response, whose body the following steps read.
    ReadHead(Expect),
    /// Reads one chunk, framed by the server as it is here.
    ReadChunk(&'static [u8]),
    /// Reads chunks until these bytes have come, however they are framed.
    ReadChunks(&'static [u8]),
    /// Reads a body's end by its last chunk.
    ReadLastChunk,
    /// Reads these bytes of a body.
    ReadBytes(&'static [u8]),
    /// The connection ends here, with nothing more of the body, not even its last chunk.
    ReadBroken,
    /// Closes the client's sending side.
    CloseWrite,
    /// The server closes the connection, and sends nothing before that.
    ReadClose,
    /// The client leaves: nothing is read any more.
    Leave,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// Below the probe's mount point, unless it starts with something else than a slash.
    pub(crate) target: String,
    pub(crate) is_http_1_0: bool,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content: Content,
    pub(crate) trailers: Vec<(&'static str, &'static str)>,
}

/// A request body.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    None,
    /// With its Content-Length.
    Bytes(&'static [u8]),
    /// So many bytes of the probe's pattern, with their Content-Length.
    Pattern(usize),
    /// Chunked.
    Chunks(&'static [&'static [u8]]),
    /// So many bytes of the pattern, in chunks of so many.
    PatternChunks(usize, usize),
}

/// An expected response.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Body,
    pub(crate) end: End,
}

/// A rule for the headers.
#[derive(Clone, Debug)]
pub(crate) enum Field {
    /// These values and no others, in this order.
    Are(&'static str, Vec<&'static str>),
    /// A value that holds this text.
    Holds(&'static str, &'static str),
    Absent(&'static str),
    /// Headers whose names start with this, in this order and no others.
    Order(&'static str, &'static [(&'static str, &'static str)]),
}

/// A rule for the body.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Any,
    Is(&'static str),
    Bytes(Vec<u8>),
    Holds(Vec<String>),
    /// So many bytes of the pattern; where the response is broken, a part of it.
    Pattern(usize),
}

/// The expected end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Complete, as its framing says.
    Whole,
    /// Complete by its Content-Length.
    Length,
    /// Complete, and no Content-Length was given.
    Chunked,
    /// Only the end of the connection says where: HTTP/1.0.
    Close,
    /// Broken off, so that the client can tell.
    Broken,
}

/// Makes a case of one request.
pub(crate) fn case(name: &'static str, ask: Ask, expect: Expect) -> Case {
    talk(name, vec![Step::Ask(ask, expect)])
}

/// Makes a case of several steps.
pub(crate) fn talk(name: &'static str, steps: Vec<Step>) -> Case {
    Case { name, steps, needs: Vec::new(), logs: Vec::new() }
}

impl Case {
    pub(crate) fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    pub(crate) fn logs(mut self, level: Level, text: &'static str) -> Self {
        self.logs.push((level, text));
        self
    }
}

pub(crate) fn get(target: impl Into<String>) -> Ask {
    ask("GET", target)
}

pub(crate) fn head(target: impl Into<String>) -> Ask {
    ask("HEAD", target)
}

pub(crate) fn post(target: impl Into<String>, content: Content) -> Ask {
    Ask { content, ..ask("POST", target) }
}

pub(crate) fn ask(method: &'static str, target: impl Into<String>) -> Ask {
    Ask {
        method,
        target: target.into(),
        is_http_1_0: false,
        headers: Vec::new(),
        content: Content::None,
        trailers: Vec::new(),
    }
}

impl Ask {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        self.trailers.push((name, value));
        self
    }

    pub(crate) const fn http_1_0(mut self) -> Self {
        self.is_http_1_0 = true;
        self
    }
}

/// A whole response with this status.
pub(crate) const fn status(status: u16) -> Expect {
    Expect { status, fields: Vec::new(), body: Body::Any, end: End::Whole }
}

/// A whole response with status 200.
pub(crate) const fn ok() -> Expect {
    status(200)
}

impl Expect {
    pub(crate) fn header(self, name: &'static str, value: &'static str) -> Self {
        self.field(Field::Are(name, vec![value]))
    }

    pub(crate) fn headers(self, name: &'static str, values: &[&'static str]) -> Self {
        self.field(Field::Are(name, values.to_vec()))
    }

    pub(crate) fn header_holds(self, name: &'static str, part: &'static str) -> Self {
        self.field(Field::Holds(name, part))
    }

    pub(crate) fn without(self, name: &'static str) -> Self {
        self.field(Field::Absent(name))
    }

    pub(crate) fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    pub(crate) fn text(self, text: &'static str) -> Self {
        self.body(Body::Is(text))
    }

    pub(crate) fn holds(self, parts: &[&str]) -> Self {
        self.body(Body::Holds(parts.iter().map(ToString::to_string).collect()))
    }

    pub(crate) fn pattern(self, length: usize) -> Self {
        self.body(Body::Pattern(length))
    }

    pub(crate) fn empty(self) -> Self {
        self.text("")
    }

    pub(crate) fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    pub(crate) fn end(self, end: End) -> Self {
        Self { end, ..self }
    }
}

/// Returns the bytes of the probe's `/bytes`.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}
