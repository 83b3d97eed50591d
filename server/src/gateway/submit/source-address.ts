import type { Connection } from '../../connections/connection.ts'

/** A sender as a PDU names it: its type follows from its length, unless the connection sets it. */
export function sourceAddress(
  shortCode: string,
  { sourceTon, sourceNpi }: Pick<Connection, 'sourceTon' | 'sourceNpi'>,
) {
  const source_addr = shortCode.length === 10 ? `1${shortCode}` : shortCode
  // a five- or six-digit code is network specific, a full number international (SMPP 3.4 §5.2.5)
  const isShort = source_addr.length <= 6
  return {
    source_addr_ton: sourceTon ?? (isShort ? 3 : 1),
    source_addr_npi: sourceNpi ?? (isShort ? 0 : 1),
    source_addr,
  }
}
