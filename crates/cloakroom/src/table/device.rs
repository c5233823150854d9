//! The role `device_key`: tables whose sessions a browser can bind to a key of its device. Beside the application's column
//! they have two of the library's own:
//!
//! | column | of a session that is not bound | of a bound session |
//! |---|---|---|
//! | `device_challenge` | what the registration must answer, and when it was issued; null if nobody asked | the same for the next renewal |
//! | `device_token_until` | null | until when the present token is good; a renewal makes another |
//!
//! The challenge stands in a column of its own because it changes while the session stays as it was: its writes leave
//! `updated_at` alone, so no update of the application's conflicts with them.

#[cfg(feature = "dbsc")]
use std::borrow::Cow;

use super::{FieldDefinition, Role, TableDefinition, column};
use crate::database::ColumnType;

impl TableDefinition {
    /// Returns `true` if sessions of this table can be bound to a device.
    pub(crate) fn binds_devices(&self) -> bool {
        self.field_for(Role::DeviceKey).is_some()
    }

    /// Returns the columns that such a table has beside the one with the role; nothing for other tables.
    pub(crate) fn device_columns(&self) -> Vec<FieldDefinition> {
        if !self.binds_devices() {
            return Vec::new();
        }
        vec![
            FieldDefinition::dynamic(column::DEVICE_CHALLENGE, ColumnType::Text).nullable(),
            FieldDefinition::dynamic(column::DEVICE_TOKEN_UNTIL, ColumnType::Timestamp).nullable(),
        ]
    }
}

#[cfg(feature = "dbsc")]
mod with_keys {
    use super::super::{DynamicFields, DynamicValue, SessionFields};
    use super::{Cow, Role};
    use crate::device::DeviceKey;

    /// Fields with a column for the key to which the session's browser has bound it: `#[session(device_key)]`. See
    /// [`Sessions::register_device`](crate::Sessions::register_device).
    #[diagnostic::on_unimplemented(
        message = "the table of `{Self}` has no column for the keys of devices",
        label = "none of its fields has the role `device_key`",
        note = "write `#[session(device_key)] device_key: Option<DeviceKey>` in `{Self}`; `migrate` adds the column"
    )]
    pub trait HasDeviceKey: SessionFields {
        /// Returns the value of the column with this role: the public half of the device's key, if the session is bound. A
        /// table that is defined at run time may have no such column.
        fn device_key(&self) -> Option<Cow<'_, DeviceKey>>;

        /// Sets the field, once the key is written.
        #[doc(hidden)]
        fn set_device_key(&mut self, key: DeviceKey);
    }

    #[diagnostic::do_not_recommend]
    impl HasDeviceKey for DynamicFields {
        fn device_key(&self) -> Option<Cow<'_, DeviceKey>> {
            DeviceKeyField::device_key(self.with_role(Role::DeviceKey)?)
        }

        fn set_device_key(&mut self, key: DeviceKey) {
            self.set_role(Role::DeviceKey, DynamicValue::Text(key.to_text()));
        }
    }

    /// A type that a field with the role `device_key` may have.
    #[doc(hidden)]
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot hold the key of a device, which is null at first",
        label = "the library reads a key here",
        note = "use `Option<DeviceKey>`"
    )]
    pub trait DeviceKeyField {
        fn device_key(&self) -> Option<Cow<'_, DeviceKey>>;

        fn set_device_key(&mut self, key: DeviceKey);
    }

    impl DeviceKeyField for Option<DeviceKey> {
        fn device_key(&self) -> Option<Cow<'_, DeviceKey>> {
            self.as_ref().map(Cow::Borrowed)
        }

        fn set_device_key(&mut self, key: DeviceKey) {
            *self = Some(key);
        }
    }

    #[diagnostic::do_not_recommend]
    impl DeviceKeyField for DynamicValue {
        fn device_key(&self) -> Option<Cow<'_, DeviceKey>> {
            match self {
                Self::Text(text) => text.parse().ok().map(Cow::Owned),
                _ => None,
            }
        }

        fn set_device_key(&mut self, key: DeviceKey) {
            *self = Self::Text(key.to_text());
        }
    }
}

#[cfg(feature = "dbsc")]
pub use with_keys::{DeviceKeyField, HasDeviceKey};
