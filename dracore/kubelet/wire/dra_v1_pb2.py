"""Generated from dra_v1.proto by ``make proto``; do not edit."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import message_factory as _message_factory

_pool = _descriptor_pool.DescriptorPool()
DESCRIPTOR = _pool.AddSerializedFile(
    b'\n\x0cdra_v1.proto\x12\x1ek8s.io.kubelet.pkg.apis.dra.v1"K\n\x05Claim\x12\x1c\n\tnamespace\x18\x01 \x01(\tR\tnamespace\x12\x10\n\x03uid\x18\x02 \x01(\tR\x03uid\x12\x12\n\x04name\x18\x03 \x01(\tR\x04name"\\\n\x1bNodePrepareResourcesRequest\x12=\n\x06claims\x18\x01 \x03(\x0b2%.k8s.io.kubelet.pkg.apis.dra.v1.ClaimR\x06claims"\xf8\x01\n\x1cNodePrepareResourcesResponse\x12`\n\x06claims\x18\x01 \x03(\x0b2H.k8s.io.kubelet.pkg.apis.dra.v1.NodePrepareResourcesResponse.ClaimsEntryR\x06claims\x1av\n\x0bClaimsEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12Q\n\x05value\x18\x02 \x01(\x0b2;.k8s.io.kubelet.pkg.apis.dra.v1.NodePrepareResourceResponseR\x05value:\x028\x01"u\n\x1bNodePrepareResourceResponse\x12@\n\x07devices\x18\x01 \x03(\x0b2&.k8s.io.kubelet.pkg.apis.dra.v1.DeviceR\x07devices\x12\x14\n\x05error\x18\x02 \x01(\tR\x05error"\xbe\x01\n\x06Device\x12#\n\rrequest_names\x18\x01 \x03(\tR\x0crequestNames\x12\x1b\n\tpool_name\x18\x02 \x01(\tR\x08poolName\x12\x1f\n\x0bdevice_name\x18\x03 \x01(\tR\ndeviceName\x12$\n\x0ecdi_device_ids\x18\x04 \x03(\tR\x0ccdiDeviceIds\x12\x1e\n\x08share_id\x18\x05 \x01(\tH\x00R\x07shareId\x88\x01\x01B\x0b\n\t_share_id"^\n\x1dNodeUnprepareResourcesRequest\x12=\n\x06claims\x18\x01 \x03(\x0b2%.k8s.io.kubelet.pkg.apis.dra.v1.ClaimR\x06claims"\xfe\x01\n\x1eNodeUnprepareResourcesResponse\x12b\n\x06claims\x18\x01 \x03(\x0b2J.k8s.io.kubelet.pkg.apis.dra.v1.NodeUnprepareResourcesResponse.ClaimsEntryR\x06claims\x1ax\n\x0bClaimsEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12S\n\x05value\x18\x02 \x01(\x0b2=.k8s.io.kubelet.pkg.apis.dra.v1.NodeUnprepareResourceResponseR\x05value:\x028\x01"5\n\x1dNodeUnprepareResourceResponse\x12\x14\n\x05error\x18\x01 \x01(\tR\x05error2\xb9\x02\n\tDRAPlugin\x12\x91\x01\n\x14NodePrepareResources\x12;.k8s.io.kubelet.pkg.apis.dra.v1.NodePrepareResourcesRequest\x1a<.k8s.io.kubelet.pkg.apis.dra.v1.NodePrepareResourcesResponse\x12\x97\x01\n\x16NodeUnprepareResources\x12=.k8s.io.kubelet.pkg.apis.dra.v1.NodeUnprepareResourcesRequest\x1a>.k8s.io.kubelet.pkg.apis.dra.v1.NodeUnprepareResourcesResponseb\x06proto3'
)
Claim = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['Claim'])
Claim.__module__ = __name__
NodePrepareResourcesRequest = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['NodePrepareResourcesRequest'])
NodePrepareResourcesRequest.__module__ = __name__
NodePrepareResourcesResponse = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['NodePrepareResourcesResponse'])
NodePrepareResourcesResponse.__module__ = __name__
NodePrepareResourceResponse = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['NodePrepareResourceResponse'])
NodePrepareResourceResponse.__module__ = __name__
Device = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['Device'])
Device.__module__ = __name__
NodeUnprepareResourcesRequest = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['NodeUnprepareResourcesRequest'])
NodeUnprepareResourcesRequest.__module__ = __name__
NodeUnprepareResourcesResponse = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['NodeUnprepareResourcesResponse'])
NodeUnprepareResourcesResponse.__module__ = __name__
NodeUnprepareResourceResponse = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['NodeUnprepareResourceResponse'])
NodeUnprepareResourceResponse.__module__ = __name__
