//! A recorder of metrics that passes the names and labels of everything on to what was captured.

use std::fmt::Debug;
use std::sync::LazyLock;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::capture;

struct Naming;

/// From now on keeps the names, the labels and the descriptions of all metrics.
pub(crate) fn start() {
    static INSTALLED: LazyLock<()> = LazyLock::new(|| {
        metrics::set_global_recorder(Naming).expect("it is the only recorder");
    });
    *INSTALLED;
}

fn keep(metric: &dyn Debug) {
    capture::keep(&format!("metric {metric:?}"));
}

impl Recorder for Naming {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        keep(&(key, description));
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        keep(&(key, description));
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        keep(&(key, description));
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        keep(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        keep(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        keep(key);
        Histogram::noop()
    }
}
