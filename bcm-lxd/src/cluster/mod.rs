//! Clusters: what is wanted, what was found, and the steps from one to the other.
//!
//! [`ClusterSpec`] says what is wanted. [`Observed`] is what was found on the machines. [`check`]
//! and [`plan`] are pure functions of the two; a dry run prints exactly what a real run applies.

mod apply;
mod certificate;
mod checks;
mod destroy;
mod engine;
mod health;
mod join;
mod machines;
mod membership;
mod observe;
mod plan;
mod recover;
mod spec;
mod step;
mod teardown;

pub use apply::{Applied, ApplyError, ApplyOptions, StepError, apply};
pub use certificate::CertificateError;
pub use checks::{Finding, Severity, check};
pub use destroy::{ClearError, Destroyed, LeftOver, Working, clear_machine, destroy};
pub use health::{Health, InstanceCount, MemberHealth, health, health_reaching};
pub use join::JoinError;
pub use machines::MachineSpec;
pub use membership::{MembershipError, Removal, RemovedMember, remove_member, set_service};
pub use observe::{
    EngineState, Made, NAME_KEY, Observed, ObservedHost, engine_state, observe, observe_each,
};
pub use plan::{PROJECT, PlanError, plan};
pub use recover::{RecoverError, Recovered, Survivor, recover, survivors};
pub use spec::{
    CLUSTER_PORT, ClusterSpec, DriverChoice, EngineChoice, MemberSpec, NetworkSpec, SpecError,
    StorageDriver, StorageOverride, StorageSpec,
};
pub use step::{Plan, Step};
pub use teardown::{Removed, TeardownError, clear_project, empty_cluster};
