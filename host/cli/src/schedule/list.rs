//! Schedules, when they are due, and what became of the last time.

use pigeon_api::{Overlap, ScheduleInfo, When, page::ScheduleList};

use super::ListArgs;
use crate::{
    exit::{Exit, Failed},
    paint::{Colours, Paint},
    paper::Paper,
    screen::Screen,
    text::{Column, Grid, View, cell, number, printable, span},
    visit::visit,
};

/// Run the command.
pub(super) async fn run(args: ListArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        paper.view.flags = host.command("");
        let schedules = host.client().schedules().await?;
        paper.show(&ScheduleList { schedules }, table)?;
        Ok(Exit::Valid)
    })
    .await
}

fn table(list: &ScheduleList, view: &View) -> String {
    if list.schedules.is_empty() {
        let add = "pigeon schedule add nightly --cron '0 3 * * *' -f FILE -v json";
        return format!("no schedule is kept: {} adds one\n", view.command(add));
    }
    let columns = [
        Column::left("schedule").kept().cut(8),
        Column::left("due next").kept(),
        Column::left("when").cut(12),
        Column::left("plugin").cut(8),
        Column::right("items"),
        Column::left("last"),
        Column::left("overlap"),
        Column::left("author").cut(6),
    ];
    let mut grid = Grid::new(columns);
    for schedule in &list.schedules {
        grid.row([
            cell(&schedule.name).painted(Paint::strong),
            cell(next(schedule, view)).painted_if(schedule.paused, Paint::warn),
            cell(when(&schedule.when, view)),
            cell(&schedule.plugin),
            cell(number(schedule.items)),
            cell(schedule.last_ms.map_or_else(|| "-".to_owned(), |ms| view.moment.relative(ms)))
                .painted_if(schedule.last_error.is_some(), Paint::bad),
            cell(overlap(schedule.overlap)),
            cell(if schedule.author.is_empty() { "-" } else { &schedule.author }),
        ]);
    }
    let mut text = grid.text(view.paint, view.width);
    for schedule in &list.schedules {
        if let Some(error) = &schedule.last_error {
            let words = printable(&format!("{}: {error}", schedule.name));
            text.push_str(&format!("{}\n", view.paint.bad(&view.fitted(&words))));
        } else if let Some(job) = &schedule.last_job {
            text.push_str(&view.line(&printable(&format!("{}: last job {job}", schedule.name))));
        }
    }
    text
}

/// When it is due, where we are, and how long until then.
fn next(schedule: &ScheduleInfo, view: &View) -> String {
    match (schedule.paused, schedule.next_ms) {
        (true, _) => "paused".to_owned(),
        (false, None) => "never again".to_owned(),
        (false, Some(next_ms)) => {
            let (time, away) = (view.moment.local(next_ms), view.moment.until(next_ms));
            if view.width < NARROW { away } else { format!("{time} ({away})") }
        }
    }
}

/// Columns of a screen on which times are told from now only.
const NARROW: usize = 70;

/// When a schedule is due, in words.
pub(super) fn when(when: &When, view: &View) -> String {
    match when {
        When::Cron { expression, zone } => format!("{expression} {}", zone.as_deref().unwrap_or("UTC")),
        When::Every { ms } => format!("every {}", span(*ms)),
        When::At { ms } => format!("at {}", view.moment.local(*ms)),
    }
}

const fn overlap(overlap: Overlap) -> &'static str {
    match overlap {
        Overlap::Skip => "skip",
        Overlap::Allow => "allow",
        Overlap::Cancel => "cancel",
    }
}

#[cfg(test)]
mod tests;
