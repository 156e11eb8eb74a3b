//! Forms full of fragments of their own boundary, delivered in every unpleasant way.

use super::*;
use proptest::prelude::*;

/// A boundary, fields full of its fragments, and how the body is delivered and read.
#[derive(Clone, Debug)]
struct Scene {
    boundary: String,
    fields: Vec<(String, Vec<u8>)>,
    pieces: Vec<usize>,
    buffer: usize,
    step: usize,
}

impl Scene {
    fn body(&self) -> Vec<u8> {
        write(&self.boundary, &self.fields)
    }

    /// Reads `bytes` the way the scene wants it, then the end or an injected error.
    fn read(
        &self,
        bytes: &[u8],
        failure: Option<io::ErrorKind>,
    ) -> (Vec<Field>, Option<FormError>) {
        let body = Body { failure, ..Body::in_pieces(bytes, &self.pieces) };
        let mut form = Form::with_buffer(body, &boundary(&self.boundary), self.buffer);
        let mut seen = Vec::new();
        let result = collect(&mut form, self.step, &mut seen);
        (seen, result.err())
    }

    fn expected(&self) -> Vec<Field> {
        self.fields.iter().map(|(name, content)| (name.clone(), None, content.clone())).collect()
    }

    /// Whether what was read before an error is how the form begins.
    fn begins_with(&self, seen: &[Field]) -> bool {
        let expected = self.expected();
        let Some(((name, _, content), whole)) = seen.split_last() else { return true };
        let Some(last) = expected.get(whole.len()) else { return false };
        expected.starts_with(whole) && *name == last.0 && last.2.starts_with(content)
    }
}

