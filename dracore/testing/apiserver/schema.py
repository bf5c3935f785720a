"""Shapes of objects: which fields exist, of what type, and how lists merge.

One description serves decoding (unknown fields are dropped, wrong types refused) and server-side apply (which
lists are maps with keys, which are atomic). Shapes are written from the Kubernetes 1.37 types of
``resource.k8s.io/v1``; the core kinds are left open and only name the lists that merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Shape:
    """A scalar: ``string``, ``int``, ``bool``, ``quantity``, ``time`` or ``any`` (taken as it comes)."""

    scalar: str = "any"


@dataclass(frozen=True)
class Struct(Shape):
    """Named fields; ``open`` keeps and does not check those that are not named; ``atomic`` never merges."""

    fields: Mapping[str, Shape] = field(default_factory=dict)
    open: bool = False
    atomic: bool = False

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.fields)


@dataclass(frozen=True)
class MapOf(Shape):
    """Arbitrary keys, one shape of value."""

    value: Shape = field(default_factory=Shape)
    atomic: bool = False


@dataclass(frozen=True)
class ListOf(Shape):
    """``keys``: a list-map with these key fields; ``unique``: a set; neither: atomic."""

    item: Shape = field(default_factory=Shape)
    keys: tuple[str, ...] = ()
    unique: bool = False


@dataclass(frozen=True)
class Raw(Shape):
    """Any JSON, owned and replaced as a whole (``runtime.RawExtension``)."""

    atomic: bool = True


ANY = Shape()
RAW = Raw()
STRING = Shape("string")
INT = Shape("int")
BOOL = Shape("bool")
QUANTITY = Shape("quantity")
TIME = Shape("time")
STRINGS = ListOf(item=STRING)
STRING_MAP = MapOf(value=STRING)


def struct(**fields: Shape) -> Struct:
    return Struct(fields=fields)


OWNER = struct(
    apiVersion=STRING, kind=STRING, name=STRING, uid=STRING, controller=BOOL, blockOwnerDeletion=BOOL
)
METADATA = struct(
    name=STRING,
    generateName=STRING,
    namespace=STRING,
    selfLink=STRING,
    uid=STRING,
    resourceVersion=STRING,
    generation=INT,
    creationTimestamp=TIME,
    deletionTimestamp=TIME,
    deletionGracePeriodSeconds=INT,
    labels=STRING_MAP,
    annotations=STRING_MAP,
    ownerReferences=ListOf(item=OWNER, keys=("uid",)),
    finalizers=ListOf(item=STRING, unique=True),
    managedFields=ListOf(item=ANY),
)
CONDITION = struct(
    type=STRING,
    status=STRING,
    observedGeneration=INT,
    lastTransitionTime=TIME,
    reason=STRING,
    message=STRING,
)
CONDITIONS = ListOf(item=CONDITION, keys=("type",))

NODE_SELECTOR = Struct(
    fields={
        "nodeSelectorTerms": ListOf(
            item=struct(
                matchExpressions=ListOf(item=struct(key=STRING, operator=STRING, values=STRINGS)),
                matchFields=ListOf(item=struct(key=STRING, operator=STRING, values=STRINGS)),
            )
        )
    },
    atomic=True,
)
TAINT = struct(key=STRING, value=STRING, effect=STRING, timeAdded=TIME)
COUNTERS = MapOf(value=struct(value=QUANTITY))
CAPACITY = struct(
    value=QUANTITY,
    requestPolicy=struct(
        default=QUANTITY,
        validValues=ListOf(item=QUANTITY),
        validRange=struct(min=QUANTITY, max=QUANTITY, step=QUANTITY),
    ),
)
ATTRIBUTE = struct(
    int=INT,
    bool=BOOL,
    string=STRING,
    version=STRING,
    ints=ListOf(item=INT),
    bools=ListOf(item=BOOL),
    strings=STRINGS,
    versions=STRINGS,
)
NODE_ALLOCATABLE = struct(
    mapping=struct(capacityKey=STRING, capacityMultiplier=QUANTITY, deviceMultiplier=QUANTITY),
    overhead=struct(perPod=QUANTITY, perContainer=QUANTITY),
)
DEVICE = struct(
    name=STRING,
    attributes=MapOf(value=ATTRIBUTE),
    capacity=MapOf(value=CAPACITY),
    consumesCounters=ListOf(item=struct(counterSet=STRING, counters=COUNTERS, compatibilityGroups=STRINGS)),
    nodeName=STRING,
    nodeSelector=NODE_SELECTOR,
    allNodes=BOOL,
    taints=ListOf(item=TAINT),
    bindsToNode=BOOL,
    bindingConditions=STRINGS,
    bindingFailureConditions=STRINGS,
    allowMultipleAllocations=BOOL,
    nodeAllocatableResources=MapOf(value=NODE_ALLOCATABLE),
)
SLICE_SPEC = struct(
    driver=STRING,
    pool=struct(name=STRING, generation=INT, resourceSliceCount=INT),
    nodeName=STRING,
    nodeSelector=NODE_SELECTOR,
    allNodes=BOOL,
    perDeviceNodeSelection=BOOL,
    devices=ListOf(item=DEVICE),
    sharedCounters=ListOf(item=struct(name=STRING, counters=COUNTERS)),
    partitionTypeAttribute=STRING,
    skipNodeOperations=ListOf(item=STRING, unique=True),
)

SELECTORS = ListOf(item=struct(cel=struct(expression=STRING)))
OPAQUE = struct(driver=STRING, parameters=RAW)
TOLERATION = struct(key=STRING, operator=STRING, value=STRING, effect=STRING, tolerationSeconds=INT)
DERIVED = ListOf(item=struct(name=STRING, expression=STRING))
REQUEST_FIELDS: dict[str, Shape] = {
    "deviceClassName": STRING,
    "selectors": SELECTORS,
    "allocationMode": STRING,
    "count": INT,
    "tolerations": ListOf(item=TOLERATION),
    "capacity": struct(requests=MapOf(value=QUANTITY)),
    "derivedAttributes": DERIVED,
}
CLAIM_SPEC = struct(
    devices=struct(
        requests=ListOf(
            item=struct(
                name=STRING,
                exactly=Struct(fields={**REQUEST_FIELDS, "adminAccess": BOOL}),
                firstAvailable=ListOf(item=Struct(fields={"name": STRING, **REQUEST_FIELDS})),
            )
        ),
        constraints=ListOf(item=struct(requests=STRINGS, matchAttribute=STRING, distinctAttribute=STRING)),
        config=ListOf(item=struct(requests=STRINGS, opaque=OPAQUE)),
    )
)
RESULT = struct(
    request=STRING,
    driver=STRING,
    pool=STRING,
    device=STRING,
    adminAccess=BOOL,
    tolerations=ListOf(item=TOLERATION),
    bindingConditions=STRINGS,
    bindingFailureConditions=STRINGS,
    shareID=STRING,
    consumedCapacity=MapOf(value=QUANTITY),
    skipNodeOperations=STRINGS,
    compatibilityGroups=MapOf(value=STRINGS),
)
DEVICE_STATUS = struct(
    driver=STRING,
    pool=STRING,
    device=STRING,
    shareID=STRING,
    conditions=CONDITIONS,
    data=RAW,
    networkData=struct(interfaceName=STRING, ips=STRINGS, hardwareAddress=STRING),
)
CLAIM_STATUS = struct(
    allocation=struct(
        devices=struct(
            results=ListOf(item=RESULT),
            config=ListOf(item=struct(source=STRING, requests=STRINGS, opaque=OPAQUE)),
        ),
        nodeSelector=NODE_SELECTOR,
        allocationTimestamp=TIME,
    ),
    reservedFor=ListOf(item=struct(apiGroup=STRING, resource=STRING, name=STRING, uid=STRING), keys=("uid",)),
    devices=ListOf(item=DEVICE_STATUS, keys=("driver", "device", "pool", "shareID")),
)

TOP: dict[str, Shape] = {"apiVersion": STRING, "kind": STRING, "metadata": METADATA}


def _kind(**fields: Shape) -> Struct:
    return Struct(fields={**TOP, **fields})


SLICE = _kind(spec=SLICE_SPEC)
CLAIM = _kind(spec=CLAIM_SPEC, status=CLAIM_STATUS)
TEMPLATE = _kind(spec=struct(metadata=METADATA, spec=CLAIM_SPEC))
CLASS = _kind(
    spec=struct(
        selectors=SELECTORS,
        config=ListOf(item=struct(opaque=OPAQUE)),
        extendedResourceName=STRING,
    )
)
TAINT_RULE = _kind(
    spec=struct(deviceSelector=struct(driver=STRING, pool=STRING, device=STRING), taint=TAINT),
    status=struct(conditions=CONDITIONS),
)


def _open(**fields: Shape) -> Struct:
    return Struct(fields=fields, open=True)


_NAMED = ("name",)
_CONTAINERS = ListOf(
    item=_open(
        env=ListOf(item=_open(), keys=_NAMED),
        volumeMounts=ListOf(item=_open(), keys=("mountPath",)),
        resources=_open(claims=ListOf(item=_open(), keys=_NAMED)),
    ),
    keys=_NAMED,
)
POD = Struct(
    fields={
        **TOP,
        "spec": _open(
            containers=_CONTAINERS,
            initContainers=_CONTAINERS,
            volumes=ListOf(item=_open(), keys=_NAMED),
            resourceClaims=ListOf(item=_open(), keys=_NAMED),
        ),
        "status": _open(
            conditions=ListOf(item=_open(), keys=("type",)),
            resourceClaimStatuses=ListOf(item=_open(), keys=_NAMED),
        ),
    },
    open=True,
)
NODE = Struct(
    fields={
        **TOP,
        "spec": _open(podCIDRs=ListOf(item=STRING, unique=True)),
        "status": _open(
            conditions=ListOf(item=_open(), keys=("type",)), addresses=ListOf(item=_open(), keys=("type",))
        ),
    },
    open=True,
)
OPEN = Struct(fields=TOP, open=True)
