// Writes vectors.json: proofs of devices, made by node's cryptography, which is OpenSSL's. Run by hand, once:
//
//     node vectors.mjs > vectors.json
//
// Every proof is signed by the key that it brings or that it is checked with, unless its name says otherwise. So what its
// name says is all that is wrong with it. Keys and signatures are others each time. Made with node 20.20.2.

import { constants, createHash, createHmac, generateKeyPairSync, sign } from "node:crypto";

const base64url = (bytes) => Buffer.from(bytes).toString("base64url");
const bytes = (text) => Buffer.from(text, "base64url");
const pair = (type, options) => {
    const { privateKey, publicKey } = generateKeyPairSync(type, options);
    return { privateKey, jwk: publicKey.export({ format: "jwk" }), all: privateKey.export({ format: "jwk" }) };
};
const ec = pair("ec", { namedCurve: "P-256" });
const otherEc = pair("ec", { namedCurve: "P-256" });
const p384 = pair("ec", { namedCurve: "P-384" });
const rsaOf = (modulusLength, publicExponent = 65537) => pair("rsa", { modulusLength, publicExponent });
const rsa = rsaOf(2048);
const otherRsa = rsaOf(2048);

const signers = {
    ES256: (key, signed) => sign("sha256", signed, { key: key.privateKey, dsaEncoding: "ieee-p1363" }),
    RS256: (key, signed) => sign("sha256", signed, { key: key.privateKey }),
};
const text = (jwk) =>
    jwk.kty === "EC" ? `es256.${base64url(Buffer.concat([bytes(jwk.x), bytes(jwk.y)]))}` : `rs256.${jwk.n}.${jwk.e}`;
const thumbprint = (jwk) => {
    const { crv, e, kty, n, x, y } = jwk;
    const members = kty === "EC" ? { crv, kty, x, y } : { e, kty, n };
    return createHash("sha256").update(JSON.stringify(members)).digest("base64url");
};

const challenge = "YlqyWrtGKPLyuS7mvtuZX5iPdXRyF4hD";
const vectors = [];
const json = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// Adds one. `head` and `claims` are objects, or JSON as it is to stand there.
const add = (outcome, name, of, options = {}) => {
    const key = options.key ?? ec;
    const alg = options.alg ?? (key.jwk.kty === "EC" ? "ES256" : "RS256");
    const jwk = options.jwk ?? key.jwk;
    const head = options.head ?? (of === "registration" ? { alg, jwk, typ: "dbsc+jwt" } : { alg, typ: "dbsc+jwt" });
    const claims = options.claims ?? { jti: challenge };
    const encode = options.encode ?? base64url;
    const signed = `${encode(json(head))}.${encode(json(claims))}`;
    const signature = (options.sign ?? signers[alg])(options.signer ?? key, Buffer.from(signed));
    const proof = (options.change ?? ((proof) => proof))(`${signed}.${base64url(signature)}`);
    const kept = options.stored ?? key.jwk;
    vectors.push({ name, of, outcome, key: text(kept), thumbprint: thumbprint(kept), challenge, proof });
};
const registration = (outcome, name, options) => add(outcome, name, "registration", options);
const renewal = (outcome, name, options) => add(outcome, name, "renewal", options);
const both = (outcome, name, options) => {
    registration(outcome, name, options);
    renewal(outcome, name, options);
};

