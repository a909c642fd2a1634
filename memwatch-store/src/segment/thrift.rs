//! Structs of Thrift's compact protocol, walked over before the Parquet library reads them.
//!
//! The library asks for memory for as many elements as a list says it has, and reads a field by its number whatever type stands before it.
//! So bytes are given to it only when each list is no longer than what is left of them, and each field that it knows has its type.

/// What a field holds.
pub(super) enum Kind {
    Bool,
    /// Of 16, 32 or 64 bits: all are written alike.
    Int,
    Binary,
    List(&'static Kind),
    Struct(Shape),
    /// No segment has it, and the library would read something of it.
    Never,
}

/// The fields that the library knows of a struct, by number. Others are skipped.
pub(super) type Shape = &'static [(i16, Kind)];

use Kind::{Binary, Bool, Int, List, Never, Struct};

const EMPTY: Kind = Struct(&[]);

/// Text and times.
const LOGICAL_TYPE: Shape = &[
    (1, EMPTY),
    (
        8,
        Struct(&[
            (1, Bool),
            (2, Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)])),
        ]),
    ),
    (2, Never),
    (3, Never),
    (4, Never),
    (5, Never),
    (6, Never),
    (7, Never),
    (10, Never),
    (11, Never),
    (12, Never),
    (13, Never),
    (14, Never),
    (15, Never),
    (16, Never),
    (17, Never),
    (18, Never),
];

const SCHEMA_ELEMENT: Shape = &[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Binary),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, Int),
    (9, Int),
    (10, Struct(LOGICAL_TYPE)),
];

const STATISTICS: Shape = &[
    (1, Binary),
    (2, Binary),
    (3, Int),
    (4, Int),
    (5, Binary),
    (6, Binary),
    (7, Bool),
    (8, Bool),
];

const COLUMN: Shape = &[
    (1, Int),
    (2, List(&Int)),
    (3, List(&Binary)),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, List(&Struct(&[(1, Binary), (2, Binary)]))),
    (9, Int),
    (10, Int),
    (11, Int),
    (12, Struct(STATISTICS)),
    (13, List(&Struct(&[(1, Int), (2, Int), (3, Int)]))),
    (14, Int),
    (15, Int),
    (16, Struct(&[(1, Int), (2, List(&Int)), (3, List(&Int))])),
    (17, Never),
];

const COLUMN_CHUNK: Shape = &[
    (1, Binary),
    (2, Int),
    (3, Struct(COLUMN)),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, Never),
    (9, Binary),
];

const ROW_GROUP: Shape = &[
    (1, List(&Struct(COLUMN_CHUNK))),
    (2, Int),
    (3, Int),
    (4, List(&Struct(&[(1, Int), (2, Bool), (3, Bool)]))),
    (5, Int),
    (6, Int),
    (7, Int),
];

/// `FileMetaData`: what a footer is.
pub(super) const FILE: Shape = &[
    (1, Int),
    (2, List(&Struct(SCHEMA_ELEMENT))),
    (3, Int),
    (4, List(&Struct(ROW_GROUP))),
    (5, List(&Struct(&[(1, Binary), (2, Binary)]))),
    (6, Binary),
    (7, List(&Struct(&[(1, EMPTY)]))),
    (8, Never),
    (9, Binary),
];

/// In [`FILE`], how many columns are below one: only the first element has some.
pub(super) const NUM_CHILDREN: (i16, i16) = (2, 5);

/// `OffsetIndex`: where pages are.
pub(super) const OFFSET_INDEX: Shape = &[
    (1, List(&Struct(&[(1, Int), (2, Int), (3, Int)]))),
    (2, List(&Int)),
];

/// `ColumnIndex`: what is least and greatest in pages.
pub(super) const COLUMN_INDEX: Shape = &[
    (1, List(&Bool)),
    (2, List(&Binary)),
    (3, List(&Binary)),
    (4, Int),
    (5, List(&Int)),
    (6, List(&Int)),
    (7, List(&Int)),
];

/// `PageHeader`.
pub(super) const PAGE_HEADER: Shape = &[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Int),
    (
        5,
        Struct(&[
            (1, Int),
            (2, Int),
            (3, Int),
            (4, Int),
            (5, Struct(STATISTICS)),
        ]),
    ),
    (6, EMPTY),
    (7, Struct(&[(1, Int), (2, Int), (3, Bool)])),
    (
        8,
        Struct(&[
            (1, Int),
            (2, Int),
            (3, Int),
            (4, Int),
            (5, Int),
            (6, Int),
            (7, Bool),
            (8, Struct(STATISTICS)),
        ]),
    ),
];

/// Most structs and lists within each other.
const DEPTH: u8 = 12;

/// Walks over a struct at the beginning of `bytes`; `field` gets the numbers in it and in the structs right below: the number of the field
/// around (0: none; -1: deeper), that of the field, and the value. The length of the struct; `None` when these bytes are none.
pub(super) fn walk(
    bytes: &[u8],
    shape: Shape,
    field: &mut dyn FnMut((i16, i16), i64),
) -> Option<usize> {
    let mut walk = Walk { left: bytes, field };
    walk.fields(Some(shape), 0, DEPTH)?;
    Some(bytes.len() - walk.left.len())
}

