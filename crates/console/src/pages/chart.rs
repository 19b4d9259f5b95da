//! Small charts as SVG, drawn on the server. Colours come from the stylesheet by class.

use std::fmt::Write as _;

/// A part of time: attempts, and how many of them were delivered.
pub(crate) type Bucket = (u64, u64);

/// Widths and heights in the drawing's own units.
const CHART_WIDTH: u32 = 560;
const CHART_HEIGHT: u32 = 150;
/// Room for `300 ms` in the larger type of a narrow screen.
const LEFT: u32 = 72;
const TOP: u32 = 8;
const BOTTOM: u32 = 20;

/// A row of thin bars, a part of time each: how many of its attempts failed.
pub(crate) fn spark(buckets: &[Bucket]) -> String {
    let most = buckets.iter().map(|(all, _)| *all).max().unwrap_or(0);
    let (all, good) = total(buckets);
    let label = match all {
        0 => String::from("no attempts"),
        _ => format!("{good} of {all} attempts delivered"),
    };
    let mut svg = format!(
        r#"<svg class="spark" viewBox="0 0 96 24" role="img" aria-label="{label}" preserveAspectRatio="none">"#
    );
    let step = 96.0 / count(buckets.len().max(1));
    for (index, (all, good)) in buckets.iter().enumerate() {
        let x = step * count(index);
        let width = (step - 1.0).max(0.5);
        let mut bar = |height: f64, bottom: f64, class: &str| {
            let y = 24.0 - bottom - height;
            write!(
                svg,
                r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#
            )
            .expect("a String takes everything");
        };
        if *all == 0 {
            bar(2.0, 0.0, "bar-idle");
            continue;
        }
        let height = 4.0 + 20.0 * share(*all, most);
        let bad = height * share(all - good.min(all), *all);
        bar(height - bad, bad, "bar-ok");
        bar(bad, 0.0, "bar-bad");
    }
    svg.push_str("</svg>");
    svg
}

/// Bars of attempts over time, the failed ones below.
pub(crate) fn attempts(buckets: &[Bucket], labels: &[String]) -> String {
    let (all, good) = total(buckets);
    let label = format!("{all} attempts, {good} of them delivered");
    let most = buckets.iter().map(|(all, _)| *all).max().unwrap_or(0);
    let top = round_up(most);
    let mut svg = open(&label, top, |value| value.to_string());
    let step = f64::from(CHART_WIDTH - LEFT) / count(buckets.len().max(1));
    for (index, (all, good)) in buckets.iter().enumerate() {
        let x = f64::from(LEFT) + step * count(index);
        let width = (step - 3.0).max(1.0);
        let height = inner() * share(*all, top);
        let bad = height * share(all - good.min(all), *all);
        let floor = f64::from(TOP) + inner();
        let title = format!("{good} of {all} delivered");
        let when = labels.get(index).map_or("", String::as_str);
        write!(
            svg,
            r#"<g><title>{when}: {title}</title><rect class="bar-ok" x="{x:.1}" y="{:.1}" width="{width:.1}" height="{:.1}"/><rect class="bar-bad" x="{x:.1}" y="{:.1}" width="{width:.1}" height="{bad:.1}"/></g>"#,
            floor - height,
            height - bad,
            floor - bad,
        )
        .expect("a String takes everything");
    }
    close(svg, labels)
}

