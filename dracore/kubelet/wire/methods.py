"""Names of the kubelet's gRPC services and methods, and of the versions a plugin announces.

A server binds them with ``grpc.method_handlers_generic_handler(SERVICE, {...})``, a client with
``channel.unary_unary(METHOD, ...)``; tests compare each with the descriptors of the ``.proto`` files.
"""

from __future__ import annotations

from typing import Final

REGISTRATION_SERVICE: Final = "pluginregistration.Registration"
GET_INFO: Final = f"/{REGISTRATION_SERVICE}/GetInfo"
NOTIFY_REGISTRATION_STATUS: Final = f"/{REGISTRATION_SERVICE}/NotifyRegistrationStatus"

PLUGIN_TYPE: Final = "DRAPlugin"
"""``PluginInfo.type`` of a DRA driver."""

DRA_V1_SERVICE: Final = "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin"
DRA_V1_PREPARE: Final = f"/{DRA_V1_SERVICE}/NodePrepareResources"
DRA_V1_UNPREPARE: Final = f"/{DRA_V1_SERVICE}/NodeUnprepareResources"
DRA_V1BETA1_SERVICE: Final = "k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin"
DRA_V1BETA1_PREPARE: Final = f"/{DRA_V1BETA1_SERVICE}/NodePrepareResources"
DRA_V1BETA1_UNPREPARE: Final = f"/{DRA_V1BETA1_SERVICE}/NodeUnprepareResources"

HEALTH_V1_SERVICE: Final = "v1.DRAResourceHealth"
HEALTH_V1_WATCH: Final = f"/{HEALTH_V1_SERVICE}/NodeWatchResources"
HEALTH_V1ALPHA1_SERVICE: Final = "v1alpha1.DRAResourceHealth"
HEALTH_V1ALPHA1_WATCH: Final = f"/{HEALTH_V1ALPHA1_SERVICE}/NodeWatchResources"

POD_RESOURCES_SERVICE: Final = "v1.PodResourcesLister"
POD_RESOURCES_LIST: Final = f"/{POD_RESOURCES_SERVICE}/List"

# PluginInfo.supported_versions. For the health services these are the full service names; for the DRA service
# the kubelet uses names of its own.
DRA_V1: Final = "v1.DRAPlugin"
DRA_V1BETA1: Final = "v1beta1.DRAPlugin"
HEALTH_V1: Final = HEALTH_V1_SERVICE
HEALTH_V1ALPHA1: Final = HEALTH_V1ALPHA1_SERVICE
