//! For how long names are a mount's own, and when it has forgotten a file.

use std::collections::BTreeSet;

use holdfast::env::Time;
use holdfast::op::Ino;

use super::{Ledger, LocalFile, Request, Span, UnderWay};

impl Ledger {
    pub(super) fn local_from(&mut self, mount: u8, key: &str, now: Time) {
        let spans = self.spans.entry((mount, key.to_owned())).or_default();
        if spans.last().is_none_or(|span| span.to.is_some()) {
            spans.push(Span { from: now, to: None });
        }
    }

    /// Ends whatever has ended: files that nobody has open, names that nobody is at.
    pub(super) fn close_spans(&mut self, mount: u8, now: Time, journaled: impl Fn(&str) -> bool) {
        let handles = &self.handles;
        let used = |request: &UnderWay, ino: Ino| match request.what {
            Request::Open { ino: of, .. }
            | Request::Change { ino: of, .. }
            | Request::Attributes { ino: of }
            | Request::Xattr { ino: of }
            | Request::Copy { ino: of, .. }
            | Request::Commit { ino: of, .. }
            | Request::Release { ino: of, .. } => request.mount == mount && of == ino,
            _ => false,
        };
        let under_way = &self.under_way;
        // Who opens what is in the journal goes on with it. While names are moved, nobody knows which of them it has there.
        let moving =
            under_way.values().any(|request| request.mount == mount && matches!(request.what, Request::Rename));
        let over = |(of, ino): &(u8, Ino), file: &mut LocalFile| {
            let open = handles.contains_key(&(mount, *ino)) || under_way.values().any(|request| used(request, *ino));
            let goes_on =
                file.is_named() && (moving || journaled(file.key()) || file.perhaps.iter().any(|key| journaled(key)));
            *of == mount && !open && !goes_on
        };
        let closed: Vec<_> = self.files.extract_if(.., over).map(|(_, file)| file).collect();
        self.past.extend(closed.into_iter().map(|file| LocalFile { closed_at: Some(now), ..file }));
        let busy: BTreeSet<&str> = self
            .files
            .values()
            .filter(|file| file.mount == mount && (file.is_named() || file.doubtful))
            .flat_map(|file| file.perhaps.iter().map(String::as_str).chain([file.key()]))
            .chain(self.under_way.values().filter(|request| request.mount == mount).flat_map(|request| {
                request.keys.iter().chain(&request.earlier).chain(&request.perhaps).map(String::as_str)
            }))
            .collect();
        for ((of, key), spans) in &mut self.spans {
            if *of == mount
                && let Some(last) = spans.last_mut()
                && last.to.is_none()
                && !busy.contains(key.as_str())
                && !journaled(key)
            {
                last.to = Some(now);
            }
        }
    }
}

impl Span {
    pub(super) fn touches(&self, from: Time, until: Time) -> bool {
        self.from <= until && self.to.is_none_or(|to| to >= from)
    }
}
