//! Tables, which may be wider than a narrow page: each scrolls in a box of its own, by keyboard too.
//! The box is a group and no region, since regions of a page have a name each that no other has.

use maud::{Markup, html};

/// A table of this name with these heads.
pub(super) fn table(name: &str, heads: &[String], rows: &Markup) -> Markup {
    html! {
        div.wide role="group" aria-label=(name) tabindex="0" {
            table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}
