import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'

/** Returns the certificates of a PEM file; throws if it cannot be read, or has none or a malformed one. */
export function readAuthorities(file: string): string[] {
  const certificates = readFileSync(file, 'latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)
  if (!certificates) throw new Error('the file contains no PEM certificate')
  for (const certificate of certificates) void new X509Certificate(certificate)
  return certificates
}

/** Returns the certificates of Node and those of a file; throws the errors of `readAuthorities`. */
export function readTrusted(file: string): string[] {
  return [...getCACertificates('default'), ...readAuthorities(file)]
}

/**
 * Returns a TLS context that trusts the certificates of a file in addition to those of Node; throws the errors of
 * `readAuthorities`. It serves all connections, because reading some 150 certificates for each of them would be slow.
 */
export function makeTrustContext(file: string): SecureContext {
  return createSecureContext({ ca: readTrusted(file) })
}
