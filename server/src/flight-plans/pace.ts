// Estimates the duration of sending a number of parts from the caps, and from the SMPP windows of connections without a cap.

/** The limits on the throughput of one connection. */
export type ConnectionCapacity = {
  name: string
  /** Maximum parts per second; null means no cap. */
  mps: number | null
  carrierMps: Record<string, number>
  /** Maximum number of PDUs that await a response, over all binds of the connection. */
  windowSlots: number
}

export type SendingCapacity = { shortCodeMps: number | null; connections: ConnectionCapacity[] }

export type Pace = {
  /** Parts per second if nothing else is being sent. */
  perSecond: number
  seconds: number
  /** The limiting factor: short_code, connections, window, software, or carrier:383. */
  limitedBy: string
}

/** Assumed response time of an SMSC; a window of 10 then allows 100 parts per second. */
export const assumedResponseMs = 100
/** Maximum parts per second of one gateway and its database, without other limits. */
const softwareMps = 15_000

/** Returns the pace for a number of parts, given in total and by carrier; undefined if there is no connection. */
export function estimatePace(
  capacity: SendingCapacity,
  parts: number,
  byCarrier: ReadonlyMap<number | null, number>,
): Pace | undefined {
  if (capacity.connections.length === 0) return undefined
  const speeds = capacity.connections.map((connection) => {
    const byWindow = (connection.windowSlots * 1_000) / assumedResponseMs
    const cap = connection.mps
    return { connection, mps: Math.min(cap ?? byWindow, byWindow), isCapped: cap !== null && cap <= byWindow }
  })
  const total = speeds.reduce((sum, { mps }) => sum + mps, 0)
  const limits: [limitedBy: string, mps: number][] = [
    ['short_code', capacity.shortCodeMps ?? Number.POSITIVE_INFINITY],
    [speeds.some(({ isCapped }) => isCapped) ? 'connections' : 'window', total],
    ['software', softwareMps],
  ]
  const [limitedBy, mps] = limits.reduce((least, limit) => (limit[1] < least[1] ? limit : least))
  const pace: Pace = { perSecond: mps, seconds: parts / mps, limitedBy }
  for (const [carrier, ofCarrier] of byCarrier) {
    if (carrier === null) continue
    const cap = speeds.reduce(
      (sum, { connection, mps }) => sum + Math.min(connection.carrierMps[carrier] ?? mps, mps),
      0,
    )
    const seconds = ofCarrier / cap
    if (seconds > pace.seconds)
      Object.assign(pace, { seconds, limitedBy: `carrier:${carrier}`, perSecond: parts / seconds })
  }
  return pace
}