/// Two lines over time, in microseconds; `None` where nothing was measured.
pub(crate) fn latency(points: &[Option<(u64, u64)>], labels: &[String]) -> String {
    let known = points.iter().flatten();
    let most = known.clone().map(|(_, p95)| *p95).max().unwrap_or(0);
    let top = round_up(most);
    let label = match most {
        0 => String::from("no answers were measured"),
        _ => format!("95 % of answers came within {}", micros(most)),
    };
    let mut svg = open(&label, top, micros);
    let step = f64::from(CHART_WIDTH - LEFT) / count(points.len().max(1));
    for (class, pick) in [
        ("p50", (|(p50, _)| p50) as fn((u64, u64)) -> u64),
        ("p95", |(_, p95)| p95),
    ] {
        let mut path = String::new();
        let mut is_down = false;
        for (index, point) in points.iter().enumerate() {
            let Some(point) = point else {
                is_down = false;
                continue;
            };
            let x = f64::from(LEFT) + step * (count(index) + 0.5);
            let y = f64::from(TOP) + inner() * (1.0 - share(pick(*point), top));
            let verb = if is_down { 'L' } else { 'M' };
            write!(path, "{verb}{x:.1} {y:.1}").expect("a String takes everything");
            write!(
                svg,
                r#"<circle class="dot-{class}" cx="{x:.1}" cy="{y:.1}" r="2.4"><title>{}: {}</title></circle>"#,
                labels.get(index).map_or("", String::as_str),
                micros(pick(*point))
            )
            .expect("a String takes everything");
            is_down = true;
        }
        write!(svg, r#"<path class="line-{class}" d="{path}"/>"#)
            .expect("a String takes everything");
    }
    close(svg, labels)
}

/// The phases of one request as parts of a bar: a class and microseconds each.
pub(crate) fn timing_bar(parts: &[(&str, u64)]) -> String {
    let total: u64 = parts.iter().map(|(_, us)| *us).sum();
    let mut svg = String::from(
        r#"<svg class="timing-bar" viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true">"#,
    );
    let mut x = 0.0;
    for (class, us) in parts {
        let width = 1000.0 * share(*us, total);
        write!(
            svg,
            r#"<rect class="t-{class}" x="{x:.1}" y="0" width="{width:.1}" height="12"/>"#
        )
        .expect("a String takes everything");
        x += width;
    }
    svg.push_str("</svg>");
    svg
}

/// Microseconds as people read them.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0 => String::from("0 ms"),
        1..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

fn open(label: &str, top: u64, word: impl Fn(u64) -> String) -> String {
    let mut svg = format!(
        r#"<svg class="chart" viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" aria-label="{label}">"#
    );
    for (place, value) in [(0.0, top), (0.5, top / 2), (1.0, 0)] {
        let y = f64::from(TOP) + inner() * place;
        write!(
            svg,
            r#"<line class="axis" x1="{LEFT}" x2="{CHART_WIDTH}" y1="{y:.1}" y2="{y:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 6,
            y + 4.0,
            word(value)
        )
        .expect("a String takes everything");
    }
    svg
}

fn close(mut svg: String, labels: &[String]) -> String {
    let shown = [(0.0, labels.first()), (0.5, labels.get(labels.len() / 2))];
    for (place, label) in shown {
        let x = f64::from(LEFT) + f64::from(CHART_WIDTH - LEFT) * place;
        let label = label.map_or("", String::as_str);
        write!(
            svg,
            r#"<text x="{x:.1}" y="{}">{label}</text>"#,
            CHART_HEIGHT - 4
        )
        .expect("a String takes everything");
    }
    write!(
        svg,
        r#"<text x="{CHART_WIDTH}" y="{}" text-anchor="end">now</text></svg>"#,
        CHART_HEIGHT - 4
    )
    .expect("a String takes everything");
    svg
}

fn total(buckets: &[Bucket]) -> Bucket {
    let sum = |sum: Bucket, one: &Bucket| (sum.0 + one.0, sum.1 + one.1);
    buckets.iter().fold((0, 0), sum)
}

fn inner() -> f64 {
    f64::from(CHART_HEIGHT - TOP - BOTTOM)
}

/// An even number not below `most` that reads well as the top of a scale.
fn round_up(most: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for factor in [2, 4, 6, 10] {
            let top = unit.saturating_mul(factor);
            if top >= most {
                return top;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => approximate(part) / approximate(whole),
    }
}

fn count(number: usize) -> f64 {
    approximate(u64::try_from(number).unwrap_or(u64::MAX))
}

/// For drawing; the last digits of large numbers do not matter.
#[expect(clippy::cast_precision_loss, reason = "a drawing needs few digits")]
fn approximate(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_tells_what_it_shows() {
        let svg = spark(&[(0, 0), (10, 9), (5, 5)]);
        assert!(svg.contains("14 of 15 attempts delivered"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 5);
        assert!(spark(&[]).contains("no attempts"));
    }

    #[test]
    fn scales_end_at_round_numbers_and_nothing_divides_by_zero() {
        for (most, top) in [(0, 2), (3, 4), (7, 10), (10, 10), (11, 20), (450, 600)] {
            assert_eq!(round_up(most), top, "{most}");
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
        let labels = vec![String::from("10:00")];
        for svg in [
            attempts(&[(0, 0)], &labels),
            latency(&[None], &labels),
            latency(&[], &[]),
            timing_bar(&[("dns", 0)]),
        ] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(svg.ends_with("</svg>"));
        }
    }

    #[test]
    fn a_gap_in_what_was_measured_is_a_gap_in_the_line() {
        let points = [Some((1_000, 2_000)), None, Some((3_000, 4_000))];
        let svg = latency(&points, &[]);
        let line = svg.split(r#"class="line-p50" d=""#).nth(1).unwrap();
        assert_eq!(line.split('"').next().unwrap().matches('M').count(), 2);
    }

    #[test]
    fn times_read_well() {
        let read: Vec<_> = [0, 999, 1_500, 25_000, 1_250_000].map(micros).into();
        assert_eq!(read, ["0 ms", "999 µs", "1.5 ms", "25 ms", "1.2 s"]);
    }
}