/// What a sender makes of the fields.
fn write(boundary: &str, fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in fields {
        body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        body.extend_from_slice(b"Content-Disposition: form-data; name=");
        body.extend_from_slice(format!("\"{name}\"\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

/// Takes the line ends out of a content that has a delimiter line in it, judged the slow way.
fn defuse(content: Vec<u8>, boundary: &str) -> Vec<u8> {
    let mut with_end = content.clone();
    with_end.extend_from_slice(b"\r\n");
    let delimiter = format!("\r\n--{boundary}");
    let is_line = |start: usize| {
        let Some(rest) = with_end[start..].strip_prefix(delimiter.as_bytes()) else { return false };
        let rest = rest.strip_prefix(b"--").unwrap_or(rest);
        let blanks = rest.iter().position(|b| !b" \t".contains(b)).unwrap_or(rest.len());
        rest[blanks..].starts_with(b"\r\n")
    };
    if (0..with_end.len()).any(is_line) {
        return content.into_iter().filter(|byte| *byte != b'\r').collect();
    }
    content
}

/// Line ends, dashes, blanks, pieces of the boundary, whole delimiter lines, random bytes.
fn noise(boundary: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let delimiter = format!("\r\n--{boundary}");
    let fragments: Vec<Vec<u8>> = ["\r", "\n", "\r\n", "-", "--", " ", "\t", "X", "\0", "\r\n\r\n"]
        .map(String::from)
        .into_iter()
        .chain([boundary.to_owned(), delimiter.clone(), delimiter.clone(), delimiter.clone()])
        .chain((1..delimiter.len()).map(|cut| delimiter[..cut].to_owned()))
        .chain([format!("{delimiter}--"), format!("{delimiter} \t"), " ".repeat(70)])
        .map(String::into_bytes)
        .collect();
    let fragment = prop_oneof![
        9 => proptest::sample::select(fragments),
        1 => proptest::collection::vec(any::<u8>(), 0..300),
    ];
    proptest::collection::vec(fragment, 0..30).prop_map(|fragments| fragments.concat())
}

fn content(boundary: String) -> impl Strategy<Value = Vec<u8>> {
    noise(&boundary).prop_map(move |noise| defuse(noise, &boundary))
}

fn scene(fields: std::ops::Range<usize>) -> impl Strategy<Value = Scene> {
    let longest = "-".repeat(70);
    let boundary = proptest::sample::select(vec![
        "X".to_owned(),
        "-".to_owned(),
        "--".to_owned(),
        "a b".to_owned(),
        "-X--X-".to_owned(),
        longest,
    ]);
    let fields = boundary.prop_flat_map(move |boundary| {
        let field = ("[a-z]{1,5}", content(boundary.clone()));
        (Just(boundary), proptest::collection::vec(field, fields.clone()))
    });
    let pieces = prop_oneof![
        Just(vec![1]),
        proptest::collection::vec(1_usize..6, 1..5),
        proptest::collection::vec(1_usize..400, 1..5),
        Just(vec![usize::MAX]),
    ];
    // Every buffer size from the least that holds a head, so that refills fall anywhere.
    (fields, pieces, 80_usize..700, 1_usize..90).prop_map(
        |((boundary, fields), pieces, buffer, step)| Scene {
            boundary,
            fields,
            pieces,
            buffer,
            step,
        },
    )
}

/// Whether a form's end can be seen in these bytes: `--boundary--` on a line of its own, so far.
fn looks_closed(bytes: &[u8], boundary: &str) -> bool {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let end = bytes.iter().rposition(|byte| !b" \t".contains(byte)).map_or(0, |last| last + 1);
    [b"\r\n", &bytes[..end]].concat().ends_with(format!("\r\n--{boundary}--").as_bytes())
}

proptest! {
    #[test]
    fn every_form_is_read_exactly_however_it_is_delivered(scene in scene(0..5)) {
        let (seen, error) = scene.read(&scene.body(), None);
        prop_assert!(error.is_none(), "{:?}", error);
        prop_assert_eq!(seen, scene.expected());
    }

    #[test]
    fn a_part_may_be_left_at_any_of_its_bytes(scene in scene(0..5), take in 0..300_u64) {
        let body = scene.body();
        let body = Body::in_pieces(&body, &scene.pieces);
        let mut form = Form::with_buffer(body, &boundary(&scene.boundary), scene.buffer);
        for (name, content) in &scene.fields {
            let part = form.next_part().unwrap().unwrap();
            prop_assert_eq!(part.name(), name);
            let mut start = Vec::new();
            part.take(take).read_to_end(&mut start).unwrap();
            prop_assert_eq!(&start, &content[..content.len().min(take as usize)]);
        }
        prop_assert!(form.next_part().unwrap().is_none());
    }

    #[test]
    fn the_outcome_does_not_depend_on_the_delivery(
        scene in scene(0..1),
        noise in proptest::collection::vec(noise("X"), 1..4),
    ) {
        let head = format!("\r\n{}", opening("a"));
        let bytes = [opening("a").as_bytes(), &noise.join(head.as_bytes())].concat();
        let scene = Scene { boundary: "X".to_owned(), ..scene };
        let outcome = |scene: &Scene| {
            let (seen, error) = scene.read(&bytes, None);
            (seen, error.map(|error| error.to_string()))
        };
        let at_once = Scene { pieces: vec![usize::MAX], buffer: 100_000, ..scene.clone() };
        let in_pieces = Scene { buffer: 9_000, ..scene.clone() };
        prop_assert_eq!(outcome(&in_pieces), outcome(&at_once));
        // In a small buffer a head may be too long; still nothing is made up.
        let (seen, _) = scene.read(&bytes, None);
        prop_assert!(seen.iter().map(|field| field.2.len()).sum::<usize>() <= bytes.len());
    }
}

proptest! {
    // Every case reads its form once for each of its bytes.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_form_cut_short_is_refused(scene in scene(0..3)) {
        let body = scene.body();
        for cut in 0..body.len() {
            let bytes = &body[..cut];
            if looks_closed(bytes, &scene.boundary) {
                continue;
            }
            let (seen, error) = scene.read(bytes, None);
            prop_assert!(matches!(error, Some(FormError::Truncated)), "{}: {:?}", cut, error);
            prop_assert!(scene.begins_with(&seen), "{}: {:?}", cut, seen);
        }
    }

    #[test]
    fn an_error_of_the_body_comes_out_as_it_is_wherever_it_strikes(scene in scene(0..3)) {
        let body = scene.body();
        for cut in 0..body.len() {
            let (seen, error) = scene.read(&body[..cut], Some(io::ErrorKind::ConnectionReset));
            let Some(FormError::Body(error)) = error else {
                return Err(TestCaseError::fail(format!("{cut}: {error:?}")));
            };
            prop_assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            prop_assert_eq!(error.to_string(), "injected");
            prop_assert!(scene.begins_with(&seen), "{}: {:?}", cut, seen);
        }
        let (seen, error) = scene.read(&body, Some(io::ErrorKind::ConnectionReset));
        prop_assert!(error.is_none(), "a body is not read beyond its form: {:?}", error);
        prop_assert_eq!(seen, scene.expected());
    }
}
