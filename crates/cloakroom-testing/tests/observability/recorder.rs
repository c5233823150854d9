//! A recorder that keeps everything that it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// What a metric was said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) kind: String,
    pub(crate) unit: String,
}

/// A metric with its labels.
pub(crate) type Series = (String, BTreeMap<String, String>);

#[derive(Default)]
struct Kept {
    described: BTreeMap<String, Described>,
    kinds: BTreeMap<String, &'static str>,
    series: BTreeMap<Series, Arc<Value>>,
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

/// The sum of a counter, the value of a gauge, or the number and the greatest of a histogram's values.
#[derive(Default)]
struct Value {
    bits: AtomicU64,
    count: AtomicU64,
}

impl CounterFn for Value {
    fn increment(&self, value: u64) {
        self.bits.fetch_add(value, Ordering::SeqCst);
    }

    fn absolute(&self, value: u64) {
        self.bits.fetch_max(value, Ordering::SeqCst);
    }
}

impl GaugeFn for Value {
    fn increment(&self, value: f64) {
        GaugeFn::increment(&self.bits, value);
    }

    fn decrement(&self, value: f64) {
        GaugeFn::decrement(&self.bits, value);
    }

    fn set(&self, value: f64) {
        GaugeFn::set(&self.bits, value);
    }
}

impl HistogramFn for Value {
    fn record(&self, value: f64) {
        assert!(value >= 0.0);
        // The bits of numbers that are not negative are in the order of the numbers.
        self.bits.fetch_max(value.to_bits(), Ordering::SeqCst);
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}

struct Keeping;

/// From now on keeps what all tests of this process report.
pub(crate) fn start() {
    static INSTALLED: LazyLock<()> = LazyLock::new(|| {
        metrics::set_global_recorder(Keeping).expect("it is the only recorder");
    });
    *INSTALLED;
}

fn with<R>(use_it: impl FnOnce(&mut Kept) -> R) -> R {
    use_it(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(crate) fn described() -> BTreeMap<String, Described> {
    with(|kept| kept.described.clone())
}

/// The series of which anything was reported, and the kind of each.
pub(crate) fn series() -> BTreeSet<(&'static str, Series)> {
    with(|kept| kept.series.keys().map(|series| (kept.kinds[&series.0], series.clone())).collect())
}

fn value(name: &str, labels: &[(&str, &str)]) -> Option<Arc<Value>> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    with(|kept| kept.series.get(&(name.to_owned(), labels)).cloned())
}

/// The sum of a counter.
pub(crate) fn counter(name: &str, labels: &[(&str, &str)]) -> u64 {
    value(name, labels).map_or(0, |value| value.bits.load(Ordering::SeqCst))
}

/// The value of a gauge.
pub(crate) fn gauge(name: &str, labels: &[(&str, &str)]) -> f64 {
    value(name, labels).map_or(0.0, |value| f64::from_bits(value.bits.load(Ordering::SeqCst)))
}

/// How many values a histogram has, and the greatest of them.
pub(crate) fn histogram(name: &str, labels: &[(&str, &str)]) -> (u64, f64) {
    value(name, labels).map_or((0, 0.0), |value| {
        (value.count.load(Ordering::SeqCst), f64::from_bits(value.bits.load(Ordering::SeqCst)))
    })
}

fn describe(kind: &'static str, key: &KeyName, unit: Option<Unit>) {
    let unit = unit.map_or("", |unit| unit.as_str()).to_owned();
    with(|kept| kept.described.insert(key.as_str().to_owned(), Described { kind: kind.to_owned(), unit }));
}

fn register(kind: &'static str, key: &Key) -> Arc<Value> {
    let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
    with(|kept| {
        let other = kept.kinds.insert(key.name().to_owned(), kind);
        assert!(other.is_none_or(|other| other == kind), "{} is of two kinds", key.name());
        Arc::clone(kept.series.entry((key.name().to_owned(), labels)).or_default())
    })
}

impl Recorder for Keeping {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        describe("counter", &key, unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        describe("gauge", &key, unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        describe("histogram", &key, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(register("counter", key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(register("gauge", key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(register("histogram", key))
    }
}
