//! Messages that their receiver refuses because it takes only so many within a minute.

use std::collections::BTreeMap;

use crate::Timestamp;
use crate::alert::notifications::{Integration, Notifications};
use crate::alert::payload::{over_limit, rate_limit};

use super::message::{Message, Refusal};

/// Marks what is over the limit. Two integrations with one address share its limit; `messages` ascend in time.
pub(super) fn refuse(config: &Notifications, messages: &mut [Message]) {
    let mut sent: BTreeMap<String, (usize, Vec<usize>)> = BTreeMap::new();
    for (index, message) in messages.iter().enumerate() {
        let integration = &config.receivers[message.receiver].integrations[message.integration];
        if let Some(limit) = rate_limit(integration) {
            let address = address(integration, message);
            let entry = sent.entry(address).or_insert((limit, Vec::new()));
            entry.1.push(index);
        }
    }
    for (per_minute, indices) in sent.into_values() {
        let at: Vec<Timestamp> = indices.iter().map(|i| messages[*i].at).collect();
        for over in over_limit(&at, per_minute) {
            messages[indices[over]].refused = Some(Refusal::RateLimit { per_minute });
        }
    }
}

/// What stands for the address: the variable that holds it, itself, or the place of the integration.
fn address(integration: &Integration, message: &Message) -> String {
    match (&integration.secret_env, &integration.url) {
        (Some(variable), _) => format!("${variable}"),
        (None, Some(url)) => url.to_string(),
        (None, None) => format!("#{}.{}", message.receiver, message.integration),
    }
}
