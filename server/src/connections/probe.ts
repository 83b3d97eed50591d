import { isIP, type Socket } from 'node:net'
import { connect } from '../smpp/client.ts'
import { commandStatus, statusName } from '../smpp/pdu/command-status.ts'
import { enquireLink } from '../smpp/pdu/pdu.ts'
import type { Session } from '../smpp/session.ts'
import { bindOptions, bindsOf } from './bind-options.ts'
import type { Connection } from './connection.ts'
import { describeProbeError, type ProbeFailure, type ProbeStepName } from './probe-errors.ts'

export type ProbeStep = { step: ProbeStepName; bind: BindType; ok: boolean; ms: number }
type BindType = 'transceiver' | 'transmitter' | 'receiver'

export type ProbeResult = {
  ok: boolean
  ms: number
  steps: ProbeStep[]
  /** The cause of the failure, for the operator; null if the test passed. */
  error: string | null
}

const maxDurationMs = 10_000

/**
 * Tests a connection (bind, enquire_link, unbind) with its own bind in addition to the binds of the gateways. Returns within
 * `timeoutMs` (default 10 s) and never throws. Temporarily rejects a text that the SMSC delivers during the test.
 */
export async function probe(
  connection: Connection,
  { ownBinds = 0, timeoutMs = maxDurationMs } = {},
): Promise<ProbeResult> {
  const startedAt = performance.now()
  const deadline = AbortSignal.timeout(timeoutMs)
  const steps: ProbeStep[] = []
  for (const bindType of bindsOf[connection.bindType]) {
    const failure = await testBind(connection, bindType, steps, deadline)
    if (failure) {
      const error = describeProbeError(failure, connection, { ownBinds, timeoutMs })
      return { ok: false, ms: since(startedAt), steps, error }
    }
  }
  return { ok: true, ms: since(startedAt), steps, error: null }
}

/** Runs the steps of one bind and appends each to `steps`; returns the failure of the last step, if any. */
async function testBind(
  connection: Connection,
  bindType: BindType,
  steps: ProbeStep[],
  deadline: AbortSignal,
): Promise<ProbeFailure | undefined> {
  let step: ProbeStepName = isIP(connection.host) ? 'connect' : 'resolve'
  let startedAt = performance.now()
  const finish = (ok: boolean) => {
    steps.push({ step, bind: bindType, ok, ms: since(startedAt) })
    startedAt = performance.now()
  }
  const advance = (next: ProbeStepName) => {
    finish(true)
    step = next
  }
  let socketError: Error | undefined
  const onSocket = (socket: Socket) => {
    socket.once('lookup', (error) => {
      if (!error) advance('connect')
    })
    socket.once('connect', () => advance(connection.tls ? 'tls' : 'bind'))
    socket.once('secureConnect', () => advance('bind'))
    // the session only reports that it was closed; the socket's error has the cause
    socket.on('error', (error) => {
      socketError = error
    })
  }
  let session: Session | undefined
  const abort = () => session?.destroy('test timed out')
  deadline.addEventListener('abort', abort)
  try {
    session = await connect({ ...bindOptions(connection), bind: bindType, signal: deadline, onSocket })
    advance('enquire_link')
    const { command_status } = await session.send(enquireLink())
    if (command_status !== commandStatus.ESME_ROK) throw new Error(`enquire_link: ${statusName(command_status)}`)
    advance('unbind')
    await session.unbind()
    deadline.throwIfAborted()
    finish(true)
    return undefined
  } catch (error) {
    finish(false)
    return { step, error: error as Error, socketError, isLate: deadline.aborted }
  } finally {
    deadline.removeEventListener('abort', abort)
    session?.destroy()
  }
}

function since(startedAt: number): number {
  return Math.round(performance.now() - startedAt)
}
