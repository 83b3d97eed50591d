// Creates X.509 certificates: a certificate authority and certificates that it signs, valid for a day. Node can read
// certificates but not create them, and certificate files in a repository expire.

import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'

export type Certificate = { cert: string; key: string }

const DAY_MS = 86_400_000
const OID = {
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  commonName: [0x55, 0x04, 0x03],
  basicConstraints: [0x55, 0x1d, 0x13],
  subjectAltName: [0x55, 0x1d, 0x11],
}

/** Makes a certificate authority: `cert` is its certificate, `issue` signs one for a host name or an address. */
export function makeAuthority(name = 'Test authority') {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const constraints = extension(OID.basicConstraints, sequence(der(0x01, Buffer.from([0xff]))), true)
  return {
    cert: certificate(name, keys.publicKey, constraints, name, keys.privateKey),
    /** The certificate is valid until a day from now, or until another time. */
    issue(host: string, validUntilMs = Date.now() + DAY_MS / 2): Certificate {
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const alternative = isIP(host)
        ? der(0x87, Buffer.from(host.split('.').map(Number)))
        : der(0x82, Buffer.from(host, 'latin1'))
      return {
        cert: certificate(
          host,
          own.publicKey,
          extension(OID.subjectAltName, sequence(alternative)),
          name,
          keys.privateKey,
          validUntilMs,
        ),
        key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      }
    },
  }
}

function certificate(
  subject: string,
  key: KeyObject,
  extensions: Buffer,
  issuer: string,
  signer: KeyObject,
  validUntilMs = Date.now() + DAY_MS / 2,
): string {
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    distinguishedName(issuer),
    sequence(time(Date.now() - DAY_MS / 2), time(validUntilMs)),
    distinguishedName(subject),
    key.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extensions)),
  )
  const signature = der(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', body, signer)]))
  const base64 = sequence(body, algorithm, signature).toString('base64').replace(/.{64}/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${base64.trimEnd()}\n-----END CERTIFICATE-----\n`
}

const distinguishedName = (name: string) =>
  sequence(der(0x31, sequence(oid(OID.commonName), der(0x0c, Buffer.from(name)))))

const extension = (id: number[], value: Buffer, critical = false) =>
  sequence(oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value))

/** Encodes a UTCTime, which has a two-digit year and seconds. */
const time = (at: number) => der(0x17, Buffer.from(`${new Date(at).toISOString().replace(/\D/g, '').slice(2, 14)}Z`))

const oid = (octets: number[]) => der(0x06, Buffer.from(octets))
const sequence = (...items: Buffer[]) => der(0x30, Buffer.concat(items))

/** Encodes a tag, a length and a value. */
function der(tag: number, value: Buffer): Buffer {
  const { length } = value
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), value])
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), value])
}
