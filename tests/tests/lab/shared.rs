//! The lab that tests share. Each test that breaks a machine uses one of its own.

use std::sync::{Arc, Mutex, PoisonError};

use bcm_tests::lab::{Lab, LabOptions, Machine};

use libtest_mimic::Failed;

static LAB: Mutex<Option<Arc<Lab>>> = Mutex::new(None);

/// What starts a lab here.
pub(crate) fn options() -> LabOptions {
    LabOptions::new(env!("CARGO_BIN_EXE_lab"))
}

/// The shared lab, started by the first test that wants it.
pub(crate) fn lab() -> Result<Arc<Lab>, Failed> {
    let mut shared = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lab) = &*shared {
        return Ok(lab.clone());
    }
    let lab = Arc::new(Lab::start_saying(&options(), &|text| eprintln!("{text}"))?);
    Ok(shared.insert(lab).clone())
}

/// A machine of the shared lab: 1 and 2 are left as they are, 3 is for whoever breaks it alone.
pub(crate) fn machine(number: u8) -> Result<Machine, Failed> {
    Ok(lab()?.machine(number)?)
}

/// A fresh machine in the shared lab, for one test to break.
pub(crate) fn fresh_machine() -> Result<Machine, Failed> {
    let lab = lab()?;
    let _one_at_a_time = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(lab.add_machine()?)
}

/// Takes the shared lab down, when no test uses it any more.
pub(crate) fn end() {
    LAB.lock().unwrap_or_else(PoisonError::into_inner).take();
}
