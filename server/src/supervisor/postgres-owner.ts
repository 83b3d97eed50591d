import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { ownerSettings } from './postgres-settings.ts'

// Two roles of the embedded PostgreSQL. The superuser exists for set-up and repairs; its password never leaves the data
// directory's file. Everything that Carillon runs connects as the owner of its database, which can neither read files nor
// start programs.

export const superuser = 'carillon'
export const owner = 'carillon_owner'
export const database = 'carillon'

/** The files with the passwords of the two roles, both 0600. */
export const passwordFiles = { [superuser]: 'password', [owner]: 'owner.password' } as const

/** Returns the password of a role in this home; undefined if its file does not exist. */
export function readPassword(home: string, role: keyof typeof passwordFiles): string | undefined {
  const file = join(home, passwordFiles[role])
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
}

/** Writes a new random password of a role to its file and returns it. */
export function writePassword(home: string, role: keyof typeof passwordFiles): string {
  const password = randomBytes(24).toString('hex')
  writeFileSync(join(home, passwordFiles[role]), `${password}\n`, { mode: 0o600, flush: true })
  return password
}

/**
 * Creates the owner and its database if they do not exist, removes every privilege that the owner should not have, sets its
 * settings, and returns its password. A database of the superuser, from before the owner existed, gets the new owner.
 */
export async function ensureOwner(home: string, superuserUrlOf: (database: string) => string): Promise<string> {
  const password = readPassword(home, owner) || writePassword(home, owner)
  const client = await connect(superuserUrlOf('postgres'))
  try {
    const { rows } = await client.query<{ hasOwner: boolean; databaseOwner: string | null }>(
      /* sql */ `
      select to_regrole($1) is not null as "hasOwner",
             (select pg_get_userbyid(datdba) from pg_database where datname = $2) as "databaseOwner"`,
      [owner, database],
    )
    const verb = rows[0]?.hasOwner ? 'alter' : 'create'
    const rights = 'nosuperuser nocreatedb nocreaterole noreplication nobypassrls login'
    await client.query(`${verb} role ${owner} ${rights} password ${pg.escapeLiteral(password)}`)
    for (const [name, value] of Object.entries(ownerSettings)) {
      await client.query(`alter role ${owner} set ${name} = '${value}'`)
    }
    const databaseOwner = rows[0]?.databaseOwner
    if (!databaseOwner) {
      await client.query(`create database ${database} owner ${owner}`)
    } else if (databaseOwner !== owner) {
      await transferObjects(superuserUrlOf(database))
      await client.query(`alter database ${database} owner to ${owner}`)
    }
  } finally {
    await client.end()
  }
  return password
}

/** Makes the owner the owner of all objects of the product. An interrupted transfer continues at the next start. */
async function transferObjects(superuserUrl: string): Promise<void> {
  const client = await connect(superuserUrl)
  try {
    const { rows } = await client.query<{ object: string }>(/* sql */ `
      with schemas as (
        select oid, nspname, nspowner from pg_namespace where nspname in ('public', 'pgboss')
      )
      select format('schema %I', nspname) as object from schemas
       where nspname <> 'public' and nspowner <> to_regrole('${owner}')
      union all
      select format('%s %s', case relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass)
        from pg_class c join schemas s on s.oid = relnamespace
       where relkind in ('r', 'p', 'S', 'v', 'm') and relowner <> to_regrole('${owner}')
             -- a sequence of a column has the owner of its table
         and not exists (select from pg_depend d
                          where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
                            and d.refobjsubid > 0 and relkind = 'S')
      union all
      select format('routine %s', p.oid::regprocedure) from pg_proc p join schemas s on s.oid = pronamespace
       where proowner <> to_regrole('${owner}')
      union all
      select format('type %s', t.oid::regtype) from pg_type t join schemas s on s.oid = typnamespace
       where typtype in ('e', 'd') and typowner <> to_regrole('${owner}')`)
    for (const { object } of rows) await client.query(`alter ${object} owner to ${owner}`)
  } finally {
    await client.end()
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'carillon set-up' })
  await client.connect()
  return client
}
