//! Reads frames back, and tells what was never whole from what is damaged.

use std::path::{Path, PathBuf};

use super::file::{End, Frames, Step, find_header, next_header};
use super::frame::{Header, Kind, SEQUENCE_MAX};
use crate::layout::Layout;
use crate::{Error, Result, Shared};

/// What a frame that does not read does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDamage {
    /// It is an error, except where no frame after it was acknowledged and the file is about to be recovered.
    Recover,
    /// It is an error also at the end: who only reads cannot set it aside.
    Fail,
    /// What can be read is read.
    Skip,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The sequence of the last frame, or the position from which on was asked when there is none.
    pub(crate) last: u64,
    /// Frames after the position.
    pub(crate) frames: u64,
    /// Bytes at the end that never were a whole frame.
    pub(crate) torn_bytes: u64,
    /// What could not be read and was skipped, each with its file.
    pub(crate) skipped: Vec<(PathBuf, String)>,
}

/// The files of the WAL with the sequence of their first frame, in order.
pub(crate) fn files(shared: &Shared) -> Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<(u64, PathBuf)> = shared
        .storage
        .list(&shared.layout.wal())?
        .into_iter()
        .filter_map(|file| {
            let first = Layout::wal_first(file.path.file_name()?.to_str()?)?;
            Some((first, file.path))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// Gives the payloads of all frames after `position` to `take`, in order. `None` when a file vanished meanwhile: a writer has committed
/// its rows, and the manifest has to be read anew.
pub(crate) fn replay(
    shared: &Shared,
    position: u64,
    on_damage: OnDamage,
    mut take: impl FnMut(&Path, &[u8]) -> Result<()>,
) -> Result<Option<Replayed>> {
    let files = files(shared)?;
    let mut found = Replayed {
        last: position,
        ..Replayed::default()
    };
    for (at, (first, path)) in files.iter().enumerate() {
        // Up to where frames of this file matter: those of the next one follow without a gap.
        let next = files.get(at + 1).map(|(first, _)| *first);
        if next.is_some_and(|next| next <= position + 1) {
            continue;
        }
        if *first > SEQUENCE_MAX {
            let expected = format!("a number up to {SEQUENCE_MAX} in the name of the file");
            damage(&mut found, path, on_damage, expected, &first.to_string())?;
            continue;
        }
        if *first > found.last + 1 {
            let problem = format!("frames {} to {}", found.last + 1, first - 1);
            damage(&mut found, path, on_damage, problem, "none")?;
        }
        let Some(from) = shared.storage.reader(path)? else {
            return Ok(None);
        };
        let mut frames = Frames::new(path, from);
        one_file(
            &mut frames,
            (*first, next),
            position,
            on_damage,
            &mut found,
            &mut take,
        )?;
    }
    Ok(Some(found))
}

fn damage(
    found: &mut Replayed,
    path: &Path,
    on_damage: OnDamage,
    expected: String,
    instead: &str,
) -> Result<()> {
    if on_damage != OnDamage::Skip {
        return Err(Error::damaged(path, expected, instead));
    }
    let problem = format!("expected {expected}, found {instead}");
    found.skipped.push((path.to_path_buf(), problem));
    Ok(())
}

fn one_file(
    frames: &mut Frames<'_>,
    (first, next): (u64, Option<u64>),
    position: u64,
    on_damage: OnDamage,
    found: &mut Replayed,
    take: &mut impl FnMut(&Path, &[u8]) -> Result<()>,
) -> Result<()> {
    // The sequence that the next frame of this file has.
    let mut expected = first;
    let path = frames.path;
    if let Some(end) = frames.file_header()? {
        return ended(frames, end, (expected, next), position, on_damage, found);
    }
    loop {
        match frames.next()? {
            Step::Frame(header, payload) => match header.kind {
                Kind::Mark if header.sequence < expected => {}
                Kind::Rows if header.sequence == expected => {
                    expected += 1;
                    if header.sequence > position {
                        if header.sequence > found.last {
                            found.last = header.sequence;
                        }
                        found.frames += 1;
                        take(path, &payload)?;
                    }
                }
                // Frames were skipped before it, or it is out of its place.
                _ if on_damage == OnDamage::Skip => {
                    if header.kind == Kind::Rows && header.sequence > expected {
                        expected = header.sequence + 1;
                        found.last = found.last.max(header.sequence);
                        if header.sequence > position {
                            found.frames += 1;
                            take(path, &payload)?;
                        }
                    }
                }
                _ => {
                    let wanted = format!("frame {expected}");
                    let instead = format!("frame {}", header.sequence);
                    return Err(Error::damaged(path, wanted, instead));
                }
            },
            Step::End(End::Clean) => {
                return match next {
                    Some(next) if next > expected && next > position + 1 => {
                        let wanted = format!("frames {expected} to {}", next - 1);
                        damage(found, path, on_damage, wanted, "the end of the file")
                    }
                    _ => Ok(()),
                };
            }
            Step::End(end) if is_needless(&end, (expected, next), position) => return Ok(()),
            Step::End(End::Bad { what, rest }) if on_damage == OnDamage::Skip => {
                let problem = format!("expected frame {expected}, found {what}");
                found.skipped.push((path.to_path_buf(), problem));
                found.last = found.last.max(expected);
                expected += 1;
                // Whatever still is a frame behind it; its own header may be whole.
                let behind = rest.slice(1..);
                let Some(offset) = next_header(&behind, expected - 1) else {
                    return Ok(());
                };
                frames.resume(behind.slice(offset..));
            }
            Step::End(end) => {
                return ended(frames, end, (expected, next), position, on_damage, found);
            }
        }
    }
}

/// Whether nothing is missing where a file ends: the next one goes on from there, or all rows are in segments.
fn is_needless(end: &End, (expected, next): (u64, Option<u64>), position: u64) -> bool {
    let is_behind = |header: Header| header.sequence > position;
    match end {
        _ if next.is_some() => next == Some(expected),
        End::Bad { rest, .. } => expected <= position && find_header(rest, is_behind).is_none(),
        _ => expected <= position,
    }
}

/// What the end of a file means, when it is not clean.
fn ended(
    frames: &Frames<'_>,
    end: End,
    (expected, next): (u64, Option<u64>),
    position: u64,
    on_damage: OnDamage,
    found: &mut Replayed,
) -> Result<()> {
    if is_needless(&end, (expected, next), position) {
        return Ok(());
    }
    let path = frames.path;
    match end {
        End::Clean => Ok(()),
        End::Short { bytes } if next.is_none() => {
            found.torn_bytes += bytes;
            Ok(())
        }
        End::Short { bytes } => {
            let wanted = format!("frame {expected}");
            damage(
                found,
                path,
                on_damage,
                wanted,
                &format!("{bytes} bytes of it"),
            )
        }
        End::Bad { what, rest } => {
            let acknowledged = next.is_some() || next_header(&rest, expected).is_some();
            if on_damage == OnDamage::Recover && !acknowledged {
                found.torn_bytes += rest.len() as u64;
                found.skipped.push((path.to_path_buf(), what));
                return Ok(());
            }
            damage(found, path, on_damage, format!("frame {expected}"), &what)
        }
    }
}

#[cfg(test)]
mod tests {
    use memwatch_core::Timestamp;
    use memwatch_core::record::{Identity, MetricKind, MetricSample, RecordSink};

    use super::*;
    use crate::buffer::Columns;
    use crate::manifest::{Commit, encode};
    use crate::schema::Table;
    use crate::wal::fuzz::{self, file_header, mark, rows};
    use crate::{Snapshot, Store};

    fn metric(n: i64) -> (Identity, MetricSample) {
        let of = Identity {
            service: "s".into(),
            instance: "i".into(),
        };
        let at = Timestamp(n * 1_000_000_000);
        let row = MetricSample::new(at, "m".into(), "".into(), 1.0, MetricKind::Gauge);
        (of, row)
    }

    /// A frame of one row, another one for each sequence.
    fn frame(sequence: u64) -> Vec<u8> {
        let mut columns = Columns::new(Table::Metrics);
        let (of, row) = metric(i64::try_from(sequence % 1_000).unwrap());
        columns.push(&of, &row, 0);
        rows(sequence, &fuzz::encode(&columns))
    }

    /// A store whose rows up to `position` are in segments, with a file of the WAL.
    fn store(position: u64, first: u64, parts: &[Vec<u8>]) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let layout = &store.shared.layout;
        std::fs::create_dir(layout.manifest()).unwrap();
        std::fs::create_dir(layout.wal()).unwrap();
        let commit = Commit {
            version: 1,
            wal: position,
            ..Commit::default()
        };
        std::fs::write(layout.commit(1), encode(&commit)).unwrap();
        let content = [file_header(), parts.concat()].concat();
        std::fs::write(layout.wal_file(first), content).unwrap();
        (dir, store)
    }

    fn count(snapshot: &Snapshot) -> u64 {
        snapshot
            .segments(Table::Metrics)
            .iter()
            .map(|s| s.rows)
            .sum()
    }

    #[test]
    fn the_last_sequence_is_taken_over_and_none_follows() {
        let last = SEQUENCE_MAX;
        let (_dir, store) = store(last - 1, last, &[frame(last), mark(last)]);
        assert_eq!(count(&store.snapshot().unwrap()), 1);
        let mut appender = store.append().unwrap();
        let (of, row) = metric(7);
        appender.metric(&of, &row).unwrap();
        let error = appender.sync().unwrap_err().to_string();
        assert!(
            error.contains("expected frames up to one below 9223372036854775807"),
            "{error}"
        );
        drop(appender);
        assert_eq!(count(&store.snapshot().unwrap()), 1);
        // By other ways more can come.
        let mut writer = store.writer().unwrap();
        writer.metric(&of, &row).unwrap();
        writer.commit(&[]).unwrap();
        assert_eq!(count(&store.snapshot().unwrap()), 2);
    }

    #[test]
    fn no_number_is_left_for_a_torn_frame() {
        let last = SEQUENCE_MAX;
        let (_dir, store) = store(last - 1, last, &[frame(last), vec![7; 5]]);
        assert_eq!(count(&store.snapshot().unwrap()), 1);
        let error = store.writer().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("found 9223372036854775808"), "{error}");
        assert_eq!(count(&store.snapshot().unwrap()), 1);
    }

    #[test]
    fn a_file_of_a_greater_number_is_named_and_set_aside() {
        let (dir, store) = store(0, u64::MAX, &[frame(u64::MAX)]);
        let error = store.snapshot().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("wal/18446744073709551615.wal"), "{error}");
        let (_, left_out) = store.snapshot_without_damage().unwrap();
        assert_eq!(left_out.len(), 1);
        let found = store.repair().unwrap();
        let aside = found.findings[0].set_aside.as_ref().unwrap();
        assert!(dir.path().join(aside).exists());
        assert!(store.verify().unwrap().is_whole());
    }

    #[test]
    fn what_follows_a_bad_frame_that_is_in_segments_is_not_passed_over() {
        let mut bad = frame(1);
        bad[30] ^= 1;
        let (_dir, whole) = store(1, 1, &[bad.clone(), mark(1)]);
        assert_eq!(count(&whole.snapshot().unwrap()), 0);
        assert_eq!(whole.snapshot_without_damage().unwrap().1, []);
        let (_dir, store) = store(1, 1, &[bad, mark(1), frame(2)]);
        let error = store.snapshot().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("expected frame 1"), "{error}");
        let (snapshot, left_out) = store.snapshot_without_damage().unwrap();
        assert_eq!((count(&snapshot), left_out.len()), (1, 1));
    }

    #[test]
    fn skipping_goes_on_behind_a_frame_whose_own_header_is_whole() {
        let mut bad = frame(1 << 60);
        bad[30] ^= 1;
        let (_dir, store) = store(0, 1, &[bad, frame(2), mark(2)]);
        let (snapshot, left_out) = store.snapshot_without_damage().unwrap();
        assert_eq!((count(&snapshot), left_out.len()), (1, 1));
    }
}
