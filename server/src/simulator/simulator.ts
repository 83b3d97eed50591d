// A carrier simulator: an SMPP server that writes accepted texts to a raw file and determines each text's fate by its
// number. It is a separate process that never uses the database, so its records of a crash are independent.

import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { createServer, type ServerOptions } from '../smpp/server.ts'
import { Binds } from './binds.ts'
import { startControl } from './control.ts'
import { RawFile } from './raw-file.ts'
import { receiptOfRecord } from './receipts.ts'
import { initialSettings, type Settings } from './settings.ts'
import { openSettledReceipts } from './settled-receipts.ts'
import { Smsc } from './smsc.ts'
import { idBase } from './smsc-id.ts'
import { isSubmission } from './submissions.ts'

const LOOPBACK = '127.0.0.1'
/** Time limit for clients to unbind during a stop; afterwards their sockets are closed. */
const CLOSE_MS = 2_000

export type Simulator = {
  smppPort: number
  /** Undefined if TLS is not configured. */
  tlsPort: number | undefined
  controlPort: number
  stop(): Promise<void>
}

export type SimulatorRuntime = { config: Pick<Config, 'simulator' | 'smpp'>; log: Logger }

/** Starts the SMPP server and the control API on loopback; resolves when both listen. */
export async function startSimulator({ config, log }: SimulatorRuntime): Promise<Simulator> {
  const { rawFile: rawPath, rawFileBytes, latencyMs, receiptDelayMs, smppPort, tls, controlPort } = config.simulator
  const rawFile = new RawFile(rawPath, rawFileBytes)
  const settled = openSettledReceipts(`${rawPath}.acknowledged`, rawPath, receiptOfRecord)
  const initial = initialSettings(latencyMs, receiptDelayMs)
  const smsc = new Smsc({
    rawFile,
    settledReceipts: settled.file,
    settings: initial,
    lastId: Math.max(idBase(Date.now()), settled.lastId),
    log,
  })
  smsc.restore(settled.owed)
  if (settled.owed.length > 0) log.info({ owed: settled.owed.length }, 'receipts of the last run are still owed')

  const { smpp } = config
  const binds = new Binds(smpp && { systemId: smpp.systemId, password: smpp.password.reveal() })
  let responding = Promise.withResolvers<void>()
  responding.resolve()

  const serverOptions: ServerOptions = {
    async onBind(_session, bind) {
      await responding.promise
      return binds.decide(bind, smsc.settings.maxBinds)
    },
    onSession(session, bind) {
      const info = binds.add(session, bind)
      const { id, kind } = info
      log.info({ bind: id, kind }, 'bound')
      session.on('close', (reason) => log.info({ bind: id, reason }, 'bind closed'))
      session.on('request', (request) => {
        smsc.handle(session, request)
        if (isSubmission(request)) binds.submitted(session, info)
      })
      if (kind !== 'bound_tx') smsc.addReceiver(session)
      if (!smsc.settings.responding) session.pause()
    },
  }
  const servers = [createServer(serverOptions)]
  if (tls) {
    const pem = readFileSync(tls.file)
    servers.push(createServer({ ...serverOptions, tls: { cert: pem, key: pem } }))
  }
  const allSessions = () => servers.flatMap((server) => [...server.sessions])

  function change(settings: Settings): void {
    const isToggled = settings.responding !== smsc.settings.responding
    smsc.change(settings)
    binds.dropAfter(settings.dropAfter)
    if (!isToggled) return
    log.info({ responding: settings.responding }, 'responding changed')
    if (settings.responding) responding.resolve()
    else responding = Promise.withResolvers<void>()
    for (const session of allSessions()) {
      if (settings.responding) session.resume()
      else session.pause()
    }
  }

  const [boundPort = 0, tlsPort] = await Promise.all(
    servers.map((server, index) => server.listen((index === 0 ? smppPort : tls?.port) ?? 0, LOOPBACK)),
  )
  const control = await startControl(
    {
      smsc,
      binds,
      change,
      reset() {
        smsc.reset()
        change(initial)
      },
      initial,
    },
    controlPort,
    LOOPBACK,
  )
  log.info({ smppPort: boundPort, tlsPort, controlPort: control.port }, 'simulator started')

  return {
    smppPort: boundPort,
    tlsPort,
    controlPort: control.port,
    async stop() {
      await control.close()
      smsc.respondToAll()
      const deadline = setTimeout(() => {
        for (const session of allSessions()) session.destroy('simulator stops')
      }, CLOSE_MS)
      await Promise.all(servers.map((server) => server.close()))
      clearTimeout(deadline)
      smsc.close()
    },
  }
}