struct Walk<'a, 'f> {
    left: &'a [u8],
    field: &'f mut dyn FnMut((i16, i16), i64),
}

impl Walk<'_, '_> {
    fn skip(&mut self, count: u64) -> Option<()> {
        self.left = self.left.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, left) = self.left.split_first()?;
        self.left = left;
        Some(*byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn number(&mut self) -> Option<i64> {
        let zigzag = self.varint()?;
        let value = i64::try_from(zigzag >> 1).ok()?;
        Some(if zigzag & 1 == 1 { !value } else { value })
    }

    /// The fields of a struct; `None` for a shape that is not known.
    fn fields(&mut self, shape: Option<Shape>, around: i16, depth: u8) -> Option<()> {
        let mut last = 0i16;
        loop {
            let byte = self.byte()?;
            let kind = byte & 15;
            if kind == 0 {
                return Some(());
            }
            last = match byte >> 4 {
                0 => i16::try_from(self.number()?).ok()?,
                delta => last.checked_add(i16::from(delta))?,
            };
            let known = shape.and_then(|shape| shape.iter().find(|(id, _)| *id == last));
            let known = known.map(|(_, kind)| kind);
            let below = if around == 0 { last } else { -1 };
            match (known, kind) {
                (None | Some(Bool), 1 | 2) => (self.field)((around, last), i64::from(kind == 1)),
                (None | Some(Int), 4..=6) => {
                    let value = self.number()?;
                    (self.field)((around, last), value);
                }
                (known, kind) => self.value(known, kind, below, depth)?,
            }
        }
    }

    /// A value of that type, which stands in a field or a list.
    fn value(&mut self, known: Option<&Kind>, kind: u8, around: i16, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match (known, kind) {
            // In lists only.
            (Some(Bool), 1 | 2) | (None, 3) => self.skip(1),
            (None | Some(Int), 4..=6) => self.varint().map(|_| ()),
            (None, 7) => self.skip(8),
            (None | Some(Binary), 8) => {
                let length = self.varint()?;
                self.skip(length)
            }
            (None, 9 | 10) => self.list(None, around, depth),
            (Some(List(of)), 9) => self.list(Some(of), around, depth),
            (None, 12) => self.fields(None, -1, depth),
            (Some(Struct(shape)), 12) => self.fields(Some(shape), around, depth),
            _ => None,
        }
    }

    fn list(&mut self, of: Option<&Kind>, around: i16, depth: u8) -> Option<()> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => self.varint()?,
            few => u64::from(few),
        };
        // Each takes a byte at least.
        if count > self.left.len() as u64 {
            return None;
        }
        (0..count).try_for_each(|_| self.value(of, header & 15, around, depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field around, field, value.
    type Numbers = Vec<(i16, i16, i64)>;

    fn numbers(bytes: &[u8], shape: Shape) -> Option<(usize, Numbers)> {
        let mut found = Vec::new();
        let length = walk(bytes, shape, &mut |(around, id), value| {
            found.push((around, id, value));
        })?;
        Some((length, found))
    }

    #[test]
    fn lists_are_no_longer_than_what_is_left() {
        // Field 1, a list of structs, of which each has three numbers.
        let index = [0x19, 0x1c, 0x16, 8, 0x15, 20, 0x16, 0, 0, 0];
        let (length, found) = numbers(&index, OFFSET_INDEX).unwrap();
        assert_eq!(length, index.len());
        assert_eq!(found, [(1, 1, 4), (1, 2, 10), (1, 3, 0)]);
        for end in 0..index.len() {
            assert_eq!(numbers(&index[..end], OFFSET_INDEX), None, "{end}");
        }
        let two_billion = [0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0];
        assert_eq!(numbers(&two_billion, OFFSET_INDEX), None);
        let deep: Vec<u8> = [0x1c; 100].into_iter().chain([0; 101]).collect();
        assert_eq!(numbers(&deep, &[]), None);
    }

    #[test]
    fn a_known_field_has_its_type() {
        let page = [0x15, 0, 0x15, 200, 1, 0x15, 40, 0x2c, 0x15, 2, 0, 0];
        let (_, found) = numbers(&page, PAGE_HEADER).unwrap();
        assert_eq!(found, [(0, 1, 0), (0, 2, 100), (0, 3, 20), (5, 1, 1)]);
        // The second number as text, the struct as a list.
        for (at, byte) in [(2, 0x18), (7, 0x29), (7, 0x28)] {
            let mut changed = page;
            changed[at] = byte;
            assert_eq!(numbers(&changed, PAGE_HEADER), None, "byte {at}");
        }
        // One that nobody knows may be anything.
        assert!(numbers(&[0x98, 3, 1, 2, 3, 0], PAGE_HEADER).is_some());
    }
}
