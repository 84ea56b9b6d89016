//! Whether machines that are in a cluster of the wanted name are in the same one.

use crate::cluster::observe::{EngineState, ObservedHost};
use crate::cluster::spec::{ClusterSpec, MemberSpec};

use super::Findings;

/// Members that a cluster went on without come back, and may find enough others of them to go on
/// too: under the same name, and not with it.
pub(super) fn check_same_cluster(
    findings: &mut Findings,
    spec: &ClusterSpec,
    members: &[(&MemberSpec, &ObservedHost)],
) {
    let mut clustered = members.iter().filter_map(|(member, found)| {
        let engine = found.engine.as_ref()?;
        let is_it = engine.is_clustered() && engine.cluster_name() == Some(spec.name.as_str());
        is_it.then_some((member.host.as_str(), engine))
    });
    let Some((first, of_first)) = clustered.next() else {
        return;
    };
    for (host, engine) in clustered {
        if knows(of_first, engine) && knows(engine, of_first) {
            continue;
        }
        let names: Vec<_> = engine.members.iter().map(|m| &*m.server_name).collect();
        findings.error(
            Some(host),
            format!(
                "it is in a cluster {} of {}, which is not the one that {first} is in",
                spec.name,
                names.join(", ")
            ),
            "where that cluster went on without it, `bcm cluster destroy --host` with this machine \
             clears it for joining again",
        );
    }
}

/// Whether the cluster of `a` has the member `b`.
fn knows(a: &EngineState, b: &EngineState) -> bool {
    let name = b.member_name.as_ref();
    a.members.iter().any(|m| Some(&m.server_name) == name)
}
