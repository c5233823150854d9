/// Binds one of sea-query's values. The values that a driver binds in a way of its own come first; the rest are bound
/// as they are by each driver.
macro_rules! bind_value {
    ($to:ident, $value:ident, { $($own:pat => $bind:expr),* $(,)? }) => {
        match $value {
            $($own => $bind,)*
            Value::Bool(value) => $to.add(value),
            Value::SmallInt(value) => $to.add(value),
            Value::Int(value) => $to.add(value),
            Value::BigInt(value) => $to.add(value),
            Value::Float(value) => $to.add(value),
            Value::Double(value) => $to.add(value),
            Value::String(value) => $to.add(value.as_deref()),
            Value::Char(value) => $to.add(value.map(String::from)),
            Value::Bytes(value) => $to.add(value.as_deref()),
            Value::TimeDate(value) => $to.add(value),
            Value::TimeTime(value) => $to.add(value),
            Value::TimeDateTime(value) => $to.add(value),
            Value::Uuid(value) => $to.add(value),
            // An enum of PostgreSQL's, which sea-query turns into text before it comes here.
            Value::Enum(_) => Err($crate::database::unsupported_value($value)),
        }
    };
}

pub(super) use bind_value;
