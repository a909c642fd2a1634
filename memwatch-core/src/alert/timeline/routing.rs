//! The routing tree with what its nodes inherit, and which nodes an alert reaches.

use crate::alert::notifications::{
    DEFAULT_GROUP_INTERVAL, DEFAULT_GROUP_WAIT, DEFAULT_REPEAT_INTERVAL, GroupBy, Notifications,
    Route,
};
use crate::{Labels, Nanos};

/// A node of the routing tree with what it inherits.
pub(super) struct Node<'a> {
    pub(super) route: &'a Route,
    pub(super) receiver: usize,
    pub(super) group_by: GroupBy,
    pub(super) group_wait: Nanos,
    pub(super) group_interval: Nanos,
    pub(super) repeat_interval: Nanos,
    /// The matchers from the root down to here, as Alertmanager writes them.
    pub(super) key: String,
    children: Vec<usize>,
}

/// The tree, depth first from the root.
pub(super) struct Routing<'a> {
    pub(super) nodes: Vec<Node<'a>>,
}

impl<'a> Routing<'a> {
    pub(super) fn new(config: &'a Notifications, root: &'a Route) -> Routing<'a> {
        let mut routing = Routing { nodes: Vec::new() };
        routing.flatten(config, root, None);
        routing
    }

    fn flatten(
        &mut self,
        config: &Notifications,
        route: &'a Route,
        parent: Option<usize>,
    ) -> usize {
        let inherited = parent.map(|p| &self.nodes[p]);
        let named = route
            .receiver
            .as_ref()
            .and_then(|name| config.receivers.iter().position(|r| r.name == *name));
        let mut matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
        matchers.sort();
        let own_key = format!("{{{}}}", matchers.join(","));
        let node = Node {
            route,
            receiver: named.or(inherited.map(|p| p.receiver)).unwrap_or(0),
            group_by: route
                .group_by
                .clone()
                .or(inherited.map(|p| p.group_by.clone()))
                .unwrap_or(GroupBy::Labels(Vec::new())),
            group_wait: route
                .group_wait
                .or(inherited.map(|p| p.group_wait))
                .unwrap_or(DEFAULT_GROUP_WAIT),
            group_interval: route
                .group_interval
                .or(inherited.map(|p| p.group_interval))
                .unwrap_or(DEFAULT_GROUP_INTERVAL),
            repeat_interval: route
                .repeat_interval
                .or(inherited.map(|p| p.repeat_interval))
                .unwrap_or(DEFAULT_REPEAT_INTERVAL),
            key: inherited.map_or(own_key.clone(), |p| format!("{}/{own_key}", p.key)),
            children: Vec::new(),
        };
        let index = self.nodes.len();
        self.nodes.push(node);
        for child in &route.routes {
            let child = self.flatten(config, child, Some(index));
            self.nodes[index].children.push(child);
        }
        index
    }

    /// The nodes that an alert reaches.
    pub(super) fn of(&self, labels: &Labels) -> Vec<usize> {
        let mut found = Vec::new();
        self.descend(0, labels, &mut found);
        found
    }

    /// Depth first: the first matching child wins unless it says `continue`; a node is meant itself only if no child matched.
    fn descend(&self, node: usize, labels: &Labels, found: &mut Vec<usize>) -> bool {
        let this = &self.nodes[node];
        if !this.route.matchers.iter().all(|m| m.matches(labels)) {
            return false;
        }
        let before = found.len();
        for &child in &this.children {
            if self.descend(child, labels, found) && !self.nodes[child].route.continues {
                break;
            }
        }
        if found.len() == before {
            found.push(node);
        }
        true
    }

    /// The labels that make the alert's group at a node.
    pub(super) fn group_labels(&self, node: usize, labels: &Labels) -> Labels {
        match &self.nodes[node].group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => {
                labels.filter(|name| names.iter().any(|n| n.as_ref() == name))
            }
        }
    }
}
