import { statusName } from './command-status.ts'
import type { Command } from './commands.ts'

/**
 * A PDU that cannot be decoded or encoded. The response to it has this `command_status` and `sequence_number` (0 if the
 * header is truncated); `command` is undefined if the command_id is unknown.
 */
export class PduError extends Error {
  override name = 'PduError'
  readonly command_status: number
  readonly sequence_number: number
  readonly command: Command | undefined

  constructor(command_status: number, sequence_number: number, message: string, command?: Command) {
    super(`${message} (${statusName(command_status)})`)
    this.command_status = command_status
    this.sequence_number = sequence_number
    this.command = command
  }
}
