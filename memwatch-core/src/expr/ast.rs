//! The syntax tree: PromQL, with the place of every node and the parameter that a number came from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{ExprError, Function, Span, ValueType};
use crate::labels::METRIC_NAME;
use crate::{Matcher, Nanos, Timestamp};

/// A parsed and type-checked expression. Cheap to clone. `Display` prints PromQL that parses to the same tree.
#[derive(Debug, Clone)]
pub struct Expr {
    pub(crate) text: Arc<str>,
    pub(crate) root: Arc<Node>,
}

impl Expr {
    /// The expression as the user wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The outermost node.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// What type of value it evaluates to.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        self.root.value_type()
    }

    /// A part of this expression as an expression of its own; its errors still point into the whole text.
    #[must_use]
    pub fn part(&self, node: &Node) -> Expr {
        Expr {
            text: self.text.clone(),
            root: Arc::new(node.clone()),
        }
    }

    /// The parameters (`$name`) and the values that they have now.
    #[must_use]
    pub fn params(&self) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        self.root.walk(&mut |node| {
            if let NodeKind::Number(Number {
                value,
                param: Some(name),
            }) = &node.kind
            {
                found.insert(name.to_string(), *value);
            }
        });
        found
    }

    /// The same expression with other values for its parameters; those not in `params` keep theirs.
    #[must_use]
    pub fn with_params(&self, params: &BTreeMap<String, f64>) -> Expr {
        let mut root = (*self.root).clone();
        root.walk_mut(&mut |node| {
            if let NodeKind::Number(Number {
                value,
                param: Some(name),
            }) = &mut node.kind
                && let Some(new) = params.get(&**name)
            {
                *value = *new;
            }
        });
        Expr {
            text: self.text.clone(),
            root: Arc::new(root),
        }
    }

    pub(crate) fn error(&self, span: Span, message: impl Into<String>) -> ExprError {
        ExprError::new(&self.text, span, message)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

/// Equal when they mean the same: places and the way numbers are written do not count.
impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

/// One node of the tree and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it stands in the expression's text.
    pub span: Span,
    /// Nodes on the longest way down, this one included.
    pub(crate) depth: usize,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// `0.5`, `500k`, `5m`, `$factor`
    Number(Number),
    /// `"text"`
    Text(String),
    /// `name{label="value"}`, with `offset` and `@`
    Selector(VectorSelector),
    /// `name[5m]`
    Range {
        /// Of which series.
        selector: VectorSelector,
        /// How long the window is.
        range: Nanos,
    },
    /// `expression[1h:1m]`
    Subquery(Subquery),
    /// `(expression)`
    Paren(Box<Node>),
    /// `-expression` (a leading `+` is not kept)
    Negate(Box<Node>),
    /// `a + b`
    Binary(Box<Binary>),
    /// `sum by (label) (expression)`
    Aggregate(Box<Aggregate>),
    /// `rate(name[5m])`
    Call {
        /// Which function.
        function: &'static Function,
        /// Its arguments, of the right number and types.
        args: Vec<Node>,
    },
}

/// A number in an expression.
#[derive(Debug, Clone)]
pub struct Number {
    /// Its value.
    pub value: f64,
    /// The parameter that gave it its value, without `$`.
    pub param: Option<Arc<str>>,
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        same_number(self.value, other.value) && self.param == other.param
    }
}

/// Whether two numbers are written alike: NaN is NaN, and 0 is not -0.
fn same_number(a: f64, b: f64) -> bool {
    a.is_nan() && b.is_nan() || a.to_bits() == b.to_bits()
}

/// Which series, seen from when.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The metric's name where it stands in front of the braces; it is also among the matchers.
    pub name: Option<Arc<str>>,
    /// A series is taken when it satisfies all matchers of one of these lists (`{a="1" or b="2"}`); at least one list.
    pub alternatives: Vec<Vec<Matcher>>,
    /// `offset` and `@`.
    pub when: TimeShift,
}

impl VectorSelector {
    /// Every series of a metric.
    pub(crate) fn of_metric(name: &str) -> VectorSelector {
        VectorSelector {
            name: None,
            alternatives: vec![vec![Matcher::equal(METRIC_NAME, name)]],
            when: TimeShift::default(),
        }
    }
}

/// `offset` and `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeShift {
    /// How much earlier; negative for later.
    pub offset: Nanos,
    /// A fixed time instead of the evaluation's.
    pub at: Option<AtModifier>,
}

