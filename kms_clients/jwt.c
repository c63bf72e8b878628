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

size_t
jwt_base64url(const uint8_t *data, size_t len, char *text)
{
    size_t i, text_len = encode_base64(data, len, text);

    while (text_len > 0 && text[text_len - 1] == '=')
        text[--text_len] = '\0';
    for (i = 0; i < text_len; i++)
        if (text[i] == '+')
            text[i] = '-';
        else if (text[i] == '/')
            text[i] = '_';
    return (text_len);
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
           JWT_BASE64URL_SIZE(secret_len(header)) + JWT_BASE64URL_SIZE(secret_len(claims)), &input,
           status)) != 0)
        goto err;
    text = (char *)secret_data(input);
    len = jwt_base64url(secret_bytes(header), secret_len(header), text);
    text[len++] = '.';
    len += jwt_base64url(secret_bytes(claims), secret_len(claims), text + len);
    if ((ret = rsa_sign(private_key, algorithm == JWT_PS256 ? RSA_SIGN_PSS : RSA_SIGN_PKCS1, text,
           len, &signature, status)) != 0 ||
        (ret = secret_new(len + 1 + JWT_BASE64URL_SIZE(secret_len(signature)), &token, status)) !=
          0)
        goto err;
    memcpy(secret_data(token), text, len);
    text = (char *)secret_data(token);
    text[len++] = '.';
    len += jwt_base64url(secret_bytes(signature), secret_len(signature), text + len);
    secret_truncate(token, len);
    *tokenp = token;

err:
    secret_free(input);
    secret_free(signature);
    return (ret);
}
