//! A chart of how sessions begin and end, as SVG.

use time::Date;
use time::macros::format_description;

/// One day of the chart.
#[derive(Clone, Debug)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// How many sessions began.
    pub created: u64,
    /// How many ended, by themselves or by a user.
    pub ended: u64,
}

/// The chart's sizes, in the units of its own coordinates.
/// The numbers stand to the right of this, beside today: on a phone, where the chart scrolls, that side is seen first.
const RIGHT: f64 = 676.0;
const MIDDLE: f64 = 130.0;
const HALF: f64 = 110.0;

/// The bars of each day: one up for sessions that began, one down for those that ended. The template draws them.
#[derive(Clone, Debug)]
pub struct Chart {
    pub(crate) bars: Vec<Bar>,
    pub(crate) labels: Vec<Label>,
    pub(crate) highest: u64,
    pub(crate) created: u64,
    pub(crate) ended: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) up_y: String,
    pub(crate) up_height: String,
    pub(crate) down_height: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) text: String,
    pub(crate) x: String,
}

impl Chart {
    /// Returns the chart of these days, oldest first.
    pub fn new(days: &[Day]) -> Self {
        let highest = days.iter().map(|day| day.created.max(day.ended)).max().unwrap_or(0).max(1);
        let step = RIGHT / size(days.len().max(1) as u64);
        let at = |index: usize| step * size(index as u64);
        let bar = |(index, day): (usize, &Day)| {
            let [up, down] = [day.created, day.ended].map(|count| HALF * size(count) / size(highest));
            Bar {
                title: format!("{}: {} created, {} ended", shown(day.date), day.created, day.ended),
                x: number(at(index) + step * 0.15),
                width: number(step * 0.7),
                up_y: number(MIDDLE - up),
                up_height: number(up),
                down_height: number(down),
            }
        };
        let bars = days.iter().enumerate().map(bar).collect();
        // One label a week, back from today.
        let today = days.len().saturating_sub(1);
        let label = |(index, day): (usize, &Day)| Label {
            text: if index == today { "today".to_owned() } else { shown(day.date) },
            x: number(at(index) + step / 2.0),
        };
        let labels =
            days.iter().enumerate().filter(|(index, _)| (today - index).is_multiple_of(7)).map(label);
        let labels = labels.collect();
        let (created, ended) =
            (days.iter().map(|day| day.created).sum(), days.iter().map(|day| day.ended).sum());
        Self { bars, labels, highest, created, ended }
    }
}

/// Every count here fits into a float.
#[expect(clippy::cast_precision_loss, reason = "a bar is drawn to a tenth of a unit")]
fn size(count: u64) -> f64 {
    count as f64
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

fn shown(date: Date) -> String {
    date.format(format_description!("[day padding:none] [month repr:short]")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn the_highest_bar_is_as_high_as_there_is_room() {
        let day = |created, ended| Day { date: date!(2026 - 11 - 23), created, ended };
        let chart = Chart::new(&[day(10, 0), day(5, 20)]);
        assert_eq!((chart.highest, chart.created, chart.ended), (20, 15, 20));
        let heights: Vec<_> =
            chart.bars.iter().map(|bar| (bar.up_height.as_str(), bar.down_height.as_str())).collect();
        assert_eq!(heights, [("55.0", "0.0"), ("27.5", "110.0")]);
    }

    #[test]
    fn the_last_label_is_today_at_the_right() {
        let days: Vec<_> = (1..=30)
            .map(|day| Day { date: date!(2026 - 10 - 31) + time::Duration::days(day), created: 1, ended: 0 })
            .collect();
        let labels: Vec<_> = Chart::new(&days).labels.into_iter().map(|label| label.text).collect();
        assert_eq!(labels, ["2 Nov", "9 Nov", "16 Nov", "23 Nov", "today"]);
    }

    #[test]
    fn nothing_at_all_is_a_picture_too() {
        assert_eq!(Chart::new(&[]).highest, 1);
    }
}
