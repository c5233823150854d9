//! How each driver stores the key of a device: as text. A key of RSA's is longer than the 255 characters of
//! [`ColumnType::Text`](super::ColumnType::Text).

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;

use super::list::with_databases;
use crate::device::DeviceKey;

macro_rules! store_as_text {
    ([$(($feature:literal, $database:ident, $module:ident, $connection:ident))*]) => {$(
        #[cfg(feature = $feature)]
        impl sqlx::Type<sqlx::$database> for DeviceKey {
            fn type_info() -> <sqlx::$database as sqlx::Database>::TypeInfo {
                <String as sqlx::Type<sqlx::$database>>::type_info()
            }

            fn compatible(found: &<sqlx::$database as sqlx::Database>::TypeInfo) -> bool {
                <String as sqlx::Type<sqlx::$database>>::compatible(found)
            }
        }

        #[cfg(feature = $feature)]
        impl<'q> sqlx::Encode<'q, sqlx::$database> for DeviceKey {
            fn encode_by_ref(
                &self,
                buffer: &mut <sqlx::$database as sqlx::Database>::ArgumentBuffer,
            ) -> Result<IsNull, BoxDynError> {
                sqlx::Encode::<sqlx::$database>::encode(self.to_text(), buffer)
            }
        }

        #[cfg(feature = $feature)]
        impl<'r> sqlx::Decode<'r, sqlx::$database> for DeviceKey {
            fn decode(value: <sqlx::$database as sqlx::Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
                let text = <&str as sqlx::Decode<sqlx::$database>>::decode(value)?;
                Ok(text.parse()?)
            }
        }
    )*};
}

with_databases! { [store_as_text] }
