// How long it takes to send so many parts, by the caps that hold and by windows where there are none.

/** A connection as far as it decides how fast a short code sends. */
export type ConnectionCapacity = {
  name: string
  /** Parts in any second; null is no cap. */
  mps: number | null
  carrierMps: Record<string, number>
  /** PDUs that may be without an answer at once, over all of its binds. */
  room: number
}

export type SendingCapacity = { shortCodeMps: number | null; connections: ConnectionCapacity[] }

export type Pace = {
  /** Parts a second when nothing but this is being sent. */
  perSecond: number
  seconds: number
  /** What holds it back: short_code, connections, window, software, or carrier:383. */
  limitedBy: string
}

/** How soon an SMSC usually answers; a window of 10 gives 100 parts a second then. */
export const assumedResponseMs = 100
/** What one gateway and its database can do where nothing else holds it back. */
const softwareMps = 15_000

/** The pace of these parts, in all and by the handset's carrier; undefined where no connection is there to send them. */
export function estimatePace(
  ways: SendingCapacity,
  parts: number,
  byCarrier: ReadonlyMap<number | null, number>,
): Pace | undefined {
  if (ways.connections.length === 0) return undefined
  const speeds = ways.connections.map((way) => {
    const byWindow = (way.room * 1_000) / assumedResponseMs
    return { way, mps: Math.min(way.mps ?? byWindow, byWindow), isCapped: way.mps !== null && way.mps <= byWindow }
  })
  const together = speeds.reduce((sum, { mps }) => sum + mps, 0)
  const limits: [limitedBy: string, mps: number][] = [
    ['short_code', ways.shortCodeMps ?? Number.POSITIVE_INFINITY],
    [speeds.some(({ isCapped }) => isCapped) ? 'connections' : 'window', together],
    ['software', softwareMps],
  ]
  const [limitedBy, mps] = limits.reduce((least, limit) => (limit[1] < least[1] ? limit : least))
  const pace: Pace = { perSecond: mps, seconds: parts / mps, limitedBy }
  for (const [carrier, ofCarrier] of byCarrier) {
    if (carrier === null) continue
    const cap = speeds.reduce((sum, { way, mps }) => sum + Math.min(way.carrierMps[carrier] ?? mps, mps), 0)
    const seconds = ofCarrier / cap
    if (seconds > pace.seconds)
      Object.assign(pace, { seconds, limitedBy: `carrier:${carrier}`, perSecond: parts / seconds })
  }
  return pace
}
