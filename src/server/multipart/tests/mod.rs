//! Whole forms, one sentence each; `delivery` has the forms that nobody thought of.

mod delivery;

use super::*;
use crate::limits::BOUNDARY_BLANKS_MAX;
use std::collections::VecDeque;

/// Name, file name and content of a part.
type Field = (String, Option<String>, Vec<u8>);

/// A body that comes in pieces of the given sizes, over and over, and then ends or fails.
struct Body<'b> {
    bytes: &'b [u8],
    pieces: VecDeque<usize>,
    failure: Option<io::ErrorKind>,
}

impl<'b> Body<'b> {
    fn whole(bytes: &'b [u8]) -> Self {
        Self::in_pieces(bytes, &[usize::MAX])
    }

    fn in_pieces(bytes: &'b [u8], pieces: &[usize]) -> Self {
        Self { bytes, pieces: pieces.iter().copied().collect(), failure: None }
    }

    fn failing(self, kind: io::ErrorKind) -> Self {
        Self { failure: Some(kind), ..self }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        assert!(!target.is_empty(), "an empty read looks like the end of the body");
        if let (true, Some(kind)) = (self.bytes.is_empty(), self.failure) {
            return Err(io::Error::new(kind, "injected"));
        }
        self.pieces.rotate_left(1);
        let piece = self.bytes.len().min(self.pieces[0]);
        self.bytes.take(piece as u64).read(target).inspect(|read| self.bytes = &self.bytes[*read..])
    }
}

fn boundary(text: &str) -> Boundary {
    Boundary::from_content_type(&format!("multipart/form-data; boundary=\"{text}\"")).unwrap()
}

/// Reads all parts in steps of `step` bytes. `seen` has what was read, up to the error if any.
fn collect<R: Read>(
    form: &mut Form<R>,
    step: usize,
    seen: &mut Vec<Field>,
) -> Result<(), FormError> {
    let mut buffer = vec![0; step];
    while let Some(mut part) = form.next_part()? {
        seen.push((part.name().into(), part.file_name().map(String::from), Vec::new()));
        loop {
            let bytes = part.read(&mut buffer)?;
            if bytes == 0 {
                assert_eq!(part.read(&mut buffer)?, 0, "the end of a part stays its end");
                break;
            }
            seen.last_mut().unwrap().2.extend_from_slice(&buffer[..bytes]);
        }
    }
    assert!(form.next_part()?.is_none(), "the end of the form stays its end");
    Ok(())
}

fn parse(body: &str) -> Result<Vec<Field>, FormError> {
    let read = |mut form: Form<&[u8]>| {
        let mut seen = Vec::new();
        collect(&mut form, 100, &mut seen).map(|()| seen)
    };
    let fields = read(Form::new(body.as_bytes(), &boundary("X")));
    // A buffer that just holds the body makes no difference.
    let length = body.len() as u64;
    let same = read(Form::of_length(body.as_bytes(), &boundary("X"), length));
    assert_eq!(format!("{fields:?}"), format!("{same:?}"), "{body:?}");
    fields
}

fn check(body: &str, expected: &[(&str, &str)]) {
    let fields = parse(body).unwrap();
    let expected: Vec<Field> =
        expected.iter().map(|(n, c)| (n.to_string(), None, c.as_bytes().to_vec())).collect();
    assert_eq!(fields, expected, "{body:?}");
}

macro_rules! check_refused {
    ($body:expr, $error:pat) => {
        let fields = parse($body);
        assert!(matches!(fields, Err($error)), "{:?}: {fields:?}", $body);
    };
}

/// The lines before the content of a part of the form `X`.
fn opening(name: &str) -> String {
    format!("--X\r\nContent-Disposition: form-data; name={name}\r\n\r\n")
}

