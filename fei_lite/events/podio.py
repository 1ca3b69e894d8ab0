"""What collections an EDM4hep file holds, by what podio says of their types."""

from __future__ import annotations

from typing import Any

#: Types of the collections that the shipped mapping names, by the word in its ``[names]``.
_TYPES = {
    "tracks": ("edm4hep::TrackCollection", "vector<edm4hep::TrackData>"),
    "clusters": ("edm4hep::ClusterCollection", "vector<edm4hep::ClusterData>"),
    "particles": ("edm4hep::MCParticleCollection", "vector<edm4hep::MCParticleData>"),
    "header": ("edm4hep::EventHeaderCollection", "vector<edm4hep::EventHeaderData>"),
    "track_truth": ("podio::LinkCollection<edm4hep::Track,edm4hep::MCParticle>",
                    "vector<edm4hep::MCRecoTrackParticleAssociationData>"),
    "cluster_truth": ("podio::LinkCollection<edm4hep::Cluster,edm4hep::MCParticle>",
                      "vector<edm4hep::MCRecoClusterParticleAssociationData>"),
}
#: A member that tells the type of a collection whose members are branches of their own, as other writers make them.
_MEMBERS = {"trackStates_begin": "tracks", "energyError": "clusters", "PDG": "particles", "eventNumber": "header"}
_TABLE = "events___CollectionTypeInfo"


def is_podio(file: Any) -> bool:
    """Whether an open ROOT file with a tree ``events`` has podio's tables, or collections of EDM4hep."""
    return "podio_metadata" in file or any("<edm4hep::" in branch.typename or branch.name.endswith(".trackStates_begin")
                                           for branch in file["events"].branches)


def podio_collections(file: Any) -> dict[str, list[str]]:
    """Names of the collections in an open file that can be taken for ``tracks``, ``clusters``, ``particles``,
    ``header``, ``track_truth`` and ``cluster_truth`` (subsets of others and those of other types are left out)."""
    there = {branch.name: branch.typename for branch in file["events"].branches}
    for collection, _, member in (name.partition(".") for name in tuple(there)):
        if member in _MEMBERS:
            there[collection] = _TYPES[_MEMBERS[member]][0]
    types = dict(there)
    if "podio_metadata" in file and _TABLE in file["podio_metadata"]:
        table = file["podio_metadata"][_TABLE].arrays()
        names, kinds = (next(table[field][0] for field in table.fields if field.endswith(end))
                        for end in (".name", ".dataType"))
        types |= {str(name): str(kind) for name, kind in zip(names, kinds, strict=True)}
    return {word: sorted(name for name, kind in types.items() if kind in kinds and name in there)
            for word, kinds in _TYPES.items()}
