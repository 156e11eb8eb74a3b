//! Reads ahead: pages from a database, and items that a thread of their own makes in time.
//!
//! Used by the scanner. The threads end with the scan that began them, at the latest: when nobody
//! takes their items any more, or when all are made.

use crossbeam_channel::bounded;
use std::io;
use std::thread::{Builder, Scope};

/// Everything that `page` finds, page by page: it is asked for what stands behind the last item it
/// found, and answers with nothing at the end. After an error nothing follows.
pub fn pages<T: Clone, E>(
    mut page: impl FnMut(Option<&T>) -> Result<Vec<T>, E>,
) -> impl Iterator<Item = Result<T, E>> {
    let mut last: Option<T> = None;
    let mut ended = false;
    let next_page = move || {
        if ended {
            return None;
        }
        let found = page(last.as_ref());
        match &found {
            Ok(items) if !items.is_empty() => last = items.last().cloned(),
            _ => ended = true,
        }
        Some(found)
    };
    std::iter::from_fn(next_page).flat_map(|page| {
        let (items, error) = match page {
            Ok(items) => (items, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        items.into_iter().map(Ok).chain(error)
    })
}

/// The items that `make` yields, made by a thread called `name` while those before them are used.
/// At most `chunks` chunks of `size` items wait.
pub fn read_ahead<'scope, I>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    size: usize,
    chunks: usize,
    make: impl FnOnce() -> I + Send + 'scope,
) -> io::Result<impl Iterator<Item = I::Item>>
where
    I: Iterator,
    I::Item: Send + 'scope,
{
    let (sender, receiver) = bounded::<Vec<I::Item>>(chunks);
    Builder::new().name(name.to_owned()).spawn_scoped(scope, move || {
        let mut items = make();
        loop {
            let chunk: Vec<_> = items.by_ref().take(size).collect();
            if chunk.is_empty() || sender.send(chunk).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_until_one_is_empty() {
        let mut asked = Vec::new();
        let all: Vec<Result<u32, ()>> = pages(|last: Option<&u32>| {
            asked.push(last.copied());
            let from = last.map_or(0, |last| last + 1);
            Ok((from..7.min(from + 3)).collect())
        })
        .collect();
        assert_eq!(all, (0..7).map(Ok).collect::<Vec<_>>());
        assert_eq!(asked, [None, Some(2), Some(5), Some(6)]);
    }

    #[test]
    fn after_an_error_no_page_follows() {
        let mut turns = 0;
        let all: Vec<Result<u32, &str>> = pages(|_: Option<&u32>| {
            turns += 1;
            if turns == 2 { Err("broken") } else { Ok(vec![turns]) }
        })
        .collect();
        assert_eq!(all, [Ok(1), Err("broken")]);
    }

    #[test]
    fn what_is_read_ahead_comes_complete_and_in_order() {
        for count in [0, 1, 9, 10, 11, 100] {
            let got: Vec<u32> = std::thread::scope(|scope| {
                read_ahead(scope, "test", 10, 2, || 0..count).unwrap().collect()
            });
            assert_eq!(got, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_takes_no_more_ends_the_thread() {
        let first =
            std::thread::scope(|scope| read_ahead(scope, "test", 1, 1, || 0..).unwrap().next());
        assert_eq!(first, Some(0));
    }
}