// Good ones.
both("ok", "ES256");
both("ok", "RS256 with 2,048 bits", { key: rsa });
both("ok", "RS256 with 3,072 bits", { key: rsaOf(3072) });
const longest = rsaOf(4096);
both("ok", "RS256 with 4,096 bits", { key: longest });
both("ok", "RS256 with an exponent of four bytes", { key: rsaOf(2048, 4294967291) });
both("ok", "claims that Chromium adds in some settings", {
    claims: { aud: "https://site.test/dbsc", authorization: "code", iat: 1, jti: challenge },
});
renewal("ok", "a member of the header that is not known", { head: { alg: "ES256", typ: "dbsc+jwt", new: { x: [1] } } });
renewal("ok", "white space in JSON", { head: ' {\n"typ" : "dbsc+jwt" ,\t"alg":"ES256" }\r\n' });
renewal("ok", "escapes in JSON", { head: String.raw`{"alg":"ES\u0032\u00356","typ":"dbsc\u002bjwt"}` });
registration("ok", "a JWK that says what it is for", { jwk: { ...ec.jwk, alg: "ES256", use: "sig" } });
registration("ok", "a JWK of RSA's that says what it is for", { key: rsa, jwk: { ...rsa.jwk, alg: "RS256", use: "sig" } });
{
    // The other of the two signatures with one r. Replays are stopped by the challenge, not by the signature.
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    renewal("ok", "the other s", {
        sign: (key, signed) => {
            const signature = signers.ES256(key, signed);
            const s = order - BigInt(`0x${signature.subarray(32).toString("hex")}`);
            return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex")]);
        },
    });
}

// Sizes and forms.
both("too_long", "4,097 bytes", {
    claims: { jti: challenge, padding: "x".repeat(4000) },
    change: (proof) => proof + "A".repeat(4097 - proof.length > 0 ? 4097 - proof.length : 0),
});
renewal("form", "no signature", { change: (proof) => proof.slice(0, proof.lastIndexOf(".")) });
renewal("form", "an empty signature", { change: (proof) => proof.slice(0, proof.lastIndexOf(".") + 1) });
renewal("form", "a fourth part", { change: (proof) => `${proof}.AAAA` });
renewal("form", "the five parts of encryption", { change: (proof) => `${proof}.AAAA.AAAA` });
renewal("form", "an empty header", { change: (proof) => proof.slice(proof.indexOf(".")) });
renewal("form", "nothing", { change: () => "" });
renewal("form", "dots", { change: () => ".." });
const padded = (text) => {
    const encoded = Buffer.from(text).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
    return encoded.endsWith("=") ? encoded : padded(`${text} `);
};
both("encoding", "padding", { encode: padded });
renewal("encoding", "padding of the signature", { change: (proof) => `${proof}==` });
renewal("encoding", "quotation marks", { change: (proof) => `"${proof}"` });
renewal("encoding", "a space before it", { change: (proof) => ` ${proof}` });
renewal("encoding", "a line feed after it", { change: (proof) => `${proof}\n` });
renewal("encoding", "a space within a part", { change: (proof) => `${proof.slice(0, 8)} ${proof.slice(8)}` });
renewal("encoding", "a null within a part", { change: (proof) => `${proof.slice(0, 8)}\0${proof.slice(8)}` });
renewal("encoding", "the other alphabet", { claims: { jti: challenge, a: "ÿÿÿ>>>???~~~" }, change: (proof) => {
    const changed = proof.replaceAll("-", "+").replaceAll("_", "/");
    return changed === proof ? `+${proof.slice(1)}` : changed;
} });
renewal("encoding", "bits after the last byte of the signature", {
    change: (proof) => {
        // 64 bytes are 85 characters, and one of which two bits count.
        const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        return proof.slice(0, -1) + alphabet[alphabet.indexOf(proof.at(-1)) + 1];
    },
});
renewal("encoding", "one character too many", { change: (proof) => `${proof}AAA` });
renewal("encoding", "beyond ASCII", { change: (proof) => `é${proof}` });

