//! Pieces of HTML. Every text of a run passes through [`escape`]; keys and messages may hold anything.

/// For content and for attributes in double quotes alike.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push_str("&#10;"),
            // HTML has no other control characters.
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A thing in the picture. Its place is given in units of the axis, which the page multiplies with its zoom.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    pub(super) class: String,
    pub(super) x: f64,
    /// `None`: as wide as its label.
    pub(super) width: Option<f64>,
    /// Pixels within its row; a height of 0 is left to the style sheet.
    pub(super) top: u32,
    pub(super) height: u32,
    /// A CSS background, for what one class does not say.
    pub(super) background: String,
    pub(super) id: String,
    pub(super) title: String,
    pub(super) label: String,
}

impl Mark {
    pub(super) fn html(&self) -> String {
        let mut style = format!("--x:{:.2}", self.x);
        if let Some(width) = self.width {
            style += &format!(";--w:{width:.2}");
        }
        if self.top > 0 {
            style += &format!(";top:{}px", self.top);
        }
        if self.height > 0 {
            style += &format!(";height:{}px", self.height);
        }
        if !self.background.is_empty() {
            style += &format!(";background:{}", self.background);
        }
        let id = if self.id.is_empty() { String::new() } else { format!(" id=\"{}\"", escape(&self.id)) };
        let title = if self.title.is_empty() { String::new() } else { format!(" title=\"{}\"", escape(&self.title)) };
        format!("<i class=\"{}\"{id} style=\"{style}\"{title}>{}</i>", self.class, escape(&self.label))
    }
}

/// A link to something in the picture.
pub(super) fn link(id: &str, label: &str) -> String {
    format!("<a href=\"#{}\">{}</a>", escape(id), escape(label))
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_in_a_text_can_become_markup() {
        assert_eq!(escape("<a href=\"x\">'&\u{1b}\n"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\u{fffd}&#10;");
    }
}
