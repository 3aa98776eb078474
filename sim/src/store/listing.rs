//! Pages of a LIST, and how a bad server serves them.

use holdfast::env::store::{List, ListPage, StoreError};

use super::fault::FaultKind;
use super::server::Applying;
use crate::executor::locked;

/// The page that came last.
pub(super) struct Served {
    /// The token that asked for it.
    asked_with: Option<String>,
    page: ListPage,
}

/// Answers one page, and remembers it as the page before the next.
pub(super) fn page(with: Applying<'_>, request: List) -> Result<ListPage, StoreError> {
    let mut page = with.bucket.list(&request)?;
    let mut pages = locked(&with.server.pages);
    let before = (request.prefix.clone(), request.delimiter.clone());
    let earlier = pages.get(&before);
    for fault in with.suffering.iter() {
        match fault {
            FaultKind::PageRepeats if request.continuation.is_some() => {
                if let Some(earlier) = earlier {
                    page = earlier.page.clone();
                }
            }
            FaultKind::PageGoesBack => {
                let first = List { start_after: None, continuation: None, ..request.clone() };
                let next = page.next.take();
                page = ListPage { next, ..with.bucket.list(&first)? };
            }
            FaultKind::PageTokenDropped => page.next = None,
            FaultKind::PageTokenLoops => page.next = request.continuation.clone().or(page.next),
            FaultKind::PageTokenCircles if request.continuation.is_some() => {
                let asked_before = earlier.and_then(|earlier| earlier.asked_with.clone());
                page = ListPage { next: asked_before.or(page.next), ..ListPage::default() };
            }
            _ => {}
        }
    }
    if !with.server.config().lists_in_order {
        // Any order that is not the order of the keys will do.
        page.objects.reverse();
        page.prefixes.reverse();
    }
    if let Some((recorder, id)) = &with.recorded {
        let keys = page.objects.iter().map(|object| object.key.as_str().to_owned());
        recorder.listed(*id, keys.chain(page.prefixes.iter().map(ToString::to_string)).collect());
    }
    pages.insert(before, Served { asked_with: request.continuation, page: page.clone() });
    Ok(page)
}
