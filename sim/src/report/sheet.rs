//! The sheet that lanes are drawn on: rows from top to bottom, and what crosses them all.
//!
//! Heights are pixels and known here, so that an arrow can lead from one row to another.

use holdfast::env::Time;

use super::text::{Mark, escape};

/// Of the axis, above all rows.
const HEAD_PX: u32 = 34;

#[derive(Default)]
pub(super) struct Sheet {
    rows: String,
    /// Behind the rows, and before them.
    under: String,
    over: String,
    bottom: u32,
}

impl Sheet {
    pub(super) fn new() -> Self {
        Self { bottom: HEAD_PX, ..Self::default() }
    }

    /// Where the next row begins.
    pub(super) fn bottom(&self) -> u32 {
        self.bottom
    }

    pub(super) fn section(&mut self, name: &str) {
        self.row("section", name, "", 22, "");
    }

    pub(super) fn row(&mut self, class: &str, name: &str, title: &str, height: u32, marks: &str) {
        let (name, title) = (escape(name), escape(title));
        self.rows += &format!(
            "<div class=\"row {class}\" style=\"height:{height}px\"><div class=\"name\" title=\"{title}\">{name}</div>\
             <div class=\"track\">{marks}</div></div>\n"
        );
        self.bottom += height;
    }

    /// Something behind all rows.
    pub(super) fn behind(&mut self, mark: &Mark) {
        self.under += &mark.html();
        self.under.push('\n');
    }

    /// Something that does not belong to one row, before them all.
    pub(super) fn across(&mut self, mark: &Mark) {
        self.over += &mark.html();
        self.over.push('\n');
    }

    pub(super) fn html(&self) -> String {
        format!("<div class=\"under\">{}</div>\n<div class=\"over\">{}</div>\n{}", self.under, self.over, self.rows)
    }
}

/// Puts things that overlap in time below each other.
#[derive(Default)]
pub(super) struct Stack {
    /// When the last thing of each line was over.
    ends: Vec<Time>,
}

impl Stack {
    /// The first line that is free from `from` on. There are `max` lines; what finds none free goes to the last.
    pub(super) fn place(&mut self, from: Time, to: Time, max: usize) -> u32 {
        let free = self.ends.iter().position(|end| *end <= from);
        let line = free.unwrap_or(self.ends.len()).min(max - 1);
        if line == self.ends.len() {
            self.ends.push(to);
        } else {
            self.ends[line] = self.ends[line].max(to);
        }
        line as u32
    }

    pub(super) fn lines(&self) -> u32 {
        self.ends.len() as u32
    }
}
