//! Whether everybody can use a page, as far as axe-core can tell.

use std::{path::Path, sync::LazyLock};

use serde_json::{Value, json};

use super::Browser;

/// WCAG 2.2, levels A and AA, and what axe-core holds to be good practice.
const RULES: [&str; 6] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/// It loads nothing, so that the page's requests stay the page's own.
const RUN: &str = "const [rules, done] = arguments; \
    axe.run(document, { runOnly: { type: 'tag', values: rules }, preload: false }).then( \
        ({ violations, passes }) => done({ violations, passed: passes.length }), \
        error => done({ error: String(error) }))";

static AXE: LazyLock<String> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("axe/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(path).expect(
        "axe-core is missing: install it with `npm ci --prefix tests/axe`, or use tests/run, which does",
    )
});

impl Browser {
    /// Asserts that axe-core finds nothing wrong with the page.
    ///
    /// # Panics
    /// When it does; it names the rules and the elements.
    pub async fn has_no_violations(&self, page: &str) {
        let violations = self.violations().await;
        assert!(violations.is_empty(), "{page} at {}\n{}", self.path().await, violations.join("\n"));
    }

    /// What axe-core finds wrong with the page.
    ///
    /// # Panics
    /// When it did not look.
    pub async fn violations(&self) -> Vec<String> {
        self.rests().await;
        // WebDriver's scripts are not the page's: its Content-Security-Policy does not judge them.
        self.client.execute(&AXE, Vec::new()).await.expect("axe-core is there");
        let found = self.client.execute_async(RUN, vec![json!(RULES)]).await.expect("axe-core looks");
        assert!(found["passed"].as_u64() > Some(0), "axe-core judged nothing: {found}");
        found["violations"].as_array().expect("violations").iter().flat_map(described).collect()
    }
}

fn described(violation: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rule = format!("{}: {}", text(&violation["id"]), text(&violation["help"]));
    let elements = violation["nodes"].as_array().expect("elements");
    elements.iter().map(|element| format!("{rule}: {}", text(&element["html"]))).collect()
}