// JSON.
renewal("json", "a header that is a list", { head: '["ES256"]' });
renewal("json", "a header that is null", { head: "null" });
renewal("json", "two headers", { head: '{"alg":"ES256","typ":"dbsc+jwt"}{}' });
renewal("json", "a header that ends early", { head: '{"alg":"ES256","typ":"dbsc+jwt"' });
renewal("json", "a comma too many", { head: '{"alg":"ES256","typ":"dbsc+jwt",}' });
renewal("json", "an algorithm that is a list", { head: { alg: ["ES256"], typ: "dbsc+jwt" } });
renewal("json", "a type that is null", { head: { alg: "ES256", typ: null } });
renewal("json", "claims that are text", { claims: '"jti"' });
both("json", "a challenge that is a number", { claims: { jti: 1 } });
both("json", "a challenge that is null", { claims: { jti: null } });
both("json", "a list of challenges", { claims: { jti: [challenge] } });
registration("json", "a JWK that is null", { head: { alg: "ES256", jwk: null, typ: "dbsc+jwt" } });
registration("json", "a JWK that is text", { head: { alg: "ES256", jwk: JSON.stringify(ec.jwk), typ: "dbsc+jwt" } });
registration("json", "a coordinate that is a number", { jwk: { ...ec.jwk, x: 1 } });
const twice = (object, member, value) => `${JSON.stringify(object).slice(0, -1)},${member}:${JSON.stringify(value)}}`;
renewal("members", "two algorithms", { head: twice({ alg: "ES256", typ: "dbsc+jwt" }, '"alg"', "ES256") });
renewal("members", "two algorithms, one of them escaped", {
    head: twice({ alg: "none", typ: "dbsc+jwt" }, String.raw`"\u0061lg"`, "ES256"),
});
both("members", "two challenges", { claims: twice({ jti: "another" }, '"jti"', challenge) });
registration("members", "two JWKs", {
    head: twice({ alg: "ES256", jwk: otherEc.jwk, typ: "dbsc+jwt" }, '"jwk"', ec.jwk),
});
registration("members", "two abscissas", {
    head: `{"alg":"ES256","typ":"dbsc+jwt","jwk":${twice(ec.jwk, '"x"', otherEc.jwk.x)}}`,
});
renewal("members", "many members", {
    claims: { ...Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`a${n}`, n])), jti: challenge },
});

// What it says it is.
renewal("type", "no type", { head: { alg: "ES256" } });
both("type", "another type", { head: { alg: "ES256", typ: "JWT", jwk: ec.jwk } });
renewal("type", "the type in capitals", { head: { alg: "ES256", typ: "DBSC+JWT" } });
for (const typ of ["dbsc+jwt ", "application/dbsc+jwt", ""]) {
    renewal("type", `the type ${JSON.stringify(typ)}`, { head: { alg: "ES256", typ } });
}
renewal("algorithm", "no algorithm", { head: { typ: "dbsc+jwt" } });
for (const alg of ["none", "None", "NONE", "", "es256", "ES256 ", "ES384", "ES256K", "EdDSA", "RS384"]) {
    both("algorithm", `the algorithm ${JSON.stringify(alg)}`, {
        head: { alg, jwk: ec.jwk, typ: "dbsc+jwt" },
        sign: signers.ES256,
    });
}
renewal("algorithm", "HMAC with the public key's text", {
    head: { alg: "HS256", typ: "dbsc+jwt" },
    sign: (key, signed) => createHmac("sha256", text(key.jwk)).update(signed).digest(),
});
renewal("algorithm", "RSA with PSS, as PS256", {
    key: rsa,
    head: { alg: "PS256", typ: "dbsc+jwt" },
    sign: (key, signed) => sign("sha256", signed, { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING }),
});
renewal("algorithm", "RS256 of another key for a key of ES256's", { key: rsa, stored: ec.jwk });
renewal("algorithm", "ES256 of another key for a key of RS256's", { key: ec, stored: rsa.jwk });
registration("algorithm", "a JWK for another algorithm", { jwk: { ...ec.jwk, alg: "ES384" } });
registration("algorithm", "a JWK of RSA's for PSS", { key: rsa, jwk: { ...rsa.jwk, alg: "PS256" } });
for (const [name, value] of Object.entries({
    crit: ["exp"], b64: false, jku: "https://site.test/", kid: "1", x5u: "https://site.test/", x5c: ["AAAA"], x5t: "AAAA",
    "x5t#S256": "AAAA", enc: "A128GCM", zip: "DEF",
})) {
    both("header", `a header with ${name}`, { head: { alg: "ES256", jwk: ec.jwk, typ: "dbsc+jwt", [name]: value } });
}
both("no_challenge", "no challenge", { claims: {} });
both("no_challenge", "an empty challenge", { claims: { jti: "" } });

