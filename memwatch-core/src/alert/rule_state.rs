//! The alerts of one rule: one for each label set that its expression gives.

use std::collections::HashMap;
use std::sync::Arc;

use crate::labels::METRIC_NAME;
use crate::rule::template::{Data, Template};
use crate::{Labels, Timestamp};

use super::{AlertState, Hold};

/// The labels of the alert that an element of the expression's result becomes: its own without `__name__`, the rule's labels, which
/// override, and `alertname`.
///
/// The rule's labels are templates that see the element's labels with its name, and its value.
#[must_use]
pub fn alert_labels(
    name: &str,
    rule_labels: &[(Arc<str>, Template)],
    element: &Labels,
    value: f64,
) -> Labels {
    let data = Data::new(element, value);
    let own = element
        .iter()
        .filter(|(n, _)| *n != METRIC_NAME)
        .map(|(n, v)| (Arc::from(n), Arc::from(v)));
    let of_rule = rule_labels
        .iter()
        .map(|(n, template)| (n.clone(), Arc::from(template.expand_or_error(&data))));
    own.chain(of_rule)
        .chain([(Arc::from("alertname"), Arc::from(name))])
        .collect()
}

/// What happened to an alert at an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The condition began to hold.
    Pending,
    /// The condition ended before the alert fired.
    Dropped,
    /// The alert fired.
    Firing,
    /// The alert resolved.
    Resolved,
    /// The alert was forgotten, because the rule had more alerts than its limit allows; nobody is told that it ended.
    Cleared,
}

/// Something happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Which: index for [`RuleState::alert`].
    pub alert: usize,
    /// What.
    pub transition: Transition,
}

/// Why an evaluation counted for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Two elements have equal labels once the rule's are applied; all states stay as they were.
    #[error("two elements have the same labels after the rule's labels are applied: {labels}")]
    SameLabels {
        /// The labels that both have.
        labels: Labels,
    },
    /// More alerts are active than allowed; all of the rule were forgotten.
    #[error("{found} alerts exceed the group's limit of {limit}")]
    Limit {
        /// As many are allowed.
        limit: usize,
        /// As many were active.
        found: usize,
    },
}

/// One alert of a rule.
#[derive(Debug, Clone)]
pub struct ActiveAlert {
    /// The alert's labels: its identity within the rule.
    pub labels: Labels,
    /// The labels of the element that it comes from, for its annotations.
    pub element: Labels,
    /// The state after the last evaluation.
    pub state: AlertState,
    /// The value at the last evaluation at which the condition held.
    pub value: f64,
    seen: u64,
}

/// The alerts of one rule, advanced evaluation by evaluation.
///
/// First [`RuleState::intern`] gives each element of a result its alert, then [`RuleState::step`] takes the alerts whose condition holds.
#[derive(Debug)]
pub struct RuleState {
    name: Arc<str>,
    labels: Vec<(Arc<str>, Template)>,
    hold: Hold,
    limit: Option<usize>,
    /// Whether labels change with values: then alerts that ended are forgotten and their places used again.
    of_value: bool,
    alerts: Vec<ActiveAlert>,
    by_labels: HashMap<Labels, usize>,
    free: Vec<usize>,
    /// Alerts that are not inactive.
    live: Vec<usize>,
    steps: u64,
}

