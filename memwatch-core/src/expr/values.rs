//! A column of numbers that several results may hold at once.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Numbers, one for each evaluation. A result that others hold too is copied when it is written to, not before.
#[derive(Clone)]
pub struct Values(Held);

#[derive(Clone)]
enum Held {
    Own(Vec<f64>),
    Shared(Arc<Vec<f64>>),
}

impl Values {
    /// From now on a clone costs nothing.
    pub(crate) fn share(&mut self) {
        if let Held::Own(values) = &mut self.0 {
            self.0 = Held::Shared(Arc::new(std::mem::take(values)));
        }
    }

    fn own(&mut self) -> &mut Vec<f64> {
        if let Held::Shared(values) = &mut self.0 {
            let values = std::mem::take(values);
            self.0 = Held::Own(Arc::unwrap_or_clone(values));
        }
        match &mut self.0 {
            Held::Own(values) => values,
            Held::Shared(_) => unreachable!("made our own above"),
        }
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Values(Held::Own(values))
    }
}

impl FromIterator<f64> for Values {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        values.into_iter().collect::<Vec<f64>>().into()
    }
}

impl From<Values> for Vec<f64> {
    fn from(values: Values) -> Self {
        match values.0 {
            Held::Own(values) => values,
            Held::Shared(values) => Arc::unwrap_or_clone(values),
        }
    }
}

impl Deref for Values {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        match &self.0 {
            Held::Own(values) => values,
            Held::Shared(values) => values,
        }
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f64] {
        self.own()
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_made_only_for_whoever_writes() {
        let mut a: Values = vec![1.0, 2.0].into();
        a.share();
        let (mut b, c) = (a.clone(), a.clone());
        assert_eq!(a.as_ptr(), b.as_ptr());
        b[0] = 7.0;
        assert_eq!((&a[..], &b[..]), (&[1.0, 2.0][..], &[7.0, 2.0][..]));
        assert_eq!(a.as_ptr(), c.as_ptr());
        let address = a.as_ptr();
        drop(c);
        // The last holder writes in place.
        a[1] = 3.0;
        assert_eq!((a.as_ptr(), &a[..]), (address, &[1.0, 3.0][..]));
        assert_eq!(Vec::from(a), [1.0, 3.0]);
    }
}