/// The time after `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtModifier {
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
    /// `@ 1609746000`
    Time(Timestamp),
}

/// `expression[range:step] offset … @ …`
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each step.
    pub expr: Box<Node>,
    /// How far back the first step may be.
    pub range: Nanos,
    /// Distance of the steps, which are multiples of it since the epoch; `None` for the evaluation's default.
    pub step: Option<Nanos>,
    /// `offset` and `@`.
    pub when: TimeShift,
}

/// Two operands and what to do with them.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// What to do.
    pub op: BinaryOp,
    /// The left operand.
    pub lhs: Node,
    /// The right operand.
    pub rhs: Node,
    /// `bool`: a comparison says 1 or 0 rather than keep or drop.
    pub returns_bool: bool,
    /// Which elements of two vectors belong together.
    pub matching: Matching,
}

/// Which elements of two vectors belong together.
#[derive(Debug, Clone, Default)]
pub struct Matching {
    /// `on (…)` or `ignoring (…)`; all labels but the name when absent.
    pub labels: Option<Grouping>,
    /// `group_left` or `group_right`.
    pub cardinality: Cardinality,
    /// `fill_left (0)`: stands in for an element that the left side lacks.
    pub fill_left: Option<f64>,
    /// `fill_right (0)`: stands in for an element that the right side lacks.
    pub fill_right: Option<f64>,
}

impl PartialEq for Matching {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => same_number(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        (&self.labels, &self.cardinality) == (&other.labels, &other.cardinality)
            && same(self.fill_left, other.fill_left)
            && same(self.fill_right, other.fill_right)
    }
}

/// How many elements of each side may belong together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cardinality {
    /// One and one.
    #[default]
    OneToOne,
    /// `group_left (labels)`: many on the left; these labels are taken from the right.
    ManyToOne(Vec<Arc<str>>),
    /// `group_right (labels)`: many on the right; these labels are taken from the left.
    OneToMany(Vec<Arc<str>>),
    /// Any number: the set operators.
    ManyToMany,
}

/// A choice of labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// These: `by (…)`, `on (…)`.
    Only(Vec<Arc<str>>),
    /// All but these: `without (…)`, `ignoring (…)`.
    Except(Vec<Arc<str>>),
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Which.
    pub op: AggregateOp,
    /// The number or text before the expression, where `op` takes one.
    pub param: Option<Node>,
    /// Over which vector.
    pub expr: Node,
    /// `by (…)` or `without (…)`; one group of everything when absent.
    pub grouping: Option<Grouping>,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every one of them.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// As it is written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// An operator with two operands.
    BinaryOp {
        /// Sum
        Add = "+",
        /// Difference
        Sub = "-",
        /// Product
        Mul = "*",
        /// Quotient
        Div = "/",
        /// Remainder, with the sign of the left side
        Mod = "%",
        /// Power
        Pow = "^",
        /// Angle of the point (right, left)
        Atan2 = "atan2",
        /// Equal
        Eq = "==",
        /// Not equal
        Ne = "!=",
        /// Greater
        Gt = ">",
        /// Less
        Lt = "<",
        /// Greater or equal
        Ge = ">=",
        /// Less or equal
        Le = "<=",
        /// Those of the left that the right has too
        And = "and",
        /// Those of the left and, where missing, those of the right
        Or = "or",
        /// Those of the left that the right has not
        Unless = "unless",
    }
}

impl BinaryOp {
    /// Whether it compares.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Eq | Self::Ne | Self::Gt | Self::Lt | Self::Ge | Self::Le
        )
    }

    /// Whether it makes new values of old ones.
    #[must_use]
    pub fn is_arithmetic(self) -> bool {
        !self.is_comparison() && !self.is_set()
    }

    /// Whether it works on sets of elements and not on their values.
    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// How tightly it binds: more is tighter.
    #[must_use]
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Eq | Self::Ne | Self::Gt | Self::Lt | Self::Ge | Self::Le => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 7,
        }
    }
}

/// How tightly a sign binds: tighter than `*`, looser than `^`.
pub(crate) const SIGN_PRECEDENCE: u8 = 6;

