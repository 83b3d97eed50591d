import { statSync } from 'node:fs'
import { listUnreadableConnections } from '../connections/connections.ts'
import { readBackup } from './backup/read-backup.ts'
import { writeBackup } from './backup/write-backup.ts'
import type { CliCommand } from './command.ts'

const backup: CliCommand = {
  name: 'backup',
  summary: 'Write the whole database to one file, while the installation runs',
  names: ['<file>'],
  notes: [
    'The file has the state at the start of the command. It contains phone numbers, texts, and hashes of keys and passwords:',
    'protect it like the data itself. It does not contain settings, logs, the plain text of the sandbox key, or the secret key',
    'that decrypts the passwords of connections: store a copy of that key elsewhere.',
  ],
  async run({ databaseUrl, names, resolve }) {
    const file = resolve(names[0] ?? '')
    const { tables, rows } = await writeBackup(databaseUrl, file)
    const { size } = statSync(file)
    return {
      lines: [`${file}: ${rows} rows of ${tables} tables, ${(size / 1_000_000).toFixed(1)} MB.`],
      json: { file, tables, rows, bytes: size },
    }
  },
}

const restore: CliCommand = {
  name: 'restore',
  summary: 'Restore a backup into an empty database or a new data directory',
  names: ['<file>'],
  requires: 'empty',
  notes: [
    'Set CARILLON_DATA_DIR to a directory that does not exist yet, or DATABASE_URL to an empty database. The copy has the',
    'mode of the backup; it sends nothing and binds to no carrier until you run: sending resume.',
  ],
  async run({ db, databaseUrl, changeMode, names, resolve, connectionConfig }) {
    const file = resolve(names[0] ?? '')
    const { header, tables, rows } = await readBackup(databaseUrl, file, ({ mode }) => changeMode(mode))
    const unopened = await listUnreadableConnections({ db, config: connectionConfig() })
    return {
      lines: [
        `Restored ${rows} rows of ${tables} tables, as of ${header.createdAt}, in ${header.mode} mode.`,
        ...(unopened.length > 0
          ? [
              `The secrets of ${unopened.join(', ')} need the secret key of the original: copy its secret.key to the data directory, or set CARILLON_SECRET_KEY.`,
            ]
          : []),
        'Sending is paused until you run: npm run carillon -- sending resume',
      ],
      json: { file, tables, rows, created_at: header.createdAt, mode: header.mode, sending_paused: true, unopened },
    }
  },
}

export const backupCommands: CliCommand[] = [backup, restore]
