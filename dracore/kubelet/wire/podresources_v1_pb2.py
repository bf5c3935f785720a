"""Generated from podresources_v1.proto by ``make proto``; do not edit."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import message_factory as _message_factory

_pool = _descriptor_pool.DescriptorPool()
DESCRIPTOR = _pool.AddSerializedFile(
    b'\n\x15podresources_v1.proto\x12\x02v1"\x19\n\x17ListPodResourcesRequest"Q\n\x18ListPodResourcesResponse\x125\n\rpod_resources\x18\x01 \x03(\x0b2\x10.v1.PodResourcesR\x0cpodResources"x\n\x0cPodResources\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name\x12\x1c\n\tnamespace\x18\x02 \x01(\tR\tnamespace\x126\n\ncontainers\x18\x03 \x03(\x0b2\x16.v1.ContainerResourcesR\ncontainers"j\n\x12ContainerResources\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name\x12@\n\x11dynamic_resources\x18\x05 \x03(\x0b2\x13.v1.DynamicResourceR\x10dynamicResources"\x95\x01\n\x0fDynamicResource\x12\x1d\n\nclaim_name\x18\x02 \x01(\tR\tclaimName\x12\'\n\x0fclaim_namespace\x18\x03 \x01(\tR\x0eclaimNamespace\x12:\n\x0fclaim_resources\x18\x04 \x03(\x0b2\x11.v1.ClaimResourceR\x0eclaimResources"\xcb\x01\n\rClaimResource\x12.\n\x0bcdi_devices\x18\x01 \x03(\x0b2\r.v1.CDIDeviceR\ncdiDevices\x12\x1f\n\x0bdriver_name\x18\x02 \x01(\tR\ndriverName\x12\x1b\n\tpool_name\x18\x03 \x01(\tR\x08poolName\x12\x1f\n\x0bdevice_name\x18\x04 \x01(\tR\ndeviceName\x12\x1e\n\x08share_id\x18\x05 \x01(\tH\x00R\x07shareId\x88\x01\x01B\x0b\n\t_share_id"\x1f\n\tCDIDevice\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name2W\n\x12PodResourcesLister\x12A\n\x04List\x12\x1b.v1.ListPodResourcesRequest\x1a\x1c.v1.ListPodResourcesResponseb\x06proto3'
)
ListPodResourcesRequest = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['ListPodResourcesRequest'])
ListPodResourcesRequest.__module__ = __name__
ListPodResourcesResponse = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['ListPodResourcesResponse'])
ListPodResourcesResponse.__module__ = __name__
PodResources = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['PodResources'])
PodResources.__module__ = __name__
ContainerResources = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['ContainerResources'])
ContainerResources.__module__ = __name__
DynamicResource = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['DynamicResource'])
DynamicResource.__module__ = __name__
ClaimResource = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['ClaimResource'])
ClaimResource.__module__ = __name__
CDIDevice = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name['CDIDevice'])
CDIDevice.__module__ = __name__
