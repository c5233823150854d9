mod entries;
mod schedule;
