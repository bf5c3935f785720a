"""Generated from dra_v1beta1.proto by ``make proto``; do not edit."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import message_factory as _message_factory

_pool = _descriptor_pool.DescriptorPool()
DESCRIPTOR = _pool.AddSerializedFile(
    b'\n\x11dra_v1beta1.proto\x12#k8s.io.kubelet.pkg.apis.dra.v1beta1"K\n\x05Claim\x12\x1c\n\tnamespace\x18\x01 \x01(\tR\tnamespace\x12\x10\n\x03uid\x18\x02 \x01(\tR\x03uid\x12\x12\n\x04name\x18\x03 \x01(\tR\x04name"a\n\x1bNodePrepareResourcesRequest\x12B\n\x06claims\x18\x01 \x03(\x0b2*.k8s.io.kubelet.pkg.apis.dra.v1beta1.ClaimR\x06claims"\x82\x02\n\x1cNodePrepareResourcesResponse\x12e\n\x06claims\x18\x01 \x03(\x0b2M.k8s.io.kubelet.pkg.apis.dra.v1beta1.NodePrepareResourcesResponse.ClaimsEntryR\x06claims\x1a{\n\x0bClaimsEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12V\n\x05value\x18\x02 \x01(\x0b2@.k8s.io.kubelet.pkg.apis.dra.v1beta1.NodePrepareResourceResponseR\x05value:\x028\x01"z\n\x1bNodePrepareResourceResponse\x12E\n\x07devices\x18\x01 \x03(\x0b2+.k8s.io.kubelet.pkg.apis.dra.v1beta1.DeviceR\x07devices\x12\x14\n\x05error\x18\x02 \x01(\tR\x05error"\x91\x01\n\x06Device\x12#\n\rrequest_names\x18\x01 \x03(\tR\x0crequestNames\x12\x1b\n\tpool_name\x18\x02 \x01(\tR\x08poolName\x12\x1f\n\x0bdevice_name\x18\x03 \x01(\tR\ndeviceName\x12$\n\x0ecdi_device_ids\x18\x04 \x03(\tR\x0ccdiDeviceIds"c\n\x1dNodeUnprepareResourcesRequest\x12B\n\x06claims\x18\x01 \x03(\x0b2*.k8s.io.kubelet.pkg.apis.dra.v1beta1.ClaimR\x06claims"\x88\x02\n\x1eNodeUnprepareResourcesResponse\x12g\n\x06claims\x18\x01 \x03(\x0b2O.k8s.io.kubelet.pkg.apis.dra.v1beta1.NodeUnprepareResourcesResponse.ClaimsEntryR\x06claims\x1a}\n\x0bClaimsEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12X\n\x05value\x18\x02 \x01(\x0b2B.k8s.io.kubelet.pkg.apis.dra.v1beta1.NodeUnprepareResourceResponseR\x05value:\x028\x01"5\n\x1dNodeUnprepareResourceResponse\x12\x14\n\x05error\x18\x01 \x01(\tR\x05error2\xcd\x02\n\tDRAPlugin\x12\x9b\x01\n\x14NodePrepareResources\x12@.k8s.io.kubelet.pkg.apis.dra.v1beta1.NodePrepareResourcesRequest\x1aA.k8s.io.kubelet.pkg.apis.dra.v1beta1.NodePrepareResourcesResponse\x12\xa1\x01\n\x16NodeUnprepareResources\x12B.k8s.io.kubelet.pkg.apis.dra.v1beta1.NodeUnprepareResourcesRequest\x1aC.k8s.io.kubelet.pkg.apis.dra.v1beta1.NodeUnprepareResourcesResponseb\x06proto3'
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
