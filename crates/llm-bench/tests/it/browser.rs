//! The page in a real browser: finds markup that looks right as text but wrong on the screen.

use crate::report::{alone, sample, with_long_names};
use crate::seeds::{long_study, study};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Measures the page from inside and leaves what is wrong as JSON where `--dump-dom` shows it.
const MEASURE: &str = r#"<script>
const wrong = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) wrong.push(`the page is ${root.scrollWidth} wide, the window ${root.clientWidth}`);
let texts = 0;
for (const svg of document.querySelectorAll("svg")) {
  const frame = svg.getBoundingClientRect();
  if (frame.width < 100 || frame.height < 50) wrong.push(`a plot of ${frame.width} x ${frame.height}`);
  const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent.trim(), text.getBoundingClientRect()])
    .filter(([text]) => text);
  texts += boxes.length;
  boxes.forEach(([text, box], i) => {
    if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
      wrong.push(`"${text}" is cut off`);
    for (const [other, beside] of boxes.slice(i + 1)) {
      const across = Math.min(box.right, beside.right) - Math.max(box.left, beside.left);
      const down = Math.min(box.bottom, beside.bottom) - Math.max(box.top, beside.top);
      if (across > 1 && down > 0.3 * Math.min(box.height, beside.height)) wrong.push(`"${text}" lies on "${other}"`);
    }
  });
}
for (const table of document.querySelectorAll("table")) {
  const columns = table.tHead.rows[0].cells.length;
  for (const row of table.tBodies[0].rows)
    if (row.cells.length != columns) wrong.push(`"${row.textContent}" has ${row.cells.length} cells of ${columns}`);
}
const seen = { plots: document.querySelectorAll("svg").length, texts, tables: document.querySelectorAll("table").length };
document.body.innerHTML = "";
document.body.textContent = JSON.stringify({ wrong, seen });
</script></body>"#;

/// The first Chromium on the path; `None` with a printed reason without one, a failure under `KALLM_REQUIRE_BROWSER`.
fn browser() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| {
            let version = Command::new(name)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            version.is_ok_and(|status| status.success())
        });
    if found.is_none() {
        assert!(
            std::env::var_os("KALLM_REQUIRE_BROWSER").is_none(),
            "KALLM_REQUIRE_BROWSER is set, but there is no chromium on the path"
        );
        eprintln!("skipped: there is no chromium on the path");
    }
    found
}

/// What the browser finds on `page` in a window of `width` pixels.
fn measured(browser: &str, folder: &Path, page: &str, width: u32) -> Value {
    let html = folder.join("page.html");
    std::fs::write(&html, page.replace("</body>", MEASURE)).unwrap();
    let dump = folder.join("dump.html");
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--hide-scrollbars",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--window-size={width},900"))
        .arg("--dump-dom")
        .arg(format!("file://{}", html.display()))
        .stdout(std::fs::File::create(&dump).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("the browser did not answer in two minutes");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let dump = std::fs::read_to_string(dump).unwrap();
    let json = dump
        .split_once("<body>")
        .and_then(|(_, body)| body.split_once("</body>"));
    let json = json.unwrap_or_else(|| panic!("no body in {dump}")).0.trim();
    serde_json::from_str(&json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).expect(json)
}

#[test]
fn every_label_can_be_read_on_wide_and_narrow_screens() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    for width in [1400, 800, 500] {
        let found = measured(browser, folder.path(), &sample().to_html().unwrap(), width);
        assert_eq!(found["wrong"], serde_json::json!([]), "at {width} pixels");
        assert_eq!(found["seen"]["plots"], 9);
        assert!(found["seen"]["texts"].as_u64() > Some(50), "{found}");
        assert!(found["seen"]["tables"].as_u64() >= Some(3), "{found}");
    }
}

#[test]
fn every_label_of_a_study_can_be_read_on_wide_and_narrow_screens() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    for width in [1400, 800, 500] {
        let found = measured(browser, folder.path(), &study().to_html().unwrap(), width);
        assert_eq!(found["wrong"], serde_json::json!([]), "at {width} pixels");
        // Losses, percentages and convergence across seeds; two learning curves.
        assert_eq!(found["seen"]["plots"], 5);
        assert!(found["seen"]["tables"].as_u64() >= Some(6), "{found}");
    }
}

#[test]
fn long_names_and_a_variant_alone_fit_too() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    for report in [with_long_names(), long_study(), alone()] {
        let found = measured(browser, folder.path(), &report.to_html().unwrap(), 800);
        assert_eq!(found["wrong"], serde_json::json!([]));
    }
}

#[test]
fn what_is_wrong_is_found() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = r#"<body><div style="width: 900px">wide</div>
        <svg width="300" height="60"><text x="10" y="30">below</text><text x="12" y="31">above</text>
        <text x="290" y="50">a long label</text></svg><svg width="20" height="60"></svg>
        <table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>only</td></tr></tbody></table></body>"#;
    let found = measured(browser, folder.path(), page, 800);
    let wrong: Vec<&str> = found["wrong"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let expected = [
        "the page is ",
        "\"below\" lies on \"above\"",
        "\"a long label\" is cut off",
        "a plot of 20 x 60",
        "\"only\" has 1 cells of 2",
    ];
    assert_eq!(wrong.len(), expected.len(), "{wrong:?}");
    for (wrong, expected) in wrong.iter().zip(expected) {
        assert!(wrong.starts_with(expected), "{wrong}");
    }
}
