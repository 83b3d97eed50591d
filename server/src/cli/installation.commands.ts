import { OperatorError } from '../errors.ts'
import { listLiveRoles } from '../system/heartbeats.queries.ts'
import { isSendingPaused, type Mode, setMode, setSendingPaused } from '../system/installation.queries.ts'
import { type CliCommand, type CommandContext, UsageError } from './command.ts'
import {
  countEnabledConnections,
  countPendingWork,
  countSandboxKeys,
  disableConnections,
  type PendingWork,
} from './installation.queries.ts'

const yes = { yes: { help: 'Execute the plan; without this option the command only prints it' } }

const modeShow: CliCommand = {
  name: 'mode show',
  summary: 'Show the mode of the installation',
  async run({ mode, db }) {
    const paused = await isSendingPaused(db)
    return {
      lines: [mode, ...(paused ? ['Sending is paused: see sending show.'] : [])],
      json: { mode, sending_paused: paused },
    }
  },
}

const modeSwitch: CliCommand = {
  name: 'mode switch',
  summary: 'Switch the installation to the other mode',
  names: ['<sandbox|production>'],
  options: yes,
  requires: 'alone',
  notes: ['Prints the plan, and switches with --yes. The installation must be stopped.'],
  async run(context) {
    const wanted = context.names[0]
    if (wanted !== 'sandbox' && wanted !== 'production') throw new UsageError('The mode must be sandbox or production')
    if (wanted === context.mode)
      return { lines: [`The installation is already in ${wanted} mode.`], json: { mode: wanted, switched: false } }
    await requireNoLiveRoles(context)
    const will = await describePlan(context, wanted)
    if (!context.options.yes) {
      return {
        lines: [
          `Switching from ${context.mode} to ${wanted} mode will do this:`,
          '',
          ...will,
          '',
          'Add --yes to do it.',
        ],
        json: { mode: context.mode, switched: false, will },
      }
    }
    // sending is paused first, so that after a crash between the two steps, a start in either mode sends nothing
    await context.db.tx(async (tx) => {
      await setSendingPaused(tx, true)
      await setMode(tx, wanted)
      await disableConnections(tx, context.clock.now())
    })
    await context.changeMode(wanted)
    return {
      lines: [`The installation is now in ${wanted} mode.`, '', ...will],
      json: { mode: wanted, switched: true, will },
    }
  },
}

async function describePlan({ db }: CommandContext, wanted: Mode): Promise<string[]> {
  const waiting = describe(await countPendingWork(db))
  const connections = await countEnabledConnections(db)
  const lines = [
    `- ${waiting} Sending is paused until you run: sending resume.`,
    ...(connections > 0 ? [`- Connections (${connections}) are disabled until you enable them.`] : []),
  ]
  if (wanted === 'sandbox') {
    return [...lines, '- All texts go to the simulator, none to a phone. API keys stay valid.']
  }
  const keys = await countSandboxKeys(db)
  return [
    ...lines,
    '- Texts are sent to phones through the connections, and cost money.',
    `- API keys created in the sandbox (${keys}) become invalid: create new ones with key create.`,
    '- Set CARILLON_MODE=production and CARILLON_SMPP_URL (or add connections), and remove the sandbox-only settings.',
    '- Accounts, short codes, lists and subscribers do not change, including those of the sandbox.',
  ]
}

async function requireNoLiveRoles({ db }: CommandContext) {
  const roles = [...new Set((await listLiveRoles(db)).map(({ role }) => role))]
  if (roles.length > 0) throw new OperatorError(`Carillon runs on this database (${roles.join(', ')}). Stop it first.`)
}

const sendingShow: CliCommand = {
  name: 'sending show',
  summary: 'Show whether sending is paused, and the waiting texts',
  async run({ db }) {
    const [paused, waiting] = [await isSendingPaused(db), await countPendingWork(db)]
    return {
      lines: [paused ? 'Sending is paused.' : 'Sending is not paused.', describe(waiting)],
      json: { sending_paused: paused, ...waiting },
    }
  },
}

const sendingResume: CliCommand = {
  name: 'sending resume',
  summary: 'Resume sending after a restore or a mode switch',
  options: yes,
  notes: [
    'A restored or switched installation sends nothing before this command. If the original continued after the backup, it',
    'may have sent the queued texts, which would then be sent twice. Cancel such messages first.',
  ],
  async run({ db, options }) {
    const waiting = await countPendingWork(db)
    if (!(await isSendingPaused(db))) {
      return { lines: ['Sending is not paused.'], json: { sending_paused: false, resumed: false, ...waiting } }
    }
    if (!options.yes) {
      return {
        lines: [`This resumes sending immediately. ${describe(waiting)}`, '', 'Add --yes to do it.'],
        json: { sending_paused: true, resumed: false, ...waiting },
      }
    }
    await setSendingPaused(db, false)
    return {
      lines: [`Sending is resumed. ${describe(waiting)}`],
      json: { sending_paused: false, resumed: true, ...waiting },
    }
  },
}

function describe({ messages, texts, scheduled }: PendingWork): string {
  const parts = [
    messages === 1 ? '1 message is being sent' : `${messages} messages are being sent`,
    texts === 1 ? '1 text waits' : `${texts} texts wait`,
    scheduled === 1 ? '1 message is scheduled' : `${scheduled} messages are scheduled`,
  ]
  return `${parts.join(', ')}.`
}

export const installationCommands: CliCommand[] = [modeShow, modeSwitch, sendingShow, sendingResume]
