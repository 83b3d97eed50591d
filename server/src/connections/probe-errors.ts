import { BindError } from '../smpp/client.ts'
import { commandStatus, statusName } from '../smpp/pdu/command-status.ts'
import type { Connection } from './connection.ts'

export type ProbeStepName = 'resolve' | 'connect' | 'tls' | 'bind' | 'enquire_link' | 'unbind'

/** The step that failed, with the error that it threw and the error of its socket, if any. */
export type ProbeFailure = { step: ProbeStepName; error: Error; socketError: Error | undefined; isLate: boolean }
type Target = Pick<Connection, 'host' | 'port' | 'tls' | 'tlsCertificate' | 'tlsServerName' | 'systemId'>
type Context = { ownBinds: number; timeoutMs: number }

// Messages do not quote received data, because the service on that port may not be an SMSC.

/** Returns the cause of a failed test and the settings to check, in one or two sentences. */
export function describeProbeError(
  { step, error, socketError, isLate }: ProbeFailure,
  target: Target,
  context: Context,
): string {
  const code = codeOf(socketError) ?? codeOf(error) ?? ''
  if (isLate) return describeTimeout(step, target, Math.ceil(context.timeoutMs / 1_000))
  switch (step) {
    case 'resolve':
      return code === 'EAI_AGAIN'
        ? `The DNS server of this machine did not respond for ${target.host}.`
        : `The host name ${target.host} does not exist in DNS.`
    case 'connect':
      return describeConnectError(code, target)
    case 'tls':
      return describeTlsError(code, target)
    case 'bind':
      return describeBindError(error, code, target, context.ownBinds)
    case 'enquire_link':
      return 'The bind succeeded, but the SMSC did not respond to the enquire_link.'
    case 'unbind':
      return 'The bind succeeded, but the SMSC did not accept the unbind.'
  }
}

function codeOf(error: Error | undefined): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

function describeTimeout(step: ProbeStepName, { host, port, tls }: Target, seconds: number): string {
  const within = `within ${seconds} s`
  switch (step) {
    case 'resolve':
      return `The DNS server did not respond for ${host} ${within}.`
    case 'connect':
      return `${host} did not accept a connection on port ${port} ${within}: the address is wrong, or a firewall drops the packets.`
    case 'tls':
      return `${host} accepted the connection on port ${port}, but did not complete the TLS handshake ${within}. Does the SMSC use TLS on this port?`
    case 'bind':
      return `${host} accepted the connection, but did not respond to the bind ${within}.${tls ? '' : ' Does the SMSC require TLS?'}`
    default:
      return `The bind succeeded, but the SMSC did not respond to the ${step} ${within}.`
  }
}

function describeConnectError(code: string, { host, port }: Target): string {
  if (code === 'ECONNREFUSED')
    return `${host} refused the connection on port ${port}: no service listens there, or a firewall rejects the connection.`
  if (code === 'ECONNRESET') return `${host} closed the connection on port ${port} immediately.`
  if (/^E(HOST|NET)UNREACH$/.test(code)) return `This machine has no route to ${host}.`
  if (code === 'ETIMEDOUT') return `${host} does not respond on port ${port}.`
  return `The connection to ${host} on port ${port} failed (${code || 'no error code'}).`
}

const untrustedCodes = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
])

function describeTlsError(code: string, target: Target): string {
  const { host, port, tlsServerName, tlsCertificate } = target
  if (untrustedCodes.has(code)) {
    return `The certificate of ${host} is not signed by a trusted authority. If it is the right one, set tls_ca to the certificate that signed it.`
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `The certificate of ${host} is not for ${tlsServerName ?? host}. If it is the right one, set tls_server_name to a name in the certificate.`
  }
  if (code === 'CERT_HAS_EXPIRED') return `The certificate of ${host} has expired.`
  if (code === 'CERT_NOT_YET_VALID')
    return `The certificate of ${host} is not valid yet. Is the clock of this machine right?`
  if (isAlert(code)) return describeClientCertificateError(target)
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|UNKNOWN_PROTOCOL|HTTP_REQUEST/.test(code)) {
    return `${host} does not use TLS on port ${port}.`
  }
  if (code === 'ECONNRESET') {
    const maybe = tlsCertificate === null ? 'require a client certificate' : 'reject our client certificate'
    return `${host} closed the connection during the TLS handshake: it may not use TLS on port ${port}, or ${maybe}.`
  }
  return `The TLS handshake with ${host} failed (${code || 'no error code'}).`
}

/** Returns whether the server rejected our certificate, or that we have none; with TLS 1.3, it does so after the handshake. */
function isAlert(code: string): boolean {
  return /_ALERT_(CERTIFICATE|BAD_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)|HANDSHAKE_FAILURE/.test(code)
}

function describeClientCertificateError({ host, tlsCertificate }: Target): string {
  return tlsCertificate === null
    ? `${host} requires a client certificate: set tls_certificate and tls_key.`
    : `${host} rejected our client certificate (tls_certificate).`
}

function describeBindError(error: Error, code: string, target: Target, ownBinds: number): string {
  if (isAlert(code)) return describeClientCertificateError(target)
  if (error instanceof BindError) return describeRejection(error.command_status, target, ownBinds)
  const { host, port, tls, tlsCertificate } = target
  if (/bad frame/.test(error.message)) return `The service on port ${port} of ${host} does not use SMPP.`
  const maybe = !tls ? ', or it requires TLS' : tlsCertificate === null ? '' : ', or it rejects our client certificate'
  return `${host} closed the connection instead of responding to the bind. Our IP address may not be allowed${maybe}.`
}

function describeRejection(status: number, { systemId }: Target, ownBinds: number): string {
  switch (status) {
    case commandStatus.ESME_RINVPASWD:
      return `The SMSC rejected the password of ${systemId} (ESME_RINVPASWD).`
    case commandStatus.ESME_RINVSYSID:
      return `The SMSC rejected the system_id ${systemId} (ESME_RINVSYSID).`
    case commandStatus.ESME_RINVSYSTYP:
      return 'The SMSC rejected the system_type (ESME_RINVSYSTYP).'
    case commandStatus.ESME_RBINDFAIL:
      return 'The SMSC rejected the bind (ESME_RBINDFAIL): system_id, password or bind_type may be wrong, or our IP address is not allowed.'
    case commandStatus.ESME_RALYBND: {
      const own =
        ownBinds > 0
          ? ` Our gateways have ${ownBinds === 1 ? 'one bind' : `${ownBinds} binds`} open, which may be the reason; disable the connection to test it alone.`
          : ''
      return `The SMSC allows no more binds of ${systemId} (ESME_RALYBND).${own}`
    }
    default:
      return `The SMSC rejected the bind: ${statusName(status)}.`
  }
}
