//! Texts compared line by line: the longest common subsequence, shown as unified diffs are.

/// The most pairs of lines that are compared: both texts are of bounded size, and their product is not. Beyond that the
/// part that differs is shown as gone and new.
const PAIRS_MAX: usize = 16_000_000;

/// Keys whose values nobody needs to see, whatever they hold.
const SECRET_KEYS: &[&str] = &["password", "secret", "token", "pin", "psk"];
/// Hexadecimal digits in a row that are a key.
const KEY_DIGITS: usize = 32;
const MASK: &str = "********";

/// A line of a comparison, with its numbers from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// In both.
    Same { text: String, old: usize, new: usize },
    /// In the earlier one alone.
    Gone { text: String, old: usize },
    /// In the later one alone.
    New { text: String, new: usize },
}

/// Changes with the lines around them.
pub(super) struct Hunk<'a> {
    pub(super) head: String,
    pub(super) lines: &'a [Line],
}

/// Compares two texts.
pub(super) fn compare(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let common = |mut pairs: Box<dyn Iterator<Item = (&&str, &&str)> + '_>| {
        let mut count = 0;
        while pairs.next().is_some_and(|(one, other)| one == other) {
            count += 1;
        }
        count
    };
    let front: usize = common(Box::new(old.iter().zip(&new)));
    let most = old.len().min(new.len()) - front;
    let back = common(Box::new(old.iter().rev().zip(new.iter().rev()))).min(most);
    let middle = |lines: &[&str]| front..lines.len() - back;
    let (old_middle, new_middle) = (middle(&old), middle(&new));
    let steps = steps(old.get(old_middle).unwrap_or_default(), new.get(new_middle).unwrap_or_default());
    let all = std::iter::repeat_n(Step::Both, front).chain(steps).chain(std::iter::repeat_n(Step::Both, back));
    let (mut at_old, mut at_new, mut lines) = (0, 0, Vec::new());
    for step in all {
        let text = |lines: &[&str], at: usize| lines.get(at).copied().unwrap_or_default().to_string();
        match step {
            Step::Both => {
                lines.push(Line::Same { text: text(&old, at_old), old: at_old + 1, new: at_new + 1 });
                (at_old, at_new) = (at_old + 1, at_new + 1);
            }
            Step::Old => {
                lines.push(Line::Gone { text: text(&old, at_old), old: at_old + 1 });
                at_old += 1;
            }
            Step::New => {
                lines.push(Line::New { text: text(&new, at_new), new: at_new + 1 });
                at_new += 1;
            }
        }
    }
    lines
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Both,
    Old,
    New,
}

/// How to come from one list of lines to the other with the fewest changes.
fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        return std::iter::repeat_n(Step::Old, old.len()).chain(std::iter::repeat_n(Step::New, new.len())).collect();
    }
    // How many lines the rests from each place on have in common.
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    let read = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or_default();
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            let longest = if one == other {
                read(&common, i + 1, j + 1) + 1
            } else {
                read(&common, i + 1, j).max(read(&common, i, j + 1))
            };
            if let Some(place) = common.get_mut(i * width + j) {
                *place = longest;
            }
        }
    }
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(one), Some(other)) if one == other => {
                steps.push(Step::Both);
                (i, j) = (i + 1, j + 1);
            }
            (Some(_), Some(_)) if read(&common, i, j + 1) > read(&common, i + 1, j) => {
                steps.push(Step::New);
                j += 1;
            }
            (Some(_), _) => {
                steps.push(Step::Old);
                i += 1;
            }
            (None, Some(_)) => {
                steps.push(Step::New);
                j += 1;
            }
            (None, None) => return steps,
        }
    }
}

/// The changes, each with so many lines around it; what is near each other stands together.
pub(super) fn hunks(lines: &[Line], context: usize) -> Vec<Hunk<'_>> {
    let changed = lines.iter().enumerate().filter(|(_, line)| !matches!(line, Line::Same { .. }));
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (at, _) in changed {
        let (from, to) = (at.saturating_sub(context), (at + context + 1).min(lines.len()));
        match spans.last_mut() {
            Some((_, end)) if from <= *end => *end = to,
            _ => spans.push((from, to)),
        }
    }
    spans
        .into_iter()
        .map(|(from, to)| {
            let before = lines.get(..from).unwrap_or_default();
            let lines = lines.get(from..to).unwrap_or_default();
            Hunk { head: format!("@@ -{} +{} @@", range(before, lines, is_old), range(before, lines, is_new)), lines }
        })
        .collect()
}

