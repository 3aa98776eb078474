//! Files and FIFOs that mknod(2) makes: at once, and empty.

use holdfast::env::Time;
use holdfast::op::{Kind, Reply};

use super::{Alteration, FileContent, Ledger, Request, Span, UnderWay};

impl Ledger {
    /// A MKNOD has ended.
    pub(super) fn node_ended(
        &mut self,
        mount: u8,
        kind: Kind,
        request: (&[String], &[String]),
        (began, called, now): (Time, Time, Time),
        reply: Option<&Reply>,
    ) -> Alteration {
        let (keys, earlier) = request;
        let span = Span { from: began, to: Some(now) };
        self.nodes.extend(keys.iter().chain(earlier).map(|key| (mount, key.clone(), span)));
        let Some(Reply::Entry(entry)) = reply else { return Alteration::Other };
        if let (Kind::File, Some(attr)) = (kind, &entry.attr) {
            self.enter(mount, attr.ino, keys, (called, began), |_| Some(FileContent::default()));
            self.doubt(mount, called, attr.ino, keys);
        }
        Alteration::Node { keys: keys.iter().chain(earlier).cloned().collect() }
    }

    /// Whether a mknod(2) of this name was under way on a mount at that time.
    pub fn was_making_node(&self, mount: u8, key: &str, at: Time) -> bool {
        let ended =
            self.nodes.iter().any(|(of, name, span)| (*of, name.as_str()) == (mount, key) && span.touches(at, at));
        let makes = |request: &UnderWay| {
            matches!(request.what, Request::Node { .. })
                && request.mount == mount
                && request.began <= at
                && request.keys.iter().chain(&request.earlier).any(|name| name == key)
        };
        ended || self.under_way.values().any(makes)
    }
}
