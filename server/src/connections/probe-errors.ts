import { BindError } from '../smpp/client.ts'
import { commandStatus, statusName } from '../smpp/pdu/command-status.ts'
import type { Connection } from './connection.ts'

export type ProbeStepName = 'resolve' | 'connect' | 'tls' | 'bind' | 'enquire_link' | 'unbind'

/** The step that failed, with what was thrown, and what the socket said if it said something. */
export type ProbeFailure = { step: ProbeStepName; error: Error; socketError: Error | undefined; isLate: boolean }
type Place = Pick<Connection, 'host' | 'port' | 'tls' | 'tlsCertificate' | 'tlsServerName' | 'systemId'>
type Known = { ownBinds: number; timeoutMs: number }

// The other side's own words are never repeated: what answers on that port may be anything.

/** Why a connection does not work, in a sentence or two, with what to look at. */
export function describeProbeError(
  { step, error, socketError, isLate }: ProbeFailure,
  place: Place,
  known: Known,
): string {
  const code = codeOf(socketError) ?? codeOf(error) ?? ''
  if (isLate) return whyLate(step, place, Math.ceil(known.timeoutMs / 1_000))
  switch (step) {
    case 'resolve':
      return code === 'EAI_AGAIN'
        ? `The DNS of this machine gives no answer for ${place.host}.`
        : `The name ${place.host} is not known to the DNS.`
    case 'connect':
      return whyNotConnected(code, place)
    case 'tls':
      return whyNoTls(code, place)
    case 'bind':
      return whyNotBound(error, code, place, known.ownBinds)
    case 'enquire_link':
      return 'It bound, but the SMSC did not answer an enquire_link.'
    case 'unbind':
      return 'It bound, but the SMSC did not take the unbind in order.'
  }
}

function codeOf(error: Error | undefined): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

function whyLate(step: ProbeStepName, { host, port, tls }: Place, seconds: number): string {
  const within = `within ${seconds} s`
  switch (step) {
    case 'resolve':
      return `The DNS did not answer for ${host} ${within}.`
    case 'connect':
      return `${host} does not answer on port ${port} ${within}: the address is wrong, or a firewall drops what we send.`
    case 'tls':
      return `${host} took the connection on port ${port} but no TLS handshake came about ${within}. Does it speak TLS there?`
    case 'bind':
      return `${host} took the connection but did not answer the bind ${within}.${tls ? '' : ' Does it want TLS?'}`
    default:
      return `It bound, but the SMSC did not answer the ${step} ${within}.`
  }
}

function whyNotConnected(code: string, { host, port }: Place): string {
  if (code === 'ECONNREFUSED') return `Nothing listens on port ${port} of ${host}, or a firewall refuses us.`
  if (code === 'ECONNRESET') return `${host} ended the connection on port ${port} at once.`
  if (/^E(HOST|NET)UNREACH$/.test(code)) return `No way leads from this machine to ${host}.`
  if (code === 'ETIMEDOUT') return `${host} does not answer on port ${port}.`
  return `${host} could not be reached on port ${port} (${code || 'no reason given'}).`
}

const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
])

function whyNoTls(code: string, place: Place): string {
  const { host, port, tlsServerName, tlsCertificate } = place
  if (untrusted.has(code)) {
    return `The certificate of ${host} goes back to nobody whom we trust. If it is the right one, set tls_ca to the certificate that signed it.`
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `The certificate of ${host} is not for ${tlsServerName ?? host}. If it is the right one, set tls_server_name to a name that it has.`
  }
  if (code === 'CERT_HAS_EXPIRED') return `The certificate of ${host} has expired.`
  if (code === 'CERT_NOT_YET_VALID')
    return `The certificate of ${host} is not valid yet; is the clock of this machine right?`
  if (isAlert(code)) return whyNotLetIn(place)
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|UNKNOWN_PROTOCOL|HTTP_REQUEST/.test(code)) {
    return `${host} does not speak TLS on port ${port}.`
  }
  if (code === 'ECONNRESET') {
    const maybe = tlsCertificate === null ? 'want a certificate of ours' : 'not accept our certificate'
    return `${host} ended the connection during the TLS handshake: it may not speak TLS on port ${port}, or ${maybe}.`
  }
  return `No TLS handshake came about with ${host} (${code || 'no reason given'}).`
}

/** With TLS 1.3 a server refuses our certificate, or the lack of one, only after the handshake. */
function isAlert(code: string): boolean {
  return /_ALERT_(CERTIFICATE|BAD_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)|HANDSHAKE_FAILURE/.test(code)
}

function whyNotLetIn({ host, tlsCertificate }: Place): string {
  return tlsCertificate === null
    ? `${host} wants a certificate of ours: set tls_certificate and tls_key.`
    : `${host} does not accept our certificate (tls_certificate).`
}

function whyNotBound(error: Error, code: string, place: Place, ownBinds: number): string {
  if (isAlert(code)) return whyNotLetIn(place)
  if (error instanceof BindError) return whyRefused(error.command_status, place, ownBinds)
  if (/bad frame/.test(error.message)) return `What answers on port ${place.port} of ${place.host} does not speak SMPP.`
  const maybe = !place.tls ? ', or want TLS' : place.tlsCertificate === null ? '' : ', or not accept our certificate'
  return `${place.host} ended the connection instead of answering the bind. It may not know the address we come from${maybe}.`
}

function whyRefused(status: number, { systemId }: Place, ownBinds: number): string {
  switch (status) {
    case commandStatus.ESME_RINVPASWD:
      return `The SMSC says that the password of ${systemId} is wrong (ESME_RINVPASWD).`
    case commandStatus.ESME_RINVSYSID:
      return `The SMSC does not know the system_id ${systemId} (ESME_RINVSYSID).`
    case commandStatus.ESME_RINVSYSTYP:
      return 'The SMSC refuses the system_type (ESME_RINVSYSTYP).'
    case commandStatus.ESME_RBINDFAIL:
      return 'The SMSC refuses the bind (ESME_RBINDFAIL): system_id, password or bind_type may be wrong, or it does not know the address we come from.'
    case commandStatus.ESME_RALYBND: {
      const own =
        ownBinds > 0
          ? ` Our gateways hold ${ownBinds === 1 ? 'one' : ownBinds} right now, so this may be no fault; disable the connection to test it alone.`
          : ''
      return `The SMSC allows no more binds of ${systemId} (ESME_RALYBND).${own}`
    }
    default:
      return `The SMSC refuses the bind: ${statusName(status)}.`
  }
}