impl RuleState {
    /// No alerts yet. `limit`: how many may be active at once.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        labels: Vec<(Arc<str>, Template)>,
        hold: Hold,
        limit: Option<usize>,
    ) -> RuleState {
        RuleState {
            of_value: labels.iter().any(|(_, t)| t.depends_on_value()),
            name,
            labels,
            hold,
            limit,
            alerts: Vec::new(),
            by_labels: HashMap::new(),
            free: Vec::new(),
            live: Vec::new(),
            steps: 0,
        }
    }

    /// Whether [`RuleState::intern`] must be asked again for each value.
    #[must_use]
    pub fn labels_depend_on_value(&self) -> bool {
        self.of_value
    }

    /// The alert of an element. The index stays valid, unless labels depend on values: then until the next step.
    pub fn intern(&mut self, element: &Labels, value: f64) -> usize {
        let labels = alert_labels(&self.name, &self.labels, element, value);
        if let Some(index) = self.by_labels.get(&labels) {
            return *index;
        }
        let alert = ActiveAlert {
            labels: labels.clone(),
            element: element.clone(),
            state: AlertState::Inactive,
            value,
            seen: 0,
        };
        let index = if let Some(index) = self.free.pop() {
            self.alerts[index] = alert;
            index
        } else {
            self.alerts.push(alert);
            self.alerts.len() - 1
        };
        self.by_labels.insert(labels, index);
        index
    }

    /// The alert of an index that [`RuleState::intern`] gave.
    #[must_use]
    pub fn alert(&self, index: usize) -> &ActiveAlert {
        &self.alerts[index]
    }

    /// Whether a step without elements could change anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.live.is_empty()
    }

    /// The earliest instant at which time alone moves an alert on, as long as conditions stay as they were at the last step; `None`: never.
    #[must_use]
    pub fn moves_at(&self) -> Option<Timestamp> {
        let live = self.live.iter().map(|index| self.alerts[*index].state);
        live.filter_map(|state| state.moves_at(&self.hold)).min()
    }

    /// The condition of an alert held again at an evaluation that was not worth a step, with this value.
    pub fn set_value(&mut self, index: usize, value: f64) {
        if let Some(alert) = self.alerts.get_mut(index) {
            alert.value = value;
        }
    }

    /// The pending and firing alerts, each with its index.
    pub fn active(&self) -> impl Iterator<Item = (usize, &ActiveAlert)> {
        self.live
            .iter()
            .map(|i| (*i, &self.alerts[*i]))
            .filter(|(_, a)| a.state.is_active())
    }

    /// Advances every alert to the evaluation at `now`. `elements` are the alerts whose condition holds, with their values and, for
    /// annotations, the element that each comes from; what happens is added to `events`.
    ///
    /// # Errors
    /// When the evaluation counts for nothing; after [`StepError::Limit`] `events` tells of the alerts that were forgotten.
    pub fn step<'e>(
        &mut self,
        now: Timestamp,
        elements: impl Iterator<Item = (usize, f64, &'e Labels)> + Clone,
        events: &mut Vec<Event>,
    ) -> Result<(), StepError> {
        self.steps += 1;
        for (index, _, _) in elements.clone() {
            let alert = &mut self.alerts[index];
            if alert.seen == self.steps {
                return Err(StepError::SameLabels {
                    labels: alert.labels.clone(),
                });
            }
            alert.seen = self.steps;
        }
        let before: Vec<usize> = match self.limit {
            Some(_) => self.active().map(|(i, _)| i).collect(),
            None => Vec::new(),
        };
        let first_event = events.len();
        for (index, value, element) in elements {
            let alert = &mut self.alerts[index];
            alert.value = value;
            if alert.state == AlertState::Inactive {
                self.live.push(index);
            }
            alert.element = element.clone();
        }
        for &index in &self.live {
            let alert = &mut self.alerts[index];
            let old = alert.state;
            alert.state = old.step(now, alert.seen == self.steps, &self.hold);
            let new = alert.state;
            let mut push = |transition| {
                events.push(Event {
                    alert: index,
                    transition,
                });
            };
            match (old.is_active(), new) {
                (false, AlertState::Pending { .. }) => push(Transition::Pending),
                (false, AlertState::Firing { .. }) => {
                    push(Transition::Pending);
                    push(Transition::Firing);
                }
                (true, AlertState::Firing { .. }) if !old.is_firing() => push(Transition::Firing),
                (true, AlertState::Inactive) => push(Transition::Dropped),
                (true, AlertState::Resolved { .. }) => push(Transition::Resolved),
                _ => {}
            }
        }
        let active = self.active().count();
        if let Some(limit) = self.limit.filter(|limit| active > *limit) {
            events.truncate(first_event);
            events.extend(before.into_iter().map(|alert| Event {
                alert,
                transition: Transition::Cleared,
            }));
            for &index in &self.live {
                self.alerts[index].state = AlertState::Inactive;
            }
            self.forget_inactive();
            return Err(StepError::Limit {
                limit,
                found: active,
            });
        }
        self.forget_inactive();
        Ok(())
    }

    fn forget_inactive(&mut self) {
        let alerts = &self.alerts;
        let mut ended = Vec::new();
        self.live.retain(|index| {
            let stays = alerts[*index].state != AlertState::Inactive;
            if !stays {
                ended.push(*index);
            }
            stays
        });
        if self.of_value {
            for index in ended {
                self.by_labels.remove(&self.alerts[index].labels);
                self.free.push(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Nanos;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().copied().collect()
    }

    fn rule(rule_labels: &[(&str, &str)], limit: Option<usize>) -> RuleState {
        let templates = rule_labels
            .iter()
            .map(|(n, t)| (Arc::from(*n), Template::parse(t).unwrap()))
            .collect();
        let hold = Hold {
            pending: Nanos::SECOND,
            ..Hold::default()
        };
        RuleState::new("Test".into(), templates, hold, limit)
    }

    /// One evaluation each second; gives what happened, as text.
    fn step(state: &mut RuleState, second: i64, elements: &[(&[(&str, &str)], f64)]) -> String {
        let elements: Vec<(Labels, f64)> = elements.iter().map(|(l, v)| (labels(l), *v)).collect();
        let interned: Vec<(usize, f64, &Labels)> = elements
            .iter()
            .map(|(l, v)| (state.intern(l, *v), *v, l))
            .collect();
        let mut events = Vec::new();
        let result = state.step(
            Timestamp(second * Nanos::SECOND.0),
            interned.iter().copied(),
            &mut events,
        );
        let mut text: Vec<String> = events
            .iter()
            .map(|e| {
                format!(
                    "{:?} {}",
                    e.transition,
                    state.alert(e.alert).labels.canonical()
                )
            })
            .collect();
        text.extend(result.err().map(|e| e.to_string()));
        text.join("; ")
    }

    #[test]
    fn p4_labels_are_the_elements_then_the_rules_then_alertname() {
        let templates = vec![
            ("severity".into(), Template::parse("P2").unwrap()),
            (
                "instance".into(),
                Template::parse("{{ $labels.instance | stripPort }}").unwrap(),
            ),
            (
                "of".into(),
                Template::parse("{{ $labels.__name__ }}").unwrap(),
            ),
            ("gone".into(), Template::parse("").unwrap()),
            ("alertname".into(), Template::parse("other").unwrap()),
        ];
        let element = labels(&[
            ("__name__", "up"),
            ("instance", "a:80"),
            ("job", "x"),
            ("gone", "1"),
        ]);
        assert_eq!(
            alert_labels("Test", &templates, &element, 1.0),
            labels(&[
                ("alertname", "Test"),
                ("instance", "a"),
                ("job", "x"),
                ("of", "up"),
                ("severity", "P2"),
            ])
        );
    }

    #[test]
    fn p4_each_label_set_is_an_alert_of_its_own() {
        let mut state = rule(&[], None);
        let (a, b): (&[_], &[_]) = (&[("i", "a")], &[("i", "b")]);
        assert_eq!(
            step(&mut state, 0, &[(a, 1.0)]),
            "Pending alertname=\"Test\",i=\"a\""
        );
        assert_eq!(
            step(&mut state, 1, &[(a, 1.0), (b, 1.0)]),
            "Firing alertname=\"Test\",i=\"a\"; Pending alertname=\"Test\",i=\"b\""
        );
        assert_eq!(
            step(&mut state, 2, &[(a, 1.0)]),
            "Dropped alertname=\"Test\",i=\"b\""
        );
        assert_eq!(
            step(&mut state, 3, &[]),
            "Resolved alertname=\"Test\",i=\"a\""
        );
    }

    #[test]
    fn p4_the_value_in_a_label_makes_a_new_alert_each_time() {
        let mut state = rule(&[("v", "{{ $value }}")], None);
        assert_eq!(
            step(&mut state, 0, &[(&[], 1.0)]),
            "Pending alertname=\"Test\",v=\"1\""
        );
        assert_eq!(
            step(&mut state, 1, &[(&[], 2.0)]),
            "Dropped alertname=\"Test\",v=\"1\"; Pending alertname=\"Test\",v=\"2\""
        );
        for second in 2..500 {
            step(&mut state, second, &[(&[], second as f64)]);
        }
        assert!(state.alerts.len() < 5, "places are used again");
    }

    #[test]
    fn p4_equal_labels_are_an_error_and_no_state_changes() {
        let mut state = rule(&[("i", "one")], None);
        let (a, b): (&[_], &[_]) = (&[("i", "a")], &[("i", "b")]);
        step(&mut state, 0, &[(a, 1.0)]);
        let failed = step(&mut state, 1, &[(a, 1.0), (b, 2.0)]);
        assert!(
            failed.starts_with("two elements have the same labels"),
            "{failed}"
        );
        // `for` is a second: it is still pending since 0 and fires now, although the evaluation between failed.
        assert_eq!(
            step(&mut state, 2, &[(a, 1.0)]),
            "Firing alertname=\"Test\",i=\"one\""
        );
    }

    #[test]
    fn p8_too_many_alerts_are_all_forgotten() {
        let mut state = rule(&[], Some(2));
        let (a, b, c): (&[_], &[_], &[_]) = (&[("i", "a")], &[("i", "b")], &[("i", "c")]);
        step(&mut state, 0, &[(a, 1.0), (b, 1.0)]);
        assert!(step(&mut state, 1, &[(a, 1.0), (b, 1.0)]).starts_with("Firing"));
        assert_eq!(
            step(&mut state, 2, &[(a, 1.0), (b, 1.0), (c, 1.0)]),
            "Cleared alertname=\"Test\",i=\"a\"; Cleared alertname=\"Test\",i=\"b\"; \
             3 alerts exceed the group's limit of 2"
        );
        // They begin anew.
        assert_eq!(
            step(&mut state, 3, &[(a, 1.0)]),
            "Pending alertname=\"Test\",i=\"a\""
        );
    }

    #[test]
    fn p16_an_alert_exists_whatever_its_value() {
        for value in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            let mut state = rule(&[], None);
            step(&mut state, 0, &[(&[], value)]);
            assert_eq!(
                step(&mut state, 1, &[(&[], value)]),
                "Firing alertname=\"Test\""
            );
        }
    }
}