// Keys.
registration("no_key", "a registration without a key", { head: { alg: "ES256", typ: "dbsc+jwt" } });
renewal("unexpected_key", "a renewal with its own key", { head: { alg: "ES256", jwk: ec.jwk, typ: "dbsc+jwt" } });
renewal("unexpected_key", "a renewal with another key, which has signed it", {
    head: { alg: "ES256", jwk: otherEc.jwk, typ: "dbsc+jwt" },
    signer: otherEc,
});
const without = (object, name) => Object.fromEntries(Object.entries(object).filter(([other]) => other !== name));
for (const name of ["kty", "crv", "x", "y"]) registration("key", `a JWK without ${name}`, { jwk: without(ec.jwk, name) });
for (const name of ["kty", "n", "e"]) {
    registration("key", `a JWK of RSA's without ${name}`, { key: rsa, jwk: without(rsa.jwk, name) });
}
registration("key", "P-384", { jwk: p384.jwk, stored: ec.jwk });
registration("key", "P-384 that says P-256", { jwk: { ...p384.jwk, crv: "P-256" } });
registration("key", "another curve's name", { jwk: { ...ec.jwk, crv: "secp256k1" } });
registration("key", "the curve in small letters", { jwk: { ...ec.jwk, crv: "p-256" } });
registration("key", "another type of key", { jwk: { ...ec.jwk, kty: "OKP" } });
registration("key", "a key of RSA's for ES256", { jwk: rsa.jwk, stored: rsa.jwk });
registration("key", "a point for RS256", { key: rsa, jwk: ec.jwk });
registration("key", "both kinds of key in one", { jwk: { ...rsa.jwk, ...ec.jwk } });
registration("key", "a coordinate with a zero in front", {
    jwk: { ...ec.jwk, x: base64url(Buffer.concat([Buffer.alloc(1), bytes(ec.jwk.x)])) },
});
registration("key", "a coordinate that is a byte short", { jwk: { ...ec.jwk, y: base64url(bytes(ec.jwk.y).subarray(1)) } });
registration("key", "an empty coordinate", { jwk: { ...ec.jwk, x: "" } });
registration("encoding", "a coordinate with padding", { jwk: { ...ec.jwk, x: `${ec.jwk.x}=` } });
registration("key", "a key for encryption", { jwk: { ...ec.jwk, use: "enc" } });
for (const name of ["key_ops", "kid", "x5c", "ext", "unheard-of"]) {
    registration("key", `a JWK with ${name}`, { jwk: { ...ec.jwk, [name]: name === "key_ops" ? ["verify"] : "1" } });
}
registration("private_key", "a private key", { jwk: ec.all });
registration("private_key", "a private key of RSA's", { key: rsa, jwk: rsa.all });
registration("private_key", "a prime factor", { key: rsa, jwk: { ...rsa.jwk, p: rsa.all.p } });
registration("private_key", "a secret key", { jwk: { kty: "oct", k: "AAAA" } });
registration("key", "an exponent of three", { key: rsaOf(2048, 3) });
registration("key", "an exponent of 65,535", { key: rsa, jwk: { ...rsa.jwk, e: base64url([0xff, 0xff]) } });
registration("key", "an exponent of one", { key: rsa, jwk: { ...rsa.jwk, e: "AQ" } });
registration("key", "an exponent of nought", { key: rsa, jwk: { ...rsa.jwk, e: "AA" } });
registration("key", "no exponent", { key: rsa, jwk: { ...rsa.jwk, e: "" } });
registration("key", "an even exponent", { key: rsa, jwk: { ...rsa.jwk, e: base64url([1, 0, 2]) } });
registration("key", "an exponent of 34 bits", { key: rsa, jwk: { ...rsa.jwk, e: base64url([2, 0, 0, 0, 1]) } });
registration("key", "an exponent of 2,048 bits", { key: rsa, jwk: { ...rsa.jwk, e: rsa.jwk.n } });
registration("key", "an exponent with a zero in front", { key: rsa, jwk: { ...rsa.jwk, e: "AAEAAQ" } });
registration("key", "a modulus with a zero in front", {
    key: rsa,
    jwk: { ...rsa.jwk, n: base64url(Buffer.concat([Buffer.alloc(1), bytes(rsa.jwk.n)])) },
});
registration("key", "an even modulus", {
    key: rsa,
    jwk: { ...rsa.jwk, n: base64url(Buffer.concat([bytes(rsa.jwk.n).subarray(0, -1), Buffer.alloc(1)])) },
});
registration("key", "an empty modulus", { key: rsa, jwk: { ...rsa.jwk, n: "" } });
for (const bits of [1024, 2040, 2047]) registration("key_size", `RSA with ${bits} bits`, { key: rsaOf(bits) });
for (const bits of [4098, 4104]) registration("key_size", `RSA with ${bits} bits`, { key: rsaOf(bits) });

