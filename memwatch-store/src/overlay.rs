//! Acknowledged rows that are in no segment yet, as readers see them: in segments that are held in memory.
//!
//! They are staged as the next flush will stage them (sorted, without what is stored already), so that scans, series and SQL read them
//! as they read everything else.

use std::sync::{Arc, Mutex};

use crate::cache::locked;
use crate::damage::LeftOut;
use crate::manifest::State;
use crate::segment::Place;
use crate::wal::{OnDamage, files, replay};
use crate::writer::Staging;
use crate::{Error, Result, Shared, Snapshot};

/// The last one made: by commit and last sequence.
#[derive(Default)]
pub(crate) struct Overlay(Mutex<Option<(u64, u64, Arc<State>)>>);

/// Attempts to see manifest and WAL of one moment, while a writer moves rows from one to the other.
const ATTEMPTS: usize = 64;

/// What is acknowledged now, and what of the WAL had to be skipped.
pub(crate) fn acknowledged(
    shared: &Arc<Shared>,
    on_damage: OnDamage,
) -> Result<(Snapshot, Vec<LeftOut>)> {
    for _ in 0..ATTEMPTS {
        let state = State::read(&shared.layout, &shared.storage)?;
        let version = state.version;
        let found = over(shared, state, on_damage);
        // Rows that left the WAL meanwhile are in a newer commit; so is whatever made reading it fail.
        if State::newest(&shared.layout, &shared.storage)? != version {
            continue;
        }
        if let Some((state, left_out)) = found? {
            return Ok((Snapshot::new(Arc::clone(shared), state), left_out));
        }
    }
    Err(Error::damaged(
        &shared.layout.wal(),
        "acknowledged rows of one moment",
        "files that vanish while they are read",
    ))
}

/// A state with the rows of the WAL on top.
fn over(
    shared: &Arc<Shared>,
    state: State,
    on_damage: OnDamage,
) -> Result<Option<(Arc<State>, Vec<LeftOut>)>> {
    let position = state.wal;
    if files(shared)?.is_empty() {
        return Ok(Some((Arc::new(state), Vec::new())));
    }
    // Once for how far it goes: mostly nothing has come since the last time.
    let Some(found) = replay(shared, position, on_damage, |_, _| Ok(()))? else {
        return Ok(None);
    };
    let left_out = found.skipped.iter().map(|(path, problem)| {
        let file = path.strip_prefix(shared.layout.root()).unwrap_or(path);
        LeftOut {
            file: file.to_string_lossy().into_owned(),
            problem: problem.clone(),
            gap: None,
        }
    });
    let left_out: Vec<LeftOut> = left_out.collect();
    if found.frames == 0 {
        return Ok(Some((Arc::new(state), left_out)));
    }
    if let Some((version, last, known)) = &*locked(&shared.overlay.0)
        && (*version, *last) == (state.version, found.last)
    {
        return Ok(Some((Arc::clone(known), left_out)));
    }
    let version = state.version;
    let mut staging = Staging::new(Arc::clone(shared), state, Place::Memory);
    let Some(found) = staging.replay(on_damage)? else {
        return Ok(None);
    };
    staging.flush_all()?;
    let state = Arc::new(staging.into_state());
    *locked(&shared.overlay.0) = Some((version, found.last, Arc::clone(&state)));
    Ok(Some((state, left_out)))
}
