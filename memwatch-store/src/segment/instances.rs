//! Whose rows a segment holds, counted from its batches.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use memwatch_core::record::Identity;

use super::TextColumn;
use crate::manifest::InstanceRows;
use crate::{Error, Result};

/// Adds the rows of a batch, which follow those before in the order of a table's key, to what is known of each instance.
pub(crate) fn count_instances(
    instances: &mut Vec<InstanceRows>,
    batch: &RecordBatch,
) -> Result<()> {
    let column = |name: &str| batch.column_by_name(name).map(AsRef::as_ref);
    let text = |name: &str| column(name).and_then(TextColumn::new);
    let ts = column("ts").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let (Some(service), Some(instance), Some(ts)) = (text("service"), text("instance"), ts) else {
        let found = "a batch without them".to_owned();
        return Err(Error::Value {
            field: "ts",
            expected: "ts, service and instance",
            found,
        });
    };
    for (row, at) in ts.values().iter().enumerate() {
        let known = if row == 0 {
            instances.last().is_some_and(|last| {
                *last.identity.service == *service.value(0)
                    && *last.identity.instance == *instance.value(0)
            })
        } else {
            service.same(row - 1, row) && instance.same(row - 1, row)
        };
        match instances.last_mut() {
            Some(last) if known => {
                last.min_us = last.min_us.min(*at);
                last.max_us = last.max_us.max(*at);
                last.rows += 1;
            }
            _ => instances.push(InstanceRows {
                identity: Identity {
                    service: service.value(row).into(),
                    instance: instance.value(row).into(),
                },
                min_us: *at,
                max_us: *at,
                rows: 1,
            }),
        }
    }
    Ok(())
}