// Signatures.
both("signature", "another key's signature", { signer: otherEc });
both("signature", "another key's signature, RS256", { key: rsa, signer: otherRsa });
renewal("signature", "a signature in DER", { sign: (key, signed) => sign("sha256", signed, key.privateKey) });
both("signature", "a signature of zeros", { sign: () => Buffer.alloc(64) });
renewal("signature", "a signature of RSA's, of zeros", { key: rsa, sign: () => Buffer.alloc(256) });
renewal("signature", "a signature of RSA's that is one", { key: rsa, sign: () => Buffer.concat([Buffer.alloc(255), Buffer.from([1])]) });
renewal("signature", "a signature that is a byte short", { sign: (key, signed) => signers.ES256(key, signed).subarray(1) });
renewal("signature", "a signature with a byte more", {
    sign: (key, signed) => Buffer.concat([signers.ES256(key, signed), Buffer.alloc(1)]),
});
renewal("signature", "a signature of RSA's with a zero in front", {
    key: rsa,
    sign: (key, signed) => Buffer.concat([Buffer.alloc(1), signers.RS256(key, signed)]),
});
renewal("signature", "another hash", {
    sign: (key, signed) => sign("sha384", signed, { key: key.privateKey, dsaEncoding: "ieee-p1363" }),
});
for (const hash of ["sha1", "sha384", "sha512"]) {
    renewal("signature", `RSA with ${hash}`, { key: rsa, sign: (key, signed) => sign(hash, signed, key.privateKey) });
}
renewal("signature", "RSA with PSS, as RS256", {
    key: rsa,
    sign: (key, signed) => sign("sha256", signed, { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING }),
});
const exchanged = (claims) => (proof) => {
    const [head, , signature] = proof.split(".");
    return `${head}.${base64url(json(claims))}.${signature}`;
};
both("signature", "other claims than those that were signed", {
    claims: { jti: "another" },
    change: exchanged({ jti: challenge }),
});
registration("signature", "another key than the one that has signed", { jwk: otherEc.jwk });
registration("signature", "a point that is not on the curve", {
    jwk: { ...ec.jwk, y: base64url(bytes(ec.jwk.y).map((byte, at) => (at === 31 ? byte ^ 1 : byte))) },
});
registration("signature", "the point 0, 0", { jwk: { ...ec.jwk, x: base64url(Buffer.alloc(32)), y: base64url(Buffer.alloc(32)) } });
registration("signature", "coordinates that are no field elements", {
    jwk: { ...ec.jwk, x: base64url(Buffer.alloc(32, 255)), y: base64url(Buffer.alloc(32, 255)) },
});

const lines = vectors.map((vector) => `    ${JSON.stringify(vector)}`);
console.log(`[\n${lines.join(",\n")}\n]`);
