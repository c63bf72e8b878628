#!/usr/bin/env python3
"""test/kms_clients/kmip_vectors.py -- Request payloads as PyKMIP 0.10 writes them, for test_kmip.c."""
from kmip.core import attributes, enums, objects, utils
from kmip.core.factories.attributes import AttributeFactory
from kmip.core.messages import payloads

V = enums.KMIPVersion


def show(name, payload, version):
    stream = utils.BytearrayStream()
    payload.write(stream, kmip_version=version)
    print(name, bytes(stream.buffer).hex())


gcm = objects.CryptographicParameters(block_cipher_mode=enums.BlockCipherMode.GCM, tag_length=16,
                                      cryptographic_algorithm=enums.CryptographicAlgorithm.AES)
common = dict(unique_identifier="key-1", cryptographic_parameters=gcm, data=bytes(range(20)), iv_counter_nonce=b"n" * 12,
              auth_additional_data=b"context")
show("encrypt 1.4", payloads.EncryptRequestPayload(**common), V.KMIP_1_4)
show("decrypt 2.0", payloads.DecryptRequestPayload(**common, auth_tag=b"t" * 16), V.KMIP_2_0)
cbc = objects.CryptographicParameters(block_cipher_mode=enums.BlockCipherMode.CBC, padding_method=enums.PaddingMethod.PKCS5,
                                      cryptographic_algorithm=enums.CryptographicAlgorithm.AES)
show("encrypt 1.2", payloads.EncryptRequestPayload(unique_identifier="key-1", cryptographic_parameters=cbc,
                                                   data=bytes(range(20)), iv_counter_nonce=b"n" * 16), V.KMIP_1_2)
state = payloads.GetAttributesRequestPayload(unique_identifier="key-1", attribute_names=["State"])
show("state 1.2", state, V.KMIP_1_2)
show("state 2.0", state, V.KMIP_2_0)
show("get 1.4", payloads.GetRequestPayload(unique_identifier="key-1", key_format_type=enums.KeyFormatType.RAW), V.KMIP_1_4)
make = AttributeFactory().create_attribute


def name():
    """Anew for each: an attribute keeps the tag that it was last written with."""
    return make(enums.AttributeType.NAME, attributes.Name.create("a name", enums.NameType.UNINTERPRETED_TEXT_STRING))


for version in (V.KMIP_1_4, V.KMIP_2_0):
    show(f"locate {version.name[-3:]}", payloads.LocateRequestPayload(maximum_items=2, attributes=[
        make(enums.AttributeType.OBJECT_TYPE, enums.ObjectType.SYMMETRIC_KEY), name()]), version)
for version in (V.KMIP_1_4, V.KMIP_2_0):
    made = [make(enums.AttributeType.CRYPTOGRAPHIC_ALGORITHM, enums.CryptographicAlgorithm.AES),
            make(enums.AttributeType.CRYPTOGRAPHIC_LENGTH, 256),
            make(enums.AttributeType.CRYPTOGRAPHIC_USAGE_MASK,
                 [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]), name()]
    show(f"create {version.name[-3:]}", payloads.CreateRequestPayload(
        object_type=enums.ObjectType.SYMMETRIC_KEY, template_attribute=objects.TemplateAttribute(attributes=made)), version)