fn is_old(line: &Line) -> bool {
    !matches!(line, Line::New { .. })
}

fn is_new(line: &Line) -> bool {
    !matches!(line, Line::Gone { .. })
}

/// `first,count`, as unified diffs have it: an empty range names the line before.
fn range(before: &[Line], lines: &[Line], is_in: fn(&Line) -> bool) -> String {
    let count = |lines: &[Line]| lines.iter().filter(|line| is_in(line)).count();
    let (before, lines) = (count(before), count(lines));
    format!("{},{lines}", before + usize::from(lines > 0))
}

/// A text without its secrets: values of keys that name one, and what looks like a key.
pub(super) fn masked(text: &str) -> String {
    text.lines().map(masked_line).collect::<Vec<_>>().join("\n")
}

fn masked_line(line: &str) -> String {
    if let Some((key, _)) = line.split_once('=')
        && SECRET_KEYS.iter().any(|secret| key.to_lowercase().contains(secret))
        // A file that holds secrets is none.
        && !key.trim().ends_with("meter_secrets")
    {
        return format!("{key}= \"{MASK}\"");
    }
    let mut shown = String::with_capacity(line.len());
    let mut digits = String::new();
    for c in line.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        shown.push_str(if digits.len() >= KEY_DIGITS { MASK } else { &digits });
        digits.clear();
        if c != '\n' {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str, context: usize) -> String {
        let lines = compare(old, new);
        let mut text = String::new();
        for hunk in hunks(&lines, context) {
            text += &(hunk.head + "\n");
            for line in hunk.lines {
                text += &match line {
                    Line::Same { text, .. } => format!(" {text}\n"),
                    Line::Gone { text, .. } => format!("-{text}\n"),
                    Line::New { text, .. } => format!("+{text}\n"),
                };
            }
        }
        text
    }

    #[test]
    fn changes_stand_in_their_lines() {
        assert_eq!(shown("a\nb\nc\n", "a\nx\nc\n", 1), "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        assert_eq!(shown("a\n", "a\n", 3), "");
        assert_eq!(shown("", "a\nb\n", 3), "@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(shown("a\nb\n", "", 3), "@@ -1,2 +0,0 @@\n-a\n-b\n");
        assert_eq!(shown("a\na\n", "a\na\na\n", 0), "@@ -2,0 +3,1 @@\n+a\n");
    }

    #[test]
    fn far_changes_stand_apart_and_near_ones_together() {
        let old: String = (0..30).map(|n| format!("{n}\n")).collect();
        let new = old.replace("5\n", "five\n").replace("\n8\n", "\neight\n").replace("\n27\n", "\n");
        let text = shown(&old, &new, 2);
        assert_eq!(text.matches("@@ -").count(), 3, "5 and 15 and 25 end alike: {text}");
    }

    /// Applying the steps gives the new text, whatever both are.
    #[test]
    fn what_is_shown_leads_from_one_to_the_other() {
        let text = |seed: u32| -> String {
            let mut state = seed;
            (0..20)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    format!("{}\n", (state >> 16) % 4)
                })
                .collect()
        };
        for seed in 0..200 {
            let (old, new) = (text(seed), text(seed + 1000));
            let lines = compare(&old, &new);
            let side = |is_in: fn(&Line) -> bool| -> String {
                let texts = lines.iter().filter(|line| is_in(line)).map(|line| match line {
                    Line::Same { text, .. } | Line::Gone { text, .. } | Line::New { text, .. } => text.clone() + "\n",
                });
                texts.collect()
            };
            assert_eq!((side(is_old), side(is_new)), (old, new));
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(masked("password = \"hunter2\""), "password = \"********\"");
        assert_eq!(masked("x = \"00112233445566778899AABBCCDDEEFF\""), "x = \"********\"");
        for open in ["key = \"/etc/plomb/client.key\"", "meter_secrets = \"/etc/plomb/secrets\"", "id = \"12345678\""] {
            assert_eq!(masked(open), open);
        }
    }
}
