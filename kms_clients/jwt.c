/*
 * kms_clients/jwt.c -- Signed JSON Web Tokens. See jwt.h.
 */
#include "kms_clients/jwt.h"

#include "crypto/encode.h"
#include "crypto/rsa_sign.h"

#include <string.h>

const char *
jwt_algorithm_name(JWT_ALGORITHM algorithm)
{
    return (algorithm == JWT_PS256 ? "PS256" : "RS256");
}

int
jwt_sign(JWT_ALGORITHM algorithm, const SECRET *header, const SECRET *claims,
  const SECRET *private_key, SECRET **tokenp, STATUS *status)
{
    SECRET *input = NULL, *signature = NULL, *token = NULL;
    char *text;
    size_t len;
    int ret;

    *tokenp = NULL;
    if ((ret = secret_new(
           ENCODE_BASE64_SIZE(secret_len(header)) + ENCODE_BASE64_SIZE(secret_len(claims)), &input,
           status)) != 0)
        goto err;
    text = (char *)secret_data(input);
    len = encode_base64url(secret_bytes(header), secret_len(header), text);
    text[len++] = '.';
    len += encode_base64url(secret_bytes(claims), secret_len(claims), text + len);
    if ((ret = rsa_sign(private_key, algorithm == JWT_PS256 ? RSA_SIGN_PSS : RSA_SIGN_PKCS1, text,
           len, &signature, status)) != 0 ||
        (ret = secret_new(len + 1 + ENCODE_BASE64_SIZE(secret_len(signature)), &token, status)) !=
          0)
        goto err;
    memcpy(secret_data(token), text, len);
    text = (char *)secret_data(token);
    text[len++] = '.';
    len += encode_base64url(secret_bytes(signature), secret_len(signature), text + len);
    secret_truncate(token, len);
    *tokenp = token;

err:
    secret_free(input);
    secret_free(signature);
    return (ret);
}