words! {
    /// An aggregation operator.
    AggregateOp {
        /// Sum
        Sum = "sum",
        /// Mean
        Avg = "avg",
        /// How many
        Count = "count",
        /// Least
        Min = "min",
        /// Greatest
        Max = "max",
        /// 1 for each group
        Group = "group",
        /// Population standard deviation
        Stddev = "stddev",
        /// Population variance
        Stdvar = "stdvar",
        /// The greatest elements, whole
        Topk = "topk",
        /// The least elements, whole
        Bottomk = "bottomk",
        /// How many have each value
        CountValues = "count_values",
        /// Quantile, R-7
        Quantile = "quantile",
        /// Some elements, whole
        Limitk = "limitk",
        /// A share of the elements, whole, chosen by the hash of their labels
        LimitRatio = "limit_ratio",
    }
}

impl AggregateOp {
    /// The type of the parameter before the expression, if it takes one.
    #[must_use]
    pub fn param_type(self) -> Option<ValueType> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => {
                Some(ValueType::Scalar)
            }
            Self::CountValues => Some(ValueType::Text),
            _ => None,
        }
    }
}

impl Node {
    pub(crate) fn new(kind: NodeKind, span: Span) -> Node {
        let mut node = Node {
            kind,
            span,
            depth: 0,
        };
        node.depth = 1 + node.children().map(|child| child.depth).max().unwrap_or(0);
        node
    }

    /// What type of value it evaluates to.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            NodeKind::Number(_) => ValueType::Scalar,
            NodeKind::Text(_) => ValueType::Text,
            NodeKind::Selector(_) | NodeKind::Aggregate(_) => ValueType::Vector,
            NodeKind::Range { .. } | NodeKind::Subquery(_) => ValueType::Range,
            NodeKind::Paren(inner) | NodeKind::Negate(inner) => inner.value_type(),
            NodeKind::Binary(b) => {
                if b.lhs.value_type() == ValueType::Scalar
                    && b.rhs.value_type() == ValueType::Scalar
                {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
            NodeKind::Call { function, .. } => function.returns,
        }
    }

    /// The nodes directly below, in the order in which they stand.
    pub fn children(&self) -> impl Iterator<Item = &Node> {
        let (one, two, many): (Option<&Node>, Option<&Node>, &[Node]) = match &self.kind {
            NodeKind::Number(_)
            | NodeKind::Text(_)
            | NodeKind::Selector(_)
            | NodeKind::Range { .. } => (None, None, &[]),
            NodeKind::Subquery(s) => (Some(&s.expr), None, &[]),
            NodeKind::Paren(inner) | NodeKind::Negate(inner) => (Some(inner), None, &[]),
            NodeKind::Binary(b) => (Some(&b.lhs), Some(&b.rhs), &[]),
            NodeKind::Aggregate(a) => (a.param.as_ref(), Some(&a.expr), &[]),
            NodeKind::Call { args, .. } => (None, None, args),
        };
        one.into_iter().chain(two).chain(many)
    }

    /// Shows `visit` this node and all below, parents first.
    pub fn walk<'n>(&'n self, visit: &mut impl FnMut(&'n Node)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// As [`Node::walk`], for changes.
    pub(crate) fn walk_mut(&mut self, visit: &mut impl FnMut(&mut Node)) {
        visit(self);
        for child in self.children_mut() {
            child.walk_mut(visit);
        }
    }

    /// As [`Node::children`], for changes.
    pub(crate) fn children_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        let (one, two, many): (Option<&mut Node>, Option<&mut Node>, &mut [Node]) =
            match &mut self.kind {
                NodeKind::Number(_)
                | NodeKind::Text(_)
                | NodeKind::Selector(_)
                | NodeKind::Range { .. } => (None, None, &mut []),
                NodeKind::Subquery(s) => (Some(&mut s.expr), None, &mut []),
                NodeKind::Paren(inner) | NodeKind::Negate(inner) => (Some(inner), None, &mut []),
                NodeKind::Binary(b) => (Some(&mut b.lhs), Some(&mut b.rhs), &mut []),
                NodeKind::Aggregate(a) => (a.param.as_mut(), Some(&mut a.expr), &mut []),
                NodeKind::Call { args, .. } => (None, None, args),
            };
        one.into_iter().chain(two).chain(many)
    }

    /// This node without the parentheses around it.
    #[must_use]
    pub fn without_parens(&self) -> &Node {
        let mut node = self;
        while let NodeKind::Paren(inner) = &node.kind {
            node = inner;
        }
        node
    }
}