#[test]
fn the_form_of_curl_is_read() {
    let body = "--------------------------e92a46dbd611ae7a\r\n\
        Content-Disposition: form-data; name=\"path\"\r\n\r\n\
        up/ü.txt\r\n\
        --------------------------e92a46dbd611ae7a\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a%22b\\c.txt\"\r\n\
        Content-Type: text/plain\r\n\r\n\
        hello\r\n\r\n\
        --------------------------e92a46dbd611ae7a\r\n\
        Content-Disposition: form-data; name=\"q%22x\"\r\n\r\n\
        1\r\n\
        --------------------------e92a46dbd611ae7a--\r\n";
    let mut seen = Vec::new();
    let boundary = boundary("------------------------e92a46dbd611ae7a");
    collect(&mut Form::new(body.as_bytes(), &boundary), 7, &mut seen).unwrap();
    let expected = [
        ("path".into(), None, "up/ü.txt".as_bytes().to_vec()),
        ("file".into(), Some("a\"b\\c.txt".into()), b"hello\r\n".to_vec()),
        ("q\"x".into(), None, b"1".to_vec()),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_forms_of_browsers_are_read() {
    for text in
        ["----WebKitFormBoundary7MA4YWxkTrZu0gW", "---------------------------9051914041544843365"]
    {
        let body = format!(
            "--{text}\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\na/b\r\n\
             --{text}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n\r\n--{text}--\r\n"
        );
        let mut seen = Vec::new();
        collect(&mut Form::new(body.as_bytes(), &boundary(text)), 100, &mut seen).unwrap();
        let expected = [
            ("path".into(), None, b"a/b".to_vec()),
            ("file".into(), Some(String::new()), Vec::new()),
        ];
        assert_eq!(seen, expected, "{text}");
    }
}

#[test]
fn a_form_may_be_empty_or_stand_between_a_preamble_and_an_epilogue() {
    let a = opening("a");
    check("--X--\r\n", &[]);
    check("--X--", &[]);
    check("\r\n--X--\r\n", &[]);
    check(&format!("{a}1\r\n--X--"), &[("a", "1")]);
    check(&format!("\r\n{a}1\r\n--X-- \t\r"), &[("a", "1")]);
    check(&format!("hello --X\r\n--Xa\r\n{a}1\r\n--X--\r\nbye\r\n{a}"), &[("a", "1")]);
}

#[test]
fn blanks_may_follow_the_boundary() {
    let a = "--X \t\r\nContent-Disposition: form-data; name=a\r\n\r\n";
    check(&format!("{a}1\r\n{a}2\r\n--X-- \r\n"), &[("a", "1"), ("a", "2")]);
}

#[test]
fn lookalikes_of_the_boundary_are_content() {
    let a = opening("a");
    for content in [
        "--X",
        "--X\r\n",
        "\r\n--XX",
        "\n--X\r\n",
        "\r--X\r\n",
        "\r\n--X-",
        "\r\n--X--a",
        "\r\n--X\n",
        "\r\n --X\r\n",
        "\r\n--x\r\n",
        "\r\n--X\t-",
        "\r",
        "\n",
        "\r\n",
        "\r\n\r\n--",
        "\r\n\r",
    ] {
        check(&format!("{a}{content}\r\n{a}\r\n--X--\r\n"), &[("a", content), ("a", "")]);
    }
}

#[test]
fn a_malformed_form_is_refused_with_its_reason_again_and_again() {
    let a = opening("a");
    check_refused!("", FormError::Truncated);
    check_refused!("{\"path\": \"a\"}", FormError::Truncated);
    check_refused!("--X", FormError::Truncated);
    check_refused!("--X\r\n", FormError::Truncated);
    check_refused!(&a, FormError::Truncated);
    check_refused!(&format!("{a}1\r\n--X\r\n"), FormError::Truncated);
    check_refused!(&format!("{a}1--X--\r\n"), FormError::Truncated);
    check_refused!("--X\r\n\r\n1\r\n--X--\r\n", FormError::NotAField);
    check_refused!("--X\r\nno colon\r\n\r\n1\r\n--X--\r\n", FormError::HeadMalformed);
    check_refused!(&format!("{}{a}1\r\n--X--", "-".repeat(9000)), FormError::NoBoundary);

    let body = format!("--X\r\n\r\n1\r\n{a}2\r\n--X--\r\n");
    let mut form = Form::new(body.as_bytes(), &boundary("X"));
    for _ in 0..3 {
        assert!(matches!(form.next_part(), Err(FormError::NotAField)));
    }
}

#[test]
fn heads_parts_and_preambles_are_bounded() {
    let head = |bytes: usize| {
        let line = "Content-Disposition: form-data; name=a\r\nX: ";
        let filler = "x".repeat(bytes - line.len() - "\r\n\r\n".len());
        format!("--X\r\n{line}{filler}\r\n\r\n1\r\n--X--\r\n")
    };
    check(&head(PART_HEAD_BYTES_MAX), &[("a", "1")]);
    check_refused!(&head(PART_HEAD_BYTES_MAX + 1), FormError::HeadTooLong);

    let parts = |count: usize| format!("{}--X--\r\n", (opening("a") + "1\r\n").repeat(count));
    check(&parts(FORM_PARTS_MAX), &[("a", "1"); FORM_PARTS_MAX]);
    check_refused!(&parts(FORM_PARTS_MAX + 1), FormError::TooManyParts);

    let preamble = |bytes: usize| format!("{}\r\n--X--", "x".repeat(bytes));
    check(&preamble(PART_HEAD_BYTES_MAX - 2), &[]);
    check_refused!(&preamble(PART_HEAD_BYTES_MAX + 1), FormError::NoBoundary);
}

#[test]
fn a_long_preamble_is_refused_however_it_is_delivered() {
    let body = [b'x'; PART_HEAD_BYTES_MAX + 1];
    let mut form = Form::new(Body::in_pieces(&body, &[100]), &boundary("X"));
    assert!(matches!(form.next_part(), Err(FormError::NoBoundary)));
}

#[test]
fn the_smallest_buffer_holds_the_longest_delimiter_line() {
    let most = " ".repeat(BOUNDARY_BLANKS_MAX);
    let a = opening("a");
    let body = format!("{a}1\r\n--X--{most} \r\n--X--{most}\r\n");
    let mut form = Form::with_buffer(Body::in_pieces(body.as_bytes(), &[1]), &boundary("X"), 0);
    let mut seen = Vec::new();
    collect(&mut form, 1, &mut seen).unwrap();
    let content = format!("1\r\n--X--{most} ").into_bytes();
    assert_eq!(seen, [("a".into(), None, content)]);
}

#[test]
fn what_was_not_read_of_a_part_is_skipped() {
    for content in ["12".to_owned(), "\r\n--XX".repeat(100_000)] {
        let body = format!("{}{content}\r\n{}2\r\n--X--\r\n", opening("a"), opening("b"));
        for read in [0, 1, 2, 300_000].into_iter().filter(|read| *read <= content.len()) {
            let mut form = Form::new(body.as_bytes(), &boundary("X"));
            let mut part = form.next_part().unwrap().unwrap();
            let start = &mut vec![0; read];
            part.read_exact(start).unwrap();
            assert_eq!(start, &content.as_bytes()[..read]);
            assert_eq!(form.next_part().unwrap().unwrap().text().unwrap(), "2");
        }
    }
}

#[test]
fn a_text_field_is_short_and_utf_8() {
    let text = |content: &[u8]| {
        let body = [opening("a").as_bytes(), content, b"\r\n--X--\r\n"].concat();
        let mut form = Form::new(body.as_slice(), &boundary("X"));
        let part = form.next_part().unwrap().unwrap();
        // The way a handler asks for it.
        let text = match part.name() {
            "a" => part.text(),
            _ => Ok("another field".to_owned()),
        };
        assert!(form.next_part().unwrap().is_none());
        text
    };
    let longest = "x".repeat(FIELD_BYTES_MAX);
    for good in ["", "a/ü", "\r\n", &longest] {
        assert_eq!(text(good.as_bytes()).unwrap(), good);
    }
    let too_long = text(format!("{longest}x").as_bytes());
    assert!(matches!(too_long, Err(FormError::FieldTooLong { name }) if name == "a"));
    let not_utf8 = text(b"a\xff");
    assert!(matches!(not_utf8, Err(FormError::FieldNotUtf8 { name }) if name == "a"));
    let body = opening("a") + "1";
    let mut form = Form::new(body.as_bytes(), &boundary("X"));
    let cut = form.next_part().unwrap().unwrap().text();
    assert!(matches!(cut, Err(FormError::Truncated)), "{cut:?}");
}

#[test]
fn every_message_is_one_line_whatever_the_field_is_called() {
    let name = "a\r\nb\u{1b}[2J\u{2028}".to_owned();
    let message = FormError::FieldTooLong { name }.to_string();
    assert_eq!(
        message,
        format!(
            "the field \"a\\r\\nb\\u{{1b}}[2J\\u{{2028}}\" is longer than {FIELD_BYTES_MAX} bytes"
        )
    );
}

#[test]
fn a_body_cut_short_is_told_from_a_body_whose_reader_says_unexpected_eof() {
    let body = opening("a") + "1";
    let mut form = Form::new(body.as_bytes(), &boundary("X"));
    let error = form.next_part().unwrap().unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(matches!(FormError::from(error), FormError::Truncated));

    let body = Body::whole(body.as_bytes()).failing(io::ErrorKind::UnexpectedEof);
    let mut form = Form::new(body, &boundary("X"));
    let error = form.next_part().unwrap().unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(error.to_string(), "injected");
    assert!(matches!(FormError::from(error), FormError::Body(_)));
}

#[test]
fn an_interrupted_read_is_repeated() {
    struct Interrupted<'b>(Body<'b>, bool);
    impl Read for Interrupted<'_> {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(target) }
        }
    }
    let body = format!("{}1\r\n--X--\r\n", opening("a"));
    let body = Interrupted(Body::in_pieces(body.as_bytes(), &[1]), false);
    let mut seen = Vec::new();
    collect(&mut Form::new(body, &boundary("X")), 10, &mut seen).unwrap();
    assert_eq!(seen, [("a".into(), None, b"1".to_vec())]);
}

#[test]
fn the_rest_of_the_body_can_be_read_by_whoever_lent_it() {
    let body = "--X--\r\nepilogue";
    let mut form = Form::new(Body::in_pieces(body.as_bytes(), &[7]), &boundary("X"));
    assert!(form.next_part().unwrap().is_none());
    let mut rest = String::new();
    form.into_inner().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "epilogue");
}
