import type { Connection } from '../../connections/connection.ts'

/** Returns the source address fields of a PDU. TON and NPI depend on the short code's length unless the connection sets them. */
export function sourceAddress(
  shortCode: string,
  { sourceTon, sourceNpi }: Pick<Connection, 'sourceTon' | 'sourceNpi'>,
) {
  const source_addr = shortCode.length === 10 ? `1${shortCode}` : shortCode
  // TON 3 is network specific, for five- and six-digit codes; TON 1 is international (SMPP 3.4 §5.2.5)
  const isShort = source_addr.length <= 6
  return {
    source_addr_ton: sourceTon ?? (isShort ? 3 : 1),
    source_addr_npi: sourceNpi ?? (isShort ? 0 : 1),
    source_addr,
  }
}
